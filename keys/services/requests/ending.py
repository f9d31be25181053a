"""End requests of which nothing can become: their holder left, or the team, the role or the key of a rise ended."""

from __future__ import annotations

from datetime import datetime

import structlog
from django.db import transaction
from django.utils import timezone

from keys.models import KeyRequest, RequestEntry
from keys.models.request import OPEN, KeyRequestQuerySet
from keys.services.requests import telling
from keys.services.requests.thread import add
from portal import audit
from teams.access import SYSTEM
from teams.models import Team, User

log = structlog.get_logger(__name__)

BATCH = 500


def end_for(sender: object = None, *, user: User, team: Team | None = None, **_: object) -> int:
    """Cancel what `user` asked to hold in `team` (None: everywhere), because access ended. Answers how many."""
    theirs = KeyRequest.objects.filter(holder=user)
    return end_groundless(theirs if team is None else theirs.filter(team=team))


def end_team(sender: object = None, *, team: Team, **_: object) -> int:
    """Cancel what a team's people asked for, because it was ended. Answers how many."""
    return end_groundless(KeyRequest.objects.filter(team=team))


def end_groundless(rows: KeyRequestQuerySet | None = None, now: datetime | None = None) -> int:
    """Cancel those that have lost their ground; answers how many. The verbs do it at once, a sweep is their net."""
    now = now or timezone.now()
    found = (KeyRequest.objects.all() if rows is None else rows).without_ground(now)
    done = 0
    for pk in list(found.order_by("submitted_at").values_list("pk", flat=True)[:BATCH]):
        try:
            with transaction.atomic():
                KeyRequest.objects.select_for_update().get(pk=pk)
                row = KeyRequest.objects.select_related("team", "role", "holder", "asked_by", "lease").get(pk=pk)
                if found.filter(pk=pk).exists():  # as it is now
                    done += _end(row, now)
        except Exception:  # one of them must not hold up the others
            log.exception("request_not_ended", request=str(pk))
    return done


def _end(request: KeyRequest, now: datetime) -> bool:
    why = _why(request)
    if not request.move(OPEN, KeyRequest.State.CANCELLED, decided_at=now, reason=why):
        return False
    add(request, RequestEntry.Act.CANCELLED, by=SYSTEM, at=now, text=why)
    audit.record("request.cancelled", request, by=SYSTEM, reason=why)
    telling.ended(request)
    return True


def _why(request: KeyRequest) -> str:
    if request.team.ended_at:
        return f"{request.team} was ended."
    if request.role.ended_at:
        return f"The key role {request.role} was ended."
    if request.is_rise and request.lease and request.lease.holder_id != request.holder_id:
        return "The key was handed over to somebody else."
    if request.is_rise and request.lease and not request.lease.is_live:
        return "The key was ended."
    return f"{request.holder} may not hold keys of {request.team} any more."
