"""Group mappings: which group of an identity provider gives what. A change is applied at once to whom it concerns."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext, gettext_noop

from portal import audit
from portal.errors import Conflict, Invalid
from teams import claims, grants
from teams.access import Actor, require, require_fresh
from teams.gifts import Gift, Place, Preview, gifts_of, preview, strength_in
from teams.models import Grant, GroupMapping, Membership, Team, ToldGroups, User
from teams.roles import Can, MemberRole, PlatformRole
from teams.services.directory import SOURCE as SCIM

APPLYING = 20.0  # seconds for the people whom a change concerns; the next sign-in, or another press, does the rest


class Mapped(Conflict):
    code = "already_mapped"
    message = gettext_noop("This group gives something there already.")
    action = gettext_noop("Remove that mapping first.")


@dataclass(frozen=True, slots=True)
class Applied:
    """What applying mappings did. `left`: people whom the time did not reach."""

    people: int = 0
    held: int = 0
    left: int = 0


@dataclass(frozen=True, slots=True)
class Reach:
    """What removing a mapping would do, counted before anybody presses."""

    loses: tuple[str, ...] = ()  # people who lose the team, or the platform role
    lowered: tuple[str, ...] = ()  # who keep less
    kept: int = 0  # who keep what they have, by hand or by another group


def sources() -> dict[str, str]:
    """The providers that name groups, by id, as a person knows them; blank: any of them."""
    providers = {each.id: each.name for each in settings.SSO_PROVIDERS.values() if each.groups_claim}
    return {"": gettext("Any provider")} | providers | {SCIM: "SCIM"}


def add_mapping(
    *, source: str = "", value: str, team: Team | None = None, role: str = "", platform_role: str = "", by: Actor
) -> tuple[GroupMapping, Applied]:
    """Let a group give a member role in `team`, or a platform role; whoever is in it by now has it at once.

    Raises NotAllowed, Invalid, Mapped, and SignInAgain for a platform role.
    """
    require(by, Can.MANAGE_PLATFORM)
    if platform_role:
        require_fresh(by)
    value = value.strip()
    if wrong := _wrong(source, value, team, role, platform_role):
        raise Invalid(details=wrong)
    with transaction.atomic():
        mapping, new = GroupMapping.objects.get_or_create(
            source=source, value=value, team=team, defaults={"role": role, "platform_role": platform_role}
        )
        if not new:
            raise Mapped
        _record("mapping.added", mapping, by=by)
    return mapping, _apply(_holders(mapping), by=by)


def remove_mapping(mapping: GroupMapping, *, by: Actor) -> Applied:
    """Let the group give this no more: who had it only by it loses it, or is held when they are too many.

    Raises NotAllowed.
    """
    require(by, Can.MANAGE_PLATFORM)
    concerned = list(_holders(mapping))
    with transaction.atomic():
        if not GroupMapping.objects.filter(pk=mapping.pk).exists():
            return Applied()
        _record("mapping.removed", mapping, by=by)
        GroupMapping.objects.filter(pk=mapping.pk).delete()
    return _apply(concerned, by=by)


def apply_all(*, by: Actor) -> Applied:
    """Make everybody's grants what the mappings say: for those whom a change did not reach. Raises NotAllowed."""
    require(by, Can.MANAGE_PLATFORM)
    return _apply(_behind(), by=by)


def reach(mapping: GroupMapping) -> Reach:
    """Whom removing the mapping would concern. Changes nothing."""
    place, told = mapping.team_id, list(_holders(mapping))
    people = [each.user_id for each in told]
    granted: defaultdict[UUID, dict[str, str]] = defaultdict(dict)
    for user_id, source, role in Grant.objects.filter(team=place, user__in=people).values_list(
        "user", "source", "role"
    ):
        granted[user_id][source] = role
    by_hand = _by_hand(mapping.team, people)
    without = _by_value(GroupMapping.objects.exclude(pk=mapping.pk))
    loses, lowered, kept = [], [], 0
    for each in told:
        now = granted[each.user_id]
        gift = _gifts(each, without).get(place)
        then = now | {each.source: gift.role if gift else ""}
        given = by_hand.get(each.user_id, "")
        before, after = _strongest(place, given, now), _strongest(place, given, then)
        if before == after:
            kept += 1
        elif after:
            lowered.append(str(each.user))
        else:
            loses.append(str(each.user))
    return Reach(tuple(loses), tuple(lowered), kept)


def people_by_mapping(mappings: Iterable[GroupMapping]) -> dict[int, int]:
    """How many people each of these gives something by now: those whom a provider last named the group for."""
    told = ToldGroups.objects.exclude(told_at=None).values_list("source", "values")
    there = Counter((source, value) for source, values in told.iterator() for value in values)
    found = {}
    for mapping in mappings:
        if mapping.source:
            found[mapping.pk] = there[mapping.source, mapping.value]
        else:
            found[mapping.pk] = sum(number for (_, value), number in there.items() if value == mapping.value)
    return found


def preview_of_claims(pasted: str, *, source: str, claim: str) -> tuple[Preview, str]:
    """What pasted claims of `source` would give, and the claim that was read. Stores nothing."""
    provider = settings.SSO_PROVIDERS.get(source)
    claim = claim.strip() or (provider.groups_claim if provider else "") or "groups"
    values, trouble = claims.groups_pasted(pasted, claim)
    return preview(source, values, trouble), claim


def _wrong(source: str, value: str, team: Team | None, role: str, platform_role: str) -> dict[str, str]:
    wrong = {}
    if source not in sources():
        wrong["source"] = gettext("There is no such provider.")
    if not 0 < len(value) <= claims.LONGEST:
        wrong["value"] = gettext("A group's name or id, of at most %(longest)s characters.") % {
            "longest": claims.LONGEST
        }
    if team and team.ended_at:
        wrong["team"] = gettext("This team has ended.")
    if team and (role not in MemberRole.values or platform_role):
        wrong["role"] = gettext("A member role, in that team.")
    if not team and (role or not platform_role or platform_role not in PlatformRole.values):
        wrong["platform_role"] = gettext("Without a team: auditor or admin.")
    return wrong


def _holders(mapping: GroupMapping) -> Iterator[ToldGroups]:
    """Those whom a provider last named the mapping's group for."""
    told = ToldGroups.objects.exclude(told_at=None).select_related("user").order_by("pk")
    if mapping.source:
        told = told.filter(source=mapping.source)
    return (each for each in told.iterator(chunk_size=500) if mapping.value in each.values)


def _behind() -> Iterator[ToldGroups]:
    """Those whose grants are not what the mappings say."""
    every = _by_value(GroupMapping.objects.all())
    have: defaultdict[tuple[UUID, str], dict[Place, str]] = defaultdict(dict)
    for user_id, source, team_id, role in Grant.objects.filter(Q(team=None) | Q(team__ended_at=None)).values_list(
        "user", "source", "team", "role"
    ):
        have[user_id, source][team_id] = role
    for each in ToldGroups.objects.exclude(told_at=None).select_related("user").order_by("pk"):
        if have[each.user_id, each.source] != {place: gift.role for place, gift in _gifts(each, every).items()}:
            yield each


def _apply(told: Iterable[ToldGroups], *, by: Actor) -> Applied:
    """One transaction a person, so that nobody waits for all, and what is done stays done."""
    ends, people, held, left = time.monotonic() + APPLYING, 0, 0, 0
    for each in list(told):
        if time.monotonic() > ends:
            left += 1
            continue
        outcome = grants.apply_again(each.user, each.source, by=by)
        people += bool(outcome.added or outcome.changed or outcome.removed)
        held += bool(outcome.held)
    return Applied(people, held, left)


def _by_value(mappings: QuerySet[GroupMapping]) -> dict[str, list[GroupMapping]]:
    found = defaultdict(list)
    for mapping in mappings.select_related("team"):
        if mapping.team is None or mapping.team.ended_at is None:
            found[mapping.value].append(mapping)
    return found


def _gifts(told: ToldGroups, by_value: dict[str, list[GroupMapping]]) -> dict[Place, Gift]:
    return gifts_of(
        mapping for value in told.values for mapping in by_value.get(value, []) if mapping.source in {"", told.source}
    )


def _by_hand(team: Team | None, people: list[UUID]) -> dict[UUID, str]:
    if team is None:
        return dict(User.objects.filter(pk__in=people).values_list("pk", "given_platform_role"))
    return dict(Membership.objects.filter(team=team, user__in=people).values_list("user", "given_role"))


def _strongest(place: Place, given: str, granted: dict[str, str]) -> str:
    return max([given, *granted.values()], key=lambda role: strength_in(place, role))


def _record(action: str, mapping: GroupMapping, *, by: Actor) -> None:
    audit.record(action, mapping, by=by, source=mapping.source or "any", role=mapping.role or mapping.platform_role,
                 on_platform=mapping.team is None)  # fmt: skip
