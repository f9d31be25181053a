"""People who leave and come back. A hiccup of an identity provider must not destroy keys.

Who is taken out by a provider is blocked at once and loses the keys after LEAVER_GRACE; too many at once are held
until a platform admin has looked. A person's own act, and SCIM, is meant: no grace. Source: product.md, section 3.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from portal import audit, mail
from portal.errors import Conflict
from portal.models import Installation
from teams.access import SYSTEM, Actor, require
from teams.models import Departure, Membership, Team, User
from teams.roles import Can, PlatformRole
from teams.signals import access_ended, access_restored

WITHIN = timedelta(hours=1)
MOST = 10  # memberships lost to a provider within an hour before the next ones are held ...
SHARE, FEW = 0.05, 2  # ... or this share of all, once it is more than a few: two leavers of ten are no disaster


class Decided(Conflict):
    code = "already_decided"
    message = "Somebody has decided about this already."
    action = "Look at the list again."


def lost_by_provider(user: User, team: Team | None, *, grace: timedelta | None = None) -> Departure:
    """Take `user` out of `team` (None: out of everything), because a provider does not name them any more.

    `grace`: until the keys are revoked, settings.LEAVER_GRACE unless said; 0 revokes at once. Meanwhile they are
    blocked. A mass removal is written down as `held` and nothing else happens.
    """
    now = timezone.now()
    with transaction.atomic():
        Installation.objects.select_for_update().get_or_create(pk=1)  # one removal at a time is counted
        open_one = Departure.objects.filter(user=user, team=team, closed_at=None).first()
        if open_one:
            return open_one
        departure = Departure(user=user, team=team, at=now, held=_too_many(user, team, now))
        departure.due_at = now + (settings.LEAVER_GRACE if grace is None else grace)
        if departure.held:
            departure.save()
            audit.record("departure.held", user, by=SYSTEM, from_team=str(team or "everywhere"))
            _ask(now)
        else:
            _take_out(departure, by=SYSTEM)
    if not departure.held:
        access_ended.send(Departure, user=user, team=team)
    return departure


def came_back(user: User, team: Team | None, *, by: Actor) -> None:
    """Forget that a provider had taken `user` out; keys that were blocked for it answer again."""
    gone = Departure.objects.filter(user=user, closed_at=None)
    gone = gone if team is None else gone.filter(team=team)
    if gone.update(closed_at=timezone.now(), outcome="came back"):
        access_restored.send(Departure, user=user, team=team, by=by)


def settled_by_hand(user: User, team: Team | None) -> None:
    """A person has ended this access on purpose: no grace runs any more, and nothing waits for a decision."""
    gone = Departure.objects.filter(user=user, closed_at=None)
    gone = gone if team is None else gone.filter(team=team)
    gone.update(closed_at=timezone.now(), outcome="ended by a person")


def decide(departure: Departure, *, go_on: bool, by: Actor) -> None:
    """Let a held removal happen now, or dismiss it. Raises NotAllowed, Decided."""
    require(by, Can.MANAGE_PLATFORM)
    now = timezone.now()
    with transaction.atomic():
        mine = Departure.objects.filter(pk=departure.pk, held=True, closed_at=None)
        if not mine.update(held=False, due_at=now + settings.LEAVER_GRACE):
            raise Decided
        departure.refresh_from_db()
        if go_on:
            _take_out(departure, by=by)
        else:
            departure.closed_at, departure.outcome = now, "dismissed"
            departure.save(update_fields=["closed_at", "outcome"])
            audit.record("departure.dismissed", departure.user, by=by, from_team=str(departure.team or "everywhere"))
    if go_on:
        access_ended.send(Departure, user=departure.user, team=departure.team)


def deactivate(user: User, *, by: Actor) -> None:
    """Let `user` do nothing any more; their keys end at once. Raises NotAllowed."""
    _set_active(user, False, by=by)


def reactivate(user: User, *, by: Actor) -> None:
    """Let `user` back in. Keys that ended stay ended. Raises NotAllowed."""
    _set_active(user, True, by=by)


def _set_active(user: User, active: bool, *, by: Actor) -> None:
    require(by, Can.MANAGE_PLATFORM)
    with transaction.atomic():
        if not User.objects.filter(pk=user.pk, is_active=not active).update(is_active=active):
            return
        user.is_active = active
        if not active:
            settled_by_hand(user, None)
        audit.record("person.reactivated" if active else "person.deactivated", user, by=by)
    if active:
        came_back(user, None, by=by)
    else:
        access_ended.send(User, user=user, team=None)


def _take_out(departure: Departure, *, by: Actor) -> None:
    user, team = departure.user, departure.team
    if team is None:
        User.objects.filter(pk=user.pk).update(is_active=False)
        user.is_active = False
    else:
        there = Membership.objects.filter(user=user, team=team).first()
        departure.role = there.role if there else ""
        Membership.objects.filter(user=user, team=team).delete()
    departure.save()
    audit.record("departure.blocked", team or user, by=by, person=user.audit_name, revoked_at=departure.due_at)


def _too_many(user: User, team: Team | None, now: datetime) -> bool:
    """Whether this removal makes too many memberships lost within an hour."""
    lost = Departure.objects.filter(at__gt=now - WITHIN).count()
    lost += 1 if team else max(1, Membership.objects.filter(user=user).count())
    return lost > MOST or lost > max(FEW, SHARE * Membership.objects.count())


def _ask(now: datetime) -> None:
    admins = User.objects.filter(platform_role=PlatformRole.ADMIN, is_active=True)
    mail.departures_held([person.email or "" for person in admins], f"{now:%Y-%m-%dT%H}")
