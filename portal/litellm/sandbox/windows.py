"""The proxy's two clocks: lifetimes of keys and windows of budgets, with its own odd grammar."""

from __future__ import annotations

import calendar
import re
from datetime import datetime, timedelta
from typing import Any

WORDS = {"hourly": "1h", "daily": "24h", "weekly": "7d", "monthly": "30d"}
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
TIMES = {"expires", "created_at", "updated_at", "settings_updated_at", "last_active", "budget_reset_at"}
TIMES |= {"deleted_at", "startTime", "endTime", "completionStartTime"}


class BadDuration(ValueError):
    """Carries the proxy's own words."""


def lifetime(duration: str, now: datetime) -> timedelta:
    """How long a key lives.

    Only the start of the text is read, so `1h30m` is one hour (LiteLLM 1.106.2, seen). Raises BadDuration.
    """
    match = re.match(r"(\d+)(mo|[smhdw]?)", WORDS.get(duration.strip().lower(), duration))
    if not match:
        raise BadDuration("Invalid duration format")
    count, unit = int(match[1]), match[2]
    if unit == "mo":
        return add_months(now, count) - now
    if not unit:
        raise BadDuration(f"Unsupported duration unit, passed duration: {duration}")
    return timedelta(seconds=count * SECONDS[unit])


def next_reset(window: str, now: datetime) -> datetime:
    """When the running budget window ends, in UTC.

    Windows snap to the calendar: the next hour, midnight, Monday, the first of the month; other numbers of
    days count from today's midnight (LiteLLM 1.106.2, seen). Raises BadDuration.
    """
    match = re.match(r"(\d+)([a-z]+)", WORDS.get(window.strip().lower(), window))
    if not match or not re.match(r"(\d+)(mo|[smhdw])", match[0]):
        raise BadDuration(window)
    count, unit = int(match[1]), match[2]
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if (unit == "d" and count == 30) or unit == "mo":
        if unit == "mo" and count != 1:
            raise BadDuration(window)
        return add_months(midnight.replace(day=1), 1)
    if unit in {"d", "w"}:
        days = count * (7 if unit == "w" else 1)
        return midnight + timedelta(days=7 - now.weekday() if days == 7 else days)
    if not count:
        return now
    # Sub-day windows align inside the next larger unit. What overflows the day lands on the next one, whole
    # days
    # dropped: that is how a window of `2592000s` comes to reset every day (LiteLLM 1.106.2, seen).
    size = SECONDS[unit]
    here = (now.hour * 3600 + now.minute * 60 + now.second) // size
    inside = {"h": now.hour, "m": now.minute, "s": now.second}[unit]
    after = (here - inside % count + count) * size
    return midnight + timedelta(seconds=after if after < 86_400 else 86_400 + after % 86_400)


def add_months(moment: datetime, count: int) -> datetime:
    """The same day some months later, or the last day of a shorter month."""
    years, month = divmod(moment.month - 1 + count, 12)
    year, month = moment.year + years, month + 1
    return moment.replace(year=year, month=month, day=min(moment.day, calendar.monthrange(year, month)[1]))


def stamp(moment: datetime) -> str:
    """A time as the proxy's database keeps it: UTC, whole milliseconds; sorts as text."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000).isoformat()


def zulu(doc: dict[str, Any]) -> dict[str, Any]:
    """The same row with its times ending in Z, which is how about half of the endpoints write them."""
    return {k: v.replace("+00:00", "Z") if k in TIMES and isinstance(v, str) else v for k, v in doc.items()}
