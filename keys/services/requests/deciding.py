"""Decide a request: approve as asked or narrower, or deny with a reason. Never one's own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from keys.models import Bounds, Intent, KeyRequest, KeyRole, RequestEntry
from keys.models.role import SHORTEST_TTL
from keys.services import intents, words
from keys.services.errors import HolderLeft, RoleEnded, TeamEnded
from keys.services.requests import rising, telling
from keys.services.requests.deciders import approvers, refusal_of, standing_approvals
from keys.services.requests.errors import ApprovedBefore, NotOpen, Wider
from keys.services.requests.thread import add
from keys.services.terms import judge, worst_ceiling
from portal import audit
from portal.errors import Invalid
from portal.templatetags.ui import amid
from teams.access import Actor, may_hold, require
from teams.models import User
from teams.roles import Can

Act = RequestEntry.Act
State = KeyRequest.State


def approve(
    request: KeyRequest, *, by: Actor, ttl: timedelta | None = None, models: Iterable[str] | None = None,
    max_budget: Decimal | None = None, text: str = "",
) -> KeyRequest:  # fmt: skip
    """Approve it, as asked (None) or narrower; of two approvers the narrower of both counts.

    A key waits for its holder to claim it then; a rise is in force at once, for `ttl`. Where two must approve, the
    first leaves it pending.
    Raises NotAllowed, NotOpen, Wider, Invalid, ApprovedBefore, OverLimit where the role lets nobody have so much any
    more, TeamEnded, RoleEnded, HolderLeft, NotNow, RiseRunning.
    """
    words.no_secret(text=text)
    now = timezone.now()
    promises: list[Intent] = []
    with transaction.atomic(durable=True):
        row = _open(request, by)
        _stands(row)
        if isinstance(by, User) and by.pk in approvers(row):
            raise ApprovedBefore
        own = narrowed(row, ttl=ttl, models=models, max_budget=max_budget)
        before = [Bounds.read(each.terms or {}) for each in standing_approvals(row)]
        bounds = together([own, *before])
        _still_something(row, bounds)
        add(row, Act.APPROVED, by=by, at=now, text=text, terms=own.stored())
        audit.record("request.approved", row, by=by, count=len(before) + 1, of=row.approvals_needed, **own.stored())
        if len(before) + 1 < row.approvals_needed:
            return row
        row.granted, row.decided_at, row.decided_by = bounds.stored(), now, by if isinstance(by, User) else None
        row.reason = words.clean(text)[:500]
        if row.is_rise:
            promises = rising.apply(row, bounds, now, by=by)
        else:
            row.state, row.claim_until = State.APPROVED, now + settings.CLAIM_WITHIN
        row.save()
        telling.approved(row, by=by)
    intents.settle(promises)
    return row


def deny(request: KeyRequest, *, by: Actor, reason: str) -> KeyRequest:
    """Turn it down, with a reason that who asked reads. Raises NotAllowed, NotOpen, Invalid."""
    words.no_secret(reason=reason)
    now, reason = timezone.now(), words.clean(reason)
    with transaction.atomic(durable=True):
        row = _open(request, by)
        if not reason:
            raise Invalid(details={"reason": _("Say why: who asked reads it, and can ask for something that fits.")})
        row.state, row.reason, row.decided_at = State.DENIED, reason[:500], now
        row.decided_by = by if isinstance(by, User) else None
        row.save(update_fields=["state", "reason", "decided_at", "decided_by"])
        add(row, Act.DENIED, by=by, at=now, text=reason)
        audit.record("request.denied", row, by=by, reason=row.reason)
        telling.denied(row, by=by)
    return row


def narrowed(
    request: KeyRequest, *, ttl: timedelta | None, models: Iterable[str] | None, max_budget: Decimal | None
) -> Bounds:
    """What was asked, with what an approver gives instead. Raises Wider, Invalid."""
    asked = request.wanted
    asked_models = () if request.is_rise and asked.models is None else asked.models  # of a rise: none beside its own
    wrong: dict[str, str] = {}
    if ttl is not None and ttl > asked.ttl:
        wrong["ttl"] = _("That is longer than was asked.")
    named = None if models is None else tuple(dict.fromkeys(models))
    if named is not None and asked_models is not None and (more := sorted(set(named) - set(asked_models))):
        wrong["models"] = _("Nobody asked for %(more)s.") % {"more": ", ".join(more)}
    if max_budget is not None and (max_budget > asked.max_budget if asked.max_budget is not None else request.is_rise):
        wrong["max_budget"] = _("That is more than was asked.")
    if wrong:
        raise Wider(details=wrong)
    bounds = replace(
        asked,
        ttl=asked.ttl if ttl is None else ttl,
        models=asked.models if named is None else named,
        max_budget=asked.max_budget if max_budget is None else max_budget,
        budget_duration=asked.budget_duration or (request.role.budget_duration if max_budget is not None else ""),
    )
    if request.is_rise:
        rising.check(bounds)
    elif problems := judge(request.role, bounds).problems:  # as the role is now
        raise problems[0]
    return bounds


def together(several: Iterable[Bounds]) -> Bounds:
    """The narrowest of what several approvers gave."""
    first, *rest = several
    for each in rest:
        named = each.models if first.models is None else first.models
        if first.models is not None and each.models is not None:
            named = tuple(name for name in first.models if name in each.models)
        ttl = min(first.ttl, each.ttl)
        budgets = [bounds for bounds in (first, each) if bounds.max_budget is not None]
        least = min(budgets, key=lambda bounds: _costs(bounds, ttl), default=first)
        first = replace(
            first, ttl=ttl, models=named, max_budget=least.max_budget, budget_duration=least.budget_duration
        )
    return first


def _costs(bounds: Bounds, ttl: timedelta) -> Decimal:
    """What a budget lets a key of that life cost: of two windows the smaller sum may be the dearer one."""
    return worst_ceiling(bounds.max_budget, bounds.budget_duration, ttl) or Decimal(0)


def _still_something(request: KeyRequest, bounds: Bounds) -> None:
    """Raises Invalid where what several approvers gave has nothing in common."""
    if not request.is_rise and bounds.models == ():
        said = _("No model is in what both approvers gave: give one of the other's, or deny it.")
        raise Invalid(said, details={"models": said})
    if bounds.ttl < SHORTEST_TTL:
        raise Invalid(details={"ttl": _("The shortest TTL is 30 seconds.")})


def _open(request: KeyRequest, by: Actor) -> KeyRequest:
    """The row, locked, if `by` may decide it and nobody has yet. Raises NotAllowed, NotOpen."""
    row = (
        KeyRequest.objects.select_for_update(of=("self",))
        .select_related("team", "role__gateway", "holder", "asked_by", "lease")
        .get(pk=request.pk)
    )
    require(by, Can.DECIDE, row)
    if refusal := refusal_of(row, by):
        raise refusal
    if row.state != State.PENDING:
        raise NotOpen(
            _("This request is %(get_state_display)s: there is nothing to decide any more.")
            % {"get_state_display": amid(row.get_state_display())}
        )
    if row.lapses_at <= timezone.now():
        raise NotOpen(_("This request has lapsed: it waited too long."), action=_("Who asked can ask again."))
    return row


def _stands(request: KeyRequest) -> None:
    """Whether there is still somebody and something to give it to. Raises TeamEnded, RoleEnded, HolderLeft."""
    if request.team.ended_at:
        raise TeamEnded(_("%(team)s was ended.") % {"team": request.team}, action=_("Deny it."))
    if not KeyRole.objects.open_to(request.team).filter(pk=request.role_id).exists():
        raise RoleEnded(
            _("The key role %(role)s is not open to %(team)s any more.") % {"role": request.role, "team": request.team},
            action=_("Deny it."),
        )
    if not may_hold(request.holder, request.team):
        raise HolderLeft(
            _("%(holder)s may not hold keys of %(team)s any more.") % {"holder": request.holder, "team": request.team},
            action=_("Deny it."),
        )
