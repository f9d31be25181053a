"""A live key beside its key role as the role is now: what of the key is wider, and what is the narrower of both."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Any
from uuid import UUID

from keys.models import KeyRequest, KeyRole, Lease, RoleVersion
from keys.models.request import RATES
from keys.services.terms import ceiling, least


@dataclass(frozen=True, slots=True)
class Held:
    """What a key has: its limits as its lease keeps them, and its times, UTC."""

    limits: dict[str, Any]
    issued_at: datetime
    expires_at: datetime
    max_expires_at: datetime

    @classmethod
    def by(cls, lease: Lease) -> Held:
        return cls(lease.limits, lease.issued_at, lease.expires_at, lease.max_expires_at)

    @property
    def opens_nothing(self) -> bool:
        """Whether no model is left: to LiteLLM an empty list means every model, so such a key cannot stay."""
        return self.limits.get("models") == [] and not self.limits.get("all_models")

    def is_over(self, now: datetime) -> bool:
        """Whether nothing of it can stay."""
        return self.opens_nothing or self.expires_at <= now

    def most(self, start: datetime, end: datetime) -> Decimal | None:
        """The most it can cost between two moments, USD. None: it has no budget of its own."""
        if end <= start or self.opens_nothing:
            return Decimal(0)
        budget = self.limits.get("max_budget")
        window = str(self.limits.get("budget_duration") or "")
        return ceiling(None if budget is None else Decimal(budget), window, start, end)


def approved_beyond(role: KeyRole, leases: Collection[Lease]) -> set[UUID]:
    """Those that a person gave more than the role gave them when they were issued, or raised for a while.

    What was approved stays as it was approved, whatever becomes of the role. A few queries for all of them.
    """
    asked = KeyRequest.objects.filter(lease__in=leases, state=KeyRequest.State.FULFILLED)
    beyond = set(asked.running_rises().values_list("lease", flat=True))
    keys = set(asked.filter(kind=KeyRequest.Kind.KEY).values_list("lease", flat=True))
    if keys:
        versions = RoleVersion.objects.filter(role=role).select_related("role__gateway")
        roles = {version.number: version.as_role() for version in versions}
        now_stored = KeyRole.objects.select_related("gateway").get(pk=role.pk)
        for lease in leases:
            then = roles.get(lease.limits.get("role_version", 0), now_stored)
            if lease.pk in keys and set(outside(Held.by(lease), then, lease.issued_at)) - {"ttl"}:
                beyond.add(lease.pk)
    return beyond


def narrowed(held: Held, role: KeyRole, now: datetime) -> Held:
    """The narrower of the key and the role, limit by limit. Never wider than the key was; times are cut as well.

    Of two budgets with different windows it takes the pair that lets the key cost less until its last possible end.
    """
    last = min(held.max_expires_at, held.issued_at + role.longest_ttl)
    end = min(held.expires_at, last, now + role.default_ttl)
    return replace(held, limits=_limits(held, role, now), expires_at=end, max_expires_at=last)


def at_renewal(held: Held, role: KeyRole, now: datetime) -> Held:
    """The same for a key that is renewed, which never becomes shorter by it."""
    cut = narrowed(held, role, now)
    last = max(cut.max_expires_at, held.expires_at)
    return replace(cut, expires_at=held.expires_at, max_expires_at=last)


def outside(held: Held, role: KeyRole, now: datetime) -> tuple[str, ...]:
    """The limits by which a key has more than its role gives: fields of its limits, `ttl`, `max_ttl`."""
    cut = narrowed(held, role, now)
    found = [name for name in ("models", "max_budget", *RATES) if cut.limits[name] != held.limits[name]]
    if cut.limits["budget_duration"] != held.limits["budget_duration"] and "max_budget" not in found:
        found.append("max_budget")  # the same sum for another window
    if cut.limits["all_models"] != held.limits["all_models"] and "models" not in found:
        found.append("models")
    if cut.max_expires_at < held.max_expires_at:
        found.append("max_ttl")
    if cut.expires_at < min(held.expires_at, cut.max_expires_at):
        found.append("ttl")
    return tuple(found)


def _limits(held: Held, role: KeyRole, now: datetime) -> dict[str, Any]:
    limits, given = held.limits, role.limits()
    budget, window = _budget(held, role, now)
    rates = {name: least(limits[name], given[name]) for name in RATES}
    return {**limits, **_models(limits, role), "max_budget": budget, "budget_duration": window, **rates}


def _models(limits: dict[str, Any], role: KeyRole) -> dict[str, Any]:
    if role.all_models:
        return {}
    if limits["all_models"]:
        return {"models": list(role.models), "all_models": False}
    stay = [name for name in limits["models"] if _fits(name, role.models)]
    more = [name for name in role.models if name not in stay and _fits(name, limits["models"])]  # under a pattern
    return {"models": [*stay, *more]}


def _fits(name: str, given: Iterable[str]) -> bool:
    """Whether a model, or a pattern, is one of those given or under one of their patterns."""
    return any(name == each or fnmatchcase(name, each) for each in given)


def _budget(held: Held, role: KeyRole, now: datetime) -> tuple[str | None, str]:
    has, window = held.limits["max_budget"], str(held.limits["budget_duration"] or "")
    if role.max_budget is None:
        return has, window
    given = (str(role.max_budget), role.budget_duration)
    if has is None:
        return given
    if window == role.budget_duration:
        return given if role.max_budget < Decimal(has) else (has, window)
    end = max(held.max_expires_at, now)
    theirs = ceiling(role.max_budget, role.budget_duration, now, end) or Decimal(0)
    mine = ceiling(Decimal(has), window, now, end) or Decimal(0)
    return given if theirs < mine else (has, window)
