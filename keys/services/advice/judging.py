"""What a key, or a key role, has and does not need: facts in, advice out. USD, UTC days, no query.

Every proposal makes something smaller than it is. Where only a person can know, nothing is proposed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Any

from keys.models import Advice, KeyRole, Lease
from keys.services.terms import SHORTEST_WINDOW, ceiling
from portal.litellm import BudgetWindow

Kind = Advice.Kind
NOTHING = Decimal(0)
DAY = timedelta(days=1)
IDLE = (90, 60, 30)  # days without a call, the longest first
PERIOD = timedelta(days=30)  # what is looked at, and how old a key must be before its use says anything
HARDLY = Decimal("0.05")
LONG = timedelta(days=365)  # as good as no expiry: nobody who knows the key will be asked before
LASTS = 90  # days; what is proposed instead
KNOWN_WITHIN = timedelta(days=2)  # an older ledger does not say that a key was not used
ROOM = 3  # a proposed budget is this many times what was used
LEAST_BUDGET = Decimal(1)
MONTH = BudgetWindow.MONTH.value
BY_USE = frozenset({Kind.UNUSED, Kind.MODELS, Kind.BUDGET})  # what nobody can say without a ledger


@dataclass(frozen=True, slots=True)
class Use:
    """What was done in the last 30 days. Money is USD."""

    spend: Decimal = NOTHING
    models: frozenset[str] = frozenset()  # called, by the names in the ledger
    days: Mapping[date, Decimal] = field(default_factory=dict)  # spend of each day that has any

    def most_in(self, length: timedelta) -> Decimal:
        """The most that was spent in so long a time, by whole days."""
        together = [DAY * n for n in range(max(length // DAY, 1))]
        ending = (sum((self.days.get(day - before, NOTHING) for before in together), NOTHING) for day in self.days)
        return max(ending, default=NOTHING)


@dataclass(frozen=True, slots=True)
class Found:
    """One advice as it stands now; see the fields of Advice."""

    kind: Advice.Kind
    facts: dict[str, Any] = field(default_factory=dict)
    proposed: dict[str, Any] = field(default_factory=dict)
    saves: Decimal | None = None


def is_known(lease: Lease, now: datetime) -> bool:
    """Whether the ledger of the key's gateway was read lately enough to say what was not used."""
    read = lease.gateway.spend_synced_at
    return read is not None and read >= now - KNOWN_WITHIN


def of_lease(lease: Lease, use: Use, now: datetime) -> Iterator[Found]:
    """What could be tighter about a live key. What hangs on its use only where that is known."""
    known = is_known(lease, now)
    aged = lease.issued_at <= now - PERIOD
    idle = _idle_days(lease, use, now) if known else None
    if idle:
        yield Found(Kind.UNUSED, _since(lease, idle), {"end": True}, _most(lease, now))
    elif known and aged:
        yield from _models(lease, use)
        yield from _budget(lease, use, now)
    if lease.expires_at - now > LONG:
        saves = _less(_most(lease, now), _most(lease, now, until=now + timedelta(days=LASTS)))
        yield Found(Kind.LONG, {"expires_at": lease.expires_at.isoformat()}, {"lasts": LASTS}, saves)
    tells = known and aged and not idle
    if lease.limits.get("all_models"):
        named = called_names(lease.gateway.models_seen, use.models) if tells else []
        facts = {"called": sorted(use.models)}
        yield Found(Kind.ALL_MODELS, facts, {"models": named, "all_models": False} if named else {})
    if lease.max_budget is None:
        used = max(use.spend, lease.current.counter or NOTHING)
        yield Found(Kind.NO_BUDGET, {"used": _text(use.spend)}, _first_budget(used) if tells else {})
    if _all_routes(lease.limits.get("key_type")):
        yield Found(Kind.ALL_ROUTES, {"key_type": lease.limits["key_type"]})


def of_role(role: KeyRole, uses: Iterable[Use]) -> Iterator[Found]:
    """What could be tighter about a key role; `uses`: of each of its live keys. Issued keys keep what they have."""
    uses = list(uses)
    if role.default_ttl > LONG:
        yield Found(Kind.LONG, {"ttl": role.default_ttl.days}, {"lasts": LASTS})
    if role.all_models:
        called = frozenset().union(*(use.models for use in uses)) if uses else frozenset[str]()
        named = called_names(role.gateway.models_seen, called)
        facts = {"called": sorted(called), "keys": len(uses)}
        yield Found(Kind.ALL_MODELS, facts, {"models": named, "all_models": False} if named else {})
    if role.max_budget is None:
        highest = max((use.spend for use in uses), default=NOTHING)
        facts = {"used": _text(highest), "keys": len(uses)}
        yield Found(Kind.NO_BUDGET, facts, _first_budget(highest) if highest else {})
    if _all_routes(role.key_type):
        yield Found(Kind.ALL_ROUTES, {"key_type": role.key_type}, {"key_type": "llm_api"})


def called_names(given: Iterable[str], called: Iterable[str]) -> list[str]:
    """Which of the given names were called; none, when a call cannot be told to be of one of them.

    A ledger may name a model as its provider does, `openai/gpt-4o` for `gpt-4o`: seen on LiteLLM 1.106.2.
    """
    given, found = list(given), set[str]()
    for name in called:
        fits = [each for each in given if fnmatchcase(name, each) or _tail(name) == _tail(each)]
        if not fits:
            return []
        found.update(fits)
    return sorted(found)


def nice(amount: Decimal) -> Decimal:
    """The next 1, 2 or 5 with noughts, at least $1: nobody sets $13.37."""
    if amount <= LEAST_BUDGET:
        return LEAST_BUDGET
    unit = Decimal(1).scaleb(amount.adjusted())
    return next(unit * step for step in (1, 2, 5, 10) if unit * step >= amount)


def _idle_days(lease: Lease, use: Use, now: datetime) -> int | None:
    """For how many days it was not used, as 30, 60 or 90. None: it was, or it is too young."""
    if use.models:
        return None
    idle = now - (lease.last_used_at or lease.issued_at)
    return next((days for days in IDLE if idle >= timedelta(days=days)), None)


def _since(lease: Lease, days: int) -> dict[str, Any]:
    used = lease.last_used_at
    return {"days": days, "last_used_at": used.isoformat() if used else None}


def _models(lease: Lease, use: Use) -> Iterator[Found]:
    given = list(lease.limits.get("models") or ())
    kept = called_names(given, use.models)
    if kept and (never := [name for name in given if name not in kept]):
        yield Found(Kind.MODELS, {"never": never}, {"models": kept})


def _budget(lease: Lease, use: Use, now: datetime) -> Iterator[Found]:
    budget, window = lease.max_budget, str(lease.limits.get("budget_duration") or "")
    if budget is None:
        return
    parts = Decimal(1) if not window else max(Decimal(1), Decimal(PERIOD // SHORTEST_WINDOW[BudgetWindow(window)]))
    counter = lease.current.counter or NOTHING
    spent = use.spend if window else max(lease.spend, counter)
    if spent >= budget * parts * HARDLY:
        return
    if window:  # who works in bursts needs room for the greatest
        greatest = use.most_in(SHORTEST_WINDOW[BudgetWindow(window)])
    else:  # one budget for its life, of which some is to come
        greatest = spent * Decimal((lease.expires_at - lease.issued_at) / max(now - lease.issued_at, DAY))
    proposed = nice(max(ROOM * spent / parts, 2 * counter, 2 * greatest))
    if proposed * 2 <= budget:
        facts = {"used": _text(spent), "allowed": _text(budget * parts), "days": None if not window else PERIOD.days}
        saves = _less(_most(lease, now), ceiling(proposed, window, now, lease.expires_at))
        yield Found(Kind.BUDGET, facts, {"max_budget": _text(proposed)}, saves)


def _first_budget(used: Decimal) -> dict[str, Any]:
    """A budget for what has none. Its counter is that of its whole life until the first reset: so room above that."""
    return {"max_budget": _text(nice(max(ROOM * used, 5 * LEAST_BUDGET))), "budget_duration": MONTH}


def _most(lease: Lease, now: datetime, *, until: datetime | None = None) -> Decimal | None:
    window = str(lease.limits.get("budget_duration") or "")
    return ceiling(lease.max_budget, window, now, until or lease.expires_at)


def _less(before: Decimal | None, after: Decimal | None) -> Decimal | None:
    return None if before is None or after is None else before - after


def _all_routes(key_type: str | None) -> bool:
    return (key_type or "llm_api") != "llm_api"


def _tail(name: str) -> str:
    return name.rpartition("/")[2]


def _text(amount: Decimal) -> str:
    return f"{amount.normalize():f}"


def narrows(proposed: Mapping[str, Any], lease: Lease) -> bool:
    """Whether a proposal makes the key smaller in all that it touches, as the key is now."""
    models, budget = proposed.get("models"), proposed.get("max_budget")
    smaller_list = models is None or lease.limits.get("all_models") or set(models) < set(lease.limits["models"])
    smaller_sum = budget is None or lease.max_budget is None or Decimal(budget) < lease.max_budget
    return bool((models is None or models) and smaller_list and smaller_sum)
