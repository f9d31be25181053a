"""Lifetimes and budget windows, as LiteLLM understands them.

LiteLLM matches a prefix, so it reads `1h30m` as one hour and `2days` as two days, without a word (seen on
1.106.2 in litellm_core_utils/duration_parser.py). Here a lifetime is one whole number and one unit, and goes
out in seconds.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from portal.litellm.errors import Invalid

_UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_WORDS = {"hourly": "1h", "daily": "1d", "weekly": "7d"}
_FRIENDLY = ("d", "h", "m", "s")  # no weeks: people here say 7d and 30d
_ONE_UNIT = re.compile(r"([0-9]+) *([a-z]+)")
LONGEST_LIFETIME = timedelta(days=36_500)  # beyond, dates overflow here or there


class InvalidDuration(Invalid, ValueError):
    code = "invalid_duration"
    action = "Write one whole number and one unit: 90s, 30m, 24h, 7d or 2w."


def parse_duration(value: str | int | timedelta) -> timedelta:
    """Read a lifetime: `90s 30m 24h 7d 2w`, `hourly daily weekly`, or a plain whole number of seconds.

    Raises InvalidDuration for all that LiteLLM would misread or refuse, and for what is not positive.
    """
    if isinstance(value, timedelta):
        return _checked(value, str(value))
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise InvalidDuration("A lifetime is a text such as 30m, or a whole number of seconds.")
    text = str(value).strip().lower()
    text = _WORDS.get(text, text)
    if re.fullmatch(r"[0-9]+", text):
        text += "s"
    if not text:
        raise InvalidDuration("The lifetime is empty.")
    match = re.fullmatch(r"([0-9]+)([a-z]+)", text)
    if match and match[2] in _UNITS:
        return _checked(_times(int(match[1][:12]), match[2]), text)
    raise InvalidDuration(f"'{text[:40]}' is not a lifetime. {_hint(text)}".rstrip())


def _hint(text: str) -> str:
    if text.startswith("-"):
        return "A lifetime is positive."
    if re.fullmatch(r"[0-9]+ *(mo|months?)|monthly", text):
        return "A month has no fixed length: write 30d."
    if match := _ONE_UNIT.fullmatch(text):  # "1 day", "2days", "5 min"
        unit = match[2][0]
        return f"Write {match[1][:12]}{unit}." if unit in _UNITS else ""
    if parts := re.fullmatch(r"(?:[0-9]{1,9}[smhdw] *){2,}", text):
        pairs = re.findall(r"([0-9]+)([smhdw])", parts[0])
        whole = sum((_times(int(n), unit) for n, unit in pairs), timedelta())
        return f"LiteLLM would read only its first part: write {format_duration(whole)}." if whole else ""
    if match := re.fullmatch(r"([0-9]{1,9}\.[0-9]{1,6}) *([smhdw])[a-z]*", text):
        part = timedelta(seconds=round(float(match[1]) * _UNITS[match[2]].total_seconds()))
        return f"Write {format_duration(part)}." if part else ""
    return ""


def _times(number: int, unit: str) -> timedelta:
    try:
        return number * _UNITS[unit]
    except OverflowError:
        return timedelta.max


def _checked(lifetime: timedelta, text: str) -> timedelta:
    if lifetime <= timedelta():
        raise InvalidDuration(f"'{text}' is not a lifetime: it must be more than zero.")
    if lifetime > LONGEST_LIFETIME:
        raise InvalidDuration(f"'{text[:40]}' is too long: the most is {LONGEST_LIFETIME.days}d.")
    return lifetime


def format_duration(lifetime: timedelta) -> str:
    """Write a lifetime in its largest unit that fits exactly: `30d`, `24h`, `90s`. Raises InvalidDuration."""
    seconds = _whole_seconds(lifetime)
    for unit in _FRIENDLY:
        size = int(_UNITS[unit].total_seconds())
        if seconds % size == 0 and (unit, seconds) != ("d", size):  # one day reads better as 24h
            return f"{seconds // size}{unit}"
    raise AssertionError("one second fits always")


def wire_duration(lifetime: timedelta) -> str:
    """Write a lifetime as LiteLLM is told it, `3600s`. Raises InvalidDuration."""
    return f"{_whole_seconds(lifetime)}s"


def _whole_seconds(lifetime: timedelta) -> int:
    _checked(lifetime, str(lifetime))
    if lifetime.microseconds:
        raise InvalidDuration(f"'{lifetime}' is not a whole number of seconds.")
    return lifetime // _UNITS["s"]


class BudgetWindow(StrEnum):
    """How often a budget resets; sent verbatim, as a window in seconds would reset every day (tried).

    Resets fall on boundaries in the proxy's time zone, UTC by default; the proxy zeroes the spend at the next
    run of its job, up to 10 minutes later. Seen on 1.106.2: `30d` is a calendar month, the same as `1mo`.
    """

    HOUR = "1h"
    DAY = "1d"
    WEEK = "7d"
    THIRTY_DAYS = "30d"
    MONTH = "1mo"

    @classmethod
    def parse(cls, value: str) -> BudgetWindow:
        """Raises InvalidDuration."""
        try:
            return cls(value.strip().lower())
        except (ValueError, AttributeError):
            pass
        raise InvalidDuration(f"'{str(value)[:40]}' is not a budget window.", action=f"Choose one of {', '.join(cls)}.")

    def next_reset(self, after: datetime) -> datetime:
        """The first reset later than `after` (aware; the answer is UTC)."""
        now = after.astimezone(UTC)
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        match self:
            case BudgetWindow.HOUR:
                return now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
            case BudgetWindow.DAY:
                return midnight + timedelta(days=1)
            case BudgetWindow.WEEK:
                return midnight + timedelta(days=7 - now.weekday())
            case _:
                return (midnight.replace(day=1) + timedelta(days=32)).replace(day=1)

    def last_reset(self, before: datetime) -> datetime:
        """The latest reset no later than `before` (aware; the answer is UTC): when its running window began."""
        end = self.next_reset(before)
        match self:
            case BudgetWindow.HOUR:
                return end - timedelta(hours=1)
            case BudgetWindow.DAY:
                return end - timedelta(days=1)
            case BudgetWindow.WEEK:
                return end - timedelta(days=7)
            case _:
                return (end - timedelta(days=1)).replace(day=1)

    def resets_between(self, start: datetime, end: datetime) -> int:
        """How many resets fall after `start` and no later than `end`."""
        first, last = self.next_reset(start), end.astimezone(UTC)
        if first > last:
            return 0
        match self:
            case BudgetWindow.HOUR | BudgetWindow.DAY | BudgetWindow.WEEK:
                return 1 + (last - first) // (self.next_reset(first) - first)
            case _:
                return 1 + 12 * (last.year - first.year) + last.month - first.month
