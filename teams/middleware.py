"""Who is signed in: how fresh that is, and whether they have to set up a second factor first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.auth import SESSION_KEY
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import reverse
from django_htmx.http import HttpResponseClientRedirect

from portal import api
from portal.errors import SecondFactorNeeded
from portal.ui import is_htmx
from portal.views import API
from teams import mfa, sessions
from teams.models import User

TOKENS = (API, "/scim/")  # where an Authorization header is read


class PersonMiddleware:
    """Tell services when the person last signed in, and lead those who lack a second factor to where one is made.

    Requests without a session are left alone: API tokens have neither.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if person := _person(request):
            person.signed_in_at = sessions.last_sign_in(request)
            sessions.note_use(request.session)
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> HttpResponse | None:
        person, own_account = _person(request), reverse("account")
        if not person or _by_token(request) or request.path.startswith(own_account) or not mfa.is_needed_by(person):
            return None
        if request.path.startswith(API):
            error = SecondFactorNeeded()
            request.refused = error  # type: ignore[attr-defined]  # for portal/refusals.py
            return JsonResponse(
                api.body(error.code, error.message, error.action, details=error.details), status=error.status
            )
        return (HttpResponseClientRedirect if is_htmx(request) else HttpResponseRedirect)(own_account)


def _by_token(request: HttpRequest) -> bool:
    """Whether a token acts here, right or wrong: with one, the doors of TOKENS take no session."""
    shown = request.headers.get("Authorization", "").lower().startswith("bearer ")
    return shown and request.path.startswith(TOKENS)


def _person(request: HttpRequest) -> User | None:
    """Whoever has this session, without a query where there is none."""
    return request.user if SESSION_KEY in request.session and request.user.is_authenticated else None
