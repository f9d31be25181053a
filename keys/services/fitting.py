"""The nearest to what somebody asks that needs no person: what the role issues at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from keys.models import Approval, KeyRole
from keys.services.terms import Ask, terms
from teams.models import User


def fitting(ask: Ask, *, holder: User) -> Ask | None:
    """The same key, no more than its role issues at once. None: it issues nothing at once, or nothing is left of it."""
    role = ask.role
    longest, most = _at_once(role)
    models = ask.models
    if models is not None and not role.all_models:
        models = tuple(name for name in models if name in role.models)
    elif models is not None:
        models = tuple(name for name in models if name in role.gateway.models_seen)
    ttl = longest if ask.ttl is None or (longest is not None and ask.ttl > longest) else ask.ttl
    budget = ask.max_budget
    if most is not None and (budget is None or budget > most):
        budget = most
    fits = replace(ask, ttl=ttl, models=models, max_budget=budget)
    found = terms(fits, holder=holder)
    return None if found.problems or found.decider else fits


def _at_once(role: KeyRole) -> tuple[timedelta | None, Decimal | None]:
    """The longest time and the biggest budget that nobody has to decide about."""
    if role.approval == Approval.AUTO:
        return role.default_ttl, role.max_budget
    return role.auto_ttl, role.auto_budget
