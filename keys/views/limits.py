"""The limits of a key as a table: each along the chain from the key to its gateway, with the one that binds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from keys.models import Lease
from keys.services.budgets import Chain, Link
from portal.drawing import SPENT, TIGHT
from portal.templatetags.ui import day, grouped, money, per_window

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise as StrOrPromise

PLACES = ("key", "holder", "team", "role", "gateway")
NONE = _("none")
NAMES = {
    "key": _("Key"),
    "holder": _("Holder"),
    "team": _("Team"),
    "role": _("Role"),
    "gateway": _("Gateway"),
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One limit at one place of the chain."""

    place: str
    words: StrOrPromise = NONE
    notes: tuple[str, ...] = ()
    binds: bool = False
    tight: bool = False  # nearly spent, or spent

    @property
    def label(self) -> StrOrPromise:
        return NAMES[self.place]


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    cells: tuple[Cell, ...]


def limit_rows(lease: Lease, chain: Chain) -> list[Row]:
    """All limits of the key; a model or a moment is a limit too."""
    return [Row(gettext("Budget"), tuple(_budgets(chain))), *_rates(lease), _models(lease), _end(lease)]


def is_tight(link: Link | None) -> bool:
    """Whether a budget is nearly spent, or spent."""
    return bool(link and link.limit and link.spent * 100 >= link.limit * TIGHT)


def is_nearly_spent(link: Link | None) -> bool:
    return bool(link and link.limit and link.spent * 100 >= link.limit * SPENT)


def _budgets(chain: Chain) -> Iterator[Cell]:
    binding = chain.binding
    links = {link.kind: link for link in chain.links}
    for place in PLACES:
        link = links[place]
        if link.limit is None:
            yield Cell(place)
            continue
        notes = [
            gettext("%(left)s left") % {"left": money(link.left)}
            if link.enforced
            else gettext("what its keys may have at most")
        ]
        if link.enforced and link.resets_at:
            notes.append(gettext("starts anew %(moment)s") % {"moment": _until(link.resets_at)})
        if link.set_by:
            notes.append(link.set_by)
        words = f"{money(link.limit)} {per_window(link.window)}"
        yield Cell(place, words, tuple(notes), binds=link is binding, tight=link is binding and is_tight(link))


def _until(moment: datetime) -> str:
    return f"{day(moment)}, {moment:%H:%M}"


def _rates(lease: Lease) -> Iterator[Row]:
    names = {
        "rpm_limit": gettext("Requests a minute"),
        "tpm_limit": gettext("Tokens a minute"),
        "max_parallel_requests": gettext("At a time"),
    }
    for name, label in names.items():
        own, role = lease.limits.get(name), getattr(lease.role, name)
        if own or role:
            yield _row(label, key=_number(own), role=_number(role), binds="key" if own else "")


def _models(lease: Lease) -> Row:
    own = gettext("all") if lease.limits.get("all_models") else str(len(lease.limits.get("models") or ()))
    role = gettext("all") if lease.role.all_models else str(len(lease.role.models))
    seen = str(len(lease.gateway.models_seen) or gettext("any"))
    return _row(
        gettext("Models"), holder=gettext("any"), team=gettext("any"), key=own, role=role, gateway=seen, binds="key"
    )


def _end(lease: Lease) -> Row:
    row = _row(gettext("Ends"), key=day(lease.expires_at), role=day(lease.max_expires_at), binds="key")
    cells = [
        replace(each, notes=(gettext("at most, by renewing"),)) if each.place == "role" else each for each in row.cells
    ]
    return Row(row.name, tuple(cells))


def _row(name: str, *, binds: str, **places: str) -> Row:
    return Row(name, tuple(Cell(place, places.get(place, str(NONE)), binds=place == binds) for place in PLACES))


def _number(value: Any) -> str:
    return grouped(f"{value:,}") if value else str(NONE)
