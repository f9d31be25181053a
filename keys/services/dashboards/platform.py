"""The platform's overview: gateways, who holds keys, spend by team and who moved, what is open."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Count, Min, Q, QuerySet
from django.utils import timezone

from keys.models import Finding, Gateway, Intent, Lease, SpendDay
from keys.models.lease import LIVE
from keys.services.dashboards.money import Day, Row, Table, as_of, daily, grouped, total
from keys.services.dashboards.spans import Span
from teams.models import Team


@dataclass(frozen=True, slots=True)
class Held:
    """Live keys, and how many people and machines hold them."""

    live: int
    people: int
    machines: int


@dataclass(frozen=True, slots=True)
class Tally:
    """How many of a kind; `key` is how an address asks for them."""

    name: str
    count: int
    key: str


@dataclass(frozen=True, slots=True)
class Board:
    """All of it. 8 queries. Money is USD, `read_at` says since when it may be out of date (UTC)."""

    span: Span
    gateways: list[Gateway]  # with `live_keys`
    held: Held
    spent: Row
    teams: Table
    slugs: dict[UUID, str]  # of the teams that a page has room for
    days: list[Day]
    drift: list[Tally]
    oldest_intent: datetime | None
    read_at: datetime | None


def board(span: Span) -> Board:
    rows, found, teams = SpendDay.objects.all(), list(gateways()), by_team(span)
    shown = Team.objects.filter(pk__in=[row.pk for row in teams.first])
    return Board(
        span=span,
        gateways=found,
        held=held(),
        spent=total(rows, span),
        teams=teams,
        slugs=dict(shown.values_list("pk", "slug")),
        days=daily(rows, span),
        drift=drift(),
        oldest_intent=Intent.objects.open(timezone.now()).aggregate(at=Min("created_at"))["at"],
        read_at=as_of(each for each in found if each.live_keys),  # type: ignore[attr-defined]
    )


def gateways() -> QuerySet[Gateway]:
    """The gateways as they were when last asked, the default one first."""
    live = Count("leases", filter=Q(leases__state__in=LIVE))
    return Gateway.objects.defer("master_key").annotate(live_keys=live).order_by("-is_default", "name")


def held() -> Held:
    person = Q(holder__service_team=None)
    told = Lease.objects.live().order_by().aggregate(
        live=Count("pk"),
        people=Count("holder", filter=person, distinct=True),
        machines=Count("holder", filter=~person, distinct=True),
    )  # fmt: skip
    return Held(**told)


def by_team(span: Span) -> Table:
    return grouped(SpendDay.objects.all(), "team", span)


def drift() -> list[Tally]:
    """Open findings by kind, the most first."""
    rows = Finding.objects.filter(state=Finding.State.OPEN).order_by().values("kind").annotate(number=Count("pk"))
    found = [Tally(str(Finding.Kind(row["kind"]).label), row["number"], row["kind"]) for row in rows]
    return sorted(found, key=lambda each: (-each.count, each.name))
