"""A change of a key role, before it is saved: which live keys have more than it gives from then on, and their money."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from functools import partial
from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext_noop

from keys.models import How, KeyRequest, KeyRole, Lease
from keys.models.role_version import terms_of
from keys.services import bounds
from keys.services.bounds import Held
from keys.services.requests.rising import base_of
from portal.errors import Conflict


class SimulationChanged(Conflict):
    code = "simulation_changed"
    message = gettext_noop("What this change does to live keys is another now than when you looked.")
    action = gettext_noop("Nothing was saved. Look at it again, then choose.")


@dataclass(frozen=True, slots=True)
class Outside:
    """A live key that has more than the role will give: in which limits, and what it would have instead."""

    lease: Lease
    limits: tuple[str, ...]
    has: Held
    gets: Held
    ends: bool  # nothing of it can stay


@dataclass(frozen=True, slots=True)
class Most:
    """The most that keys can cost, USD, beside those without a budget of their own."""

    amount: Decimal
    unlimited: int


@dataclass(frozen=True, slots=True)
class Choice:
    """What becomes of the keys outside the new bounds, and the most that all live keys of the role can cost then."""

    how: How
    until_end: Most  # until each ends, as long as nobody renews it
    renewed: Most  # if each is renewed as far as it goes


@dataclass(frozen=True, slots=True)
class Simulation:
    """What a change of a role would do to its live keys. `choices` in the order of `How`; the first is as it is now."""

    role: KeyRole
    live: int
    outside: tuple[Outside, ...]  # the first to end first
    raised: int  # live keys that have more without their running rise, too: they follow when it is over
    approved: int  # live keys that a person gave more than the role: they stay as they are
    choices: tuple[Choice, ...]
    mark: str  # another one as soon as other keys are outside, or the change is another

    @property
    def ending(self) -> int:
        """How many keys end at once if it is applied now."""
        return sum(1 for each in self.outside if each.ends)

    @property
    def asks(self) -> bool:
        """Whether there are keys of which somebody has to choose what becomes of them."""
        return bool(self.outside or self.raised)

    @property
    def people(self) -> tuple[str, ...]:
        """Who holds keys outside the new bounds."""
        return tuple(sorted({str(each.lease.holder) for each in self.outside}))


def simulate(role: KeyRole, *, teams: Iterable[str], now: datetime | None = None) -> Simulation:
    """Count what `role`, changed and not yet saved, does to its live keys. Changes nothing. `teams`: slugs."""
    now = now or timezone.now()
    leases = list(Lease.objects.live().filter(role=role.pk).select_related("holder", "team").order_by("expires_at"))
    approved = bounds.approved_beyond(role, leases)
    held = [(lease, Held.by(lease)) for lease in leases]
    cut = {lease.pk: bounds.narrowed(has, role, now) for lease, has in held if lease.pk not in approved}
    found = [
        Outside(lease, limits, has, cut[lease.pk], cut[lease.pk].is_over(now))
        for lease, has in held
        if lease.pk in cut and (limits := bounds.outside(has, role, now))
    ]
    raised = _raised(role, leases, now)
    pairs = [(has, cut.get(lease.pk, has)) for lease, has in held]
    return Simulation(
        role=role,
        live=len(leases),
        outside=tuple(found),
        raised=sum(raised.values()),
        approved=len(approved - set(raised)),
        choices=tuple(_choice(how, pairs, now) for how in How),
        mark=_mark(role, found, [pk for pk, is_outside in raised.items() if is_outside], teams),
    )


def _raised(role: KeyRole, leases: list[Lease], now: datetime) -> dict[UUID, bool]:
    """The leases that are raised now, each with whether it will have more than the role without its rise."""
    rises = {rise.lease_id: rise for rise in KeyRequest.objects.running_rises().filter(lease__in=leases)}
    found = {}
    for lease in leases:
        if rise := rises.get(lease.pk):
            base = replace(Held.by(lease), limits=base_of(rise, lease.limits))
            found[lease.pk] = bool(bounds.outside(base, role, now))
    return found


def _choice(how: How, pairs: list[tuple[Held, Held]], now: datetime) -> Choice:
    return Choice(
        how,
        until_end=_most(pairs, partial(UNTIL_END[how], now=now)),
        renewed=_most(pairs, partial(RENEWED[how], now=now)),
    )


Cost = Callable[..., Decimal | None]
UNTIL_END: dict[How, Cost] = {
    How.LEAVE: lambda has, gets, now: has.most(now, has.expires_at),
    How.RENEWAL: lambda has, gets, now: has.most(now, has.expires_at),
    How.NOW: lambda has, gets, now: gets.most(now, gets.expires_at),
}


def _shrinks_then(has: Held, gets: Held, now: datetime) -> Decimal | None:
    """As it is until it ends, then renewed with what the role gives; one that opens nothing is not renewed."""
    first, then = has.most(now, has.expires_at), gets.most(has.expires_at, gets.max_expires_at)
    whole = has.most(now, has.max_expires_at)
    sums = None if first is None or then is None else first + then
    return min((each for each in (sums, whole) if each is not None), default=None)


RENEWED: dict[How, Cost] = {
    How.LEAVE: lambda has, gets, now: has.most(now, has.max_expires_at),
    How.RENEWAL: _shrinks_then,
    How.NOW: lambda has, gets, now: gets.most(now, gets.max_expires_at),
}


def _most(pairs: list[tuple[Held, Held]], cost: Cost) -> Most:
    costs = [cost(has, gets) for has, gets in pairs]
    return Most(sum((each for each in costs if each is not None), Decimal(0)), costs.count(None))


def _mark(role: KeyRole, found: list[Outside], raised: Iterable[UUID], teams: Iterable[str]) -> str:
    cut = sorted(f"{each.lease.pk} {each.limits}" for each in found)
    said = [role.version, terms_of(role, list(teams)), cut, sorted(map(str, raised))]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:32]
