"""Keep the promises about gateways: delete, block or shape, look, and look again while a late request may land."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from http import HTTPStatus
from itertools import groupby

import structlog
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from keys.models import EndReason, Gateway, Intent, Lease, State
from keys.models.lease import SETTLED
from keys.services import gateways, shape, teams
from keys.services.attempts import fail
from keys.services.errors import GatewayAway, GatewayRefused, NothingToForce
from portal import audit
from portal.litellm import Client, KeyNotFound, LiteLLMError
from teams.access import SYSTEM, Actor, require
from teams.roles import Can

log = structlog.get_logger(__name__)

BATCH = 100  # hashes a call: 1,000 in one call took 8.6 s, 100 took 0.4 s (tried)
SWEEP_PATIENCE = 60.0  # seconds
ABANDONED = "The portal stopped before the gateway's answer was read."


def settle_due(now: datetime | None = None) -> int:
    """Settle every intent that is due, endings first; answers how many were kept. A sweep: safe to repeat."""
    now = now or timezone.now()
    for lease in Lease.objects.finished()[: 10 * BATCH]:
        close(lease, now)
    due = list(Intent.objects.due(now).select_related("version__lease", "team")[: 10 * BATCH])
    return settle([intent for intent in due if _taken_over(intent, now)], seconds=SWEEP_PATIENCE)


def settle(promises: Iterable[Intent], *, seconds: float = gateways.PATIENCE) -> int:
    """Try to keep these promises now, for at most `seconds` a gateway; answers how many were kept.

    What fails is put off, what there was no time for stays due: neither is raised.
    """
    kept = 0
    ends: dict[int, float] = {}
    order = {kind: at for at, kind in enumerate(Intent.Kind.values)}
    ordered = sorted(promises, key=lambda intent: (order[intent.kind], intent.gateway_id))
    for (kind, gateway_id), group in groupby(ordered, key=lambda intent: (intent.kind, intent.gateway_id)):
        until = ends.setdefault(gateway_id, time.monotonic() + seconds)
        waiting = list(group)
        for start in range(0, len(waiting), BATCH):
            if time.monotonic() >= until:
                break
            mine = [intent for intent in waiting[start : start + BATCH] if intent.claim(timezone.now())]
            if mine:
                kept += (_end_batch if kind == Intent.Kind.GONE else _keep_each)(mine, until)
    return kept


def abandon_all(started_before: datetime) -> int:
    """At start-up of the only process: every issue that still runs died with the last one. Answers how many."""
    running = Intent.objects.filter(issuing=True, created_at__lt=started_before)
    return running.update(due_at=started_before)


def retry(intent: Intent, *, by: Actor) -> int:
    """Try it now, whatever its back-off and the gateway's breaker say; 1: it was kept. Raises NotAllowed."""
    require(by, Can.MANAGE_PLATFORM)
    _not_before_its_time(intent)
    Gateway.objects.filter(pk=intent.gateway_id).update(next_try_at=None)
    if not Intent.objects.filter(pk=intent.pk, issuing=False).update(due_at=timezone.now(), attempts=0):
        return 0
    intent.refresh_from_db()
    return settle([intent])


def force(intent: Intent, *, by: Actor, reason: str) -> Lease:
    """Close our books on an ending that the gateway does not confirm; it is still retried.

    Raises NotAllowed, NothingToForce. Source: Vault `sys/leases/revoke-force`.
    """
    require(by, Can.MANAGE_PLATFORM)
    if intent.kind != Intent.Kind.GONE or intent.version is None or intent.issuing:
        raise NothingToForce
    _not_before_its_time(intent)
    with transaction.atomic():
        lease = Lease.objects.select_for_update().get(pk=intent.version.lease_id)
        version = intent.version
        audit.record("intent.forced", lease, by=by, secret=version.token_hash, reason=reason, version=version.number)
        _note_ended(lease, intent.version.pk, timezone.now())
    return lease


def forget(intent: Intent, *, by: Actor, reason: str) -> None:
    """Drop a promise for good. A key that stays there without a lease is found again by reconcile.

    Raises NotAllowed, NothingToForce for the net under an issue that still runs.
    """
    require(by, Can.MANAGE_PLATFORM)
    if intent.issuing:
        raise NothingToForce(
            _("It guards a key that is being issued at this moment."), action=_("Look again in a minute.")
        )
    _not_before_its_time(intent)
    with transaction.atomic():
        subject = intent.version.lease if intent.version else intent.team
        assert subject is not None  # noqa: S101  (a constraint of the table)
        audit.record("intent.forgotten", subject, by=by, reason=reason, kind=intent.kind, error=intent.last_error)
        if intent.kind == Intent.Kind.GONE and intent.version:
            lease = Lease.objects.select_for_update().get(pk=intent.version.lease_id)
            _note_ended(lease, intent.version.pk, timezone.now())
        Intent.objects.filter(pk=intent.pk).delete()


def _not_before_its_time(intent: Intent) -> None:
    if intent.is_coming:
        raise NothingToForce(
            _("This secret still has its grace period: nothing is wrong with it."),
            action=_("Wait until it ends, or replace the secret of its lease: that ends it at once."),
        )


def _end_batch(batch: Sequence[Intent], ends: float) -> int:
    """End keys of one gateway; where it refuses them together, each half alone: one bad key holds up none."""
    try:
        with gateways.calling(batch[0].gateway, by=SYSTEM, seconds=ends - time.monotonic()) as line:
            there = _delete(line.client, batch)
    except GatewayRefused as error:
        if len(batch) > 1 and error.upstream not in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            half = len(batch) // 2
            return _end_batch(batch[:half], ends) + _end_batch(batch[half:], ends)
        return _put_off(batch, error.message)
    except GatewayAway as error:
        return _put_off(batch, error.message)
    except Exception:  # a gateway that cannot even be read must not stop the others
        log.exception("settling_broke", gateway_id=batch[0].gateway_id)
        return _put_off(batch, "Something broke here; the log has it.")
    for intent in batch:
        if intent.pk in there:
            intent.put_off("The gateway said it deleted the key, but still has it.", timezone.now())
        else:
            try:
                _note_gone(intent, timezone.now())
            except Exception:  # the claim ends by itself, and the key is gone: the next sweep notes it
                log.exception("ending_not_noted", intent_id=intent.pk)
    return len(batch) - len(there)


def _keep_each(batch: Sequence[Intent], ends: float) -> int:
    """Keep promises of one gateway one by one: block or shape."""
    kept = 0
    for intent in batch:
        try:
            with gateways.calling(intent.gateway, by=SYSTEM, seconds=ends - time.monotonic()) as line:
                _carry(line, intent)
        except (GatewayAway, GatewayRefused) as error:
            _put_off([intent], error.message)
        except Exception:
            log.exception("settling_broke", gateway_id=intent.gateway_id)
            _put_off([intent], "Something broke here; the log has it.")
        else:
            intent.keep(timezone.now())
            kept += 1
    return kept


def _carry(line: gateways.Line, intent: Intent) -> None:
    """Carry what our row says to the gateway. Raises LiteLLMError, GatewayRefused, GatewayAway."""
    try:
        if intent.version is None:
            assert intent.team is not None  # noqa: S101  (a constraint of the table)
            teams.place(line, intent.team)
        elif intent.kind == Intent.Kind.BLOCK:
            _block(line, intent)
        elif _row(intent).state in SETTLED:
            shape.fit(line.client, intent.version)
    except LiteLLMError as error:
        if error.applied is not False:
            intent.unclear(timezone.now())
        raise


def _block(line: gateways.Line, intent: Intent) -> None:
    """Block the key or let it answer, as its lease says now; if that changes meanwhile, promise it anew."""
    assert intent.version is not None  # noqa: S101
    lease, token = _row(intent), intent.version.token_hash or ""
    if lease.state not in SETTLED:
        return  # an ending has taken over
    paused = lease.state == State.PAUSED
    try:
        (line.client.keys.block if paused else line.client.keys.unblock)(token)
        if line.client.keys.info(token).blocked is not paused:
            raise GatewayRefused(f"The gateway did not {'block' if paused else 'unblock'} the key.")
    except KeyNotFound:
        return  # reconcile closes the lease
    if (_row(intent).state == State.PAUSED) is not paused:  # ours may have landed after the other's
        Intent.objects.promise(intent.Kind.BLOCK, timezone.now(), gateway_id=intent.gateway_id, version=intent.version)


def _row(intent: Intent) -> Lease:
    """The lease as it is now."""
    assert intent.version is not None  # noqa: S101
    intent.version.refresh_from_db()
    return intent.version.lease


def _put_off(batch: Sequence[Intent], reason: str) -> int:
    for intent in batch:
        intent.put_off(reason, timezone.now())
    return 0


def _delete(client: Client, batch: Sequence[Intent]) -> set[int]:
    """Delete the keys of `batch`, then look; answers the pks of the intents whose key is still there.

    A list with unknown hashes is echoed as deleted (tried): only a look tells.
    """
    hashes: dict[str, int] = {}
    for intent in batch:
        version = intent.version
        assert version is not None  # noqa: S101  (a constraint of the table)
        if version.token_hash:
            hashes[version.token_hash] = intent.pk
        else:  # the proxy chose the secret, and its answer was lost: only the alias is known
            for key in client.keys.list(alias=version.alias):
                if key.alias == version.alias and key.token:
                    hashes[key.token] = intent.pk
    if not hashes:
        return set()
    try:
        client.keys.delete(list(hashes))
    except KeyNotFound:
        return set()  # none of them is there
    return {pk for token, pk in hashes.items() if _is_there(client, token)}


def _is_there(client: Client, token: str) -> bool:
    try:
        return client.keys.info(token).status != "deleted"
    except KeyNotFound:
        return False


def _taken_over(intent: Intent, now: datetime) -> bool:
    """Close the attempt of an issue or rotation that nobody runs any more. False: it was completed meanwhile."""
    if not intent.issuing or intent.version is None:
        return True
    with transaction.atomic():
        lease = Lease.objects.select_for_update().get(pk=intent.version.lease_id)
        if not intent.abandon(now):
            return False
        fail(lease, ABANDONED, now)
    return True


def _note_gone(intent: Intent, now: datetime) -> None:
    """The key is not on the gateway: end the version, and the lease with its last one."""
    assert intent.version is not None  # noqa: S101
    with transaction.atomic():
        lease = Lease.objects.select_for_update().get(pk=intent.version.lease_id)
        _note_ended(lease, intent.version.pk, now)
        if not intent.watch(now):
            intent.delete()


def _note_ended(lease: Lease, version_id: int, now: datetime) -> None:
    """End a version of this (locked) lease, and the lease when it was the last one."""
    gone = lease.versions.filter(pk=version_id, ended_at=None)
    was_out = gone.exclude(issued_at=None).first()
    gone.update(ended_at=now)
    if lease.state in SETTLED and was_out:
        audit.record("key.version_ended", lease, by=SYSTEM, secret=was_out.token_hash, version=was_out.number)
    close(lease, now)


def close(lease: Lease, now: datetime) -> None:
    """End a lease that has no key any more: one that is being revoked, or whose last key somebody else deleted."""
    with transaction.atomic():
        lease = Lease.objects.select_for_update().get(pk=lease.pk)
        left = lease.versions.filter(ended_at=None)
        if lease.state == State.REVOKING and not left.exists():
            on_time = lease.end_reason == EndReason.EXPIRED and lease.expires_at <= now
            state = State.EXPIRED if on_time else State.REVOKED
            if lease.move({State.REVOKING}, state, ended_at=now):
                secret = lease.current.token_hash
                audit.record(f"key.{state.value}", lease, by=SYSTEM, secret=secret, reason=lease.end_reason)
        elif lease.state in SETTLED - {State.ROTATING} and not left.exclude(issued_at=None).exists():
            gone = {"ended_at": now, "end_reason": EndReason.VANISHED, "pause_reason": ""}
            if lease.move({State.ACTIVE, State.PAUSED}, State.REVOKED, **gone):
                secret = lease.current.token_hash
                audit.record("key.revoked", lease, by=SYSTEM, secret=secret, reason=EndReason.VANISHED)
