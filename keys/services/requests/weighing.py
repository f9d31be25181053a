"""What deciders look at: the money at stake, what the holder had so far, and what others got. USD, UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db.models import Count, Q
from django.utils import timezone

from keys.models import KeyRequest, Lease
from keys.models.request import KeyRequestQuerySet
from keys.services import spend
from keys.services.terms import ceiling, longest_granted, windows
from teams.models import Team, User

UNUSED = timedelta(days=30)
RECENT = 50  # fulfilled requests whose use is summed
SIMILAR = 5
Kind, State = KeyRequest.Kind, KeyRequest.State


@dataclass(frozen=True, slots=True)
class Stake:
    """The most that it can cost. `total` None: no limit of its own, only the team's."""

    total: Decimal | None
    windows: int  # budget windows that it touches
    each: Decimal | None  # in each of them; of a rise what it adds
    window: str  # blank: one budget for the whole life
    until: datetime


@dataclass(frozen=True, slots=True)
class History:
    """What a holder had in a team so far."""

    live: int
    unused: int  # of the live ones, not called for 30 days
    this_month: Decimal
    last_month: Decimal
    asked: int  # requests
    approved: int
    denied: int
    used: Decimal | None  # the share of what was approved that was spent, 0.25 for a quarter; None: nothing to tell


@dataclass(frozen=True, slots=True)
class Similar:
    """An approved request of the same role, with what became of it."""

    request: KeyRequest
    stake: Stake
    used: Decimal  # what its key has spent
    share: Decimal | None  # of the stake; None: no limit


def stake(request: KeyRequest, now: datetime | None = None) -> Stake:
    """The money at stake: all that a key may cost for its time; of a rise what it adds, for each window it touches."""
    bounds = request.bounds
    start = request.fulfilled_at or now or timezone.now()
    each, until = bounds.max_budget, start + bounds.ttl
    if request.is_rise:
        has = _before(request)
        each = Decimal(0) if each is None or has is None else max(Decimal(0), each - has)
        if request.lease:
            until = min(until, request.lease.max_expires_at)
    total = ceiling(each, bounds.budget_duration, start, until)
    return Stake(total, windows(bounds.budget_duration, start, until), each, bounds.budget_duration, until)


def if_renewed(request: KeyRequest, now: datetime | None = None) -> Stake | None:
    """The same if its holder renews the key as far as it goes, which asks nobody. None: it is not renewed."""
    if request.is_rise:
        return None
    bounds, start = request.bounds, request.fulfilled_at or now or timezone.now()
    life = longest_granted(request.role, bounds.ttl)
    until, window = start + life, bounds.budget_duration
    if life <= bounds.ttl:
        return None
    total = ceiling(bounds.max_budget, window, start, until)
    return Stake(total, windows(window, start, until), bounds.max_budget, window, until)


def history_of(holder: User, team: Team, now: datetime | None = None) -> History:
    """What `holder` has, spent and asked for in `team`. The same few queries, however much that is."""
    now = now or timezone.now()
    idle = Q(last_used_at__lt=now - UNUSED) | Q(last_used_at=None, issued_at__lt=now - UNUSED)
    keys = Lease.objects.live().filter(holder=holder, team=team).aggregate(live=Count("pk"), unused=Count("pk", idle))
    began = now.date().replace(day=1)
    last = began - timedelta(days=1)
    theirs = KeyRequest.objects.filter(holder=holder, team=team)
    granted = Q(state__in=[State.APPROVED, State.FULFILLED])
    denied = Q(state=State.DENIED)
    counts = theirs.aggregate(asked=Count("pk"), approved=Count("pk", granted), denied=Count("pk", denied))
    return History(
        live=keys["live"],
        unused=keys["unused"],
        this_month=spend.of_holder(holder, team, began, now.date()),
        last_month=spend.of_holder(holder, team, last.replace(day=1), last),
        asked=counts["asked"],
        approved=counts["approved"],
        denied=counts["denied"],
        used=_used(theirs),
    )


def similar(request: KeyRequest) -> list[Similar]:
    """The last five that were approved and claimed in the same team, of the same role."""
    others = KeyRequest.objects.filter(role=request.role_id, team=request.team_id, kind=Kind.KEY, state=State.FULFILLED)
    found = others.exclude(pk=request.pk).select_related("holder", "lease", "role").order_by("-fulfilled_at")[:SIMILAR]
    return [_of(each) for each in found]


def _of(request: KeyRequest) -> Similar:
    at_stake = stake(request)
    used = request.lease.spend if request.lease else Decimal(0)
    return Similar(request, at_stake, used, used / at_stake.total if at_stake.total else None)


def _used(theirs: KeyRequestQuerySet) -> Decimal | None:
    """The share that was used of the money that was approved for keys that are out."""
    rows = theirs.filter(kind=Kind.KEY, state=State.FULFILLED).select_related("lease")
    told = [_of(each) for each in rows.order_by("-fulfilled_at")[:RECENT]]
    limited = [each for each in told if each.stake.total]
    approved = sum((each.stake.total or Decimal(0) for each in limited), Decimal(0))
    return sum((each.used for each in limited), Decimal(0)) / approved if approved else None


def _before(request: KeyRequest) -> Decimal | None:
    """The key's own budget, without the rise."""
    if request.applied:
        before = request.applied["before"]
        return None if before is None else Decimal(before)
    return request.lease.max_budget if request.lease else None
