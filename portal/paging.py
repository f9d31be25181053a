"""Long lists a page at a time, by the key of the last row: each page costs the same, none is lost when rows move."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import reduce
from typing import Any, Generic, TypeVar

from django.core.signing import BadSignature, Signer
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest

from portal.ui import ROWS

T = TypeVar("T", bound=Model)


@dataclass(frozen=True, slots=True)
class Stretch(Generic[T]):
    """Rows of one page, and where the pages beside it begin; blank: there is none."""

    object_list: list[T]
    previous: str = ""  # for `?before=`
    following: str = ""  # for `?after=`
    total: int | None = None  # on all pages; None: nobody asked

    def __iter__(self) -> Iterator[T]:
        return iter(self.object_list)

    def __len__(self) -> int:
        return len(self.object_list)

    @property
    def is_part(self) -> bool:
        """Whether there are more rows than these."""
        return bool(self.previous or self.following)


def stretch_of(
    request: HttpRequest, rows: QuerySet[T], *order: str, size: int = ROWS, counted: bool = False
) -> Stretch[T]:
    """The rows after `?after=` or before `?before=`, in this order; what cannot be read is the first page.

    `order`: columns, of related rows too, and annotations that are never NULL, with a minus where they descend; the
    last one is unique among those that agree in the others. `counted`: with how many there are, in one query more.
    """
    if counted:
        return replace(stretch_of(request, rows, *order, size=size), total=rows.count())
    after, before = (_read(request.GET.get(name, ""), order) for name in ("after", "before"))
    if before is not None and after is None:
        return _before(rows, order, before, size)
    found = list(_past(rows, order, after).order_by(*order)[: size + 1])
    if after is not None and not found:  # they are gone since
        return stretch_of(HttpRequest(), rows, *order, size=size)
    shown, more = found[:size], len(found) > size
    previous = _cursor(shown[0], order) if after is not None and shown else ""
    return Stretch(shown, previous, _cursor(shown[-1], order) if more else "")


def _before(rows: QuerySet[T], order: Sequence[str], before: list[Any], size: int) -> Stretch[T]:
    back = [_turned(name) for name in order]
    found = list(_past(rows, back, before).order_by(*back)[: size + 1])
    shown, more = found[:size][::-1], len(found) > size
    if not shown:
        return stretch_of(HttpRequest(), rows, *order, size=size)
    return Stretch(shown, _cursor(shown[0], order) if more else "", _cursor(shown[-1], order))


def _turned(name: str) -> str:
    return name[1:] if name.startswith("-") else f"-{name}"


def _past(rows: QuerySet[T], order: Sequence[str], values: list[Any] | None) -> QuerySet[T]:
    """The rows that come after one with these values."""
    if values is None:
        return rows
    past, same = Q(pk__in=[]), Q()
    for name, value in zip(order, values, strict=True):
        past |= same & _beyond(name, value)
        same &= Q(**{name.removeprefix("-"): value})
    begins = _beyond(order[0], values[0], "e")  # says nothing new, but an index can start there
    return rows.filter(begins, past)


def _beyond(name: str, value: Any, or_equal: str = "") -> Q:
    lookup = "lt" if name.startswith("-") else "gt"
    return Q(**{f"{name.removeprefix('-')}__{lookup}{or_equal}": value})


def _signer(order: Sequence[str]) -> Signer:
    """What we have not written ourselves, for a list in this order, never reaches the database."""
    return Signer(salt=f"portal.paging {' '.join(order)}")


def _cursor(row: Model, order: Sequence[str]) -> str:
    values = [_plain(reduce(getattr, name.removeprefix("-").split("__"), row)) for name in order]
    return _signer(order).sign_object(values, compress=True)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return value if isinstance(value, int) else str(value)


def _read(text: str, order: Sequence[str]) -> list[Any] | None:
    """The values in a cursor. None: there is none, or it is not ours."""
    try:
        return _signer(order).unsign_object(text) if text else None
    except BadSignature:
        return None
