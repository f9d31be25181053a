"""Moments and days as people write them, in the language that is spoken. All are UTC."""

from __future__ import annotations

from datetime import date, datetime

from django.utils.dateformat import format as written
from django.utils.translation import pgettext


def full(moment: datetime) -> str:
    """`Sat 05 Dec 2026, 09:12 UTC`."""
    return written(moment, pgettext("date format", "D d M Y, H:i")) + " UTC"


def long(moment: datetime) -> str:
    """`05 December 2026, 09:12`."""
    return written(moment, pgettext("date format", "d F Y, H:i"))


def short(moment: datetime) -> str:
    """`Sat 05 Dec, 09:12 UTC`."""
    return written(moment, pgettext("date format", "D d M, H:i")) + " UTC"


def padded_weekday(moment: date) -> str:
    """`Sat 05 Dec`."""
    return written(moment, pgettext("date format", "D d M"))


def day(moment: date) -> str:
    """`Sat 5 Dec`."""
    return written(moment, pgettext("date format", "D j M"))


def day_and_year(moment: date) -> str:
    """`Sat 5 Dec 2026`."""
    return written(moment, pgettext("date format", "D j M Y"))


def padded_day(moment: date) -> str:
    """`05 Dec 2026`."""
    return written(moment, pgettext("date format", "d M Y"))


def brief_day(moment: date) -> str:
    """`5 Dec`."""
    return written(moment, pgettext("date format", "j M"))


def brief_day_and_year(moment: date) -> str:
    """`5 Dec 2026`."""
    return written(moment, pgettext("date format", "j M Y"))


def whole_day(moment: date) -> str:
    """`Saturday 5 December`."""
    return written(moment, pgettext("date format", "l j F"))


def month(moment: date) -> str:
    """`December`."""
    return written(moment, "F")


def month_and_year(moment: date) -> str:
    """`December 2026`."""
    return written(moment, "F Y")
