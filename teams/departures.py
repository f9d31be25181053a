"""People who leave and come back. A hiccup of an identity provider must not destroy keys.

Who is taken out by a provider is blocked at once and loses the keys after LEAVER_GRACE; too many at once are held
until a platform admin has looked. A person's own act, and SCIM, is meant: no grace. Source: product.md, section 3.
Signals are sent when the outermost transaction is committed: ending keys commits by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext_noop

from portal import audit, mail
from portal.errors import Conflict
from portal.models import Installation
from teams import access
from teams.access import SYSTEM, Actor, require
from teams.models import ApiToken, Departure, Grant, Membership, Team, User
from teams.roles import Can, leads, strength
from teams.signals import access_ended, access_restored

WITHIN = timedelta(hours=1)
MOST = 10  # memberships lost to a provider within an hour before the next ones are held ...
SHARE, FEW = 0.05, 2  # ... or this share of all, once it is more than a few: two leavers of ten are no disaster
BACK, BY_HAND = "came back", "ended by a person"  # outcomes
MOOT = "was inactive already"  # ... of a removal that took nothing


class Decided(Conflict):
    code = "already_decided"
    message = gettext_noop("Somebody has decided about this already.")
    action = gettext_noop("Look at the list again.")


class LastPlatformAdmin(Conflict):
    code = "last_platform_admin"
    message = gettext_noop("This is the last active platform admin.")
    action = gettext_noop("Make somebody else a platform admin first.")


def lost_by_provider(user: User, team: Team | None, *, grace: timedelta | None = None, by: Actor = SYSTEM) -> Departure:
    """Take `user` out of `team` (None: out of everything), because a provider does not name them any more.

    `grace`: until the keys are revoked, settings.LEAVER_GRACE unless said; 0 revokes at once. Meanwhile they are
    blocked. A mass removal is written down as `held` and nothing else happens. Raises LastPlatformAdmin.
    """
    return _lose(Departure(user=user, team=team), grace=grace, by=by)


def lowered_by_provider(user: User, team: Team | None, new_role: str, *, by: Actor = SYSTEM) -> Departure:
    """Leave `user` only `new_role` in `team` (None: on the platform), which may hold no keys, or not as many.

    With the grace of a removal, and held like one. Raises LastPlatformAdmin.
    """
    return _lose(Departure(user=user, team=team, lowered=True, new_role=new_role), grace=None, by=by)


def came_back(user: User, team: Team | None, *, by: Actor) -> None:
    """Forget that a provider had taken `user` out; keys that were blocked for it answer again."""
    gone = Departure.objects.filter(user=user, closed_at=None)
    _forget(gone if team is None else gone.filter(team=team), user, team, by=by)


def platform_role_came_back(user: User, *, by: Actor) -> None:
    """Forget that a provider had lowered the platform role of `user`."""
    _forget(Departure.objects.filter(user=user, team=None, lowered=True, closed_at=None), user, None, by=by)


def is_back(user: User, *, by: Actor) -> None:
    """A provider that had ended everything for `user` names them again: let them in, unless a person had ended it.

    A removal that was held is over.
    """
    with transaction.atomic():
        Installation.objects.select_for_update().get_or_create(pk=1)
        everywhere = Departure.objects.filter(user=user, team=None, lowered=False)
        everywhere.filter(held=True, closed_at=None).update(closed_at=timezone.now(), outcome=BACK)
        last = everywhere.filter(held=False).order_by("-pk").first()
        if last and last.outcome not in {BACK, BY_HAND, Departure.BY_A_PERSON}:
            last.closed_at, last.outcome = timezone.now(), BACK
            last.save(update_fields=["closed_at", "outcome"])
            reactivate(user, by=by)


def settled_by_hand(user: User, team: Team | None) -> None:
    """A person has ended this access on purpose: no grace runs any more, and nothing waits for a decision."""
    gone = Departure.objects.filter(user=user, closed_at=None)
    gone = gone if team is None else gone.filter(team=team)
    gone.update(closed_at=timezone.now(), outcome=BY_HAND)


def decide(departure: Departure, *, go_on: bool, by: Actor) -> None:
    """Let a held removal happen now, or dismiss it. Raises NotAllowed, Decided, LastPlatformAdmin."""
    require(by, Can.MANAGE_PLATFORM)
    now = timezone.now()
    with transaction.atomic():
        Installation.objects.select_for_update().get_or_create(pk=1)
        mine = Departure.objects.filter(pk=departure.pk, held=True, closed_at=None)
        grace = max(departure.due_at - departure.at, timedelta(0))  # as it was asked for
        if not mine.update(held=False, due_at=now + grace):
            raise Decided
        departure.refresh_from_db()
        if go_on:
            _take_out(departure, by=by)
        else:
            departure.closed_at, departure.outcome = now, Departure.DISMISSED
            departure.save(update_fields=["closed_at", "outcome"])
            audit.record("departure.dismissed", departure.user, by=by, from_team=departure.place)


def is_last_admin(user: User) -> bool:
    """Whether nobody but `user` is an active platform admin. True or not, only under the lock of a removal."""
    admins = access.platform_admins()
    return admins.filter(pk=user.pk).exists() and not admins.exclude(pk=user.pk).exists()


def deactivate(user: User, *, by: Actor, counted: Mapping[str, Any] | None = None) -> None:
    """Let `user` do nothing any more; their keys and tokens end at once. `counted`: what was shown, for the audit.

    Of somebody whom a provider had ended already it means that the provider does not bring them back. A team that loses
    its last admin is told to the platform admins. Raises NotAllowed, LastPlatformAdmin.
    """
    require(by, Can.MANAGE_PLATFORM)
    now = timezone.now()
    with transaction.atomic():
        Installation.objects.select_for_update().get_or_create(pk=1)
        if is_last_admin(user):
            raise LastPlatformAdmin
        was_active = User.objects.filter(pk=user.pk, is_active=True).update(is_active=False)
        user.is_active = False
        last = Departure.objects.filter(user=user, team=None, lowered=False).order_by("-pk").first()
        if not was_active and last and last.outcome == Departure.BY_A_PERSON:
            return
        settled_by_hand(user, None)
        Departure.objects.create(user=user, team=None, at=now, due_at=now, closed_at=now, outcome=Departure.BY_A_PERSON)
        ApiToken.objects.filter(owner=user, ended_at=None).update(ended_at=now)
        audit.record("person.deactivated", user, by=by, **(counted or {}))
        for each in _administered(user) if was_active else ():
            tell_of_no_admin(each.team, by=by)
        transaction.on_commit(lambda: access_ended.send(User, user=user, team=None))


def reactivate(user: User, *, by: Actor) -> None:
    """Let `user` back in. Keys and tokens that ended stay ended. Raises NotAllowed."""
    require(by, Can.MANAGE_PLATFORM)
    with transaction.atomic():
        if not User.objects.filter(pk=user.pk, is_active=False).update(is_active=True):
            return
        user.is_active = True
        audit.record("person.reactivated", user, by=by)
        came_back(user, None, by=by)


def lower_grants(grants: QuerySet[Grant], new_role: str) -> None:
    """Let no provider give more than `new_role` until it says so again."""
    for grant in grants:
        platform = grant.team_id is None
        if not new_role:
            grant.delete()
        elif strength(grant.role, platform=platform) > strength(new_role, platform=platform):
            Grant.objects.filter(pk=grant.pk).update(role=new_role)


def tell_of_no_admin(team: Team, *, by: Actor) -> None:
    """Write down, and tell the platform admins, when nobody active is an admin of `team` any more."""
    if team.ended_at or access.admins_of(team).exists():
        return
    audit.record("team.without_admin", team, by=by)
    mail.team_without_admin(access.admin_addresses(), team=team.name, day=f"{timezone.now():%Y-%m-%d}", slug=team.slug)


def _lose(departure: Departure, *, grace: timedelta | None, by: Actor) -> Departure:
    user, team, now = departure.user, departure.team, timezone.now()
    with transaction.atomic():
        Installation.objects.select_for_update().get_or_create(pk=1)  # one removal at a time is counted
        same = Departure.objects.filter(user=user, team=team, lowered=departure.lowered, closed_at=None)
        if open_one := same.first():
            return open_one
        departure.at, departure.due_at = now, now + (settings.LEAVER_GRACE if grace is None else grace)
        departure.held = _too_many(departure, now)
        if departure.held:
            departure.save()
            audit.record("departure.held", user, by=by, from_team=departure.place)
            mail.departures_held(access.admin_addresses(), f"{now:%Y-%m-%dT%H}")
        else:
            _take_out(departure, by=by)
    return departure


def _take_out(departure: Departure, *, by: Actor) -> None:
    """What counts ends now, and so does what providers gave there: nothing may give it back by itself."""
    user, team = departure.user, departure.team
    if team is None and is_last_admin(user):
        raise LastPlatformAdmin
    if team is not None:
        Team.objects.select_for_update(no_key=True).get(pk=team.pk)
    grants, was_active = Grant.objects.filter(user=user, team=team), user.is_active
    if team is None and not departure.lowered:
        User.objects.filter(pk=user.pk).update(is_active=False)
        user.is_active = False
        headless = [each.team for each in _administered(user)]
        # Nobody comes back to a single team while they are out of all: what is blocked for it ends no later.
        theirs = Departure.objects.filter(user=user, closed_at=None, held=False, due_at__gt=departure.due_at)
        theirs.update(due_at=departure.due_at)
    elif team is None:
        User.objects.filter(pk=user.pk).update(platform_role=departure.new_role)
        user.platform_role = departure.new_role
        headless = []
        lower_grants(grants, departure.new_role)
    else:
        there = Membership.objects.filter(user=user, team=team).first()
        departure.role = there.role if there else ""
        headless = [team] if leads(departure.role) else []
        if departure.lowered:
            Membership.objects.filter(user=user, team=team).update(role=departure.new_role)
            lower_grants(grants, departure.new_role)
        else:
            Membership.objects.filter(user=user, team=team).delete()
            grants.delete()
    if not was_active:
        departure.closed_at, departure.outcome = departure.at, MOOT
    departure.save()
    overtaken = Departure.objects.filter(user=user, team=team, held=True, closed_at=None).exclude(pk=departure.pk)
    overtaken.update(closed_at=departure.at, outcome="overtaken")
    audit.record("departure.blocked", team or user, by=by, person=user.audit_name, left=departure.new_role,
                 revoked_at=departure.due_at)  # fmt: skip
    for each in headless:
        tell_of_no_admin(each, by=by)
    transaction.on_commit(lambda: access_ended.send(Departure, user=user, team=team))


def _administered(user: User) -> QuerySet[Membership]:
    return access.administered_by(user).select_related("team")


def _forget(gone: QuerySet[Departure], user: User, team: Team | None, *, by: Actor) -> None:
    if gone.update(closed_at=timezone.now(), outcome=BACK):
        transaction.on_commit(lambda: access_restored.send(Departure, user=user, team=team, by=by))


def _too_many(departure: Departure, now: datetime) -> bool:
    """Whether this removal makes too many memberships lost within an hour. Who is inactive has nothing to lose."""
    user, everywhere = departure.user, departure.team is None and not departure.lowered
    if not user.is_active:
        return False
    lost = Departure.objects.by_providers().filter(at__gt=now - WITHIN).exclude(outcome=MOOT).count()
    lost += max(1, Membership.objects.filter(user=user).count()) if everywhere else 1
    return lost > MOST or lost > max(FEW, SHARE * Membership.objects.count())
