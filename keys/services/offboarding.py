"""What ends when somebody leaves a team, or Keydesk: counted as a rehearsal, and again when it is done.

On pages nobody's keys end unseen: the acts take the `mark` of the plan that was shown, and refuse when it has become
another. A program may say that it has looked at none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Sum
from django.utils import timezone
from django.utils.translation import gettext_noop

from keys.models import Lease, SpendDay
from portal.errors import Conflict
from teams import departures, services
from teams.access import Actor, admins_of, allowed, require, within
from teams.gifts import kept_by_providers
from teams.models import ApiToken, Invitation, Membership, Team, User
from teams.roles import Can, MemberRole, PlatformRole, Reach, leads, reach

RECENT = timedelta(days=7)


class PlanChanged(Conflict):
    code = "plan_changed"
    message = gettext_noop("What this ends has changed since you looked.")
    action = gettext_noop("Nothing was done. Look at it again, then decide.")


@dataclass(frozen=True, slots=True)
class Dying:
    """A live key that ends. `spend` is USD of the last 7 UTC days, and `calls` are those of the same days."""

    lease: Lease
    spend: Decimal
    calls: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What leaving means: out of `team`, or (None) out of Keydesk."""

    user: User
    team: Team | None
    dies: tuple[Dying, ...]
    survives: tuple[Lease, ...]  # of service accounts they answer for; their own, where another role keeps them
    stays: tuple[Membership, ...]  # left as they are; only those that the reader may see
    headless: tuple[Team, ...]  # they are its last active team admin
    unanswered: tuple[User, ...]  # service accounts that nobody else answers for
    tokens: tuple[ApiToken, ...]
    invitations: tuple[Invitation, ...]  # sent by them and still open: nobody can accept those any more
    kept_by: tuple[str, ...]  # groups of a provider that keep them in the team: no hand takes them out

    @property
    def at_risk(self) -> Decimal:
        """USD that the keys which end spent in the last 7 UTC days."""
        return sum((each.spend for each in self.dies), Decimal(0))

    @property
    def without_owner(self) -> int:
        """How many teams and service accounts somebody else has to take over."""
        return len(self.headless) + len(self.unanswered)

    @property
    def mark(self) -> str:
        """Another one as soon as something else would end or be left without an owner."""
        named = [*(each.lease.pk for each in self.dies), *(each.pk for each in (*self.headless, *self.unanswered))]
        return hashlib.sha256(" ".join(sorted(map(str, named))).encode()).hexdigest()[:32]

    def counted(self) -> dict[str, Any]:
        """The plan in figures, as the act's audit event keeps it."""
        return {
            "keys": len(self.dies),
            "survive": len(self.survives),
            "tokens": len(self.tokens),
            "invitations": len(self.invitations),
            "spend_at_risk": self.at_risk,
            "without_admin": [team.slug for team in self.headless],
            "unanswered": [str(account) for account in self.unanswered],
        }


def plan(user: User, *, team: Team | None = None, by: Actor) -> Plan:
    """What would happen if `user` left `team` (None: Keydesk). Changes nothing.

    For the platform's people; for oneself; for a team's admins within that team. Raises NotAllowed.
    """
    if not _oneself(user, by) and not allowed(by, Can.SEE_PLATFORM):
        require(by, Can.MANAGE_MEMBERS if team else Can.SEE_PLATFORM, team)
    own = Lease.objects.live().filter(holder=user)
    accounts = User.objects.filter(responsible=user, is_active=True)
    memberships = user.memberships.filter(team__ended_at=None).select_related("team")
    open_ones = Invitation.objects.open(timezone.now()).filter(invited_by=user).select_related("team")
    keeps = False
    if team:
        own, accounts = own.filter(team=team), accounts.filter(service_team=team)
        open_ones, leaves = open_ones.filter(team=team), memberships.filter(team=team)
        memberships = memberships.exclude(team=team)
        keeps = _holds_anywhere(user)
    else:
        leaves = memberships
    machines = Lease.objects.live().filter(holder__in=accounts)
    survives = (own | machines) if keeps else machines
    if isinstance(by, User) and not _oneself(user, by):
        memberships = memberships.filter(within(by, Can.SEE_TEAM, holder="user"))
    return Plan(
        user=user,
        team=team,
        dies=() if keeps else _dying(_shown(own)),
        survives=tuple(_shown(survives)),
        stays=tuple(memberships.order_by("team__name")),
        headless=tuple(each.team for each in leaves if _is_last_admin(each)),
        unanswered=tuple(accounts.select_related("service_team").order_by("name")),
        tokens=() if team else tuple(ApiToken.objects.filter(owner=user).living(timezone.now()).order_by("name")),
        invitations=() if keeps else tuple(open_ones.order_by("email")),
        kept_by=tuple(group for _, gift in kept_by_providers(user, team) for group in gift.groups) if team else (),
    )


def deactivate(user: User, *, seen: str | None, by: Actor) -> Plan:
    """Let `user` do nothing any more. `seen`: the mark of the plan that was shown; None: whatever it ends.

    A team may lose its last admin by it: the platform admins are told. Raises NotAllowed, PlanChanged,
    LastPlatformAdmin.
    """
    require(by, Can.MANAGE_PLATFORM)
    found = _as_seen(plan(user, by=by), seen)
    departures.deactivate(user, by=by, counted=found.counted())
    return found


def take_out(membership: Membership, *, seen: str | None, by: Actor) -> Plan:
    """Take somebody, or oneself, out of a team. `seen`: the mark of the plan that was shown; None: whatever it ends.

    Raises NotAllowed, PlanChanged, LastAdmin, KeptByProvider.
    """
    found = plan(membership.user, team=membership.team, by=by)
    verb = services.leave if _oneself(membership.user, by) else services.remove_member
    if verb is services.remove_member:
        require(by, Can.MANAGE_MEMBERS, membership.team)
    verb(membership, by=by, counted=_as_seen(found, seen).counted())
    return found


def lower(membership: Membership, role: MemberRole, *, seen: str, by: Actor) -> Plan:
    """Leave somebody in a team with a role that may hold no keys. `seen`: the mark of the plan that was shown.

    Raises NotAllowed, PlanChanged, LastAdmin, KeptByProvider.
    """
    team, user = membership.team, membership.user
    require(by, Can.MANAGE_MEMBERS, team)
    found = _as_seen(plan(user, team=team, by=by), seen)
    services.put_member(team, email=user.email or "", role=role, by=by, counted=found.counted())
    return found


def _oneself(user: User, by: Actor) -> bool:
    return isinstance(by, User) and by.pk == user.pk


def _as_seen(found: Plan, seen: str | None) -> Plan:
    if seen is not None and found.mark != seen:
        raise PlanChanged
    return found


def _holds_anywhere(user: User) -> bool:
    """Whether a platform role lets them hold keys of teams that they are not in."""
    role = PlatformRole(user.platform_role)
    return bool(role) and reach(Can.ISSUE_KEY, role) is not Reach.NONE


def _is_last_admin(membership: Membership) -> bool:
    return leads(membership.role) and not admins_of(membership.team).exclude(pk=membership.pk).exists()


def _shown(leases: Any) -> Any:
    return leases.select_related("team", "role", "holder").order_by("team__name", "alias")


def _dying(leases: Iterable[Lease]) -> tuple[Dying, ...]:
    """The dearest first."""
    live = list(leases)
    rows = SpendDay.objects.filter(version__lease__in=live, day__gt=(timezone.now() - RECENT).date()).order_by()
    used = {
        row["version__lease"]: (row["sum"], row["calls"])
        for row in rows.values("version__lease").annotate(sum=Sum("spend"), calls=Sum("requests"))
    }
    found = [Dying(lease, *used.get(lease.pk, (Decimal(0), 0))) for lease in live]
    return tuple(sorted(found, key=lambda each: -each.spend))
