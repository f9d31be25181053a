"""The days that a dashboard is asked about, and those before them that it compares with. UTC days, both included."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.utils import timezone
from django.utils.translation import gettext, gettext_noop

from portal import dates
from portal.errors import Invalid

LONGEST = 366  # days
A_DAY = timedelta(days=1)


class WrongDays(Invalid):
    code = "wrong_days"
    action = gettext_noop("This month is shown instead.")


@dataclass(frozen=True, slots=True)
class Span:
    """Some days in a row."""

    start: date
    end: date

    @property
    def length(self) -> int:
        return (self.end - self.start).days + 1

    @property
    def before(self) -> Span:
        """What to compare with: the same days of the month before, or as many days right before."""
        if self.start.day == 1 and self.start.replace(day=1) == self.end.replace(day=1):
            last = self.start - A_DAY
            whole = (self.end + A_DAY).day == 1
            return Span(last.replace(day=1), last if whole else last.replace(day=min(self.end.day, last.day)))
        return Span(self.start - timedelta(days=self.length), self.start - A_DAY)

    @property
    def words(self) -> str:
        """`1 to 21 Nov`, with the year when it is another one."""
        now = self.end.year == timezone.now().year
        end = dates.brief_day(self.end) if now else dates.brief_day_and_year(self.end)
        if self.start == self.end:
            return end
        same = self.start.year == self.end.year
        start = dates.brief_day(self.start) if same else dates.brief_day_and_year(self.start)
        if same and self.start.month == self.end.month:
            return gettext("%(first)s to %(last)s") % {"first": self.start.day, "last": end}
        return gettext("%(start)s to %(end)s") % {"start": start, "end": end}

    @property
    def query(self) -> str:
        return f"?from={self.start}&to={self.end}"

    def days(self) -> Iterator[date]:
        for number in range(self.length):
            yield self.start + timedelta(days=number)


@dataclass(frozen=True, slots=True)
class Preset:
    name: str
    span: Span


def today_of(now: datetime | None = None) -> date:
    return (now or timezone.now()).date()


def this_month(today: date) -> Span:
    return Span(today.replace(day=1), today)


def presets(today: date) -> list[Preset]:
    """The ranges that are one click away; the first one is the default."""
    return [
        Preset(gettext("This month"), this_month(today)),
        Preset(gettext("Last month"), Span((last := today.replace(day=1) - A_DAY).replace(day=1), last)),
        Preset(gettext("30 days"), Span(today - 29 * A_DAY, today)),
        Preset(gettext("90 days"), Span(today - 89 * A_DAY, today)),
    ]


def read(start: str, end: str, today: date) -> Span:
    """The span that an address asks for; this month where it asks for none. Raises WrongDays."""
    if not start and not end:
        return this_month(today)
    if not start or not end:
        raise WrongDays(gettext("Give both days, from and to."))
    span = Span(_day(start), _day(end))
    if span.start > span.end:
        raise WrongDays(gettext("%(start)s is after %(end)s.") % {"start": span.start, "end": span.end})
    if span.end > today:
        raise WrongDays(gettext("%(end)s is not here yet: today is %(today)s UTC.") % {"end": span.end, "today": today})
    if span.length > LONGEST:
        raise WrongDays(
            gettext("%(length)s days are too many: at most %(longest)s at once.")
            % {"length": span.length, "longest": LONGEST}
        )
    if span.start.year < 2000:
        raise WrongDays(gettext("%(start)s is before there was anything to spend.") % {"start": span.start})
    return span


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        told = text[:20] if text.isprintable() else gettext("That")
        said = gettext("“%(told)s” is not a day. Write one as %(today)s.") % {"told": told, "today": today_of()}
        raise WrongDays(said) from None
