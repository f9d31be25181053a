"""What the groups of a provider give, by the mappings as they are now. Nothing here changes anything."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TypeAlias
from uuid import UUID

from django.conf import settings
from django.db.models import Q, QuerySet
from django.utils.translation import gettext, gettext_noop

from portal.errors import Conflict
from teams.models import Grant, GroupMapping, Membership, Team, ToldGroups, User
from teams.roles import MemberRole, PlatformRole, strength

PLATFORM = None  # the place of a platform role, beside the ids of teams
Place: TypeAlias = UUID | None


@dataclass(frozen=True, slots=True)
class Gift:
    """A role that groups give: a member role in `team`, or (no team) a platform role."""

    team: Team | None
    role: str
    groups: tuple[str, ...] = ()  # those that give it, the strongest role of theirs

    def __str__(self) -> str:
        if self.team is None:
            return str(PlatformRole(self.role).label)
        return gettext("%(role)s in %(team)s") % {"role": MemberRole(self.role).label, "team": self.team}


@dataclass(frozen=True, slots=True)
class Preview:
    """What a provider's words would give. `unmapped`: the groups that no mapping names."""

    gifts: tuple[Gift, ...] = ()
    unmapped: tuple[str, ...] = ()
    trouble: str = ""


class KeptByProvider(Conflict):
    """What a provider's groups give cannot be taken or lowered by hand: the next sign-in would give it back."""

    code = "kept_by_provider"
    action = gettext_noop("Take the person out of the group at the provider, or change the group mapping.")

    def __init__(self, kept: Collection[tuple[str, Gift]]) -> None:
        said = [f"{' and '.join(gift.groups)} ({source})" for source, gift in kept]
        gift = next(iter(kept), ("", None))[1]
        super().__init__(
            gettext("%(gift)s comes from %(sources)s.") % {"gift": gift or gettext("This"), "sources": ", ".join(said)},
            details={"given_by": ", ".join(said)},
        )


def gifts(source: str, values: Collection[str]) -> dict[Place, Gift]:
    """What these groups of `source` give: the strongest role for each team, and for the platform."""
    mappings = GroupMapping.objects.filter(_of(source), value__in=values).select_related("team")
    return gifts_of(mappings.filter(Q(team=None) | Q(team__ended_at=None)))


def gifts_of(mappings: Iterable[GroupMapping]) -> dict[Place, Gift]:
    """What these mappings give together to whoever is in all of their groups."""
    found: dict[Place, Gift] = {}
    for mapping in mappings:
        place, role = mapping.team_id, mapping.role or mapping.platform_role
        there = found.get(place)
        more = strength_in(place, role) - (strength_in(place, there.role) if there else 0)
        if there is None or more > 0:
            found[place] = Gift(mapping.team, role, (mapping.value,))
        elif more == 0 and mapping.value not in there.groups:
            found[place] = Gift(mapping.team, role, (*there.groups, mapping.value))
    return found


def preview(source: str, values: Collection[str] | None, trouble: str = "") -> Preview:
    """What these groups of `source` would give. Changes nothing, stores nothing."""
    if values is None:
        return Preview(trouble=trouble)
    named = set(GroupMapping.objects.filter(_of(source), value__in=values).values_list("value", flat=True))
    order = sorted(gifts(source, values).values(), key=lambda gift: (gift.team is not None, str(gift.team)))
    return Preview(tuple(order), tuple(sorted(set(values) - named)))


def given_by_providers(user: User, team: Team | None) -> list[tuple[str, Gift]]:
    """What each provider's groups give `user` in `team` (None: on the platform) by now, as (source, gift).

    A grant that no group gives any more, as its removal is held, is not among these.
    """
    place = team.pk if team else PLATFORM
    said = ToldGroups.objects.filter(user=user).exclude(told_at=None).order_by("source")
    found = ((told.source, gifts(told.source, told.values).get(place)) for told in said)
    return [(source, gift) for source, gift in found if gift]


def kept_by_providers(user: User, team: Team | None) -> list[tuple[str, Gift]]:
    """What no hand may take: of `given_by_providers`, what can still be taken at the provider."""
    speaking = _speaking()
    return [(source, gift) for source, gift in given_by_providers(user, team) if source in speaking]


def of_gone_providers() -> QuerySet[Grant]:
    """What only a hand takes: its provider is gone from the settings, or names no groups any more."""
    return Grant.objects.exclude(source__in=_speaking()).exclude(team__ended_at__isnull=False)


def standing(user: User, team: Team | None, *, without: str | None = None, instead: str = "") -> str:
    """The strongest role that stands. `without` a source's grant, with `instead` in its place."""
    granted = Grant.objects.filter(user=user, team=team)
    if without is not None:
        granted = granted.exclude(source=without)
    by_hand = (
        Membership.objects.filter(user=user, team=team).values_list("given_role", flat=True)
        if team
        else User.objects.filter(pk=user.pk).values_list("given_platform_role", flat=True)
    )
    return _strongest(team.pk if team else PLATFORM, [*granted.values_list("role", flat=True), *by_hand, instead])


def strength_in(place: Place, role: str) -> int:
    return strength(role, platform=place is PLATFORM)


def _strongest(place: Place, roles: Iterable[str]) -> str:
    return max(["", *roles], key=lambda role: strength_in(place, role))


def _speaking() -> set[str]:
    """The sources that may still say something. Any other never takes back what it gave."""
    named = {each.id for each in settings.SSO_PROVIDERS.values() if each.groups_claim}
    return named | ({"scim"} if settings.SCIM_TOKEN else set())


def _of(source: str) -> Q:
    return Q(source__in=[source, ""])
