"""Idempotency-Key: one call is done once, however often it is sent. Docs: docs/adr/0012-a-call-is-done-once.md."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

import structlog
from django.db import DatabaseError, transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_noop

from portal.errors import Conflict, Invalid, PortalError
from portal.models import Repeat

log = structlog.get_logger(__name__)

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
VISIBLE = re.compile(r"[!-~]{1,255}")  # ASCII
RUNS = timedelta(minutes=2)  # far longer than any call takes: whoever has not ended by then has died
AGAIN = 2  # seconds, until somebody asks again how a running call ended


class InProgress(Conflict):
    """The call that came first with this Idempotency-Key still runs."""

    code, retryable = "in_progress", True
    message = gettext_noop("The same call is running at this moment.")
    action = gettext_noop("Send it again, unchanged, after Retry-After: it is answered then, and not done twice.")

    def __init__(self) -> None:
        super().__init__(details={"retry_after": AGAIN})


class Mismatch(PortalError):
    """The Idempotency-Key was sent before, with something else."""

    code, status = "idempotency_mismatch", HTTPStatus.UNPROCESSABLE_ENTITY
    message = gettext_noop("This Idempotency-Key was sent before, with another address or body.")
    action = gettext_noop("Take a new key for a new call, or send exactly what was sent first.")


class OutcomeUnknown(Conflict):
    """The process that did the call died before it answered, and doing it again might do it twice."""

    code = "outcome_unknown"
    message = gettext_noop("The same call was begun and never answered: whether it was done, nobody noted.")
    action = gettext_noop("Look at what it was to change. If that was not done, send it with a new Idempotency-Key.")


def digest(what: str, text: str) -> str:
    """Keyed, so that nobody guesses what was sent from a copy of the database."""
    return salted_hmac(f"keydesk.repeat.{what}", text, algorithm="sha256").hexdigest()


def told(path: str, body: Any) -> str:
    """The request as a digest. JSON that says the same in another order, or with other spaces, is the same."""
    return digest("request", f"{path}\n{json.dumps(body or None, sort_keys=True, separators=(',', ':'))}")


def begin(actor_id: str, key: str, request: str, now: datetime | None = None) -> tuple[Repeat, bool]:
    """Claim the call, in a transaction of its own before the act: the unique row decides between two at once.

    Answers the row, done already when its `runs_until` is None; and whether this process takes over from one that died.
    Raises Invalid, InProgress, Mismatch.
    """
    if not VISIBLE.fullmatch(key):
        raise Invalid(details={HEADER: "1 to 255 visible ASCII characters."})
    now = now or timezone.now()
    mine = Repeat.objects.filter(actor_id=actor_id, key=digest("key", key))
    fresh = {"actor_id": actor_id, "key": digest("key", key), "request": request, "created_at": now}
    with transaction.atomic(durable=True):
        row, made = mine.get_or_create(defaults={**fresh, "runs_until": now + RUNS})
        if not made and row.is_over(now):
            mine.filter(pk=row.pk).delete()
            row, made = mine.get_or_create(defaults={**fresh, "runs_until": now + RUNS})
    if made:
        return row, False
    if row.request != request:
        raise Mismatch
    if row.runs_until is None:
        return row, False
    if row.runs_until > now or not _claimed(row).update(runs_until=now + RUNS):
        raise InProgress
    row.runs_until = now + RUNS
    return row, True


def finish(row: Repeat, status: int, answer: Any) -> None:
    """Keep the answer, which holds no secret. A database that is away keeps nobody from theirs."""
    try:
        _claimed(row).update(status=status, answer=json.dumps(answer), runs_until=None)
    except DatabaseError:
        log.warning("answer_not_kept", exc_info=True)


def forget(row: Repeat) -> None:
    """Nothing was done: the same key may come again, with a corrected body too."""
    try:
        _claimed(row).delete()
    except DatabaseError:
        log.warning("claim_not_given_back", exc_info=True)


def let_go(row: Repeat) -> None:
    """Nobody knows how it ended: the next one need not wait until the claim is over."""
    try:
        _claimed(row).update(runs_until=timezone.now())
    except DatabaseError:
        log.warning("claim_not_given_back", exc_info=True)


def forget_old(now: datetime) -> int:
    """Delete what nobody is answered from any more. Answers how many."""
    return Repeat.objects.filter(created_at__lt=now - Repeat.KEPT).delete()[0]


def _claimed(row: Repeat) -> Any:
    """The row, if it is still this process's: it may have been taken over."""
    return Repeat.objects.filter(pk=row.pk, runs_until=row.runs_until)
