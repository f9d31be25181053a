"""What lies beside a request when somebody decides: the team's money, what others got, how long it takes. USD, UTC."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from statistics import median

from django.utils import timezone

from keys.models import Bounds, Gateway, KeyRequest
from keys.services import budgets, spend
from teams.models import Team

NOTHING = Decimal(0)
RECENT = timedelta(days=90)
FEWEST, MOST = 3, 100  # decisions that say how long it usually takes
AGREE = 2  # similar grants that say what others got


@dataclass(frozen=True, slots=True)
class Weight:
    """A team's budget on one gateway in its running window, and what a request would add to it."""

    limit: Decimal
    spent: Decimal
    adds: Decimal | None  # the most until the window ends; None: no limit of its own
    starts: datetime | None
    ends: datetime | None  # None: it never starts anew
    as_of: datetime | None  # of `spent`; None: never read
    reached_at: datetime | None  # when the budget is used up if it goes on as so far; None: not in this window
    reached_with: datetime | None  # and when, if the request's money is used up evenly beside that

    @property
    def free(self) -> Decimal:
        """What is left now."""
        return max(NOTHING, self.limit - self.spent)

    @property
    def left(self) -> Decimal | None:
        """What stays for everybody else; None: the request has no limit of its own."""
        return None if self.adds is None else max(NOTHING, self.limit - self.spent - self.adds)

    @property
    def over(self) -> Decimal:
        """By how much the request could go beyond what is left."""
        return NOTHING if self.adds is None else max(NOTHING, self.spent + self.adds - self.limit)


def weigh(
    team: Team, gateway: Gateway, adds: Decimal | None, until: datetime, now: datetime | None = None
) -> Weight | None:
    """Lay what could be added until then beside the team's own budget. None: the team has no budget."""
    if team.max_budget is None:
        return None
    now = now or timezone.now()
    told = spend.team_figures(team, gateway, now)
    read = told.window_counter if told.window_counter.amount is not None else told.window_ledger
    spent = read.amount or NOTHING
    starts, ends = told.window or (None, None)
    at = with_it = None
    if starts and ends:
        begun = max(starts, team.created_at)
        if budgets.forecast(spent, begun, now, ends) is not None:  # else it is too early to say
            rate = spent / _seconds(begun, now)
            more = (adds or NOTHING) / _seconds(now, min(until, ends))
            at, with_it = (_reached(team.max_budget - spent, each, now, ends) for each in (rate, rate + more))
    return Weight(team.max_budget, spent, adds, starts, ends, read.as_of, at, with_it)


def _seconds(start: datetime, end: datetime) -> Decimal:
    return Decimal(max(1, round((end - start).total_seconds())))


def _reached(left: Decimal, rate: Decimal, now: datetime, ends: datetime) -> datetime | None:
    """When so much is used up at that rate (USD a second), if it is before the window's end."""
    if left <= 0:
        return now
    rest = _seconds(now, ends)
    return now + (ends - now) * float(left / (rate * rest)) if rate * rest >= left else None


def usual_wait(team: Team, now: datetime | None = None) -> timedelta | None:
    """How long people of the team usually wait for a decision: the median of late. None: too few to say."""
    now = now or timezone.now()
    decided = KeyRequest.objects.filter(team=team, decided_by__isnull=False, decided_at__gte=now - RECENT)
    times = decided.order_by("-decided_at").values_list("submitted_at", "decided_at")[:MOST]
    waits = [(at - asked).total_seconds() for asked, at in times if at]
    return timedelta(seconds=median(waits)) if len(waits) >= FEWEST else None


def as_others(request: KeyRequest, others: Iterable[KeyRequest]) -> Bounds | None:
    """Time and budget that most of the others got, where that is less than what is asked. None: they do not agree."""
    asked = request.wanted
    got = Counter((each.bounds.ttl, each.bounds.max_budget) for each in others)
    for (ttl, budget), times in got.most_common(1):
        if times < AGREE or budget is None or (asked.max_budget is not None and budget > asked.max_budget):
            continue
        if ttl <= asked.ttl and (ttl, budget) != (asked.ttl, asked.max_budget):
            window = asked.budget_duration or request.role.budget_duration
            return replace(asked, ttl=ttl, max_budget=budget, budget_duration=window)
    return None
