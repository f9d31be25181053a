"""Money on the pages of keys and teams, from our own tables: what is counted, what is left, where it leads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django import template
from django.template import Context
from django.utils import timezone

from keys.models import Counter, Gateway, Lease
from keys.services import budgets, spend
from keys.services.budgets import Link
from keys.templatetags.leases import read_at
from portal.drawing import Bar, bar, share
from teams.access import within
from teams.models import Team
from teams.roles import Can

register = template.Library()


@dataclass(frozen=True, slots=True)
class Row:
    """What a list shows of a key beside the key itself."""

    link: Link  # its own budget, and what counts against it
    may_end: bool

    @property
    def bar(self) -> Bar | None:
        return bar(self.link.spent, self.link.limit)


@register.simple_tag(takes_context=True)
def ledger_rows(context: Context, leases: Iterable[Lease]) -> list[tuple[Lease, Row]]:
    """Leases with their money, and whether whoever looks may end them; a few queries for all."""
    found = list(leases)
    user = context["request"].user
    mine = Lease.objects.live().filter(within(user, Can.REVOKE_KEY), pk__in=[lease.pk for lease in found])
    ends = set(mine.values_list("pk", flat=True))
    chains = budgets.chains(found)
    return [(lease, Row(chains[lease.pk].links[0], lease.pk in ends)) for lease in found]


@dataclass(frozen=True, slots=True)
class Purse:
    """A team's budget on one gateway, which enforces it by itself. USD of the running window, UTC."""

    gateway: Gateway
    limit: Decimal | None
    spent: Decimal
    as_of: datetime | None
    starts: datetime | None
    ends: datetime | None  # None: it never starts anew
    forecast: Decimal | None  # at `ends`; None: none, or too early to say
    told: spend.Figures  # of its whole life there

    @property
    def left(self) -> Decimal | None:
        return None if self.limit is None else max(Decimal(0), self.limit - self.spent)

    @property
    def over(self) -> Decimal:
        """By how much the forecast is above the limit; 0: it is not."""
        return max(Decimal(0), self.forecast - self.limit) if self.forecast and self.limit else Decimal(0)

    @property
    def bar(self) -> Bar | None:
        return bar(self.spent, self.limit)


@register.simple_tag
def purses(team: Team) -> list[Purse]:
    """The team's money on each gateway where it has, or had, keys."""
    now = timezone.now()
    used = Gateway.objects.filter(leases__team=team).distinct().defer("master_key")
    return [_purse(team, gateway, now) for gateway in used]


def _purse(team: Team, gateway: Gateway, now: datetime) -> Purse:
    told = spend.team_figures(team, gateway, now)
    read = told.window_counter if told.window_counter.amount is not None else told.window_ledger
    spent = read.amount or Decimal(0)
    starts, ends = told.window or (None, None)
    leads = budgets.forecast(spent, max(starts, team.created_at), now, ends) if starts and ends else None
    as_of = max((each for each in (read.as_of, gateway.spend_synced_at) if each), default=None)
    return Purse(gateway, team.max_budget, spent, as_of, starts, ends, leads, told)


@dataclass(frozen=True, slots=True)
class Member:
    """What one holder's keys of a team spent, USD."""

    name: str
    month: Decimal
    before: Decimal  # the month before
    bar: Bar | None  # of the team's month


@dataclass(frozen=True, slots=True)
class Members:
    rows: list[Member]
    month: Decimal
    before: Decimal
    starts: date
    started: date  # the month before


@register.simple_tag
def by_member(team: Team) -> Members:
    """Spend by holder in this calendar month and the one before, from the ledger; the dearest first."""
    today = timezone.now().date()
    starts = today.replace(day=1)
    last = starts - timedelta(days=1)
    this, other = (
        {total.holder: total for total in spend.by_member(team, start, end)}
        for start, end in ((starts, today), (last.replace(day=1), last))
    )
    month, before = (sum((total.spend for total in each.values()), Decimal(0)) for each in (this, other))
    holders = [*this, *(holder for holder in other if holder not in this)]
    rows = []
    for holder in holders:
        mine, earlier = (each[holder].spend if holder in each else Decimal(0) for each in (this, other))
        rows.append(Member((this.get(holder) or other[holder]).name, mine, earlier, share(mine, month)))
    return Members(rows, month, before, starts, last.replace(day=1))


@register.simple_tag
def holder_spend(team: Team) -> dict[UUID, Decimal]:
    """What the gateways count against each holder in the team's running window, USD; of several the highest."""
    now, found = timezone.now(), dict[UUID, Decimal]()
    for counter in Counter.objects.filter(team=team).exclude(holder=None):
        spent = budgets.counted(counter.spend, counter.resets_at, now) or Decimal(0)
        if counter.holder_id:
            found[counter.holder_id] = max(spent, found.get(counter.holder_id, Decimal(0)))
    return found


@register.filter
def at(found: dict[Any, Any], key: Any) -> Any:
    """The value under a key that is in a variable."""
    return found.get(key)


@register.filter
def any_may_end(rows: list[tuple[Lease, Row]]) -> bool:
    """Whether whoever looks may end one of these."""
    return any(row.may_end for _, row in rows)


@register.filter
def oldest_reading(rows: list[tuple[Lease, Row]]) -> datetime | None:
    """Since when what a list says of money may be out of date; None: of none it was ever read."""
    return min((at for lease, _ in rows if (at := read_at(lease))), default=None)
