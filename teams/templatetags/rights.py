"""Ask the table of rights from a template, so that a page offers only what the person may do."""

from __future__ import annotations

from typing import Any

from django import template
from django.template import Context

from teams.access import allowed
from teams.roles import Can

register = template.Library()


@register.simple_tag(takes_context=True)
def can(context: Context, right: str, target: Any = None) -> bool:
    """`{% can "REVOKE_KEY" lease as may_revoke %}`: whether whoever is signed in has the right."""
    return allowed(context["request"].user, Can[right], target)
