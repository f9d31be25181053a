"""Keep the promises about gateways: delete, look, note, and look again while a late request may land."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from http import HTTPStatus
from itertools import groupby

import structlog
from django.db import transaction
from django.utils import timezone

from keys.models import Intent, Lease, State
from keys.services import gateways
from keys.services.errors import GatewayAway, GatewayRefused
from portal import audit
from portal.litellm import Client, KeyNotFound
from teams.access import SYSTEM

log = structlog.get_logger(__name__)

BATCH = 100  # hashes a call: 1,000 in one call took 8.6 s, 100 took 0.4 s (tried)
SWEEP_PATIENCE = 60.0  # seconds
EXPIRED = "expired"  # the end reason that makes an ended lease EXPIRED rather than REVOKED
ABANDONED = "The portal stopped before the gateway's answer was read."


def settle_due(now: datetime | None = None) -> int:
    """Settle every intent that is due, endings first; answers how many were kept. A sweep: safe to repeat."""
    now = now or timezone.now()
    due = list(Intent.objects.due(now).select_related("version__lease")[: 10 * BATCH])
    return settle([intent for intent in due if _taken_over(intent, now)], seconds=SWEEP_PATIENCE)


def settle(promises: Iterable[Intent], *, seconds: float = gateways.PATIENCE) -> int:
    """Try to keep these promises now, for at most `seconds` a batch; what fails is put off, never raised."""
    kept = 0
    ordered = sorted(promises, key=lambda intent: intent.gateway_id)
    for _, group in groupby(ordered, key=lambda intent: intent.gateway_id):
        waiting = list(group)
        for start in range(0, len(waiting), BATCH):
            mine = [intent for intent in waiting[start : start + BATCH] if intent.claim(timezone.now())]
            if mine:
                kept += _settle_batch(mine, seconds)
    return kept


def abandon_all(started_before: datetime) -> int:
    """At start-up of the only process: every issue that still runs died with the last one. Answers how many."""
    running = Intent.objects.filter(issuing=True, created_at__lt=started_before)
    return running.update(due_at=started_before)


def _settle_batch(batch: Sequence[Intent], seconds: float) -> int:
    """Settle intents of one gateway; where it refuses them together, each half alone: one bad key holds up none."""
    try:
        with gateways.calling(batch[0].gateway, by=SYSTEM, seconds=seconds) as line:
            there = _delete(line.client, batch)
    except GatewayRefused as error:
        if len(batch) > 1 and error.upstream not in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            half = len(batch) // 2
            return _settle_batch(batch[:half], seconds) + _settle_batch(batch[half:], seconds)
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
            _note_gone(intent, timezone.now())
    return len(batch) - len(there)


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
        if intent.version.token_hash:
            hashes[intent.version.token_hash] = intent.pk
        else:  # the proxy chose the secret, and its answer was lost: only the alias is known
            for key in client.keys.list(alias=intent.version.alias):
                if key.alias == intent.version.alias and key.token:
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
    """Close the lease of an issue that nobody runs any more. False: it was completed meanwhile."""
    if not intent.issuing:
        return True
    with transaction.atomic():
        lease = Lease.objects.select_for_update().get(pk=intent.version.lease_id)
        if not intent.abandon(now):
            return False
        if lease.move({State.ISSUING}, State.FAILED, ended_at=now, end_reason=ABANDONED):
            audit.record("key.issue_failed", lease, by=SYSTEM, reason=ABANDONED)
    return True


def _note_gone(intent: Intent, now: datetime) -> None:
    """The key is not on the gateway: end the version, and the lease with its last one."""
    with transaction.atomic():
        lease = Lease.objects.select_for_update().get(pk=intent.version.lease_id)
        lease.versions.filter(pk=intent.version_id, ended_at=None).update(ended_at=now)
        if not intent.watch(now):
            intent.delete()
        if lease.state == State.REVOKING and not lease.versions.filter(ended_at=None).exists():
            on_time = lease.end_reason == EXPIRED and lease.expires_at <= now
            state = State.EXPIRED if on_time else State.REVOKED
            if lease.move({State.REVOKING}, state, ended_at=now):
                audit.record(f"key.{state.value}", lease, by=SYSTEM, reason=lease.end_reason)
