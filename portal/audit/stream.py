"""Send sealed acts out, in the order of the chain: to stdout, or to a webhook. At least once, never with a hole.

The cursor moves after the other side has taken a batch. A batch that is sent again has the same bounds, the same bytes
and the same id, so whoever takes it can drop the second copy.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import requests
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from portal import webhooks
from portal.audit import chain
from portal.errors import Unavailable
from portal.models import AuditCut, AuditEvent, AuditHead, AuditSeal, Installation, in_short

BATCH = 100  # acts in one request
PATIENCE = 60.0  # seconds for one round
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=20), timedelta(hours=1)


class StreamAway(Unavailable):
    """The other side did not take a batch; nothing is lost."""

    code = "audit_stream_away"


def send() -> int:
    """Send what was sealed since; answers how many. A sweep that runs alone: two at once would send twice.

    Raises StreamAway when the other side does not take it, and until the next try is due; HeadForged.
    """
    if not (settings.AUDIT_STREAM or settings.AUDIT_WEBHOOK):
        return 0
    head, ends, sent = AuditHead.objects.get(), time.monotonic() + PATIENCE, 0
    if head.due_at and head.due_at > timezone.now():
        raise StreamAway(f"{head.error} Tried {head.failures} times, next {head.due_at:%H:%M} UTC.")
    while time.monotonic() < ends and (batch := _next()):
        try:
            _hand_over(batch)
        except Exception as error:
            raise StreamAway(_put_off(error)) from error
        _took(batch[-1]["number"])
        sent += len(batch)
    return sent


def row(event: AuditEvent, **more: Any) -> dict[str, Any]:
    """One act as JSON: for the stream, and for exports."""
    names = ("action", "actor_id", "actor", "actor_kind", "on_behalf_of", "target_type", "target_id", "target",
             "team_id", "ip", "token_id", "request_id", "secret_hash", "before", "after", "facts")  # fmt: skip
    return {"id": event.pk, "at": event.at.isoformat(), **{name: getattr(event, name) for name in names}, **more}


def _next() -> list[dict[str, Any]]:
    """The next batch; its bounds are written down first, so that a repeat has the same."""
    with transaction.atomic():
        head = chain.checked(AuditHead.objects.select_for_update().filter(pk=1).first())
        cut = AuditCut.objects.last()
        start = max(head.streamed, cut.up_to if cut else 0)
        if head.under_way <= start:
            head.under_way = min(start + BATCH, head.count)
            head.save(update_fields=["under_way"])
    return list(_rows(start, head.under_way))


def _took(number: int) -> None:
    """Move the cursor behind the seal `number`."""
    with transaction.atomic():
        head = chain.checked(AuditHead.objects.select_for_update().filter(pk=1).first())
        head.streamed, head.under_way, head.failures, head.due_at, head.error = number, 0, 0, None, ""
        chain.sign(head)
        head.save(update_fields=["streamed", "signature", "under_way", "failures", "due_at", "error"])


def _rows(start: int, end: int) -> Iterator[dict[str, Any]]:
    seals = list(AuditSeal.objects.filter(number__gt=start, number__lte=end))
    events = AuditEvent.objects.in_bulk([seal.event_id for seal in seals])
    for seal in seals:
        if event := events.get(seal.event_id):
            yield row(event, number=seal.number, mac=seal.mac)


def _hand_over(batch: list[dict[str, Any]]) -> None:
    if settings.AUDIT_WEBHOOK:
        _post(batch)
        return
    out = sys.__stdout__  # Celery's worker puts a logger in the place of sys.stdout
    assert out is not None  # noqa: S101
    for each in batch:
        out.write(json.dumps(each, separators=(",", ":")) + "\n")
    out.flush()


def _post(batch: list[dict[str, Any]]) -> None:
    first, last = batch[0], batch[-1]
    number = f"audit-{Installation.current()}-{first['number']}-{last['number']}"
    data = {"count": last["number"], "head": last["mac"], "events": batch}
    # Its time is the last act's: a repeat must have the same bytes.
    body = json.dumps({"type": "audit.sealed", "timestamp": last["at"], "data": data}, separators=(",", ":")).encode()
    secret = settings.AUDIT_WEBHOOK_SECRET
    answer = webhooks.send(settings.AUDIT_WEBHOOK, body, secret=secret, number=number, anywhere=True)
    if not answer.is_taken:
        raise requests.HTTPError(f"it answered {answer.status}")


def _put_off(error: Exception) -> str:
    """Try again 20 s, 40 s … 1 h later; answers what went wrong."""
    head = AuditHead.objects.get()
    said = f"The audit stream was not taken: {in_short(error)}."[:300]
    pause = min(FIRST_PAUSE * 2 ** min(head.failures, 10), LONGEST_PAUSE)
    due = {"failures": head.failures + 1, "due_at": timezone.now() + pause, "error": said}
    AuditHead.objects.filter(pk=1).update(**due)
    return said
