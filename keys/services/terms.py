"""What a key would be: worked out before anything is made, and shown before anyone presses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Any

from django.utils import timezone

from keys.models import Approval, KeyRole, Lease
from keys.models.lease import ENDED
from keys.models.role import SHORTEST_TTL, wrong_models
from keys.services.errors import AllowanceSpent, ApprovalNeeded, OverLimit, RoleEnded, TeamEnded
from portal.errors import Invalid, PortalError
from portal.litellm import BudgetWindow, format_duration
from teams.models import Team, User

SLACK = timedelta(seconds=10)  # LiteLLM counts a lifetime from when it reads the request


SHORTEST_WINDOW = {
    BudgetWindow.HOUR: timedelta(hours=1),
    BudgetWindow.DAY: timedelta(days=1),
    BudgetWindow.WEEK: timedelta(days=7),
    BudgetWindow.THIRTY_DAYS: timedelta(days=28),  # LiteLLM resets it on the 1st, as `1mo`
    BudgetWindow.MONTH: timedelta(days=28),
}


@dataclass(frozen=True, slots=True)
class Ask:
    """What somebody asks of a key role for a team. None: whatever the role gives."""

    team: Team
    role: KeyRole
    ttl: timedelta | None = None
    models: tuple[str, ...] | None = None
    max_budget: Decimal | None = None  # USD per window of the role
    name: str = ""
    purpose: str = ""


@dataclass(frozen=True, slots=True)
class Terms:
    """What would be issued, and `problems` that stand in the way. Times are UTC, money is USD."""

    ttl: timedelta
    issued_at: datetime
    expires_at: datetime
    max_expires_at: datetime
    models: tuple[str, ...]  # empty with all_models
    all_models: bool
    max_budget: Decimal | None
    budget_duration: str  # blank: one budget for the key's whole life
    tpm_limit: int | None
    rpm_limit: int | None
    max_parallel_requests: int | None
    ceiling: Decimal | None  # the most it can cost until it expires; None: no limit of its own
    windows: int  # budget windows it touches until it expires
    problems: tuple[PortalError, ...] = ()

    def limits(self, role: KeyRole) -> dict[str, Any]:
        """The copy that the lease keeps."""
        budget = None if self.max_budget is None else str(self.max_budget)
        own = {"models": list(self.models), "all_models": self.all_models, "max_budget": budget}
        return {**role.limits(), **own, "budget_duration": self.budget_duration}


def terms(ask: Ask, *, holder: User, now: datetime | None = None) -> Terms:
    """Work out what `holder` would get. Never raises for limits: they are listed as problems."""
    role, now = ask.role, now or timezone.now()
    ttl = role.default_ttl if ask.ttl is None else ask.ttl
    budget = role.max_budget if ask.max_budget is None else ask.max_budget
    window = role.budget_duration if budget is not None else ""
    expires_at = now + ttl
    return Terms(
        ttl=ttl,
        issued_at=now,
        expires_at=expires_at,
        max_expires_at=max(expires_at, now + role.longest_ttl),
        models=tuple(role.models) if ask.models is None else ask.models,
        all_models=role.all_models and not ask.models,
        max_budget=budget,
        budget_duration=window,
        tpm_limit=role.tpm_limit,
        rpm_limit=role.rpm_limit,
        max_parallel_requests=role.max_parallel_requests,
        ceiling=ceiling(budget, window, now, expires_at),
        windows=_windows(window, now, expires_at),
        problems=tuple(_problems(ask, ttl, holder)),
    )


def ceiling(budget: Decimal | None, window: str, start: datetime, end: datetime) -> Decimal | None:
    """The most a key can cost between two moments, USD: its budget once for each window that it touches.

    None without a budget. LiteLLM charges after a call, so the last call may overshoot it.
    """
    return None if budget is None else budget * _windows(window, start, end)


def worst_ceiling(budget: Decimal | None, window: str, life: timedelta) -> Decimal | None:
    """The most a key of that life can cost whenever it is issued, USD: also just before a reset. None: no budget."""
    if budget is None or not window:
        return budget
    return budget * (1 + -(-(life + SLACK) // SHORTEST_WINDOW[BudgetWindow(window)]))


def _windows(window: str, start: datetime, end: datetime) -> int:
    return 1 + BudgetWindow(window).resets_between(start, end + SLACK) if window else 1


def _problems(ask: Ask, ttl: timedelta, holder: User) -> list[PortalError]:
    role = ask.role
    found: list[PortalError] = []
    if ask.team.ended_at:
        return [TeamEnded(f"{ask.team} was ended and gives no keys any more.")]
    if not KeyRole.objects.open_to(ask.team).filter(pk=role.pk).exists():
        return [RoleEnded(f"The key role {role} is not open to {ask.team}.")]
    if role.approval != Approval.AUTO:
        found.append(ApprovalNeeded())
    if ttl < SHORTEST_TTL:
        found.append(_limit("ttl", "The shortest TTL is 30 seconds.", Invalid))
    elif ttl > role.default_ttl:
        found.append(_limit("ttl", f"{role} gives {format_duration(role.default_ttl)} at a time."))
    if ask.models is not None and not ask.models:
        found.append(_limit("models", "Choose at least one model.", Invalid))
    elif wrong := wrong_models(ask.models or ()):
        found.append(_limit("models", wrong, Invalid))
    elif role.all_models and (unknown := _not_listed(ask.models or (), role.gateway.models_seen)):
        found.append(_limit("models", f"{role.gateway} does not list {', '.join(unknown)}."))
    elif not role.all_models and (outside := sorted(set(ask.models or ()) - set(role.models))):
        found.append(_limit("models", f"{role} does not give {', '.join(outside)}."))
    if ask.max_budget is not None and ask.max_budget <= 0:
        found.append(_limit("max_budget", "A budget is above 0: LiteLLM blocks a key with 0.", Invalid))
    elif ask.max_budget is not None and role.max_budget is not None and ask.max_budget > role.max_budget:
        found.append(_limit("max_budget", f"{role} gives at most ${role.max_budget:,.2f}."))
    if role.max_live_keys is not None:
        held = Lease.objects.filter(role=role, holder=holder).exclude(state__in=ENDED).count()
        if held >= role.max_live_keys:
            who = "You hold" if holder.kind == User.Kind.PERSON else f"{holder} holds"
            found.append(AllowanceSpent(f"{who} {held} of the {role.max_live_keys} keys that {role} allows."))
    return found


def _not_listed(names: Iterable[str], seen: list[str]) -> list[str]:
    """Names that the gateway did not list when it was last asked; it may list patterns, like openai/*."""
    return sorted(name for name in names if seen and not any(fnmatchcase(name, each) for each in seen))


def _limit(field: str, message: str, kind: type[PortalError] = OverLimit) -> PortalError:
    return kind(message, details={field: message})
