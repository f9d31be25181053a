"""How an answer of the proxy becomes a frozen dataclass: each field names where it stands and how it is read.

Floats arrive as `Decimal` (see http.py), times become aware UTC, and what no field names stays in `extra`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Final, Generic, Self, TypeVar

R = TypeVar("R")


class Unset(Enum):
    """The type of `UNSET`, which leaves a field as it is where None would clear it."""

    UNSET = "UNSET"

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = Unset.UNSET


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, data: Any, **known: Any) -> Self:
        """Read one JSON object; `known` fills what it lacks. Raises ValueError or TypeError."""
        if not isinstance(data, Mapping):
            raise TypeError(f"{cls.__name__}: an object was expected")
        rest = dict(data)
        for f in fields(cls):
            if f.name in known or "reader" not in f.metadata:
                continue
            raw = None
            for name in f.metadata["names"] or (f.name,):
                taken = rest.pop(name, None)
                raw = taken if raw is None else raw
            try:
                known[f.name] = f.metadata["reader"](raw)
            except (TypeError, ValueError, ArithmeticError):
                problem = f"{cls.__name__}.{f.name} cannot be read"  # never the value: it may be a secret
            else:
                continue
            raise ValueError(problem)
        return cls(extra=rest, **known)


def _spec(reader: Callable[[Any], Any], names: tuple[str, ...], hide: bool = False) -> Any:
    # read(None) is what the proxy's null, or a missing field, stands for
    return field(default_factory=lambda: reader(None), repr=not hide, metadata={"reader": reader, "names": names})


def text(*names: str, hide: bool = False) -> Any:
    """A string or None; the first of `names` that has a value counts."""
    return _spec(to_text, names, hide)


def word(*names: str, hide: bool = False) -> Any:
    """A string, empty if missing."""
    return _spec(lambda raw: to_text(raw) or "", names, hide)


def money(*names: str) -> Any:
    """USD as `Decimal`, or None."""
    return _spec(to_money, names)


def total(*names: str) -> Any:
    """USD as `Decimal`, zero if missing."""
    return _spec(lambda raw: to_money(raw) or Decimal(0), names)


def number(*names: str) -> Any:
    return _spec(to_number, names)


def count(*names: str) -> Any:
    return _spec(lambda raw: to_number(raw) or 0, names)


def flag(*names: str) -> Any:
    return _spec(bool, names)


def maybe(*names: str) -> Any:
    """Yes, no, or None where the proxy does not say."""
    return _spec(lambda raw: None if raw is None else bool(raw), names)


def loose(reader: Callable[[Any], Any], *names: str) -> Any:
    """Of a table that people fill by hand: None where it cannot be read, so that one odd row does not hide the rest."""

    def read(raw: Any) -> Any:
        try:
            return reader(raw)
        except (TypeError, ValueError, ArithmeticError):
            return None

    return _spec(read, names)


def when(*names: str) -> Any:
    """An aware UTC time, or None."""
    return _spec(to_time, names)


def words(*names: str) -> Any:
    return _spec(to_words, names)


def table(*names: str, hide: bool = False) -> Any:
    return _spec(to_table, names, hide)


def rows(kind: type[Row], *names: str) -> Any:
    return _spec(lambda raw: tuple(kind.read(item) for item in raw or ()), names)


def raw(*names: str, hide: bool = False) -> Any:
    return _spec(plain, names, hide)


def to_text(raw: Any) -> str | None:
    if raw is not None and not isinstance(raw, str):
        raise TypeError("text was expected")
    return raw


def to_money(raw: Any) -> Decimal | None:
    if raw is None or isinstance(raw, Decimal):
        return raw
    if isinstance(raw, bool) or not isinstance(raw, (int, float, str)):
        raise TypeError("an amount was expected")
    return Decimal(str(raw))


def to_number(raw: Any) -> int | None:
    if raw is None:
        return None
    if isinstance(raw, bool) or not isinstance(raw, (int, float, Decimal)) or raw != int(raw):
        raise TypeError("a whole number was expected")
    return int(raw)


def to_time(raw: Any) -> datetime | None:
    """LiteLLM writes `…Z` in some answers and `+00:00` in others; a time without a zone is UTC."""
    if raw is None:
        return None
    read = datetime.fromisoformat(raw)
    return read.astimezone(UTC) if read.tzinfo else read.replace(tzinfo=UTC)


def to_words(raw: Any) -> tuple[str, ...]:
    if raw is not None and not isinstance(raw, list):
        raise TypeError("a list was expected")
    return tuple(str(item) for item in raw or ())


def to_table(raw: Any) -> dict[str, Any]:
    if raw is not None and not isinstance(raw, Mapping):
        raise TypeError("an object was expected")
    return dict(plain(raw or {}))


def plain(value: Any) -> Any:
    """The same data with floats instead of `Decimal`: for what is not ours to count, such as metadata."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


@dataclass(frozen=True, slots=True)
class Page(Generic[R]):
    """One page of a list: its items, its number, how many pages and items there are."""

    items: tuple[R, ...]
    page: int
    pages: int
    total: int

    @classmethod
    def read(cls, items: Iterable[R], data: Mapping[str, Any]) -> Page[R]:
        return cls(
            tuple(items),
            to_number(data.get("current_page", data.get("page"))) or 1,
            to_number(data.get("total_pages")) or 0,
            to_number(data.get("total_count", data.get("total"))) or 0,
        )


def walk(page_of: Callable[[int], Page[R]]) -> Iterator[R]:
    """The items of every page, each page asked for when it is needed."""
    for page in itertools.count(1):
        answer = page_of(page)
        yield from answer.items
        if not answer.items or page >= answer.pages:
            return
