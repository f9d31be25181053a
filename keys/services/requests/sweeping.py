"""The sweep behind requests: end, remind, escalate, lapse, take back rises. Safe to repeat, on ten hosts at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from keys.models import Decider, Intent, KeyRequest, RequestEntry
from keys.models.lease import State as LeaseState
from keys.services import intents
from keys.services.requests import ending, rising, telling
from keys.services.requests.thread import add
from portal import audit
from teams.access import SYSTEM

log = structlog.get_logger(__name__)

BATCH = 500
CLAIM_WARNING = timedelta(days=1)  # before a claim lapses, or half of its time where that is less
Act = RequestEntry.Act
State = KeyRequest.State


def look_after(now: datetime | None = None) -> dict[str, int]:
    """What is due now; answers how many of each."""
    now = now or timezone.now()
    near = now + min(CLAIM_WARNING, settings.CLAIM_WITHIN / 2)
    pending, approved = Q(state=State.PENDING, lapses_at__gt=now), Q(state=State.APPROVED)
    over = Q(state=State.PENDING, lapses_at__lte=now) | approved & Q(claim_until__lte=now)
    return {
        "ended": ending.end_groundless(now=now),  # first: nobody is asked about those any more
        "lapsed": _each(over & ~_being_issued(), _lapse, now),
        "escalated": _each(pending & Q(escalates_at__lte=now, escalated_at=None), _escalate, now),
        "reminded": _each(pending & Q(remind_at__lte=now, reminded_at=None), _remind, now),
        "warned": _each(approved & Q(claim_until__gt=now, claim_until__lte=near, claim_reminded_at=None), _warn, now),
        "reverted": _revert_due(now),
    }


def _being_issued() -> Q:
    return Q(state=State.APPROVED, lease__isnull=False, lease__state=LeaseState.ISSUING)


def _each(due: Q, act: Callable[[KeyRequest, datetime], None], now: datetime) -> int:
    """Do it to each row that is still due under its lock; answers to how many."""
    done = 0
    for pk in KeyRequest.objects.filter(due).order_by("submitted_at").values_list("pk", flat=True)[:BATCH]:
        try:
            with transaction.atomic():
                if row := _locked(pk, due):
                    act(row, now)
                    done += 1
        except Exception:  # one of them must not hold up the others
            log.exception("request_not_looked_after", request=str(pk), act=act.__name__)
    return done


def _locked(pk: UUID, due: Q) -> KeyRequest | None:
    """The row, locked, if it is still due. Not one that somebody holds at this moment: the next sweep comes."""
    if KeyRequest.objects.select_for_update(skip_locked=True).filter(pk=pk).first() is None:
        return None
    rows = KeyRequest.objects.select_related("team", "role", "holder", "asked_by", "lease")
    return rows.filter(due, pk=pk).first()


def _lapse(request: KeyRequest, now: datetime) -> None:
    was_approved = request.state == State.APPROVED
    request.state = State.LAPSED
    request.save(update_fields=["state"])
    add(request, Act.LAPSED, by=SYSTEM, at=now)
    audit.record("request.lapsed", request, by=SYSTEM, approved=was_approved)
    telling.lapsed(request, was_approved=was_approved)


def _escalate(request: KeyRequest, now: datetime) -> None:
    request.decider, request.escalated_at = Decider.PLATFORM, now
    request.remind_at = now + settings.ESCALATE_AFTER / 2  # whoever is asked now, should nobody have been reminded
    request.save(update_fields=["decider", "escalated_at", "remind_at"])
    add(request, Act.ESCALATED, by=SYSTEM, at=now)
    audit.record("request.escalated", request, by=SYSTEM)
    telling.escalated(request)


def _remind(request: KeyRequest, now: datetime) -> None:
    request.reminded_at = now
    request.save(update_fields=["reminded_at"])
    add(request, Act.REMINDED, by=SYSTEM, at=now)
    telling.reminded(request)


def _warn(request: KeyRequest, now: datetime) -> None:
    request.claim_reminded_at = now
    request.save(update_fields=["claim_reminded_at"])
    telling.claim_ends_soon(request)


def _revert_due(now: datetime) -> int:
    """Take back the rises whose time is over, with the gateway away too: the promises wait for it."""
    due = Q(pk__in=KeyRequest.objects.running_rises().filter(reverts_at__lte=now).values("pk"))
    promises: list[Intent] = []
    done = 0
    for pk in KeyRequest.objects.filter(due).order_by("reverts_at").values_list("pk", flat=True)[:BATCH]:
        try:
            with transaction.atomic(durable=True):
                row = _locked(pk, due)
                made = rising.revert(row, now) if row else None
                if row and made is not None:
                    telling.reverted(row)
        except Exception:
            log.exception("rise_not_reverted", request=str(pk))
            continue
        if made is not None:
            promises += made
            done += 1
    intents.settle(promises, seconds=intents.SWEEP_PATIENCE)
    return done
