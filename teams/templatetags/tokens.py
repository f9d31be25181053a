"""API tokens in words."""

from __future__ import annotations

from django import template
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy

from teams.models import ApiToken
from teams.roles import Scope

register = template.Library()

SHORT = {
    Scope.READ: gettext_lazy("read"),
    Scope.KEYS_ISSUE: gettext_lazy("issue keys"),
    Scope.KEYS_MANAGE: gettext_lazy("manage keys"),
    Scope.TEAM_MANAGE: gettext_lazy("manage teams"),
    Scope.AUDIT_READ: gettext_lazy("read audit and statements"),
    Scope.PLATFORM_READ: gettext_lazy("read the platform"),
    Scope.PLATFORM_MANAGE: gettext_lazy("manage the platform"),
}


@register.filter
def scope_words(token: ApiToken) -> str:
    """`Read, issue keys`, in the order of the table of scopes."""
    return capfirst(", ".join(str(words) for scope, words in SHORT.items() if scope in token.scopes))
