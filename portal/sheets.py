"""Tables as CSV that no spreadsheet takes for formulas. Source: OWASP, CSV injection."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

TYPE = "text/csv; charset=utf-8"
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # taken for one; wide too
BLANK = " \xa0\u3000\ufeff"  # what some skip before they look


class _Echo:
    """A file that gives back what is written, for csv.writer."""

    def write(self, text: str) -> str:
        return text


def lines(names: Iterable[str], rows: Iterable[Iterable[Any]]) -> Iterator[str]:
    """The lines of a CSV file, its heads first."""
    writer = csv.writer(_Echo())
    yield writer.writerow(list(names))
    for row in rows:
        yield writer.writerow([cell(value) for value in row])


def cell(value: Any) -> str:
    """A value as text; only figures may begin as a formula would: -1.50 is none."""
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, date | UUID):
        return str(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"'{text}" if text.lstrip(BLANK).startswith(FORMULA) else text


def plain(amount: Decimal) -> str:
    """A figure without exponent and without zeros that say nothing, at least two decimals: `12.50`, `0.0042`."""
    if amount == round(amount, 2):
        return f"{amount:.2f}"
    return f"{amount:f}".rstrip("0")
