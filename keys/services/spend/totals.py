"""Totals for pages and reports: sums of the ledger's rows by model, by day, by member. USD, UTC days."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django.db.models import Max, QuerySet, Sum

from keys.models import Lease, SpendDay
from teams.models import Team, User

Of = Team | Lease | Iterable[Lease] | None  # None: everything


@dataclass(frozen=True, slots=True)
class Total:
    """What was spent under one name; of by_day, `day` says when, and of by_member, `holder` whose pk it is."""

    name: str
    spend: Decimal
    prompt_tokens: int
    completion_tokens: int
    requests: int
    failed: int
    day: date | None = None
    holder: Any = None


def by_model(of: Of, start: date, end: date) -> list[Total]:
    """Of each model in these days, both included; the dearest first."""
    return [_total(row, row["model"]) for row in _summed(of, start, end, "model").order_by("-spend_", "model")]


def by_day(of: Of, start: date, end: date) -> list[Total]:
    """Of each day on which something was done, in their order."""
    return [_total(row, str(row["day"]), day=row["day"]) for row in _summed(of, start, end, "day").order_by("day")]


def by_member(team: Team, start: date, end: date, *, seen_by: User | None = None) -> list[Total]:
    """Of each holder whose keys of the team did something, under the name in their rows; the dearest first.

    `seen_by`: only of the keys that this person sees; None: of all.
    """
    of: Of = team if seen_by is None else Lease.objects.visible_to(seen_by).filter(team=team)
    rows = _summed(of, start, end, "holder").annotate(name=Max("holder_name")).order_by("-spend_", "name")
    return [_total(row, row["name"], holder=row["holder"]) for row in rows]


def of_holder(holder: User, team: Team, start: date, end: date) -> Decimal:
    """What the keys of one holder in a team spent in these days, both included; USD."""
    rows = rows_of(team).filter(holder=holder, day__gte=start, day__lte=end)
    return rows.aggregate(sum=Sum("spend"))["sum"] or Decimal(0)


def rows_of(of: Of) -> QuerySet[SpendDay]:
    """The ledger's rows of a team, a key, several keys, or all."""
    rows = SpendDay.objects.order_by()
    if of is None:
        return rows
    if isinstance(of, Team):
        return rows.filter(team=of)
    return rows.filter(version__lease__in=[of] if isinstance(of, Lease) else of)


def _summed(of: Of, start: date, end: date, by: str) -> Any:
    return rows_of(of).filter(day__gte=start, day__lte=end).values(by).annotate(
        spend_=Sum("spend"), prompt=Sum("prompt_tokens"), completion=Sum("completion_tokens"),
        calls=Sum("requests"), refused=Sum("failed"),
    )  # fmt: skip


def _total(row: dict[str, Any], name: str, **more: Any) -> Total:
    return Total(name, row["spend_"], row["prompt"], row["completion"], row["calls"], row["refused"], **more)
