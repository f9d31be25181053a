"""Three figures side by side for a key or a team: the proxy's counter, the ledger's rows, our total."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import Count, Max, Min, Q, QuerySet, Sum
from django.utils import timezone

from keys.models import Counter, Gateway, KeyVersion, Lease, SpendDay
from keys.services.budgets.windows import counted, window_of
from keys.services.spend.totals import rows_of
from teams.models import Team


@dataclass(frozen=True, slots=True)
class Figure:
    """USD, and when it was read (UTC); None: never."""

    amount: Decimal | None
    as_of: datetime | None


@dataclass(frozen=True, slots=True)
class Figures:
    """The three figures of a whole life, and what the proxy counts in the running budget window.

    `counter`: of live versions what the proxy counted, of ended ones their ledger (a deleted key's counter may miss
    its last seconds for ever). `window_ledger` has no amount for windows shorter than a day. `differs`: the largest
    distance between the three, USD; calls of the last minutes may be in one and not yet in another.
    """

    counter: Figure
    ledger: Figure
    ours: Figure
    window_counter: Figure
    window_ledger: Figure
    window: tuple[datetime, datetime] | None  # UTC; None: one window for ever

    @property
    def differs(self) -> Decimal:
        known = [each.amount for each in (self.counter, self.ledger, self.ours) if each.amount is not None]
        return max(known) - min(known)


def figures(lease: Lease, now: datetime | None = None) -> Figures:
    """The figures of one key, all its versions together."""
    now, current = now or timezone.now(), lease.current
    window = window_of(lease.limits.get("budget_duration"), now)
    rows = rows_of(lease)
    spent = counted(current.counter, current.resets_at, now)
    return Figures(
        counter=_counter(lease.versions.all(), rows),
        ledger=Figure(_sum(rows), lease.gateway.spend_synced_at),
        ours=Figure(lease.spend, _written(rows)),
        window_counter=Figure(spent, current.counter_at),
        window_ledger=Figure(in_window(rows, window), lease.gateway.spend_synced_at),
        window=window,
    )


def team_figures(team: Team, gateway: Gateway, now: datetime | None = None) -> Figures:
    """The figures of a team's keys on one gateway: each enforces the team's budget by itself."""
    now = now or timezone.now()
    window = window_of(team.budget_duration, now)
    rows = rows_of(team).filter(gateway=gateway)
    leases = Lease.objects.filter(team=team, gateway=gateway)
    counter = Counter.objects.filter(team=team, gateway=gateway, holder=None).first()
    spent = counted(counter.spend, counter.resets_at, now) if counter else None
    return Figures(
        counter=_counter(KeyVersion.objects.filter(lease__in=leases), rows),
        ledger=Figure(_sum(rows), gateway.spend_synced_at),
        ours=Figure(leases.aggregate(total=Sum("spend"))["total"] or Decimal(0), _written(rows)),
        window_counter=Figure(spent, counter.read_at if counter else None),
        window_ledger=Figure(in_window(rows, window), gateway.spend_synced_at),
        window=window,
    )


def in_window(rows: QuerySet[SpendDay], window: tuple[datetime, datetime] | None) -> Decimal | None:
    """The ledger's sum in a window; None: it begins within a day, and rows are of days."""
    if window is None:
        return _sum(rows)
    start = window[0]
    return _sum(rows.filter(day__gte=start.date())) if start.time() == datetime.min.time() else None


def _counter(versions: QuerySet[KeyVersion], rows: QuerySet[SpendDay]) -> Figure:
    ended = _sum(rows.filter(Q(version__ended_at__isnull=False) | Q(version__issued_at=None)))
    live = versions.filter(issued_at__isnull=False, ended_at=None).order_by()
    told = live.aggregate(total=Sum("total"), at=Min("counter_at"), live=Count("pk"), read=Count("counter_at"))
    return Figure(ended + (told["total"] or Decimal(0)), told["at"] if told["read"] == told["live"] else None)


def _sum(rows: QuerySet[SpendDay]) -> Decimal:
    return rows.aggregate(total=Sum("spend"))["total"] or Decimal(0)


def _written(rows: QuerySet[SpendDay]) -> datetime | None:
    at: datetime | None = rows.aggregate(at=Max("written_at"))["at"]
    return at
