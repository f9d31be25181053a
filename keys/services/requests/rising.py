"""Rises: a live key may do more for a while. Our row changes, a promise carries it to the gateway, and back again."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext

from keys.models import Bounds, Decider, Intent, KeyRequest, KeyRole, Lease, RequestEntry, State
from keys.models.lease import SETTLED
from keys.services import narrowing
from keys.services.errors import HolderLeft, NotNow, RoleEnded, TeamEnded
from keys.services.requests.errors import RiseRunning
from keys.services.requests.thread import add
from keys.services.terms import judge
from portal import audit, dates
from portal.errors import Invalid
from portal.templatetags.ui import amid, dollars
from teams.access import SYSTEM, Actor, may_hold

Act = RequestEntry.Act
Request = KeyRequest.State
SHORTEST, LONGEST = timedelta(hours=1), timedelta(days=90)
RISING = SETTLED - {State.ROTATING}  # a successor on its way would get the limits of before


def locked(lease: Lease) -> Lease:
    """The row as it is now, for whoever changes its limits. In a transaction."""
    Lease.objects.select_for_update().get(pk=lease.pk)
    return Lease.objects.select_related("team", "holder", "role__gateway", "gateway").get(pk=lease.pk)


def work_out(
    lease: Lease, models: Iterable[str], max_budget: Decimal | None, lasts: timedelta, now: datetime
) -> tuple[Bounds, str]:
    """What is asked, and who decides (blank: the role gives it at once). `lease`: locked.

    Raises NotNow, RiseRunning, HolderLeft, TeamEnded, RoleEnded, Invalid, OverLimit.
    """
    _can_rise(lease, now)
    there = KeyRequest.objects.filter(lease=lease, kind=KeyRequest.Kind.RISE)
    if there.filter(state=Request.PENDING).exists():
        raise RiseRunning(
            gettext("A rise of this key waits for its decision already."), action=gettext("Cancel that one, then ask.")
        )
    has = lease.limits
    more = tuple(name for name in dict.fromkeys(models) if name not in has["models"])
    if more and has["all_models"]:
        raise _wrong("models", gettext("This key opens every model already."))
    if max_budget is not None and lease.max_budget is None:
        raise _wrong("max_budget", gettext("This key has no budget of its own: there is nothing to raise."))
    if max_budget is not None and lease.max_budget is not None and max_budget <= lease.max_budget:
        has_now = {"budget": dollars(f"{lease.max_budget:,.2f}")}
        raise _wrong("max_budget", gettext("A rise is above the %(budget)s that the key has.") % has_now)
    window = str(has["budget_duration"] or "") if max_budget is not None else ""
    bounds = Bounds(lasts, more or None, max_budget, window)
    check(bounds)
    return bounds, _decider(lease, more, max_budget)


def _decider(lease: Lease, more: Iterable[str], max_budget: Decimal | None) -> str:
    """Who decides that the key has these models as well, and this budget. Raises OverLimit, Invalid.

    The role judges it like a key. One that somebody decided about is raised by a decision too: at once it would get
    back what the approver took away.
    """
    has = lease.limits
    whole = Bounds(
        lease.role.default_ttl,
        None if has["all_models"] else (*has["models"], *more),
        lease.max_budget if max_budget is None else max_budget,
        str(has["budget_duration"] or ""),
    )
    judged = judge(lease.role, whole)
    if judged.problems:
        raise judged.problems[0]
    came_by = KeyRequest.objects.filter(lease=lease, kind=KeyRequest.Kind.KEY, state=Request.FULFILLED).first()
    asks = [each for each in (judged.decider, came_by.first_decider if came_by else "") if each]
    return max(asks, key=Decider.values.index, default="")


def check(bounds: Bounds) -> None:
    """Whether there is anything in it, for as long as a rise may last. Raises Invalid."""
    if not SHORTEST <= bounds.ttl <= LONGEST:
        raise _wrong("lasts", gettext("A rise lasts from an hour to 90 days."))
    if not bounds.models and bounds.max_budget is None:
        said = gettext("Name what the key should have more: models, a budget, or both.")
        raise Invalid(said, details={"max_budget": said})


def apply(request: KeyRequest, bounds: Bounds, now: datetime, *, by: Actor) -> list[Intent]:
    """Put it in force on the request's lease, in the transaction of the decision; the caller saves the request.

    Answers the promises to settle after it. Raises NotNow, Invalid, OverLimit, RiseRunning, HolderLeft, TeamEnded,
    RoleEnded.
    """
    assert request.lease is not None  # noqa: S101  (of a rise)
    lease = locked(request.lease)
    _can_rise(lease, now)
    if lease.holder_id != request.holder_id:
        raise NotNow(
            gettext("This key was handed over to %(holder)s since.") % {"holder": lease.holder},
            action=gettext("Deny it."),
        )
    has = lease.limits
    if bounds.max_budget is not None and bounds.budget_duration != (has["budget_duration"] or ""):
        raise NotNow(
            gettext("The budget of this key is for another window since this was asked."), action=gettext("Deny it.")
        )
    more = [] if has["all_models"] else [name for name in bounds.models or () if name not in has["models"]]
    _decider(lease, more, bounds.max_budget)  # the role may let nobody have so much any more
    before = lease.max_budget
    budget = bounds.max_budget if before is not None and bounds.max_budget and bounds.max_budget > before else None
    if not more and budget is None:
        said = gettext("Of this rise nothing would be left that the key does not have.")
        raise Invalid(said, details={"max_budget": said})
    changed = {"models": more, "before": _text(before), "after": _text(budget), "window": has["budget_duration"]}
    lease.limits = {**has, "models": [*has["models"], *more]}
    if budget is not None:
        lease.limits["max_budget"] = _text(budget)
    lease.save(update_fields=["limits"])
    request.applied, request.lasts, request.reverts_at = changed, bounds.ttl, now + bounds.ttl
    request.state, request.fulfilled_at = Request.FULFILLED, now
    add(request, Act.APPLIED, by=by, at=now, terms=bounds.stored())
    audit.record(
        "key.raised", lease, by=by, secret=lease.current.token_hash, models=more, budget_before=before,
        budget_after=budget, until=request.reverts_at,
    )  # fmt: skip
    return _follow(lease, now)


def revert(request: KeyRequest, now: datetime, *, by: Actor = SYSTEM) -> list[Intent] | None:
    """Take back what the rise itself added, and no more. Under the lock on the request; None: not at this moment.

    A budget that somebody set meanwhile, beyond the rise's or below the key's own, stays; so does a list of models
    that would be empty: to LiteLLM that means every model. Answers the promises to settle after it.
    """
    assert request.lease is not None  # noqa: S101
    lease = locked(request.lease)
    if lease.state == State.ROTATING:
        return None  # its successor is on its way with these limits; a minute at most
    promises: list[Intent] = []
    if lease.state in SETTLED:
        before, lease.limits = lease.limits, base_of(request, lease.limits)
        if lease.limits != before:
            lease.save(update_fields=["limits"])
            promises = _follow(lease, now)
    KeyRequest.objects.filter(pk=request.pk).update(reverted_at=now)
    request.reverted_at = now
    if lease.state in SETTLED and request.fulfilled_at:
        promises = narrowing.after_rise(lease, request.fulfilled_at, now, by=by) or promises
    add(request, Act.REVERTED, by=by, at=now)
    audit.record(
        "key.rise_reverted", lease, by=by, secret=lease.current.token_hash, models=lease.limits["models"],
        max_budget=lease.limits["max_budget"],
    )  # fmt: skip
    return promises


def base_of(request: KeyRequest, limits: dict[str, Any]) -> dict[str, Any]:
    """The limits that a raised key has without its rise."""
    return _taken_back(limits, request.applied or {})


def _taken_back(limits: dict[str, Any], applied: dict[str, Any]) -> dict[str, Any]:
    left = [name for name in limits["models"] if name not in applied.get("models", [])]
    found = {**limits, "models": left if left else limits["models"]}
    amounts = [applied.get("before"), limits["max_budget"], applied.get("after")]
    if None not in amounts and applied.get("window") == limits["budget_duration"]:
        before, now, after = (Decimal(str(amount)) for amount in amounts)
        if before < now <= after:
            found["max_budget"] = amounts[0]
    return found


def _can_rise(lease: Lease, now: datetime) -> None:
    """Raises NotNow, RiseRunning, HolderLeft, TeamEnded, RoleEnded."""
    if lease.state not in RISING or lease.expires_at <= now:
        word = gettext("over its time") if lease.state in RISING else amid(lease.get_state_display())
        raise NotNow(gettext("This key is %(word)s: it cannot be raised.") % {"word": word})
    if lease.team.ended_at:
        raise TeamEnded(gettext("%(team)s was ended.") % {"team": lease.team})
    if not KeyRole.objects.open_to(lease.team).filter(pk=lease.role_id).exists():
        raise RoleEnded(
            gettext("The key role %(role)s is not open to %(team)s any more, so this key is not raised.")
            % {"role": lease.role, "team": lease.team}
        )
    if not may_hold(lease.holder, lease.team):
        raise HolderLeft
    running = KeyRequest.objects.running_rises().filter(lease=lease).first()
    if running and running.reverts_at:
        until = {"until": dates.full(running.reverts_at)}
        raise RiseRunning(gettext("This key is raised already, until %(until)s.") % until)


def _follow(lease: Lease, now: datetime) -> list[Intent]:
    return [
        Intent.objects.promise(Intent.Kind.SHAPE, now, gateway_id=lease.gateway_id, version=version)
        for version in lease.versions.all()
        if version.is_live
    ]


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount.normalize():f}"


def _wrong(field: str, said: str) -> Invalid:
    return Invalid(said, details={field: said})
