"""Money of the ledger's rows, laid beside the days before: by day, and by member, model or team."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.db.models import CharField, Max, Q, QuerySet, Sum, Value
from django.db.models.functions import Coalesce, NullIf
from django.utils.translation import gettext as _

from keys.models import Gateway, SpendDay
from keys.services.dashboards.spans import Span
from portal.drawing import Bar, share

NOTHING = Decimal(0)
SHOWN = 50  # rows of one table on a page
HOLDER = Coalesce(
    NullIf(Max("holder__name"), Value("")), Max("holder__email"), Max("holder_name"), output_field=CharField()
)
# What a row of a group is called: people and teams as they are called now, as the rows may have several names of one.
NAMES: dict[str, Any] = {"holder": HOLDER, "team": Max("team__name"), "model": Max("model")}


@dataclass(frozen=True, slots=True)
class Row:
    """What was spent under one name in a span, and in the one before it. USD."""

    name: str
    spend: Decimal
    before: Decimal
    tokens: int
    requests: int
    failed: int
    bar: Bar | None = None  # of all
    pk: Any = None

    @property
    def more(self) -> Decimal:
        return self.spend - self.before

    @property
    def change(self) -> int | None:
        """Per cent more than before; None: there was nothing before."""
        return round(self.more * 100 / self.before) if self.before > 0 else None


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of one kind, the dearest first, and their sum."""

    span: Span
    rows: list[Row]
    total: Row

    @property
    def first(self) -> list[Row]:
        """What a page has room for; a file has all of it."""
        return self.rows[:SHOWN]

    @property
    def others(self) -> Row | None:
        """What the rows that a page has no room for have together."""
        return _sum(_("%(rest)s others") % {"rest": len(rest)}, rest) if (rest := self.rows[SHOWN:]) else None

    @property
    def movers(self) -> list[Row]:
        """The five whose spend changed most, up or down."""
        return sorted((row for row in self.rows if row.more), key=lambda row: (-abs(row.more), row.name))[:5]


def grouped(rows: QuerySet[SpendDay], by: str, span: Span) -> Table:
    """Spend by `holder`, `team` or `model`, in one query; people and teams have the names that they have now."""
    before = span.before
    now_, then = Q(day__gte=span.start, day__lte=span.end), Q(day__gte=before.start, day__lte=before.end)
    summed = {
        name: Coalesce(Sum(column, filter=when), NOTHING if column == "spend" else 0)
        for name, column, when in (
            ("spend_", "spend", now_), ("before_", "spend", then), ("prompt", "prompt_tokens", now_),
            ("completion", "completion_tokens", now_), ("calls", "requests", now_), ("refused", "failed", now_),
        )
    }  # fmt: skip
    found = rows.filter(now_ | then).order_by().values(by).annotate(called=NAMES[by], **summed)
    told = sorted(found, key=lambda row: (-row["spend_"], -row["before_"], row["called"]))
    whole = sum((row["spend_"] for row in told), NOTHING)
    shown = [
        Row(row["called"], row["spend_"], row["before_"], row["prompt"] + row["completion"], row["calls"],
            row["refused"], share(row["spend_"], whole), row[by])
        for row in told
    ]  # fmt: skip
    return Table(span, shown, _sum(_("All"), shown))


def _sum(name: str, rows: Iterable[Row]) -> Row:
    each = list(rows)
    return Row(
        name,
        sum((row.spend for row in each), NOTHING),
        sum((row.before for row in each), NOTHING),
        sum(row.tokens for row in each),
        sum(row.requests for row in each),
        sum(row.failed for row in each),
    )


def total(rows: QuerySet[SpendDay], span: Span) -> Row:
    """All of it, in one query."""
    before = span.before
    summed = rows.filter(day__gte=before.start, day__lte=span.end).order_by().aggregate(
        spend_=Sum("spend", filter=Q(day__gte=span.start)),
        before_=Sum("spend", filter=Q(day__lte=before.end)),
    )  # fmt: skip
    return Row(_("All"), summed["spend_"] or NOTHING, summed["before_"] or NOTHING, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Day:
    """One day's spend, and what it adds up to since the first one. USD."""

    day: date
    spend: Decimal
    requests: int
    so_far: Decimal


def daily(rows: QuerySet[SpendDay], span: Span) -> list[Day]:
    """Every day of a span, those without a row too, in one query."""
    found = rows.filter(day__gte=span.start, day__lte=span.end).order_by().values("day")
    summed = found.annotate(spend_=Sum("spend"), calls=Sum("requests"))
    told = {row["day"]: (row["spend_"], row["calls"]) for row in summed}
    days, so_far = [], NOTHING
    for day in span.days():
        spend, calls = told.get(day, (NOTHING, 0))
        so_far += spend
        days.append(Day(day, spend, calls, so_far))
    return days


def as_of(gateways: Iterable[Gateway]) -> datetime | None:
    """Since when the ledger's rows may be out of date: the oldest read of these gateways; None: one was never read."""
    read = [gateway.spend_synced_at for gateway in gateways]
    return None if None in read else min((at for at in read if at), default=None)
