"""Words of the pages: money, time left, counts, fields, icons. All times are UTC, all money is USD."""

from __future__ import annotations

from collections.abc import Sized
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from django import template
from django.forms import BoundField, Widget
from django.template import Context
from django.utils import timezone
from django.utils.safestring import SafeString
from lucide.templatetags.lucide import lucide

from portal import drawing
from portal.litellm import format_duration

register = template.Library()
register.filter("urgency", drawing.urgency)
register.filter("longest", drawing.longest)
register.simple_tag(drawing.key_line)
register.simple_tag(drawing.draft_line)
register.simple_tag(drawing.bar)

UNITS = {"s": "second", "m": "minute", "h": "hour", "d": "day"}
SMALL = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
WINDOWS = {"1h": "an hour", "1d": "a day", "7d": "a week", "30d": "a month", "1mo": "a month"}
MILLION = 1_000_000


def _count(number: int, unit: str) -> str:
    return f"{number} {unit}{'' if number == 1 else 's'}"


@register.simple_tag
def icon(name: str, size: int = 16, css: str = "") -> str:
    """An icon beside a word, so hidden from screen readers; 1.5 px lines whatever its size."""
    classes = {"class": css} if css else {}
    return lucide(name, size=size, stroke_width=36 / size, aria_hidden="true", **classes)


@register.filter
def money(value: Any) -> str:
    """`$1,234.50`; more decimals only where two would hide the figure: four, or two that count."""
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return ""
    if amount == round(amount, 2) or abs(amount) >= 1:
        return f"${amount:,.2f}"
    amount = round(amount, max(4, 1 - amount.adjusted()))
    return f"${amount:,.2f}" if amount == round(amount, 2) else f"${amount:f}".rstrip("0")


@register.filter
def about(value: Any) -> str:
    """Money that is not known to the cent, as forecasts are: `$540`."""
    amount = Decimal(str(value))
    return f"${amount:,.0f}" if amount >= 10 else money(round(amount, 2))


@register.filter
def per_million(value: Decimal | None) -> str:
    """The price of a million tokens, from the price of one."""
    return "" if value is None else money(round(value * MILLION, 4))


@register.filter
def per_window(window: str) -> str:
    """How often a budget starts anew: `a month`; without a window it never does."""
    return WINDOWS.get(str(window), "in all")


@register.filter
def budget(limits: Any) -> str:
    """`$50.00 a month`, of anything with a budget and its window; "no limit of its own" without."""
    amount, window = (_read(limits, name) for name in ("max_budget", "budget_duration"))
    return "no limit of its own" if amount is None else f"{money(amount)} {per_window(window or '')}"


def _read(thing: Any, name: str) -> Any:
    return thing.get(name) if isinstance(thing, dict) else getattr(thing, name, None)


@register.filter
def words(lifetime: timedelta | None) -> str:
    """A lifetime in words: `30 days`, `36 hours`, `1 minute`."""
    if not lifetime:
        return ""
    text = format_duration(timedelta(seconds=round(lifetime.total_seconds())))
    return _count(int(text[:-1]), UNITS[text[-1]])


@register.filter
def duration(lifetime: timedelta | None) -> str:
    """A lifetime as it is typed: `30d`."""
    return format_duration(lifetime) if lifetime else ""


def rough(span: timedelta) -> str:
    """A span rounded to what a person would say: `12 days`, `19 hours`, `40 minutes`."""
    minutes = round(span.total_seconds() / 60)
    if minutes < 1:
        return "less than a minute"
    if minutes < 120:
        return _count(minutes, "minute")
    hours = round(minutes / 60)
    return _count(hours, "hour") if hours < 48 else _count(round(minutes / 1440), "day")


@register.filter
def left(moment: datetime) -> str:
    """`19 hours left`."""
    rest = moment - timezone.now()
    return f"{rough(rest)} left" if rest > timedelta(0) else "over"


@register.filter
def ago(moment: datetime | None) -> str:
    return f"{rough(timezone.now() - moment)} ago" if moment else ""


@register.filter
def when(moment: datetime | None) -> str:
    """`Sat 21 Nov, 09:12`, with the year when it is another one."""
    return f"{day(moment)}, {moment:%H:%M}" if moment else ""


@register.filter
def day(moment: datetime | None) -> str:
    """`Sat 21 Nov`, with the year when it is another one."""
    if not moment:
        return ""
    year = "" if moment.year == timezone.now().year else f" {moment.year}"
    return f"{moment:%a} {moment.day} {moment:%b}{year}"


@register.filter
def stamp(moment: datetime) -> str:
    """`21 Nov 09:12`, for rows of a history."""
    year = "" if moment.year == timezone.now().year else f" {moment.year}"
    return f"{moment.day} {moment:%b}{year} {moment:%H:%M}"


@register.filter
def as_of(moment: datetime | None) -> str:
    """When a figure was read: `as of 14:01`, with the day when that is another one."""
    if not moment:
        return "not read yet"
    return f"as of {moment:%H:%M}" if moment.date() == timezone.now().date() else f"as of {stamp(moment)}"


@register.filter
def full_day(moment: datetime | None) -> str:
    """`Fri 4 Dec 2026`."""
    return f"{moment:%a} {moment.day} {moment:%b %Y}" if moment else ""


@register.filter
def ends(moment: datetime) -> str:
    """When a key that is soon over ends, for its badge: `Ends tomorrow`."""
    days = (moment.date() - timezone.now().date()).days
    return {0: "Ends today", 1: "Ends tomorrow"}.get(days, f"Ends {day(moment)}")


@register.filter
def count(things: Any, noun: str) -> str:
    """`four live keys`, `12 live keys`; a noun with its own plural is given as `entry,entries`."""
    number = len(things) if isinstance(things, Sized) and not isinstance(things, str) else int(things or 0)
    one, _, many = noun.partition(",")
    word = SMALL[number] if number < len(SMALL) else f"{number:,}"
    return f"{word} {one if number == 1 else many or f'{one}s'}"


@register.simple_tag(takes_context=True)
def here(context: Context, url: str, below: bool = True, also: str = "") -> SafeString:
    """`aria-current` for a link of the rail: the page itself, one below it, or the view named `also`."""
    request = context["request"]
    path, match = request.path, request.resolver_match
    if path == url:
        return SafeString('aria-current="page"')
    if also and match and match.view_name == also:
        return SafeString('aria-current="true"')
    return SafeString('aria-current="true"' if below and url != "/" and path.startswith(url) else "")


@register.simple_tag(takes_context=True)
def query(context: Context, **changes: Any) -> str:
    """The page's own query with some values changed, for links that page and filter."""
    changed = context["request"].GET.copy()
    for name, value in changes.items():
        if value in {None, ""}:
            changed.pop(name, None)
        else:
            changed[name] = str(value)
    return f"?{changed.urlencode()}"


@register.filter
def headline(sentence: str) -> str:
    """A sentence as a heading: without its full stop."""
    return str(sentence).removesuffix(".")


@register.filter
def many(field: BoundField) -> bool:
    """Whether a field is answered by several inputs, so that a fieldset has to hold them."""
    widget: Widget = field.field.widget
    return bool(widget.use_fieldset)


@register.filter
def entry(field: BoundField) -> SafeString:
    """The field's input in our look, whoever wrote the form; placeholders go, as labels say it."""
    widget = field.field.widget
    if getattr(widget, "input_type", "") in {"checkbox", "radio"} or widget.use_fieldset:
        return SafeString(field.as_widget())
    return SafeString(field.as_widget(attrs={"class": f"{widget.attrs.get('class', '')} input".strip()}))
