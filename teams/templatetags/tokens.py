"""API tokens in words."""

from __future__ import annotations

from django import template

from teams.models import ApiToken
from teams.roles import Scope

register = template.Library()

SHORT = {
    Scope.READ: "read",
    Scope.KEYS_ISSUE: "issue keys",
    Scope.KEYS_MANAGE: "manage keys",
    Scope.TEAM_MANAGE: "manage teams",
    Scope.PLATFORM_READ: "read the platform",
    Scope.PLATFORM_MANAGE: "manage the platform",
}


@register.filter
def scope_words(token: ApiToken) -> str:
    """`Read, issue keys`, in the order of the table of scopes."""
    return ", ".join(words for scope, words in SHORT.items() if scope in token.scopes).capitalize()
