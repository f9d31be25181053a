"""How tight the platform is: live keys and key roles by what could be tighter about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Count, Max, Q, Sum
from django.utils import timezone

from keys.models import Advice, Lease
from keys.models.lease import SETTLED

RECENT = timedelta(days=30)
NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True)
class Line:
    """One kind of advice, over everything. Money is USD."""

    kind: Advice.Kind
    keys: int  # open or snoozed
    roles: int
    snoozed: int  # of both
    appeared: int  # of both, in the last 30 days
    answered: int  # applied, or gone by itself, in the last 30 days
    saves: Decimal


@dataclass(frozen=True, slots=True)
class Posture:
    """All kinds, also those that nothing has; `tight`: live keys about which nothing is said."""

    lines: tuple[Line, ...]
    live: int
    tight: int
    saves: Decimal  # USD, of all lines together
    as_of: datetime | None  # of the last look; None: nothing was found yet

    @property
    def percent(self) -> int:
        """How many of a hundred live keys are tight; rounded down, so that 100 means all."""
        return 100 * self.tight // self.live if self.live else 100


def posture(now: datetime | None = None) -> Posture:
    """Count what waits, in two queries."""
    since = (now or timezone.now()) - RECENT
    waits = Q(state__in=[Advice.State.OPEN, Advice.State.SNOOZED])
    about_keys = waits & Q(lease__isnull=False)
    rows = Advice.objects.order_by().values("kind").annotate(
        keys=Count("pk", filter=about_keys),
        roles=Count("pk", filter=waits & Q(role__isnull=False)),
        snoozed=Count("pk", filter=Q(state=Advice.State.SNOOZED)),
        appeared=Count("pk", filter=waits & Q(first_seen_at__gte=since)),
        answered=Count("pk", filter=~waits & Q(closed_at__gte=since)),
        sum=Sum("saves", filter=waits),
        seen=Max("seen_at"),
    )  # fmt: skip
    told: dict[str, Mapping[str, Any]] = {row["kind"]: row for row in rows}
    lines = tuple(_line(kind, told.get(kind, {})) for kind in Advice.Kind)
    live = Lease.objects.filter(state__in=SETTLED).aggregate(
        all=Count("pk", distinct=True),
        loose=Count("pk", distinct=True, filter=Q(advice__state__in=[Advice.State.OPEN, Advice.State.SNOOZED])),
    )
    return Posture(
        lines=lines,
        live=live["all"],
        tight=live["all"] - live["loose"],
        saves=sum((line.saves for line in lines), NOTHING),
        as_of=max((row["seen"] for row in told.values()), default=None),
    )


def _line(kind: Advice.Kind, row: Mapping[str, Any]) -> Line:
    keys, roles, snoozed, appeared, answered = (
        row.get(name, 0) for name in ("keys", "roles", "snoozed", "appeared", "answered")
    )
    return Line(kind, keys, roles, snoozed, appeared, answered, saves=row.get("sum") or NOTHING)
