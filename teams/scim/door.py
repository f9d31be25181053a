"""Who may come in at SCIM's door, and how it says no: its own errors, for every trouble."""

from __future__ import annotations

import hmac
from http import HTTPStatus
from typing import Any

import structlog
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.db import IntegrityError
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt
from pydantic import ValidationError
from rest_framework.exceptions import Throttled
from scim2_models import Error, SCIMException

from portal.audit import origin
from portal.errors import Invalid, PortalError
from teams.authentication import slow_down
from teams.scim.resources import PROVIDER
from teams.services.directory import Taken

log = structlog.get_logger(__name__)

JSON = "application/scim+json"
NOT_FOUND = "There is nothing of that name."


class WrongToken(Exception):
    """The caller is not the directory."""


class NoSuch(Exception):
    """Nothing there, or not any more."""


@method_decorator(csrf_exempt, name="dispatch")
class Door(View):
    """One resource behind the door: the token is asked for first, and every trouble is answered in SCIM's shape."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            _let_in(request)
            with PROVIDER:
                answer = super().dispatch(request, *args, **kwargs)
                assert isinstance(answer, HttpResponse)  # noqa: S101  (no view of ours streams, or is asynchronous)
        except Exception as trouble:
            answer = _refusal(trouble)
        answer["Cache-Control"] = "no-store"
        return answer

    def http_method_not_allowed(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        takes = [name.upper() for name in self.http_method_names if hasattr(self, name)]
        said = f"{request.method} is not for this address."
        return refuse(HTTPStatus.METHOD_NOT_ALLOWED, said, Allow=", ".join(takes))


class Nothing(Door):
    """Every other address behind the door."""

    def get(self, request: HttpRequest, rest: str = "") -> HttpResponse:
        raise NoSuch

    post = put = patch = delete = get


def refuse(status: int, detail: str, scim_type: str | None = None, **headers: str) -> HttpResponse:
    """An error of SCIM. Source: RFC 7644, 3.12."""
    said = Error(status=int(status), detail=detail, scim_type=scim_type).model_dump_json()
    return HttpResponse(said, status=status, content_type=JSON, headers=headers)


def _let_in(request: HttpRequest) -> None:
    """Raises NoSuch while no token is set, WrongToken, Throttled."""
    if not settings.SCIM_TOKEN:
        raise NoSuch
    kind, _, said = request.headers.get("Authorization", "").partition(" ")
    right = hmac.compare_digest(said.strip().encode(errors="replace"), settings.SCIM_TOKEN.encode())
    if kind.lower() == "bearer" and right:
        return
    if said:
        slow_down(origin.get().ip)
    raise WrongToken


def _refusal(trouble: Exception) -> HttpResponse:
    if isinstance(trouble, NoSuch | Http404):
        return refuse(HTTPStatus.NOT_FOUND, NOT_FOUND)
    if isinstance(trouble, WrongToken):
        return refuse(HTTPStatus.UNAUTHORIZED, "Send the token of this directory as Authorization: Bearer.",
                      **{"WWW-Authenticate": 'Bearer realm="scim"'})  # fmt: skip
    if isinstance(trouble, Throttled):
        return refuse(
            HTTPStatus.TOO_MANY_REQUESTS, str(trouble.detail), **{"Retry-After": str(getattr(trouble, "wait", 60))}
        )
    if isinstance(trouble, ValidationError):
        said = Error.from_validation_errors(trouble)[0]
        return refuse(said.status or HTTPStatus.BAD_REQUEST, said.detail or "", said.scim_type)
    if isinstance(trouble, SCIMException):
        return refuse(trouble.status, trouble.detail, trouble.scim_type or None)
    if isinstance(trouble, RequestDataTooBig):
        return refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "This is more than one request may hold.")
    if isinstance(trouble, Taken):
        return refuse(trouble.status, trouble.message, "uniqueness")
    if isinstance(trouble, IntegrityError):  # somebody came in by another door at this moment
        return refuse(HTTPStatus.CONFLICT, "Somebody else has this address or name by now.", "uniqueness")
    if isinstance(trouble, Invalid):
        return refuse(HTTPStatus.BAD_REQUEST, trouble.message, "invalidValue")
    if isinstance(trouble, PortalError):
        return refuse(trouble.status, f"{trouble.message} {trouble.action}")
    log.exception("scim_failed", exc_info=trouble)
    return refuse(HTTPStatus.INTERNAL_SERVER_ERROR, "Keydesk could not do this. Nothing was changed.")
