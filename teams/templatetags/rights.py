"""Ask the table of rights from a template, so that a page offers only what the person may do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import template
from django.template import Context

from teams.access import allowed
from teams.models import Membership
from teams.roles import Can, MemberRole, PlatformRole, Reach, reach

register = template.Library()


@register.simple_tag(takes_context=True)
def can(context: Context, right: str, target: Any = None) -> bool:
    """`{% can "REVOKE_KEY" lease as may_revoke %}`: whether whoever is signed in has the right."""
    return allowed(context["request"].user, Can[right], target)


@register.simple_tag(takes_context=True)
def sees_keys_of_others(context: Context, memberships: Iterable[Membership]) -> bool:
    """Whether whoever is signed in sees more keys than their own. `memberships`: theirs."""
    places: list[MemberRole | PlatformRole] = [MemberRole(each.role) for each in memberships]
    platform = getattr(context["request"].user, "platform_role", "")
    roles = [*places, PlatformRole(platform)] if platform else places
    return any(reach(Can.SEE_KEY, role) is Reach.ANY for role in roles)
