"""End leases: one, many, or all that lost their ground. The person never waits for a gateway that is away."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import transaction
from django.db.models import Sum
from django.utils import timezone

from keys.models import EndReason, Intent, KeyRole, Lease, SpendDay, State
from keys.models.lease import LIVE, LeaseQuerySet
from keys.services import gateways, intents, letters
from keys.services.leases.pausing import pause_all
from portal import audit
from portal.errors import PortalError
from teams.access import SYSTEM, Actor, may_hold, require, within
from teams.models import Departure, Team, User
from teams.roles import Can

BUSY = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Reach:
    """What ending these leases would break, counted before anybody presses. Money is USD."""

    leases: tuple[Lease, ...]  # the live ones that the actor may do it to
    refused: int  # live ones that the actor may not
    holders: tuple[str, ...]
    busy: int  # used within the last hour, as far as the gateways have told
    spend: Decimal  # of the last 7 UTC days


@dataclass(frozen=True, slots=True)
class Ending:
    """What became of one lease of many. `trouble` None: it is ended, or ending."""

    lease: Lease
    trouble: PortalError | None = None


def revoke(lease: Lease, *, by: Actor, reason: str = "asked") -> Lease:
    """End a lease now. Safe to repeat.

    While the gateway is away the lease stays REVOKING and the intent is retried.
    Raises NotAllowed. Source: Vault `sys/leases/revoke`.
    """
    require(by, Can.REVOKE_KEY, lease)
    intents.settle(_end(lease, by=by, reason=reason))
    lease.refresh_from_db()
    return lease


def reach(leases: LeaseQuerySet, *, by: Actor, can: Can = Can.REVOKE_KEY) -> Reach:
    """Count what revoking these would break, or what another act that takes `can` would reach. Changes nothing."""
    live = leases.live().select_related("team", "holder").defer("gateway__master_key")
    mine = tuple(live.filter(within(by, can)) if isinstance(by, User) else live)
    now = timezone.now()
    recent = SpendDay.objects.filter(version__lease__in=mine, day__gt=(now - timedelta(days=7)).date())
    return Reach(
        leases=mine,
        refused=live.count() - len(mine),
        holders=tuple(sorted({str(lease.holder) for lease in mine})),
        busy=sum(1 for lease in mine if lease.last_used_at and lease.last_used_at > now - BUSY),
        spend=recent.aggregate(sum=Sum("spend"))["sum"] or Decimal(0),
    )


def revoke_many(leases: Iterable[Lease], *, by: Actor, reason: str = "asked") -> list[Ending]:
    """End each of these that `by` may end; answers what became of each. Never raises for one of them."""
    found: list[Ending] = []
    promises: list[Intent] = []
    for lease in leases:
        try:
            require(by, Can.REVOKE_KEY, lease)
        except PortalError as trouble:
            found.append(Ending(lease, trouble))
            continue
        promises += _end(lease, by=by, reason=reason)
        found.append(Ending(lease))
    intents.settle(promises)
    for ending in found:
        ending.lease.refresh_from_db()
    return found


def expire_overdue(now: datetime | None = None) -> int:
    """End leases whose TTL is spent; answers how many. A sweep."""
    now = now or timezone.now()
    overdue = Lease.objects.free().overdue(now)
    return _end_all(((lease, EndReason.EXPIRED) for lease in _some(overdue.order_by("expires_at"))), still=overdue)


def end_orphaned(now: datetime | None = None) -> dict[str, int]:
    """End leases whose holder left, or whose team or role ended; block those of a leaver in grace.

    The verbs do it at once; this is the net under them. A sweep.
    """
    now = now or timezone.now()
    orphaned, in_grace = Lease.objects.free().orphaned(now), Lease.objects.free().in_grace(now)
    ended = _end_all(((lease, lease.why_orphaned) for lease in _some(orphaned)), still=orphaned)
    graced = [lease for lease in _some(in_grace) if lease.state == State.ACTIVE]
    pause_all(graced, reason=EndReason.LEFT, seconds=intents.SWEEP_PATIENCE, still=in_grace)
    over = Departure.objects.filter(closed_at=None, held=False, due_at__lte=now)
    over.update(closed_at=now, outcome="keys revoked")
    return {"ended": ended, "blocked": len(graced)}


def end_for(sender: object = None, *, user: User, team: Team | None = None, **_: object) -> int:
    """End what `user` holds in `team` (None: everywhere), because access ended; in grace, block it. Answers how many.

    A person waits, so it is brief: what a slow gateway leaves undone the sweep does.
    """
    held = Lease.objects.live().filter(holder=user)
    if team is not None:
        held = held.filter(team=team)
    gone = [lease for lease in held.select_related("team") if not may_hold(user, lease.team)]
    graced = set(Lease.objects.in_grace(timezone.now()).filter(pk__in=[each.pk for each in gone]))
    still = Lease.objects.filter(holder=user)  # not one that was handed over meanwhile
    blocked = [lease for lease in gone if lease in graced]
    pause_all(blocked, reason=EndReason.LEFT, seconds=gateways.PATIENCE, still=still)
    ending = ((lease, EndReason.LEFT) for lease in gone if lease not in graced)
    return _end_all(ending, seconds=gateways.PATIENCE, still=still)


def end_team(sender: object = None, *, team: Team, by: Actor, **_: object) -> int:
    """End what a team holds, because it was ended. Answers how many."""
    return _end_all(((lease, EndReason.TEAM) for lease in team.leases.live()), by=by, seconds=gateways.PATIENCE)


def end_role(role: KeyRole, *, by: Actor) -> int:
    """End what was issued from a role, because it was ended. Answers how many."""
    return _end_all(((lease, EndReason.ROLE) for lease in role.leases.live()), by=by, seconds=gateways.PATIENCE)


def _some(leases: LeaseQuerySet) -> list[Lease]:
    return list(leases.select_related("team", "holder", "role")[: 10 * intents.BATCH])


def _end_all(
    endings: Iterable[tuple[Lease, str]],
    *,
    by: Actor = SYSTEM,
    seconds: float = intents.SWEEP_PATIENCE,
    still: LeaseQuerySet | None = None,
) -> int:
    promises: list[Intent] = []
    count = 0
    for lease, reason in endings:
        promises += _end(lease, by=by, reason=reason, still=still)
        count += lease.state not in LIVE
    intents.settle(promises, seconds=seconds)
    return count


def _end(lease: Lease, *, by: Actor, reason: str, still: LeaseQuerySet | None = None) -> list[Intent]:
    """Write down that all of the lease's versions must go; nothing when it has ended, or is ending, already.

    `still`: only if it is one of these at this moment; a list that was read a while ago may be wrong by now.
    """
    with transaction.atomic(durable=True):  # durable: committed before the gateway hears of it
        Lease.objects.select_for_update().get(pk=lease.pk)
        if still is not None and not still.filter(pk=lease.pk).exists():
            return []
        if not lease.move(LIVE, State.REVOKING, end_reason=reason[:200], pause_reason=""):
            return []
        doomed = Intent.objects.doom(lease.versions.select_related("lease"), timezone.now())
        audit.record("key.revocation_asked", lease, by=by, secret=lease.current.token_hash, reason=reason)
        letters.acted_on(lease, "revoked", by=by, reason=reason)
        if not doomed:
            intents.close(lease, timezone.now())  # nothing of it is left on the gateway
    return doomed
