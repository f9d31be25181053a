"""A team's overview: budgets burning down on each gateway, its keys by state and age, what nobody uses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from django.db.models import Count, DecimalField, Exists, F, Min, OuterRef, Q, QuerySet, Sum, Value
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast, Coalesce, NullIf
from django.utils import timezone
from django.utils.translation import gettext

from keys.models import Counter, Gateway, KeyRequest, KeyVersion, Lease, SpendDay, State
from keys.models.lease import ENDED, LIVE
from keys.services import budgets
from keys.services.dashboards.money import NOTHING, Day, daily
from keys.services.dashboards.spans import Span
from portal.drawing import Bar, bar
from teams.models import Team, User

SOON, UNUSED = timedelta(days=7), timedelta(days=30)
AGES = (7, 30, 90)  # days since issue; the last group is older
LENGTHS = {"1h": Decimal(1) / 24, "1d": Decimal(1), "7d": Decimal(7), "30d": Decimal(30), "1mo": Decimal(30)}  # days
FEWEST = 5  # points of a drawing
USD = DecimalField(max_digits=18, decimal_places=9)


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of a budget at the end of a day, 0 at least. A day to come has a forecast instead. USD."""

    day: date
    spend: Decimal | None
    left: Decimal | None
    forecast: Decimal | None
    even: Decimal  # what would be left at an even pace


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
    burn: list[Left]  # by the ledger; empty: too few days to draw

    @property
    def left(self) -> Decimal | None:
        return None if self.limit is None else max(NOTHING, self.limit - self.spent)

    @property
    def over(self) -> Decimal:
        """By how much the forecast is above the limit; 0: it is not."""
        return max(NOTHING, self.forecast - self.limit) if self.forecast and self.limit else NOTHING

    @property
    def gone_at(self) -> datetime | None:
        """When it is used up if it goes on like this; None: not in this window, or it is already."""
        if not (self.over and self.forecast and self.limit and self.starts and self.ends) or not self.left:
            return None
        rest, now = self.forecast - self.spent, timezone.now()
        return now + (self.ends - now) * float(min(self.left / rest, Decimal(1))) if rest > 0 else None

    @property
    def bar(self) -> Bar | None:
        return bar(self.spent, self.limit)

    @property
    def read_at(self) -> datetime | None:
        """When the ledger was, from which the days are drawn."""
        return self.gateway.spend_synced_at


def purses(team: Team, now: datetime | None = None) -> list[Purse]:
    """The team's money on each gateway where it has, or had, keys; the one with the most spent first. 3 queries."""
    now = now or timezone.now()
    used = Gateway.objects.filter(Exists(Lease.objects.filter(team=team, gateway=OuterRef("pk")))).defer("master_key")
    counters = {each.gateway_id: each for each in Counter.objects.filter(team=team, holder=None)}
    window = budgets.window_of(team.budget_duration, now)
    rows = SpendDay.objects.filter(team=team).order_by()
    if window:
        rows = rows.filter(day__gte=window[0].date())
    spent: dict[int, dict[date, Decimal]] = {}
    for row in rows.values("gateway", "day").annotate(spend_=Sum("spend")):
        spent.setdefault(row["gateway"], {})[row["day"]] = row["spend_"]
    found = [_purse(team, each, counters.get(each.pk), spent.get(each.pk, {}), window, now) for each in used]
    return sorted(found, key=lambda purse: (-purse.spent, purse.gateway.name))


def _purse(
    team: Team,
    gateway: Gateway,
    counter: Counter | None,
    spent: Mapping[date, Decimal],
    window: tuple[datetime, datetime] | None,
    now: datetime,
) -> Purse:
    told = budgets.counted(counter.spend, counter.resets_at, now) if counter else None
    by_rows = sum(spent.values(), NOTHING) if window is None or window[0].time() == datetime.min.time() else NOTHING
    so_far = by_rows if told is None else told
    starts, ends = window or (None, None)
    leads = budgets.forecast(so_far, max(starts, team.created_at), now, ends) if starts and ends else None
    as_of = max((at for at in (counter and counter.read_at, gateway.spend_synced_at) if at), default=None)
    burn = list(_burn(team.max_budget, spent, starts, ends, leads, now)) if team.max_budget and starts and ends else []
    return Purse(gateway, team.max_budget, so_far, as_of, starts, ends, leads, burn if len(burn) >= FEWEST else [])


def _burn(
    limit: Decimal,
    spent: Mapping[date, Decimal],
    starts: datetime,
    ends: datetime,
    forecast: Decimal | None,
    now: datetime,
) -> Iterable[Left]:
    """From the first day of a window to its last: what was left, and where it leads at the pace so far."""
    today, days = now.date(), list(Span(starts.date(), (ends - timedelta(seconds=1)).date()).days())
    left, rest = limit, len(days) - (today - days[0]).days - 1
    step = NOTHING
    for number, day in enumerate(days, start=1):
        even = limit * (len(days) - number) / len(days)
        if day <= today:
            spend = spent.get(day, NOTHING)
            left -= spend
            seen = max(NOTHING, left)
            yield Left(day, spend, seen, seen if day == today and forecast is not None else None, even)
            if day == today and forecast is not None and rest:
                step = max(NOTHING, forecast - (limit - left)) / rest
        else:
            left -= step
            yield Left(day, None, None, None if forecast is None else round(max(NOTHING, left), 2), even)


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a bar with its legend; `href`: what the team's list of keys is asked to show it."""

    name: str
    count: int
    css: str
    start: str = ""  # percent
    width: str = ""


@dataclass(frozen=True, slots=True)
class Keys:
    """A team's keys, counted. `promised`: the most that live keys may spend in the team's window, USD."""

    live: int
    people: int
    machines: int
    ended: int  # since `ended_since`
    ended_since: date
    states: list[Share]
    ages: list[Share]
    promised: Decimal
    unlimited: int  # live keys without a budget of their own
    oldest: datetime | None  # issue of the oldest live secret


def keys_of(team: Team, now: datetime | None = None) -> Keys:
    """The team's keys by state and age, and what they are promised. 3 queries."""
    now = now or timezone.now()
    month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    live, active = Q(state__in=LIVE), Q(state=State.ACTIVE)
    older = KeyVersion.objects.filter(
        lease__team=team, ended_at=None, issued_at__isnull=False, dies_at__gt=now, handed_on__isnull=False
    )
    soon = Q(expires_at__lte=now + SOON)
    turning = Q(pk__in=older.values("lease"))  # an annotation is no column that PostgreSQL's FILTER would know
    rows = Lease.objects.filter(team=team).order_by()
    edges = [now - timedelta(days=days) for days in AGES]
    told = rows.aggregate(
        live=Count("pk", filter=live),
        people=Count("holder", filter=live & Q(holder__service_team=None), distinct=True),
        machines=Count("holder", filter=live & Q(holder__service_team__isnull=False), distinct=True),
        ended=Count("pk", filter=Q(state__in=ENDED, ended_at__gte=month)),
        active=Count("pk", filter=active & ~soon & ~turning),
        soon=Count("pk", filter=active & soon),
        turning=Count("pk", filter=(active & ~soon & turning) | Q(state=State.ROTATING)),
        paused=Count("pk", filter=Q(state=State.PAUSED)),
        going=Count("pk", filter=Q(state__in=[State.REVOKING, State.ISSUING])),
        age0=Count("pk", filter=live & Q(issued_at__gt=edges[0])),
        age1=Count("pk", filter=live & Q(issued_at__lte=edges[0], issued_at__gt=edges[1])),
        age2=Count("pk", filter=live & Q(issued_at__lte=edges[1], issued_at__gt=edges[2])),
        age3=Count("pk", filter=live & Q(issued_at__lte=edges[2])),
    )
    states = [(gettext("Active"), told["active"], "used"), (gettext("End within 7 days"), told["soon"], "asked"),
              (gettext("In rotation"), told["turning"], "s2"), (gettext("Paused"), told["paused"], "s4"),
              (gettext("Being issued or revoked"), told["going"], "s3")]  # fmt: skip
    ages = [(gettext("Under 7 days"), told["age0"], "used"), (gettext("7 to 30 days"), told["age1"], "s3"),
            (gettext("30 to 90 days"), told["age2"], "s2"), (gettext("Over 90 days"), told["age3"], "s4")]  # fmt: skip
    promised, unlimited = _promised(team)
    secrets = KeyVersion.objects.filter(
        lease__team=team, lease__state__in=LIVE, ended_at=None, issued_at__isnull=False
    ).aggregate(oldest=Min("issued_at"))
    return Keys(
        told["live"], told["people"], told["machines"], told["ended"], month.date(), shares(states), shares(ages),
        promised, unlimited, secrets["oldest"],
    )  # fmt: skip


def _promised(team: Team) -> tuple[Decimal, int]:
    """What live keys may spend in the team's window at most, budgets of other windows counted by their length."""
    # SQLite reads a JSON null as text, and that as 0; no key has a budget of 0.
    limit = NullIf(Cast(KeyTextTransform("max_budget", "limits"), USD), Value(Decimal(0), USD))
    rows = Lease.objects.filter(team=team, state__in=LIVE).order_by().annotate(
        window=KeyTextTransform("budget_duration", "limits"), limit=limit
    )  # fmt: skip
    told = rows.values("window").annotate(sum=Sum("limit"), all=Count("pk"), limited=Count("limit"))
    whole, promised, unlimited = LENGTHS.get(team.budget_duration), NOTHING, 0
    for row in told:
        length = LENGTHS.get(row["window"] or "")
        times = max(Decimal(1), whole / length) if whole and length else Decimal(1)
        promised += (row["sum"] or NOTHING) * times
        unlimited += row["all"] - row["limited"]
    return round(promised, 2), unlimited


def shares(parts: Iterable[tuple[str, int, str]]) -> list[Share]:
    """Parts of a bar, side by side in percent; those that are 0 take no room."""
    each = list(parts)
    whole = sum(number for _, number, _ in each) or 1
    drawn, at = [], 0.0
    for name, number, css in each:
        width = number * 100 / whole
        drawn.append(Share(name, number, css, f"{at:.2f}%", f"{width:.2f}%"))
        at += width
    return drawn


def unused(team: Team, user: User, now: datetime | None = None) -> QuerySet[Lease]:
    """Live keys that this person sees, which nobody used for 30 days, the longest unused first."""
    edge = (now or timezone.now()) - UNUSED
    rows = Lease.objects.visible_to(user).filter(team=team, state__in=LIVE)
    idle = rows.annotate(used=Coalesce(F("last_used_at"), F("issued_at"))).filter(used__lte=edge)
    return idle.select_related("holder", "team", "role").order_by("used", "pk")


def pending_requests(team: Team) -> int:
    """Requests of the team that wait for somebody."""
    return KeyRequest.objects.pending().filter(team=team).count()


def days_of(team: Team, span: Span) -> list[Day]:
    return daily(SpendDay.objects.filter(team=team), span)
