"""Words and drawings of the pages: money, time left, the key line, icons. All times are UTC, all money is USD."""

from __future__ import annotations

from collections.abc import Sized
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from django import template
from django.forms import BoundField, Widget
from django.template import Context
from django.utils import timezone
from django.utils.safestring import SafeString
from lucide.templatetags.lucide import lucide

from portal.litellm import format_duration

register = template.Library()

UNITS = {"s": "second", "m": "minute", "h": "hour", "d": "day"}
SMALL = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
WINDOWS = {"1h": "an hour", "1d": "a day", "7d": "a week", "30d": "a month", "1mo": "a month"}
SOON, VERY_SOON = timedelta(hours=24), timedelta(hours=2)
LAST_QUARTER = 0.25  # a key of eight hours is not "soon over" all its life
MILLION = 1_000_000
SHORTEST = 5.0  # percent; a shorter key is no longer seen as one


def _count(number: int, unit: str) -> str:
    return f"{number} {unit}{'' if number == 1 else 's'}"


@register.simple_tag
def icon(name: str, size: int = 16, css: str = "") -> str:
    """An icon beside a word, so hidden from screen readers; 1.5 px lines whatever its size."""
    classes = {"class": css} if css else {}
    return lucide(name, size=size, stroke_width=36 / size, aria_hidden="true", **classes)


@register.filter
def money(value: Any) -> str:
    """`$1,234.50`; more decimals only where two would hide the figure."""
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return ""
    if amount == round(amount, 2) or abs(amount) >= 1:
        return f"${amount:,.2f}"
    return f"${amount:f}".rstrip("0")


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


@register.filter
def urgency(lease: Any) -> str:
    """`danger` or `warn` for a live lease that is soon over, else nothing."""
    if lease.state in {"revoking", "revoked", "expired", "failed"}:
        return ""
    rest, whole = lease.expires_at - timezone.now(), lease.expires_at - lease.issued_at
    if rest > SOON or rest > whole * LAST_QUARTER:
        return ""
    return "danger" if rest < VERY_SOON else "warn"


@dataclass(frozen=True, slots=True)
class Line:
    """A key lying on its side, in percent of the drawing's width: issued at its start, `now`, `end`."""

    now: str
    end: str
    tone: str = ""
    is_over: bool = False
    shows_now: bool = False


def line(start: datetime, now: datetime, end: datetime, whole: timedelta, **look: Any) -> Line:
    """The geometry of a lease where `whole` fills the width."""
    share = 97 / max(whole.total_seconds(), 1)

    def at(moment: datetime) -> float:
        return min(99.0, 2 + max((moment - start).total_seconds(), 0) * share)

    tooth = max(at(end), SHORTEST)
    reached = tooth if look.get("is_over") else min(at(now), tooth)
    return Line(f"{reached:.1f}%", f"{tooth:.1f}%", **look)


@register.simple_tag
def key_line(lease: Any, whole: timedelta | None = None, shows_now: bool = False) -> Line:
    """Draw a lease; rows of one list give the longest life among them as `whole`, so that lengths compare."""
    over = lease.state in {"revoked", "expired", "failed"}
    end = min(lease.ended_at or lease.expires_at, lease.expires_at)
    now = end if over else timezone.now()
    tone = "warn" if lease.state == "revoking" else urgency(lease)
    return line(
        lease.issued_at, now, end, whole or lease.expires_at - lease.issued_at,
        tone=tone, is_over=over, shows_now=shows_now and not over,
    )  # fmt: skip


@register.simple_tag
def draft_line(terms: Any, whole: timedelta) -> Line:
    """Draw a key that is not cut yet, against the longest that its role gives."""
    return line(terms.issued_at, terms.issued_at, terms.expires_at, max(whole, terms.ttl))


@register.filter
def longest(leases: Any) -> timedelta:
    """The longest life among leases."""
    return max((lease.expires_at - lease.issued_at for lease in leases), default=timedelta(days=1))


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


REASONS = {
    "asked": "revoked by hand",
    "expired": "its time was over",
    "holder left": "its holder left the team or was deactivated",
}


@register.filter
def end_words(lease: Any) -> str:
    """Why a lease ended."""
    return REASONS.get(lease.end_reason, lease.end_reason) or "not said"


@register.filter
def event_words(event: Any) -> str:
    """One act of a key's history as a sentence."""
    facts = event.facts
    reason = str(facts.get("reason", ""))
    because = REASONS.get(reason, f"“{reason}”") if reason else ""
    match event.action:
        case "key.issued":
            return f"Issued from {facts.get('role', 'its role')}, {budget(facts)}"
        case "key.issue_failed":
            return f"Not issued: {reason}"
        case "key.revocation_asked" if reason == "expired":
            return "Time is over; the gateway was told to end it"
        case "key.revocation_asked":
            return f"Revocation asked{'' if reason == 'asked' else f': {because}'}"
        case "key.revoked":
            return "Revoked; the gateway confirmed that it is gone"
        case "key.expired":
            return "Expired; the gateway confirmed that it is gone"
        case _:
            return str(event.action).removeprefix("key.").replace("_", " ").capitalize()
