"""Issue a key. Product rule: whatever dies on the way, no key stays that nobody has."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from keys.models import Intent, KeyRole, Lease, State
from keys.services import gateways, intents, teams
from keys.services.attempts import (
    Attempt,
    Issued,
    begin,
    give_up,
    make,
    note_issued,
    try_out,
    verify_expiry,
)
from keys.services.errors import AlreadyIssued, EndedMeanwhile, GatewayAway
from keys.services.minting import new_alias
from keys.services.terms import Ask, Terms, terms
from portal import audit
from portal.litellm import IssuedKey, KeyInfo, LiteLLMError, hash_key
from teams.access import Actor, may_hold, require
from teams.models import Team, User
from teams.roles import Can


def open_roles(team: Team) -> Any:
    """The key roles that `team` may issue from."""
    return KeyRole.objects.open_to(team).with_gateway()


def issue(ask: Ask, *, holder: User, by: Actor, once: UUID | None = None) -> Issued:
    """Issue a virtual key for `holder`, at once, within what the role gives.

    `once` is a form's token: the same one again raises AlreadyIssued, with the lease.
    Raises NotAllowed, OverLimit, ApprovalNeeded, AllowanceSpent, RoleEnded, NotConfigured, GatewayAway,
    GatewayRefused, EndedMeanwhile. After any of them no key stays on the gateway, or an intent ends it.
    """
    require(by, Can.ISSUE_KEY, Lease(team=ask.team, holder=holder))
    if once and (before := Lease.objects.filter(holder=holder, once=once).first()):
        raise AlreadyIssued(before)
    _first_problem(ask, holder)  # before the gateway is bothered
    with gateways.calling(ask.role.gateway, by=by) as line:
        teams.place(line, ask.team)
        attempt = _promise(ask, holder, once)
        try:
            there = make(line, attempt)
            token = attempt.version.token_hash or hash_key(attempt.secret)
            verified = verify_expiry(line, token, attempt.version.lease.expires_at, there.expires)
        except (LiteLLMError, GatewayAway) as error:
            give_up(attempt, error.message)
            raise
        if _complete(attempt, there, by=by):
            return Issued(attempt.secret, attempt.version.lease, try_out(line, attempt.secret, verified))
    give_up(attempt, EndedMeanwhile.message)
    intents.settle(Intent.objects.filter(version=attempt.version))
    raise EndedMeanwhile


def _first_problem(ask: Ask, holder: User) -> Terms:
    found = terms(ask, holder=holder)
    if found.problems:
        raise found.problems[0]
    return found


def _promise(ask: Ask, holder: User, once: UUID | None) -> Attempt:
    """Commit the lease, its first version and the intent that ends it, before the gateway hears of the key."""
    try:
        with transaction.atomic(durable=True):
            User.objects.select_for_update(no_key=True).get(pk=holder.pk)  # one allowance at a time is counted
            agreed = _first_problem(ask, holder)
            now = agreed.issued_at
            lease = Lease.objects.create(
                alias=new_alias(ask.role.prefix),
                name=ask.name,
                purpose=ask.purpose,
                team=ask.team,
                holder=holder,
                role=ask.role,
                gateway=ask.role.gateway,
                limits=agreed.limits(ask.role),
                once=once,
                issued_at=now,
                expires_at=agreed.expires_at,
                max_expires_at=agreed.max_expires_at,
            )
            return begin(lease, now)
    except IntegrityError:
        before = Lease.objects.filter(holder=holder, once=once).first() if once else None
        if before is None:
            raise
        raise AlreadyIssued(before) from None


def _complete(attempt: Attempt, there: IssuedKey | KeyInfo, *, by: Actor) -> bool:
    """The last commit: the lease becomes active and the intent is torn up. False: it was ended meanwhile."""
    lease = attempt.version.lease
    with transaction.atomic(durable=True):
        if not lease.move({State.ISSUING}, State.ACTIVE):
            return False
        stands = may_hold(lease.holder, lease.team) and open_roles(lease.team).filter(pk=lease.role_id).exists()
        if not stands or not note_issued(attempt, there, timezone.now()):
            transaction.set_rollback(True)
            return False
        audit.record("key.issued", lease, by=by, role=lease.role.name, expires_at=lease.expires_at, **lease.limits)
    return True
