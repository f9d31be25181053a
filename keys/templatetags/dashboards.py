"""What the dashboards' pages ask for, and how they say it."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from django import template
from django.db.models import QuerySet
from django.template import Context
from django.utils import timezone
from django.utils.translation import gettext

from keys.models import Lease, SpendDay
from keys.services.dashboards import mine, money, spans, team
from keys.services.dashboards.money import Row
from keys.services.dashboards.team import Keys, Purse
from portal import dates
from portal.templatetags.ui import about, count, grouped, rough
from portal.templatetags.ui import money as dollars
from teams.models import Team

register = template.Library()
MINUS = "\u2212"  # as wide as a plus
SHOWN = 5  # unused keys on an overview
TOO_MANY_PER_CENT = 1000  # from here on, a factor says more


@register.simple_tag
def team_purses(of: Team) -> list[Purse]:
    return team.purses(of)


@register.simple_tag
def team_keys(of: Team) -> Keys:
    return team.keys_of(of)


@register.simple_tag
def team_requests(of: Team) -> int:
    return team.pending_requests(of)


@register.simple_tag(takes_context=True)
def team_unused(context: Context, of: Team) -> tuple[list[Lease], int]:
    """The keys that nobody used for longest, as far as whoever looks sees them, and how many there are."""
    found: QuerySet[Lease] = team.unused(of, context["request"].user)
    shown = list(found[: SHOWN + 1])
    return shown[:SHOWN], len(shown) if len(shown) <= SHOWN else found.count()


@register.simple_tag
def team_month(of: Team) -> tuple[Row, spans.Span]:
    """What the team spent in this month, and on the same days of the one before."""
    span = spans.this_month(spans.today_of())
    return money.total(SpendDay.objects.filter(team=of), span), span


@register.simple_tag(takes_context=True)
def my_money(context: Context) -> mine.Mine:
    return mine.of(context["request"].user)


@register.filter
def change(row: Row) -> str:
    """`+31 %`, `-5 %`, `3 times as much`; "new" where there was nothing before."""
    if row.change is None:
        return gettext("new") if row.spend else ""
    if row.change >= TOO_MANY_PER_CENT:
        return gettext("%(number)s times as much") % {"number": round(row.spend / row.before)}
    if not row.change:
        return gettext("no change")
    return f"{MINUS if row.change < 0 else '+'}{abs(row.change)} %"


@register.filter
def signed(amount: Decimal) -> str:
    """`+$1.20`, `-$1.20`."""
    return f"{MINUS if amount < 0 else '+'}{dollars(abs(amount))}"


@register.filter("dollars")
def written(amount: Decimal) -> str:
    """Money that may be below zero: `$12.50`, `-$3.00`."""
    return signed(amount) if amount < 0 else dollars(amount)


@register.filter
def since(moment: datetime) -> str:
    """`63 days`, of a moment that is over."""
    return rough(timezone.now() - moment)


@register.filter
def figure(amount: Decimal | None) -> str:
    """A number for the drawing, in the plain notation that scripts read; nothing where there is none."""
    return "" if amount is None else f"{amount:.6f}".rstrip("0").rstrip(".")


@register.filter
def short_day(day: date) -> str:
    """`21 Nov`."""
    return dates.brief_day(day)


@register.filter
def month(day: date) -> str:
    """`November`, with the year when it is another one."""
    return dates.month(day) if day.year == timezone.now().year else dates.month_and_year(day)


@register.filter
def lasts(purses: list[Purse]) -> str:
    """Where the budget with the most spent leads, in one sentence; nothing where it holds or nobody can say."""
    purse = purses[0] if purses else None
    if purse is None or purse.limit is None:
        return ""
    if not purse.left:
        return gettext("The budget is spent.")
    if purse.gone_at is None or purse.ends is None:
        return ""
    days = (purse.ends.date() - purse.gone_at.date()).days
    gone = dates.whole_day(purse.gone_at)
    if not days:
        return gettext("The budget lasts until %(day)s.") % {"day": gone}
    return gettext("The budget lasts until %(day)s, %(days)s short.") % {"day": gone, "days": count(days, "day")}


@register.filter
def leads(purse: Purse) -> str:
    """What stands under the forecast."""
    if purse.forecast is None:
        return gettext("to say where it leads")
    if purse.over:
        over = {"over": about(purse.over), "day": _day(purse.gone_at)}
        if purse.gone_at:
            return gettext("%(over)s over, if it goes on like this; gone %(day)s") % over
        return gettext("%(over)s over, if it goes on like this") % over
    return gettext("by %(day)s, if it goes on like this") % {"day": _day(purse.ends)}


def _day(moment: datetime | None) -> str:
    return dates.day(moment) if moment else ""


@register.filter
def times(amount: Decimal, limit: Decimal | None) -> str:
    """`1.3 times the budget`."""
    return gettext("%(number)s times the budget") % {"number": grouped(f"{amount / limit:.1f}")} if limit else ""
