"""What a key would be: worked out before anything is made, and shown before anyone presses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext

from keys.models import Approval, Bounds, Decider, KeyRequest, KeyRole, Lease
from keys.models.lease import ENDED
from keys.models.request import RATES
from keys.models.role import SHORTEST_TTL, wrong_models
from keys.services import words
from keys.services.errors import AllowanceSpent, ApprovalNeeded, OverLimit, RoleEnded, TeamEnded
from portal.errors import Invalid, PortalError
from portal.litellm import BudgetWindow, format_duration
from portal.templatetags.ui import dollars
from teams.models import Team, User

FIELDS = ("ttl", "models", "max_budget")
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
    tpm_limit: int | None = None  # these three: only less than the role gives
    rpm_limit: int | None = None
    max_parallel_requests: int | None = None
    name: str = ""
    purpose: str = ""
    granted: KeyRequest | None = None  # an approved request: its terms are given, and nothing else of the above


@dataclass(frozen=True, slots=True)
class Terms:
    """What would be issued, and `problems` that stand in the way. Times are UTC, money is USD.

    `excess`: what a person must decide first, and `decider` who; blank: it is issued at once.
    """

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
    excess: tuple[PortalError, ...] = ()
    decider: str = ""

    def limits(self, role: KeyRole) -> dict[str, Any]:
        """The copy that the lease keeps."""
        budget = None if self.max_budget is None else str(self.max_budget)
        own = {"models": list(self.models), "all_models": self.all_models, "max_budget": budget}
        rates = {name: getattr(self, name) for name in RATES}
        return {**role.limits(), **own, "budget_duration": self.budget_duration, **rates}


@dataclass(frozen=True, slots=True)
class Judgement:
    """`problems`: it cannot be. `excess` and `decider`: as in Terms."""

    problems: tuple[PortalError, ...] = ()
    excess: tuple[PortalError, ...] = ()
    decider: str = ""


def terms(ask: Ask, *, holder: User, now: datetime | None = None) -> Terms:
    """Work out what `holder` would get. Never raises for limits: they are listed as problems."""
    role, now = ask.role, now or timezone.now()
    bounds = bounds_of(ask)
    expires_at = now + bounds.ttl
    judged = judge(role, bounds, granted=ask.granted is not None)
    return Terms(
        ttl=bounds.ttl,
        issued_at=now,
        expires_at=expires_at,
        max_expires_at=_furthest(role, bounds.ttl, now, judged, granted=ask.granted is not None),
        models=bounds.models or (),
        all_models=bounds.models is None,
        max_budget=bounds.max_budget,
        budget_duration=bounds.budget_duration,
        tpm_limit=least(bounds.tpm_limit, role.tpm_limit),
        rpm_limit=least(bounds.rpm_limit, role.rpm_limit),
        max_parallel_requests=least(bounds.max_parallel_requests, role.max_parallel_requests),
        ceiling=ceiling(bounds.max_budget, bounds.budget_duration, now, expires_at),
        windows=windows(bounds.budget_duration, now, expires_at),
        problems=tuple(_in_the_way(ask, judged, holder)),
        excess=judged.excess,
        decider=judged.decider,
    )


def bounds_of(ask: Ask) -> Bounds:
    """What is asked, with what the role gives where nothing is said; or what was granted."""
    if ask.granted:
        return ask.granted.bounds
    role = ask.role
    given = None if role.all_models else tuple(role.models)
    models = given if ask.models is None else ask.models
    budget = role.max_budget if ask.max_budget is None else ask.max_budget
    ttl = role.default_ttl if ask.ttl is None else ask.ttl
    rates = {name: getattr(ask, name) for name in RATES}
    return Bounds(ttl, models, budget, role.budget_duration if budget is not None else "", **rates)


def least(asked: int | None, given: int | None) -> int | None:
    """The narrower of two limits; None: neither is one."""
    limits = [limit for limit in (asked, given) if limit is not None]
    return min(limits, default=None)


def _furthest(role: KeyRole, ttl: timedelta, now: datetime, judged: Judgement, *, granted: bool) -> datetime:
    """How far renewals reach. Who got less from a person than the role gives at a time got no more; and where a role
    has somebody decide about longer ones, no renewal of a short one goes past that limit.
    """
    if granted:
        return now + longest_granted(role, ttl)
    if not judged.decider and role.approval != Approval.AUTO and role.auto_ttl is not None:
        return now + max(ttl, min(role.auto_ttl, role.longest_ttl))
    return now + max(ttl, role.longest_ttl)


def longest_granted(role: KeyRole, ttl: timedelta) -> timedelta:
    """How long a key lives whose time somebody granted, renewed as far as it goes."""
    return ttl if ttl < role.default_ttl else max(ttl, role.longest_ttl)


def judge(role: KeyRole, bounds: Bounds, *, granted: bool = False) -> Judgement:
    """Whether these terms are given at once, by whom otherwise, or not at all. `granted`: somebody has decided."""
    impossible, over = _impossible(role, bounds), {} if granted else _over(role, bounds)
    if over and not role.excess:  # the role's own limit is the nearer one
        refused = impossible | {name: each for name, each in over.items() if name not in impossible or
                                isinstance(impossible[name], OverLimit)}  # fmt: skip
        return Judgement(tuple(refused[name] for name in FIELDS if name in refused))
    problems = tuple(impossible.values())
    if granted or (not over and (role.approval == Approval.AUTO or _within_auto(role, bounds))):
        return Judgement(problems)
    asks = [each for each in (role.approval, role.excess if over else "") if each in Decider.values]
    excess = tuple(each for name, each in over.items() if name not in impossible) or (ApprovalNeeded(),)
    return Judgement(problems, excess, max(asks, key=Decider.values.index))


def _within_auto(role: KeyRole, bounds: Bounds) -> bool:
    if role.auto_ttl is None or role.auto_budget is None or bounds.max_budget is None:
        return False
    return bounds.ttl <= role.auto_ttl and bounds.max_budget <= role.auto_budget


def _over(role: KeyRole, bounds: Bounds) -> dict[str, PortalError]:
    """In what these terms are more than the role gives."""
    found: dict[str, str] = {}
    if bounds.ttl > role.default_ttl:
        found["ttl"] = gettext("%(role)s gives %(default_ttl)s at a time.") % {
            "role": role,
            "default_ttl": format_duration(role.default_ttl),
        }
    if not role.all_models and (outside := sorted(set(bounds.models or ()) - set(role.models))):
        found["models"] = gettext("%(role)s does not give %(outside)s.") % {"role": role, "outside": ", ".join(outside)}
    most, asked = role.max_budget, bounds.max_budget
    if most is not None and (asked is None or asked > most):
        given = {"role": role, "most": dollars(f"{most:,.2f}")}
        found["max_budget"] = gettext("%(role)s gives at most %(most)s.") % given
    return {field: _limit(field, said) for field, said in found.items()}


def ceiling(budget: Decimal | None, window: str, start: datetime, end: datetime) -> Decimal | None:
    """The most a key can cost between two moments, USD: its budget once for each window that it touches.

    None without a budget. LiteLLM charges after a call, so the last call may overshoot it.
    """
    return None if budget is None else budget * windows(window, start, end)


def worst_ceiling(budget: Decimal | None, window: str, life: timedelta) -> Decimal | None:
    """The most a key of that life can cost whenever it is issued, USD: also just before a reset. None: no budget."""
    if budget is None or not window:
        return budget
    return budget * (1 + -(-(life + SLACK) // SHORTEST_WINDOW[BudgetWindow(window)]))


def windows(window: str, start: datetime, end: datetime) -> int:
    """How many budget windows a key touches between two moments; one where the budget is for its whole life."""
    return 1 + BudgetWindow(window).resets_between(start, end + SLACK) if window else 1


def _in_the_way(ask: Ask, judged: Judgement, holder: User) -> list[PortalError]:
    role, found = ask.role, list(judged.problems)
    if not ask.granted:  # those were read when they were asked
        found += [*words.problems(name=ask.name, purpose=ask.purpose), *_wrong_rates(ask)]
    if ask.team.ended_at:
        return [TeamEnded(gettext("%(team)s was ended and gives no keys any more.") % {"team": ask.team})]
    if not KeyRole.objects.open_to(ask.team).filter(pk=role.pk).exists():
        return [RoleEnded(gettext("The key role %(role)s is not open to %(team)s.") % {"role": role, "team": ask.team})]
    if role.max_live_keys is not None:
        held = Lease.objects.filter(role=role, holder=holder).exclude(state__in=ENDED).count()
        if held >= role.max_live_keys:
            said = {"who": holder, "held": held, "most": role.max_live_keys, "role": role}
            words_ = gettext("%(who)s holds %(held)s of the %(most)s keys that %(role)s allows.")
            if holder.kind == User.Kind.PERSON:
                words_ = gettext("You hold %(held)s of the %(most)s keys that %(role)s allows.")
            found.append(AllowanceSpent(words_ % said))
    return found


def _wrong_rates(ask: Ask) -> list[PortalError]:
    """Rates that are none, or more than the role gives, which nobody decides about."""
    found = []
    for name in RATES:
        asked, given = getattr(ask, name), getattr(ask.role, name)
        if asked is not None and asked < 1:
            found.append(_limit(name, gettext("A limit is above 0: LiteLLM blocks a key with 0."), Invalid))
        elif asked is not None and given is not None and asked > given:
            said = {"role": ask.role, "name": name, "given": f"{given:,}"}
            found.append(_limit(name, gettext("%(role)s gives %(given)s as %(name)s.") % said))
    return found


def _impossible(role: KeyRole, bounds: Bounds) -> dict[str, PortalError]:
    """What no decision can give: beyond the gateway, or nothing that it understands."""
    found: dict[str, PortalError] = {}
    gateway, named = role.gateway, bounds.models
    if bounds.ttl < SHORTEST_TTL:
        found["ttl"] = _limit("ttl", gettext("The shortest TTL is 30 seconds."), Invalid)
    elif bounds.ttl > max(gateway.max_ttl, role.default_ttl):
        found["ttl"] = _limit(
            "ttl",
            gettext("%(gateway)s lets no key live longer than %(max_ttl)s.")
            % {"gateway": gateway, "max_ttl": format_duration(gateway.max_ttl)},
        )
    if named is not None and not named:
        found["models"] = _limit("models", gettext("Choose at least one model."), Invalid)
    elif wrong := wrong_models(named or ()):
        found["models"] = _limit("models", wrong, Invalid)
    elif unknown := _not_listed(set(named or ()) - set(role.models), gateway.models_seen):
        found["models"] = _limit(
            "models",
            gettext("%(gateway)s does not list %(unknown)s.") % {"gateway": gateway, "unknown": ", ".join(unknown)},
        )
    if bounds.max_budget is not None and bounds.max_budget <= 0:
        found["max_budget"] = _limit(
            "max_budget", gettext("A budget is above 0: LiteLLM blocks a key with 0."), Invalid
        )
    return found


def _not_listed(names: Iterable[str], seen: list[str]) -> list[str]:
    """Names that the gateway did not list when it was last asked; it may list patterns, like openai/*."""
    return sorted(name for name in names if seen and not any(fnmatchcase(name, each) for each in seen))


def _limit(field: str, message: str, kind: type[PortalError] = OverLimit) -> PortalError:
    return kind(message, details={field: message})
