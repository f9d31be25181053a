"""Words of the pages: money, time left, counts, fields, icons. All times are UTC, all money is USD."""

from __future__ import annotations

from collections.abc import Callable, Sized
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from django import template
from django.forms import BoundField, Widget
from django.template import Context
from django.utils import timezone
from django.utils.html import format_html, strip_tags
from django.utils.safestring import SafeString
from django.utils.translation import get_language, gettext, ngettext_lazy, pgettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from lucide.templatetags.lucide import lucide

from portal import dates, drawing
from portal.litellm import format_duration
from portal.nouns import NOUNS
from portal.ui import undo_of

register = template.Library()
register.filter("urgency", drawing.urgency)
register.filter("longest", drawing.longest)
register.simple_tag(drawing.key_line)
register.simple_tag(drawing.draft_line)
register.simple_tag(drawing.bar)
register.filter("undo", undo_of)

UNITS = {
    "s": ngettext_lazy("%(number)d second", "%(number)d seconds", "number"),
    "m": ngettext_lazy("%(number)d minute", "%(number)d minutes", "number"),
    "h": ngettext_lazy("%(number)d hour", "%(number)d hours", "number"),
    "d": ngettext_lazy("%(number)d day", "%(number)d days", "number"),
}
LEFT = {
    "m": ngettext_lazy("%(number)d minute left", "%(number)d minutes left", "number"),
    "h": ngettext_lazy("%(number)d hour left", "%(number)d hours left", "number"),
    "d": ngettext_lazy("%(number)d day left", "%(number)d days left", "number"),
}
AGO = {
    "m": ngettext_lazy("%(number)d minute ago", "%(number)d minutes ago", "number"),
    "h": ngettext_lazy("%(number)d hour ago", "%(number)d hours ago", "number"),
    "d": ngettext_lazy("%(number)d day ago", "%(number)d days ago", "number"),
}
SMALL = (
    pgettext_lazy("a count", "no"),
    pgettext_lazy("a count", "one"),
    pgettext_lazy("a count", "two"),
    pgettext_lazy("a count", "three"),
    pgettext_lazy("a count", "four"),
    pgettext_lazy("a count", "five"),
    pgettext_lazy("a count", "six"),
    pgettext_lazy("a count", "seven"),
    pgettext_lazy("a count", "eight"),
    pgettext_lazy("a count", "nine"),
)
WINDOWS = {"1h": _("an hour"), "1d": _("a day"), "7d": _("a week"), "30d": _("a month"), "1mo": _("a month")}
MILLION = 1_000_000
COMMA_FOR_POINT = NOUNS_WRITTEN_LARGE = {"de"}


def timed(say: Callable[[Any], str]) -> Callable[[Any], str]:
    """Make `say` a filter that puts its words into a `<time>` with the exact moment; code that calls it gets words.

    With autoescape off, as in a letter, a page gets the bare words as well. Not for attributes: there `|bare` follows.
    """

    def on_a_page(moment: Any, autoescape: bool = True) -> str:
        words = say(moment)
        if not autoescape or not isinstance(moment, date):
            return words
        if isinstance(moment, datetime):
            at = moment.astimezone(UTC)
            exact, machine = f"{at:%Y-%m-%d %H:%M:%S} UTC", f"{at:%Y-%m-%dT%H:%M:%SZ}"
        else:
            exact, machine = gettext("%(day)s, a day in UTC") % {"day": f"{moment:%Y-%m-%d}"}, f"{moment:%Y-%m-%d}"
        return format_html('<time datetime="{}" title="{}">{}</time>', machine, exact, words)

    register.filter(say.__name__, on_a_page, needs_autoescape=True)
    return say


@register.filter
def bare(words: Any) -> str:
    """Words of a moment without their `<time>`, for an attribute."""
    return strip_tags(str(words))


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
        return dollars(f"{amount:,.2f}")
    amount = round(amount, max(4, 1 - amount.adjusted()))
    return dollars(f"{amount:,.2f}" if amount == round(amount, 2) else f"{amount:f}".rstrip("0"))


def dollars(figure: str) -> str:
    """`$` where the language has it; a German reader has seen `1.234,50` all their life."""
    return pgettext("money", "$%(figure)s") % {"figure": grouped(figure)}


def grouped(figure: str) -> str:
    """A figure written as `1,234.50`, with the comma and the point of the language that is spoken."""
    if get_language() not in COMMA_FOR_POINT:
        return figure
    return figure.translate(str.maketrans(",.", ".,"))


@register.filter
def about(value: Any) -> str:
    """Money that is not known to the cent, as forecasts are: `$540`."""
    amount = Decimal(str(value))
    return dollars(f"{amount:,.0f}") if amount >= 10 else money(round(amount, 2))


@register.filter
def per_million(value: Decimal | None) -> str:
    """The price of a million tokens, from the price of one."""
    return "" if value is None else money(round(value * MILLION, 4))


@register.filter
def per_window(window: str) -> str:
    """How often a budget starts anew: `a month`; without a window it never does."""
    return str(WINDOWS.get(str(window), _("in all")))


@register.filter
def budget(limits: Any) -> str:
    """`$50.00 a month`, of anything with a budget and its window; "no limit of its own" without."""
    amount, window = (_read(limits, name) for name in ("max_budget", "budget_duration"))
    return gettext("no limit of its own") if amount is None else f"{money(amount)} {per_window(window or '')}"


def _read(thing: Any, name: str) -> Any:
    return thing.get(name) if isinstance(thing, dict) else getattr(thing, name, None)


@register.filter
def words(lifetime: timedelta | None) -> str:
    """A lifetime in words: `30 days`, `36 hours`, `1 minute`."""
    if not lifetime:
        return ""
    text = format_duration(timedelta(seconds=round(lifetime.total_seconds())))
    return UNITS[text[-1]] % {"number": int(text[:-1])}


@register.filter
def duration(lifetime: timedelta | None) -> str:
    """A lifetime as it is typed: `30d`."""
    return format_duration(lifetime) if lifetime else ""


def rough(span: timedelta) -> str:
    """A span rounded to what a person would say: `12 days`, `19 hours`, `40 minutes`."""
    number, unit = _rounded(span)
    return UNITS[unit] % {"number": number} if number else gettext("less than a minute")


def _rounded(span: timedelta) -> tuple[int, str]:
    """A number, and its unit in UNITS; 0: less than a minute."""
    minutes = round(span.total_seconds() / 60)
    if minutes < 120:
        return max(minutes, 0), "m"
    hours = round(minutes / 60)
    return (hours, "h") if hours < 48 else (round(minutes / 1440), "d")


@register.filter
def left(moment: datetime) -> str:
    """`19 hours left`."""
    rest = moment - timezone.now()
    if rest <= timedelta(0):
        return gettext("over")
    number, unit = _rounded(rest)
    return LEFT[unit] % {"number": number} if number else gettext("less than a minute left")


@timed
def ago(moment: datetime | None) -> str:
    if not moment:
        return ""
    number, unit = _rounded(timezone.now() - moment)
    return AGO[unit] % {"number": number} if number else gettext("less than a minute ago")


@timed
def when(moment: datetime | None) -> str:
    """`Sat 21 Nov, 09:12`, with the year when it is another one."""
    return f"{day(moment)}, {moment:%H:%M}" if moment else ""


@timed
def day(moment: datetime | None) -> str:
    """`Sat 21 Nov`, with the year when it is another one."""
    if not moment:
        return ""
    return dates.day(moment) if moment.year == timezone.now().year else dates.day_and_year(moment)


@register.filter
def stamp(moment: datetime) -> str:
    """`21 Nov 09:12`, for rows of a history."""
    day = dates.brief_day if moment.year == timezone.now().year else dates.brief_day_and_year
    return f"{day(moment)} {moment:%H:%M}"


@timed
def as_of(moment: datetime | None) -> str:
    """When a figure was read: `as of 14:01`, with the day when that is another one."""
    if not moment:
        return gettext("not read yet")
    said = f"{moment:%H:%M}" if moment.date() == timezone.now().date() else stamp(moment)
    return gettext("as of %(moment)s") % {"moment": said}


@timed
def full_day(moment: datetime | None) -> str:
    """`Fri 4 Dec 2026`."""
    return dates.day_and_year(moment) if moment else ""


@register.filter
def ends(moment: datetime) -> str:
    """When a key that is soon over ends, for its badge: `Ends tomorrow`."""
    days = (moment.date() - timezone.now().date()).days
    if days in {0, 1}:
        return gettext("Ends tomorrow") if days else gettext("Ends today")
    return gettext("Ends %(day)s") % {"day": day(moment)}


@register.filter
def spelled(things: Any) -> str:
    """`four`, `12`: a number, or how many there are, as a sentence has it."""
    number = len(things) if isinstance(things, Sized) and not isinstance(things, str) else int(things or 0)
    return str(SMALL[number]) if number < len(SMALL) else grouped(f"{number:,}")


@register.filter
def count(things: Any, noun: str) -> str:
    """`four live keys`, `12 live keys`; a noun is one of portal/nouns.py, with its own plural as `entry,entries`."""
    number = len(things) if isinstance(things, Sized) and not isinstance(things, str) else int(things or 0)
    word = SMALL[number] if number < len(SMALL) else grouped(f"{number:,}")
    if said := NOUNS.get(noun):
        return said % {"number": number, "words": word}
    one, _, many = noun.partition(",")
    return f"{word} {one if number == 1 else many or f'{one}s'}"


@register.filter
def amid(label: Any) -> str:
    """A label inside a sentence: in lower case, except where nouns are always written large."""
    return str(label) if get_language() in NOUNS_WRITTEN_LARGE else str(label).lower()


@register.filter
def named(things: Any, most: int) -> str:
    """`a, b, c and 4 more`."""
    words = ", ".join(str(each) for each in things[:most])
    rest = len(things) - most
    return gettext("%(names)s and %(number)d more") % {"names": words, "number": rest} if rest > 0 else words


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
