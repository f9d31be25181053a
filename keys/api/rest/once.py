"""Idempotency-Key on every POST: the act is done once, and a repeat hears what became of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, Protocol, cast
from uuid import UUID

import structlog
from django.http import Http404
from django.urls import reverse
from rest_framework import serializers, status
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from structlog.contextvars import bind_contextvars

from keys.api.rest.request_shapes import RequestOut, with_all
from keys.api.rest.shapes import LeaseOut
from keys.models import KeyRequest, Lease, State
from keys.services.errors import AlreadyIssued
from portal import repeats
from portal.log import SECRET, scrub
from portal.models import Repeat
from teams.models import User

log = structlog.get_logger(__name__)

LEASE, REQUEST = "$lease", "$request"  # stand in a kept answer for one, which is read anew
SECRETS = frozenset({"key", "secret", "token", "refresh_token"})  # fields of answers that hold a secret
SHOWN_ONCE = "shown_once"
Act = Callable[..., Response]
Mark = tuple[str, str]  # kind and id


class ShownOnceOut(serializers.Serializer[Any]):
    """The answer to a repeat of what made a secret: it was shown, is not kept, and is replaced only when you ask."""

    key = serializers.CharField(allow_null=True, help_text="Always null.")
    secret = serializers.ChoiceField([SHOWN_ONCE])
    lease = LeaseOut()
    replace = serializers.URLField(help_text="POST here with `grace: 0`, and with a key of its own.")


class SecretGoneOut(serializers.Serializer[Any]):
    """The answer to a repeat of what made a secret that is no key of a lease: the rest of it as it was."""

    secret = serializers.ChoiceField([SHOWN_ONCE])


class Named(Protocol):
    """What a view says of itself."""

    repeatable: bool
    of_token: bool

    def still_seen(self, request: Request, **kwargs: Any) -> None: ...

    def handle_exception(self, exc: Exception) -> Response: ...


def wanted(request: Request) -> bool:
    """Whether this call names itself. Other methods than POST are safe to repeat as they are."""
    return request.method == "POST" and repeats.HEADER in request.headers and request.user.is_authenticated


def do_once(view: Named, act: Act, request: Request, *args: Any, **kwargs: Any) -> Response:
    """Do the act, or answer what it came to before. `request.once` is what a service may know the call by.

    Of an act that met a trouble nothing is kept: it may be sent again, corrected too. Nor are files.
    Raises Invalid, InProgress, Mismatch, OutcomeUnknown, Http404.
    """
    by = cast(User, request.user)
    bind_contextvars(idempotency="refused")  # in the request's line of the log; unless what follows says better
    about = f"{request.get_full_path()} {request.auth.pk if view.of_token and request.auth else ''}".rstrip()
    row, taken_over = repeats.begin(by.audit_id, request.headers[repeats.HEADER], repeats.told(about, request.data))
    if row.runs_until is None:
        bind_contextvars(idempotency="replayed")
        view.still_seen(request, **kwargs)
        return _replayed(_filled(json.loads(row.answer), by, request), row.status or status.HTTP_200_OK)
    if taken_over and not view.repeatable:
        repeats.let_go(row)
        raise repeats.OutcomeUnknown
    bind_contextvars(idempotency="taken_over" if taken_over else "first")
    request.once = row.pk  # type: ignore[attr-defined]
    try:
        response = act(request, *args, **kwargs)
    except AlreadyIssued as issued:
        return _issued_before(row, issued.lease, by, request)
    except Exception as error:
        try:
            response = view.handle_exception(error)
        except Exception:
            repeats.let_go(row)
            raise
    if response.status_code >= status.HTTP_400_BAD_REQUEST or response.streaming:  # a file is written anew
        repeats.forget(row)
    else:
        _keep(row, response)
    return response


def once(request: Request) -> UUID | None:
    """The call's own name, for services that take one: whoever repeats it has the same."""
    return cast("UUID | None", getattr(request, "once", None))


def _issued_before(row: Repeat, lease: Lease, by: User, request: Request) -> Response:
    """The process that issued it died before its answer was kept. Raises InProgress, Http404."""
    if lease.state == State.ISSUING:  # perhaps it lives; if not, a sweep ends that lease
        repeats.let_go(row)
        raise repeats.InProgress
    answer = {"lease": {LEASE: str(lease.pk)}, "secret": SHOWN_ONCE}
    repeats.finish(row, status.HTTP_200_OK, answer)
    return _replayed(_filled(answer, by, request), status.HTTP_200_OK)


def _replayed(answer: Any, code: int) -> Response:
    return Response(answer, status=code, headers={repeats.REPLAYED: "true", "Cache-Control": "no-store"})


def _keep(row: Repeat, response: Response) -> None:
    """Keep the answer without its secrets. Whatever breaks here, nothing comes between a person and theirs."""
    try:
        hidden: list[str] = []
        answer = _kept(response.data, hidden, secret="no-store" in response.get("Cache-Control", ""))
        code = response.status_code
        if hidden:
            code = status.HTTP_200_OK
            answer = {"lease": answer["lease"]} if "lease" in answer else answer
            answer["secret"] = SHOWN_ONCE
        repeats.finish(row, code, json.loads(JSONRenderer().render(answer) or "null"))
    except Exception:
        log.exception("answer_not_kept")


def _kept(value: Any, hidden: list[str], *, secret: bool, name: str = "") -> Any:
    """What may be kept of an answer: leases and requests by id, secrets (their fields' names go to `hidden`) never."""
    shape = getattr(value, "serializer", None)
    if isinstance(shape, LeaseOut) or (name == "lease" and isinstance(value, dict) and "versions" in value):
        return {LEASE: str(value["id"])}
    if isinstance(shape, RequestOut):
        return {REQUEST: str(value["id"])}
    if isinstance(value, dict):
        return {each: _kept(inner, hidden, secret=secret, name=str(each)) for each, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_kept(inner, hidden, secret=secret) for inner in value]
    if isinstance(value, str) and ((secret and name in SECRETS) or SECRET.fullmatch(value)):
        hidden.append(name)
        return None
    return scrub(value) if isinstance(value, str) else value


def _filled(answer: Any, by: User, request: Request) -> Any:
    """A kept answer with its leases and requests as they are now, as far as `by` still sees them. Raises Http404."""
    seen = _seen(list(_marks(answer)), by)
    alone = answer.get("lease", answer.get("request", answer)) if isinstance(answer, dict) else None
    if (mark := _mark(alone)) and mark not in seen:
        raise Http404
    found = _with(answer, seen)
    if isinstance(found, dict) and found.get("secret") == SHOWN_ONCE and "lease" in found:
        replace = request.build_absolute_uri(reverse("api:rotate", args=[found["lease"]["id"]]))
        return {"key": None, "secret": SHOWN_ONCE, "lease": found["lease"], "replace": replace}
    return found


def _mark(value: Any) -> Mark | None:
    """Which lease or request this stands for."""
    kinds = [kind for kind in (LEASE, REQUEST) if isinstance(value, dict) and kind in value]
    return (kinds[0], value[kinds[0]]) if kinds else None


def _marks(answer: Any) -> Iterator[Mark]:
    if mark := _mark(answer):
        yield mark
    elif isinstance(answer, dict | list):
        for inner in answer.values() if isinstance(answer, dict) else answer:
            yield from _marks(inner)


def _seen(marks: list[Mark], by: User) -> dict[Mark, Any]:
    ids = {kind: [pk for each, pk in marks if each == kind] for kind in (LEASE, REQUEST)}
    leases = Lease.objects.visible_to(by).rows().filter(pk__in=ids[LEASE])
    asked = with_all(KeyRequest.objects.visible_to(by).filter(pk__in=ids[REQUEST]))
    found: dict[Mark, Any] = {(LEASE, str(each.pk)): LeaseOut(each).data for each in leases}
    return found | {(REQUEST, str(each.pk)): RequestOut(each).data for each in asked}


def _with(answer: Any, seen: dict[Mark, Any]) -> Any:
    if mark := _mark(answer):
        return seen.get(mark, {"id": mark[1]})
    if isinstance(answer, dict):
        return {name: _with(inner, seen) for name, inner in answer.items()}
    return [_with(inner, seen) for inner in answer] if isinstance(answer, list) else answer
