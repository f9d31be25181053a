"""What one person sees of their own money and time: spend of the month, what ends soon."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Min, Q
from django.utils import timezone

from keys.models import Gateway, Lease, SpendDay
from keys.models.lease import SETTLED
from keys.services.dashboards.money import Row, as_of, total
from keys.services.dashboards.spans import Span, this_month
from teams.models import User

SOON = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Mine:
    """USD of the keys that one held on each day, UTC."""

    span: Span
    spent: Row
    soon: int  # live keys that end within 7 days
    next_end: datetime | None
    read_at: datetime | None  # since when the spend may be out of date


def of(user: User, now: datetime | None = None) -> Mine:
    """3 queries."""
    now = now or timezone.now()
    span = this_month(now.date())
    told = Lease.objects.filter(holder=user, state__in=SETTLED).order_by().aggregate(
        soon=Count("pk", filter=Q(expires_at__lte=now + SOON)), next_end=Min("expires_at")
    )  # fmt: skip
    used = Gateway.objects.filter(leases__holder=user).distinct().only("spend_synced_at")
    spent = total(SpendDay.objects.filter(holder=user), span)
    return Mine(span, spent, told["soon"], told["next_end"], as_of(used))
