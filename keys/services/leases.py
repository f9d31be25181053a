"""The verbs of a lease. Product rule: whatever dies on the way, no key stays that nobody has."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any
from uuid import UUID

import structlog
from django.db import IntegrityError, transaction
from django.utils import timezone

from keys.models import Gateway, Intent, KeyRole, KeyVersion, Lease, State
from keys.models.intent import ABANDONED
from keys.models.lease import LIVE
from keys.services import gateways, intents, teams
from keys.services.errors import AlreadyIssued, EndedMeanwhile, GatewayAway
from keys.services.gateways import Line
from keys.services.minting import new_alias, new_secret
from keys.services.terms import SLACK, Ask, Terms, terms
from portal import audit
from portal.litellm import (
    AlreadyExists,
    BudgetWindow,
    ChosenKeysRefused,
    IssuedKey,
    KeyInfo,
    KeyNotFound,
    LiteLLMError,
    ModelGroup,
    hash_key,
)
from portal.models import Installation
from teams.access import SYSTEM, Actor, may_hold, require
from teams.models import Team, User
from teams.roles import Can

__all__ = ["Ask", "Issued", "Terms", "Trial", "end_for", "expire_overdue", "issue", "open_roles", "revoke",
           "terms"]  # fmt: skip

log = structlog.get_logger(__name__)

SENDS = 2  # of one secret; its hash makes a repeat safe
ATTEMPTS = 3  # secrets tried for one lease


@dataclass(frozen=True, slots=True)
class Trial:
    """What the gateway said when the new key was tried on it: the key's own list of models, a call without cost."""

    ok: bool
    milliseconds: int = 0
    models: tuple[ModelGroup, ...] = ()
    reason: str = ""
    expiry_verified: bool = True


@dataclass(frozen=True, slots=True)
class Issued:
    """A key, once. The secret is nowhere else, and is not kept."""

    secret: str = field(repr=False)
    lease: Lease
    trial: Trial


@dataclass(slots=True)
class _Attempt:
    """One secret on its way: in memory, and as version and intent in the database."""

    version: KeyVersion
    intent: Intent
    secret: str = field(repr=False)
    landed: bool = False  # the gateway has said that it is there


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
            there = _make(line, attempt)
            verified = _verify_expiry(line, attempt, there)
        except (LiteLLMError, GatewayAway) as error:
            _give_up(attempt, error.message)
            raise
        if _complete(attempt, there, by=by):
            return Issued(attempt.secret, attempt.version.lease, _try(line, attempt.secret, verified))
    _give_up(attempt, EndedMeanwhile.message)
    intents.settle(Intent.objects.filter(version=attempt.version))
    raise EndedMeanwhile


def revoke(lease: Lease, *, by: Actor, reason: str = "asked") -> Lease:
    """End a lease now. Safe to repeat.

    While the gateway is away the lease stays REVOKING and the intent is retried.
    Raises NotAllowed. Source: Vault `sys/leases/revoke`.
    """
    require(by, Can.REVOKE_KEY, lease)
    intents.settle(_end(lease, by=by, reason=reason))
    lease.refresh_from_db()
    return lease


def expire_overdue(now: datetime | None = None) -> int:
    """End leases whose TTL is spent, or whose holder may not hold them any more; answers how many. A sweep."""
    now = now or timezone.now()
    overdue = list(Lease.objects.overdue(now).select_related("team", "holder")[: 10 * intents.BATCH])
    return _end_all((lease, intents.EXPIRED if lease.expires_at <= now else "holder left") for lease in overdue)


def end_for(sender: object = None, *, user: User, team: Team | None = None, **_: Any) -> int:
    """End what `user` holds in `team` (None: everywhere), because access ended. Answers how many."""
    held = Lease.objects.live().filter(holder=user)
    if team is not None:
        held = held.filter(team=team)
    gone = [lease for lease in held.select_related("team") if not may_hold(user, lease.team)]
    return _end_all(((lease, "holder left") for lease in gone), seconds=gateways.PATIENCE)  # a person waits


def _end_all(endings: Iterable[tuple[Lease, str]], *, seconds: float = intents.SWEEP_PATIENCE) -> int:
    promises: list[Intent] = []
    count = 0
    for lease, reason in endings:
        promises += _end(lease, by=SYSTEM, reason=reason)
        count += 1
    intents.settle(promises, seconds=seconds)
    return count


def _end(lease: Lease, *, by: Actor, reason: str) -> list[Intent]:
    """Write down that all of the lease's versions must go; nothing when it has ended, or is ending, already."""
    with transaction.atomic(durable=True):  # durable: committed before the gateway hears of it
        if not lease.move(LIVE, State.REVOKING, end_reason=reason[:200]):
            return []
        doomed = Intent.objects.doom(lease.versions.select_related("lease"), timezone.now())
        audit.record("key.revocation_asked", lease, by=by, reason=reason)
    return doomed


def _first_problem(ask: Ask, holder: User) -> Terms:
    found = terms(ask, holder=holder)
    if found.problems:
        raise found.problems[0]
    return found


def _promise(ask: Ask, holder: User, once: UUID | None) -> _Attempt:
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
            return _new_attempt(lease, now)
    except IntegrityError:
        before = Lease.objects.filter(holder=holder, once=once).first() if once else None
        if before is None:
            raise
        raise AlreadyIssued(before) from None


def _new_attempt(lease: Lease, now: datetime) -> _Attempt:
    """The next version with a fresh secret, and the intent that ends it unless it is completed."""
    number = lease.versions.count() + 1
    chosen = Gateway.objects.get(pk=lease.gateway_id).chosen_keys is not False  # the row as it is now
    secret = new_secret() if chosen else ""
    version = KeyVersion.objects.create(
        lease=lease,
        number=number,
        token_hash=hash_key(secret) if chosen else None,
        alias=lease.alias if number == 1 else f"{lease.alias}.v{number}",
    )
    intent = Intent.objects.create(gateway=lease.gateway, version=version, issuing=True, due_at=now + ABANDONED)
    return _Attempt(version, intent, secret)


def _make(line: Line, attempt: _Attempt) -> IssuedKey | KeyInfo:
    """Have the gateway make the key, with a fresh secret (in `attempt`) for each one that is lost on the way."""
    for _ in range(ATTEMPTS):
        try:
            there = _send(line, attempt)
        except ChosenKeysRefused:
            Gateway.objects.filter(pk=attempt.intent.gateway_id).update(chosen_keys=False)
            there = None
        if there is not None:
            attempt.landed = True
            return there
        _replace(attempt)
    raise GatewayAway("The gateway's answers were lost.")


def _send(line: Line, attempt: _Attempt) -> IssuedKey | KeyInfo | None:
    """Send one secret, at most SENDS times; None: it is lost, and must not be sent again.

    An unclear outcome is settled by a look at the hash. Raises LiteLLMError when the outcome is a refusal, or
    stays unclear.
    """
    unclear: LiteLLMError | None = None
    for _ in range(SENDS):
        if not attempt.intent.sending(timezone.now()):
            raise EndedMeanwhile
        try:
            answer = line.client.keys.generate(**_order(attempt))
        except AlreadyExists as error:
            unclear = error  # the alias is taken: by the send before this one?
        except LiteLLMError as error:
            if error.applied is False and (error.status or 0) < HTTPStatus.INTERNAL_SERVER_ERROR:
                raise  # a 500, whatever it says, is no proof that nothing happened
            unclear = error
            KeyVersion.objects.filter(pk=attempt.version.pk).update(unclear_at=timezone.now())
        else:
            attempt.secret = attempt.secret or answer.key
            return answer
        if not attempt.version.token_hash:
            return None  # the proxy chose a secret that nobody heard
        try:
            there = line.client.keys.info(attempt.version.token_hash)
        except KeyNotFound:
            continue
        return there if there.status == "active" else None
    raise unclear or GatewayAway()


def _order(attempt: _Attempt) -> dict[str, Any]:
    """What the gateway is asked for. Unlimited is left out: LiteLLM reads a budget of 0 as blocked."""
    lease, limits = attempt.version.lease, attempt.version.lease.limits
    window = limits["budget_duration"]
    order: dict[str, Any] = {
        "alias": attempt.version.alias,
        "duration": lease.expires_at - lease.issued_at,
        "models": limits["models"],
        "max_budget": lease.max_budget,
        "budget_duration": BudgetWindow(window) if window else None,
        "tpm_limit": limits["tpm_limit"],
        "rpm_limit": limits["rpm_limit"],
        "max_parallel_requests": limits["max_parallel_requests"],
        "key_type": limits["key_type"],
        "user_id": lease.holder.litellm_id,
        "team_id": lease.team.litellm_id,
        "metadata": {
            **lease.role.metadata,
            "keydesk": {
                "instance": Installation.current(),
                "lease": str(lease.pk),
                "version": attempt.version.number,
                "role": lease.role.name,
                "team": lease.team.slug,
                "holder": lease.holder.litellm_id,
            },
        },
    }
    if attempt.secret:
        order["key"] = attempt.secret
    return {name: value for name, value in order.items() if value is not None}


def _replace(attempt: _Attempt) -> None:
    """Put a fresh version in the place of one that was lost, whose intent ends it. Raises EndedMeanwhile."""
    now = timezone.now()
    with transaction.atomic(durable=True):
        lease = Lease.objects.select_for_update().get(pk=attempt.version.lease_id)
        if lease.state != State.ISSUING:
            raise EndedMeanwhile
        _hand_over(attempt, now)
        fresh = _new_attempt(lease, now)
    attempt.version, attempt.intent, attempt.secret = fresh.version, fresh.intent, fresh.secret


def _hand_over(attempt: _Attempt, now: datetime) -> None:
    """Leave a version to the sweep: at once if it is there, else 60 s after its last send, and watched.

    What surely never reached the gateway is forgotten; what somebody else has taken over stays theirs.
    """
    mine = Intent.objects.filter(pk=attempt.intent.pk, issuing=True)
    unclear = KeyVersion.objects.filter(pk=attempt.version.pk).values_list("unclear_at", flat=True).get()
    if attempt.landed:
        if not mine.update(issuing=False, due_at=now, sent_at=unclear):  # taken over, perhaps kept and forgotten
            taken = {"issuing": False, "due_at": now}
            Intent.objects.update_or_create(
                kind=Intent.Kind.GONE,
                version=attempt.version,
                defaults=taken,
                create_defaults={**taken, "gateway_id": attempt.intent.gateway_id, "sent_at": now},
            )
    elif unclear:
        mine.update(issuing=False)
    elif mine.delete()[0]:
        KeyVersion.objects.filter(pk=attempt.version.pk).update(ended_at=now)


def _verify_expiry(line: Line, attempt: _Attempt, there: IssuedKey | KeyInfo) -> bool:
    """Read the expiry back and correct it: LiteLLM has rounded months. False: it would not be corrected."""
    wanted = attempt.version.lease.expires_at
    if there.expires and abs(there.expires - wanted) <= SLACK:
        return True
    rest = timedelta(seconds=max(1, round((wanted - timezone.now()).total_seconds())))
    token = attempt.version.token_hash or hash_key(attempt.secret)
    line.client.keys.update(token, duration=rest)
    read = line.client.keys.info(token).expires
    return read is not None and abs(read - wanted) <= SLACK


def _complete(attempt: _Attempt, there: IssuedKey | KeyInfo, *, by: Actor) -> bool:
    """The last commit: the lease becomes active and the intent is torn up. False: it was ended meanwhile."""
    lease, version = attempt.version.lease, attempt.version
    with transaction.atomic(durable=True):
        if not lease.move({State.ISSUING}, State.ACTIVE):
            return False
        if not may_hold(lease.holder, lease.team) or not open_roles(lease.team).filter(pk=lease.role_id).exists():
            transaction.set_rollback(True)
            return False
        Intent.objects.filter(pk=attempt.intent.pk).delete()
        version.token_hash = version.token_hash or hash_key(attempt.secret)
        version.key_name = there.name or f"sk-...{attempt.secret[-4:]}"
        version.dies_at = lease.expires_at
        version.save(update_fields=["token_hash", "key_name", "dies_at"])
        audit.record("key.issued", lease, by=by, role=lease.role.name, expires_at=lease.expires_at, **lease.limits)
    return True


def _give_up(attempt: _Attempt, reason: str) -> None:
    """Close the lease, and leave what may be on the gateway to the sweep."""
    now = timezone.now()
    with transaction.atomic(durable=True):
        lease = Lease.objects.select_for_update().get(pk=attempt.version.lease_id)
        said = reason.replace("\0", "")[:200]
        if lease.move({State.ISSUING}, State.FAILED, ended_at=now, end_reason=said, once=None):  # may be sent again
            audit.record("key.issue_failed", lease, by=SYSTEM, reason=said)
        _hand_over(attempt, now)


def _try(line: Line, secret: str, verified: bool) -> Trial:
    """Use the new key once, for its own list of models. A failure is told; the key stays issued."""
    started = timezone.now()
    try:
        groups = line.client.with_key(secret).model_groups.info()
    except (LiteLLMError, GatewayAway) as error:
        return Trial(ok=False, reason=error.message, expiry_verified=verified)
    except Exception:  # nothing may come between an issued secret and its holder any more
        log.exception("trial_broke")
        return Trial(ok=False, reason="Something broke here; the log has it.", expiry_verified=verified)
    took = (timezone.now() - started) / timedelta(milliseconds=1)
    return Trial(True, round(took), tuple(groups), expiry_verified=verified)
