"""Write down who was refused what: an attack leaves a trail even where nothing gave way."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import structlog
from django.db import DatabaseError, transaction
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from portal import audit
from portal.errors import PortalError
from portal.models import AuditEvent, Installation, storable

log = structlog.get_logger(__name__)

ACTION = "access.refused"
AN_HOUR = timedelta(hours=1)
# Events an hour and actor (of strangers: and address). More would say nothing new, and nobody shall fill the trail.
MOST = 100
in_form: ContextVar[PortalError | None] = ContextVar("in_form", default=None)  # what a form of this request shows
SAFE = {"GET", "HEAD", "OPTIONS", "TRACE"}
SHOWN = ("pk", "slug", "name", "who", "user", "team", "number", "object_id")  # parts of a URL that are no secret


class RefusalMiddleware:
    """Record each refusal of somebody signed in, or of a token.

    That is every 403, and what a writing request names that is not there, not theirs to see (404), or no field of the
    act (422 `unknown_field`); and errors that ask for it (`on_record`), of strangers only these: a budget over its
    ceiling, a used invitation.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        session_user = request.user  # the API forgets it when the CSRF token is wrong
        in_form.set(None)
        response = self.get_response(request)
        error, status = getattr(request, "refused", None) or in_form.get(), response.status_code
        writes = request.method not in SAFE
        asks = writes and getattr(error, "on_record", False)
        missed = (writes and status == HTTPStatus.NOT_FOUND) or getattr(error, "code", "") == "unknown_field"
        if status == HTTPStatus.FORBIDDEN or missed or asks:
            actor = request.user if request.user.is_authenticated else session_user
            if actor.is_authenticated:
                _record(actor, actor, request, status)
            elif asks:
                _record(audit.STRANGER, Installation.objects.get_or_create(pk=1)[0], request, status)
        return response


def _record(actor: Any, target: Model, request: HttpRequest, status: int) -> None:
    """In a transaction of its own: what was refused was taken back already. A full disk refuses no less."""
    match, error = request.resolver_match, getattr(request, "refused", None) or in_form.get()
    code = str(getattr(error, "code", ""))
    facts: dict[str, Any] = {"status": status, "code": code, "method": request.method}
    facts["route"] = match.view_name or match.route if match else ""
    if right := getattr(error, "right", ""):
        facts["right"] = right
    if code == "unknown_field":
        facts["fields"] = sorted(storable(name) for name in getattr(error, "details", {}))[:20]
    if match and (named := {name: str(value)[:120] for name, value in match.kwargs.items() if name in SHOWN}):
        facts["named"] = named
    hour = AuditEvent.objects.filter(actor_id=actor.audit_id, action=ACTION, at__gt=timezone.now() - AN_HOUR)
    if actor is audit.STRANGER:  # they share a name: one must not use up the lines of all
        hour = hour.filter(ip=audit.origin.get().ip)
    try:
        with transaction.atomic():
            already = hour.count()
            if already >= MOST:
                return
            if already == MOST - 1:
                facts["note"] = f"{MOST} within an hour: more of this actor are not written down"
            audit.record(ACTION, target, by=actor, **facts)
    except DatabaseError:
        log.warning("refusal_not_recorded", actor=actor.audit_id, exc_info=True)
