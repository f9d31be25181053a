"""What a page hands to the script that asks a browser for a passkey."""

from __future__ import annotations

import json
from typing import Any

from django import template
from django.core.serializers.json import DjangoJSONEncoder

register = template.Library()


@register.filter
def as_json(value: Any) -> str:
    """For an attribute: our policy, and our pages, have no room for scripts inside the page, not even for data."""
    return json.dumps(value, cls=DjangoJSONEncoder)
