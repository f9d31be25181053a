"""Pages for what goes wrong. They name what happened, what it left behind, and a way on."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.translation import gettext, gettext_noop
from django.views.decorators.csrf import requires_csrf_token
from structlog.contextvars import get_contextvars

from portal import api
from portal.errors import PortalError
from portal.ui import is_htmx

API = "/api/"


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that is no PortalError, with the same face."""

    code: str
    status: HTTPStatus
    message: str
    action: str
    retryable: bool = False
    details: dict[str, Any] = field(default_factory=dict)


NOT_FOUND = Trouble(
    "not_found", HTTPStatus.NOT_FOUND, gettext_noop("There is no such page"),
    gettext_noop("It is gone, never was, or belongs to a team that you are not in."),
)  # fmt: skip
FORBIDDEN = Trouble(  # Django's admin says so of rows that it only shows
    "not_allowed", HTTPStatus.FORBIDDEN, gettext_noop("This is not done here"),
    gettext_noop("Rows are made, changed and ended on Keydesk's own pages, by whoever has the right there."),
    details={"right": "change_rows_in_the_admin", "who": []},
)  # fmt: skip
STALE_FORM = Trouble(
    "stale_form", HTTPStatus.FORBIDDEN, gettext_noop("This form is too old to be sent"),
    gettext_noop("Nothing was done. Open the page again and send it from there; cookies have to be allowed "
        "for this site."),
)  # fmt: skip
BAD_REQUEST = Trouble(
    "bad_request",
    HTTPStatus.BAD_REQUEST,
    gettext_noop("This request cannot be read"),
    gettext_noop("Go back and send it again."),
)
TOO_MANY = Trouble(
    "too_many_tries", HTTPStatus.TOO_MANY_REQUESTS, gettext_noop("Too many tries"),
    gettext_noop("Nothing was done. Wait a few minutes, then try again."), retryable=True,
)  # fmt: skip
BROKEN = Trouble(
    "internal_error", HTTPStatus.INTERNAL_SERVER_ERROR, gettext_noop("Keydesk made a mistake here"),
    gettext_noop("It is in the log under the number below. What was half done is undone by itself; look at "
        "the current state before you repeat an act."),
    retryable=True,
)  # fmt: skip
TROUBLES = (NOT_FOUND, FORBIDDEN, STALE_FORM, BAD_REQUEST, TOO_MANY, BROKEN)


def problem(request: HttpRequest, error: PortalError | Trouble) -> HttpResponse:
    """`error` as a page, or for htmx as a notice put into `#problems`."""
    request.refused = error  # type: ignore[attr-defined]  # for portal/refusals.py
    context = {"problem": _spoken(error), "request_id": get_contextvars().get("request_id", "")}
    if is_htmx(request):
        response = render(request, "errors/_problem.html", context, status=error.status)
        response["HX-Retarget"], response["HX-Reswap"] = "#problems", "innerHTML"
        return response
    signed_in = getattr(getattr(request, "user", None), "is_authenticated", False)
    layout = "base.html" if signed_in else "door.html"
    response = render(request, "errors/problem.html", {**context, "layout": layout}, status=error.status)
    if wait := error.details.get("retry_after"):
        response["Retry-After"] = str(wait)
    return response


def _spoken(error: PortalError | Trouble) -> PortalError | Trouble:
    """In the reader's language: a PortalError was raised in it."""
    if isinstance(error, PortalError):
        return error
    return replace(error, message=gettext(error.message), action=gettext(error.action))


def _answer(request: HttpRequest, trouble: Trouble) -> HttpResponse:
    if request.path.startswith(API):
        request.refused = trouble  # type: ignore[attr-defined]
        found = api.body(trouble.code, f"{trouble.message}.", trouble.action, retryable=trouble.retryable)
        return JsonResponse(found, status=trouble.status, headers=api.explained(trouble.code))
    return problem(request, trouble)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _answer(request, NOT_FOUND)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _answer(request, FORBIDDEN)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _answer(request, BAD_REQUEST)


def too_many(request: HttpRequest) -> HttpResponse:
    """allauth's limits of tries end here."""
    return _answer(request, TOO_MANY)


@requires_csrf_token
def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    return _answer(request, STALE_FORM)


def server_error(request: HttpRequest) -> HttpResponse:
    """The last page: drawn without the rail, because what broke may be what the rail needs."""
    context = {"problem": _spoken(BROKEN), "layout": "door.html", "request_id": get_contextvars().get("request_id", "")}
    if request.path.startswith(API):
        return _answer(request, BROKEN)
    return HttpResponse(render_to_string("errors/problem.html", context), status=BROKEN.status)
