"""One secret on its way to a gateway: sent, lost, sent anew, verified, given up. Issue and rotation share it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

import structlog
from django.db import transaction
from django.utils import timezone

from keys.models import Gateway, Intent, KeyVersion, Lease, State
from keys.models.intent import ABANDONED
from keys.services.errors import EndedMeanwhile, GatewayAway
from keys.services.gateways import Line
from keys.services.minting import new_secret
from keys.services.shape import rest_of, wanted
from keys.services.terms import SLACK
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
from teams.access import SYSTEM

log = structlog.get_logger(__name__)

SENDS = 2  # of one secret; its hash makes a repeat safe
ATTEMPTS = 3  # secrets tried for one version
GIVEN_UP = {State.ISSUING: State.FAILED, State.ROTATING: State.ACTIVE}  # what a lease is when its attempt failed


@dataclass(frozen=True, slots=True)
class Trial:
    """What the gateway said when the new key was tried on it: the key's own list of models, a call without cost."""

    ok: bool
    milliseconds: int = 0
    models: tuple[ModelGroup, ...] = ()
    reason: str = ""
    expiry_verified: bool = True
    left: float = 0.0  # seconds that whoever waits for the key has left


@dataclass(frozen=True, slots=True)
class Issued:
    """A key, once. The secret is nowhere else, and is not kept."""

    secret: str = field(repr=False)
    lease: Lease
    trial: Trial


@dataclass(slots=True)
class Attempt:
    """One secret on its way: in memory, and as version and intent in the database."""

    version: KeyVersion
    intent: Intent
    secret: str = field(repr=False)
    order: dict[str, Any] = field(default_factory=dict)  # more than the lease says: `spend` carried over
    landed: bool = False  # the gateway has said that it is there


def begin(lease: Lease, now: datetime, **order: Any) -> Attempt:
    """The next version with a fresh secret, and the intent that ends it unless it is completed. In a transaction."""
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
    return Attempt(version, intent, secret, order)


def make(line: Line, attempt: Attempt) -> IssuedKey | KeyInfo:
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


def _send(line: Line, attempt: Attempt) -> IssuedKey | KeyInfo | None:
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


def _order(attempt: Attempt) -> dict[str, Any]:
    """What the gateway is asked for. Unlimited is left out: LiteLLM reads a budget of 0 as blocked."""
    lease = attempt.version.lease
    order = {**wanted(attempt.version), **attempt.order, "key_type": lease.limits["key_type"]}
    order["duration"] = rest_of(order.pop("expires"))
    del order["blocked"]
    if order["budget_duration"]:
        order["budget_duration"] = BudgetWindow(order["budget_duration"])
    if attempt.secret:
        order["key"] = attempt.secret
    return {name: value for name, value in order.items() if value is not None}


def _replace(attempt: Attempt) -> None:
    """Put a fresh version in the place of one that was lost, whose intent ends it. Raises EndedMeanwhile."""
    now = timezone.now()
    with transaction.atomic(durable=True):
        lease = Lease.objects.select_for_update().get(pk=attempt.version.lease_id)
        if lease.state not in GIVEN_UP or not _is_mine(attempt):
            raise EndedMeanwhile
        _hand_over(attempt, now)
        fresh = begin(lease, now)
    attempt.version, attempt.intent, attempt.secret = fresh.version, fresh.intent, fresh.secret


def _is_mine(attempt: Attempt) -> bool:
    """Whether this process still runs it: neither the clean-up nor an ending has taken it over."""
    return Intent.objects.filter(pk=attempt.intent.pk, issuing=True).exists()


def _hand_over(attempt: Attempt, now: datetime) -> None:
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


def verify_expiry(line: Line, token: str, wanted_at: datetime, expires: datetime | None) -> bool:
    """Read the expiry back and correct it: LiteLLM has rounded months. False: it would not be corrected."""
    if expires and abs(expires - wanted_at) <= SLACK:
        return True
    line.client.keys.update(token, duration=rest_of(wanted_at))
    read = line.client.keys.info(token).expires
    return read is not None and abs(read - wanted_at) <= SLACK


def note_issued(attempt: Attempt, there: IssuedKey | KeyInfo, now: datetime, **fields: Any) -> bool:
    """Tear up the intent and keep what the version now is, inside the last commit. False: somebody took it over."""
    if not Intent.objects.filter(pk=attempt.intent.pk, issuing=True).delete()[0]:
        return False
    version = attempt.version
    known = {
        "token_hash": version.token_hash or hash_key(attempt.secret),
        "key_name": there.name or f"sk-...{attempt.secret[-4:]}",
        "dies_at": version.lease.expires_at,
        "issued_at": now,
        **fields,
    }
    for name, value in known.items():
        setattr(version, name, value)
    version.save(update_fields=list(known))
    return True


def give_up(attempt: Attempt, reason: str) -> None:
    """Close the lease, or end its rotation, and leave what may be on the gateway to the sweep."""
    now = timezone.now()
    with transaction.atomic(durable=True):
        lease = Lease.objects.select_for_update().get(pk=attempt.version.lease_id)
        if lease.state in GIVEN_UP and _is_mine(attempt):
            fail(lease, reason, now)
        _hand_over(attempt, now)


def fail(lease: Lease, reason: str, now: datetime) -> None:
    """Note that the attempt of this (locked) lease came to nothing: not issued, or not rotated and as it was."""
    said = reason.replace("\0", "")[:200]
    if lease.move({State.ISSUING}, State.FAILED, ended_at=now, end_reason=said, once=None):  # may be sent again
        audit.record("key.issue_failed", lease, by=SYSTEM, reason=said)
    elif lease.move({State.ROTATING}, State.ACTIVE):
        audit.record("key.rotation_failed", lease, by=SYSTEM, reason=said)


def try_out(line: Line, secret: str, verified: bool) -> Trial:
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
    return Trial(True, round(took), tuple(groups), expiry_verified=verified, left=line.left)
