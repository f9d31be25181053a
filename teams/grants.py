"""What identity providers give: groups -> mappings -> grants -> what counts.

What counts (`Membership.role`, `User.platform_role`) is the strongest of what a person gave by hand and of what each
provider gives. A provider adds and removes only its own grants; a claim that is missing changes nothing.
Locks are taken in one order: the installation's row (`departures` counts removals under it), then the team's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext

from portal import audit, mail
from portal.errors import Invalid
from portal.models import Installation
from teams import departures
from teams.access import SYSTEM, Actor
from teams.gifts import Gift, KeptByProvider, Place, gifts, kept_by_providers, standing, strength_in
from teams.models import Departure, Grant, Membership, Team, ToldGroups, User
from teams.roles import Can, MemberRole, PlatformRole, Reach, reach, strength
from teams.signals import access_ended

GIVEN_AGAIN = "dismissed, then given again"  # outcome of a removal

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one telling changed. `held`: what waits for a platform admin, and still stands."""

    added: tuple[Gift, ...] = ()
    changed: tuple[Gift, ...] = ()
    removed: tuple[Gift, ...] = ()
    held: tuple[Gift, ...] = ()
    trouble: str = ""

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed or self.held)


@dataclass
class _Changes:
    added: list[Gift] = field(default_factory=list)
    changed: list[Gift] = field(default_factory=list)
    removed: list[Gift] = field(default_factory=list)
    held: list[Gift] = field(default_factory=list)

    def outcome(self) -> Outcome:
        return Outcome(tuple(self.added), tuple(self.changed), tuple(self.removed), tuple(self.held))


def follow(
    user: User,
    source: str,
    values: Collection[str] | None,
    *,
    trouble: ToldGroups.Trouble | str = "",
    by: Actor = SYSTEM,
) -> Outcome:
    """Make the grants of `source` what its groups give now; answers what changed.

    None: the claim was missing or could not be read; that changes nothing and is noted as `trouble`. A membership that
    nothing gives any more goes through `departures`: blocked, revoked after the grace, or held with its grant.
    Raises Invalid for a service account: it has no groups.
    """
    if user.kind != User.Kind.PERSON:
        raise Invalid(gettext("%(user)s is a service account: no provider gives it anything.") % {"user": user})
    with transaction.atomic():
        Installation.objects.select_for_update().get_or_create(pk=1)
        told, _ = ToldGroups.objects.get_or_create(user=user, source=source)
        if values is None:
            trouble = trouble or ToldGroups.Trouble.MISSING
            _note(told, trouble, by=by)
            return Outcome(trouble=str(trouble))
        _note(told, "", by=by)
        said = sorted(set(values))
        repeated = told.told_at is not None and told.values == said
        told.values, told.told_at = said, timezone.now()
        told.save(update_fields=["values", "told_at"])
        return _apply(user, source, gifts(source, said), repeated=repeated, by=by)


def apply_again(user: User, source: str, *, by: Actor) -> Outcome:
    """Give what `source` last said of `user` by the mappings as they are now: one of them has changed."""
    with transaction.atomic():
        Installation.objects.select_for_update().get_or_create(pk=1)
        told = ToldGroups.objects.filter(user=user, source=source).exclude(told_at=None).first()
        return _apply(user, source, gifts(source, told.values), repeated=False, by=by) if told else Outcome()


def give(
    user: User, team: Team, role: MemberRole, *, by: Actor, counted: Mapping[str, Any] | None = None
) -> tuple[Membership, bool]:
    """Give `role` in `team` by hand, more or less than before, at once; True: they are new in it.

    Whose right it is, and whether the team keeps an admin, the caller has asked. `counted`: what was shown before, for
    the audit. Raises KeptByProvider.
    """
    with transaction.atomic():
        Team.objects.select_for_update(no_key=True).get(pk=team.pk)
        require_not_kept(user, team, role)
        there = Membership.objects.filter(user=user, team=team).first()
        if there and there.role == there.given_role == role:
            return there, False
        given, new = Membership.objects.update_or_create(
            user=user, team=team, defaults={"role": role, "given_role": role}
        )
        audit.record(
            "member.added" if new else "member.changed", team, by=by, person=user.audit_name, role=role,
            before=there.role if there else None, **(counted or {}),
        )  # fmt: skip
        departures.came_back(user, team, by=by)
        if not new:  # a viewer may not hold keys; receivers look themselves
            transaction.on_commit(lambda: access_ended.send(Team, user=user, team=team))
    return given, new


def give_platform_role(user: User, role: PlatformRole, *, by: Actor) -> None:
    """Give a platform role by hand, more or less than before, at once.

    Whose right it is the caller has asked. Raises KeptByProvider, LastPlatformAdmin.
    """
    with transaction.atomic():
        Installation.objects.select_for_update().get_or_create(pk=1)
        user.refresh_from_db(fields=["platform_role", "given_platform_role"])
        require_not_kept(user, None, role)
        before = user.platform_role
        if before == user.given_platform_role == role:
            return
        if before != role and departures.is_last_admin(user):
            raise departures.LastPlatformAdmin
        user.platform_role = user.given_platform_role = role
        user.save(update_fields=["platform_role", "given_platform_role"])
        audit.record("person.platform_role_changed", user, by=by, before=before, after=role)
        if role == PlatformRole.ADMIN:
            departures.platform_role_came_back(user, by=by)
        transaction.on_commit(lambda: access_ended.send(User, user=user, team=None))


def require_not_kept(user: User, team: Team | None, role: str) -> None:
    """Refuse to leave `user` only `role` by hand where groups give more. Raises KeptByProvider.

    A grant that no group gives any more, or whose provider is gone, may be ended by a person now.
    """
    platform = team is None
    kept = [(source, gift) for source, gift in kept_by_providers(user, team)
            if strength(gift.role, platform=platform) > strength(role, platform=platform)]  # fmt: skip
    if kept and Grant.objects.filter(user=user, team=team, source__in=[source for source, _ in kept]).exists():
        raise KeptByProvider(kept)
    departures.lower_grants(Grant.objects.filter(user=user, team=team), role)


def settle(user: User, team: Team, *, by: Actor) -> Membership | None:
    """Make the membership the strongest of what was given by hand and of what providers give.

    It is made, its role changed, or, when nothing gives it any more, ended like a loss through a provider. Whoever
    gives by hand writes `given_role` before. An ended team stays as it was.
    """
    with transaction.atomic():
        Team.objects.select_for_update(no_key=True).get(pk=team.pk)
        there = Membership.objects.filter(user=user, team=team).first()
        stands, before = standing(user, team), there.role if there else ""
        if team.ended_at or stands == before:
            return there
        if not stands or (_may_hold(before) and not _may_hold(stands)):
            _let_go(user, team, stands, by=by)
            return Membership.objects.filter(user=user, team=team).first()
        there, _ = Membership.objects.update_or_create(user=user, team=team, defaults={"role": stands})
        audit.record("member.changed" if before else "member.added", team, by=by, person=user.audit_name,
                     role=stands, before=before or None, given_by=_sources(user, team))  # fmt: skip
        if strength(stands) > strength(before):
            departures.came_back(user, team, by=by)
        else:
            if before == MemberRole.ADMIN:
                departures.tell_of_no_admin(team, by=by)
            transaction.on_commit(lambda: access_ended.send(Team, user=user, team=team))
        return there


def settle_platform(user: User, *, by: Actor) -> str:
    """Make the platform role the strongest of what was given by hand and of what providers give; answers it.

    The last active platform admin keeps the role: that is written down, and told to them.
    """
    with transaction.atomic():
        Installation.objects.select_for_update().get_or_create(pk=1)
        before = User.objects.values_list("platform_role", flat=True).get(pk=user.pk)
        stands = standing(user, None)
        if stands == before:
            user.platform_role = before
            return before
        if before == PlatformRole.ADMIN:
            if departures.is_last_admin(user):
                _kept_last_admin(user, by=by)
                return before
            departures.lowered_by_provider(user, None, stands, by=by)
            user.refresh_from_db(fields=["platform_role"])
            return user.platform_role
        User.objects.filter(pk=user.pk).update(platform_role=stands)
        user.platform_role = stands
        audit.record("person.platform_role_changed", user, by=by, before=before, after=stands,
                     given_by=_sources(user, None))  # fmt: skip
        if stands == PlatformRole.ADMIN:
            departures.platform_role_came_back(user, by=by)
    return stands


def _apply(user: User, source: str, wanted: dict[Place, Gift], *, repeated: bool, by: Actor) -> Outcome:
    """Under the installation's lock: first what is given, then what is taken, so that nobody is out in between."""
    have = {grant.team_id: grant for grant in Grant.objects.filter(user=user, source=source).select_related("team")}
    places = {place for place in {*have, *wanted} if place}
    # Locked, in one order: nobody gives by hand meanwhile.
    list(Team.objects.select_for_update(no_key=True).filter(pk__in=places).order_by("pk"))
    gone, changes = list(Departure.objects.filter(user=user, closed_at=None)), _Changes()
    for place, gift in wanted.items():
        grant = have.get(place)
        if grant is None or strength_in(place, gift.role) >= strength_in(place, grant.role):
            _add(user, source, gift, grant, changes, by=by)
            _bring_back(user, gift, [each for each in gone if each.team_id == place], by=by)
            _ask_again(user, gift)
    for place, grant in have.items():
        gift_now = wanted.get(place)
        if grant.team and grant.team.ended_at:
            continue
        if gift_now is None or strength_in(place, gift_now.role) < strength_in(place, grant.role):
            _take(user, grant, gift_now, changes, repeated=repeated, by=by)
    return changes.outcome()


def _add(user: User, source: str, gift: Gift, grant: Grant | None, changes: _Changes, *, by: Actor) -> None:
    if grant and grant.role == gift.role:
        return
    Grant.objects.update_or_create(user=user, source=source, team=gift.team, defaults={"role": gift.role})
    _record("grant.changed" if grant else "grant.added", user, source, gift, grant, by=by)
    (changes.changed if grant else changes.added).append(gift)
    _settle(user, gift.team, by=by)


def _bring_back(user: User, gift: Gift, gone: Iterable[Departure], *, by: Actor) -> None:
    """What was to go for want of this group, or waits for a decision about it, is given again."""
    for each in gone:
        lowers = each.lowered and strength_in(each.team_id, each.new_role) >= strength_in(each.team_id, gift.role)
        if lowers or (each.team_id is None and not each.lowered):
            continue  # what is given is no more than what was left, or the person is out of everything
        if gift.team:
            departures.came_back(user, gift.team, by=by)
        else:
            departures.platform_role_came_back(user, by=by)


def _ask_again(user: User, gift: Gift) -> None:
    """What is given in full again can be lost again: what a platform admin dismissed was the loss of before."""
    last = _last_removal(user, gift.team)
    if last is None or last.outcome != Departure.DISMISSED:
        return
    if strength_in(last.team_id, gift.role) >= strength_in(last.team_id, standing(user, gift.team)):
        Departure.objects.filter(pk=last.pk).update(outcome=GIVEN_AGAIN)


def _take(user: User, grant: Grant, gift: Gift | None, changes: _Changes, *, repeated: bool, by: Actor) -> None:
    """Take or lower one grant; one whose loss is held, or was dismissed and is only said again, stays."""
    team, before = grant.team, Gift(grant.team, grant.role)
    left = standing(user, team, without=grant.source, instead=gift.role if gift else "")
    if repeated and _was_dismissed(user, team, left):
        return
    if _costs(user, team, left):
        if team is None and departures.is_last_admin(user):
            _kept_last_admin(user, grant.source, by=by)
            changes.held.append(before)
            return
        if _let_go(user, team, left, by=by).held:
            changes.held.append(before)
            return
    if gift:
        Grant.objects.update_or_create(user=user, source=grant.source, team=team, defaults={"role": gift.role})
        changes.changed.append(gift)
    else:
        Grant.objects.filter(user=user, source=grant.source, team=team).delete()
        changes.removed.append(before)
    _record("grant.changed" if gift else "grant.removed", user, grant.source, gift or before, grant, by=by)
    _settle(user, team, by=by)


def _costs(user: User, team: Team | None, left: str) -> bool:
    """Whether having only `left` takes somebody out, or takes the right to hold keys."""
    if team is None:
        now = User.objects.values_list("platform_role", flat=True).get(pk=user.pk)
        return bool(now == PlatformRole.ADMIN and left != PlatformRole.ADMIN)
    there = Membership.objects.filter(user=user, team=team).first()
    return there is not None and (not left or (_may_hold(there.role) and not _may_hold(left)))


def _let_go(user: User, team: Team | None, left: str, *, by: Actor) -> Departure:
    if team is not None and not left:
        return departures.lost_by_provider(user, team, by=by)
    return departures.lowered_by_provider(user, team, left, by=by)


def _settle(user: User, team: Team | None, *, by: Actor) -> None:
    if team is None:
        settle_platform(user, by=by)
    else:
        settle(user, team, by=by)


def _was_dismissed(user: User, team: Team | None, left: str) -> bool:
    """Whether a platform admin has said that the last removal here, which left the same, was no removal."""
    last = _last_removal(user, team)
    return last is not None and (last.outcome, last.new_role) == (Departure.DISMISSED, left)


def _last_removal(user: User, team: Team | None) -> Departure | None:
    return Departure.objects.filter(user=user, team=team).exclude(team=None, lowered=False).order_by("-pk").first()


def _kept_last_admin(user: User, source: str = "", *, by: Actor) -> None:
    audit.record("grant.kept_last_admin", user, by=by, source=source)
    log.warning("last_platform_admin_kept", source=source)
    mail.last_admin_kept([user.email or ""], source=source or "a provider", day=f"{timezone.now():%Y-%m-%d}")


def _note(told: ToldGroups, trouble: str, *, by: Actor) -> None:
    """Keep what was wrong this time; one event for each change of it."""
    if told.trouble != trouble:
        audit.record("groups.trouble", told.user, by=by, source=told.source, before=told.trouble, after=trouble)
    if told.trouble or trouble:
        told.trouble = trouble
        told.troubled_at = timezone.now() if trouble else told.troubled_at
        told.save(update_fields=["trouble", "troubled_at"])


def _record(action: str, user: User, source: str, gift: Gift, before: Grant | None, *, by: Actor) -> None:
    audit.record(action, user, by=by, source=source, team=str(gift.team or ""), role=gift.role,
                 before=before.role if before else None, groups=gift.groups)  # fmt: skip


def _sources(user: User, team: Team | None) -> list[str]:
    return list(Grant.objects.filter(user=user, team=team).order_by("source").values_list("source", flat=True))


def _may_hold(role: str) -> bool:
    return bool(role) and reach(Can.ISSUE_KEY, MemberRole(role)) is not Reach.NONE
