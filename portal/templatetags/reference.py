"""Words of the reference: what stands between backticks is code."""

from __future__ import annotations

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

register = template.Library()


@register.filter
def ticked(text: str) -> SafeString:
    parts = (text[:1].upper() + text[1:]).split("`")
    drawn = (format_html("<code>{}</code>", part) if odd % 2 else part for odd, part in enumerate(parts))
    return format_html_join("", "{}", ((each,) for each in drawn))
