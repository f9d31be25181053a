"""What every request passes: where it comes from, and what a trouble looks like to a person."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address, ip_network
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import resolve_url
from django.urls import reverse
from django_htmx.http import HttpResponseClientRedirect
from structlog.contextvars import get_contextvars

from portal.audit import Origin, origin
from portal.errors import PortalError, SignInAgain
from portal.ui import is_htmx
from portal.views import API, problem

GetResponse = Callable[[HttpRequest], HttpResponse]


def client_ip(remote: str, forwarded: str) -> str | None:
    """Who asks: the rightmost address of X-Forwarded-For that is not one of ours, as only our proxies tell the truth.

    A port beside it is left out. None when what is there is no address (a Unix socket, a hop that says "unknown").
    """
    trusted = [ip_network(network, strict=False) for network in settings.TRUSTED_PROXIES]
    hops = [hop.strip() for hop in forwarded.split(",") if hop.strip()]
    found = None
    for hop in [remote, *reversed(hops)]:
        try:
            address = ip_address(_without_port(hop))
        except ValueError:  # who that is, nobody knows: never the proxy that it came through
            return None
        found = address
        if not any(address in network for network in trusted):
            break
    return str(found) if found else None


def _without_port(hop: str) -> str:
    """`203.0.113.5:4711` and `[2001:db8::1]:4711` without what is none of the address."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop


class OriginMiddleware:
    """Tell the audit trail where the acts of this request come from."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        ip = client_ip(request.META.get("REMOTE_ADDR", ""), request.headers.get("X-Forwarded-For", ""))
        token = origin.set(Origin(ip=ip, request_id=str(get_contextvars().get("request_id", ""))[:64]))
        try:
            return self.get_response(request)
        finally:
            origin.reset(token)


def _sign_in_again(request: HttpRequest) -> HttpResponse:
    """To the page that asks for it, and back to the form: each that needs this stands at the address it is sent to."""
    to = f"{reverse('account_reauthenticate')}?{urlencode({'next': request.get_full_path()})}"
    return (HttpResponseClientRedirect if is_htmx(request) else HttpResponseRedirect)(to)


def _leave_nul_out(request: HttpRequest) -> None:
    """Nothing that a page is asked for has NUL in it, which PostgreSQL refuses to compare with anything.

    REST and SCIM say so themselves, and forms do of what they are sent.
    """
    if "%00" in request.META.get("QUERY_STRING", "") and not request.path.startswith((API, "/scim/")):
        asked = request.GET.copy()
        for name, values in request.GET.lists():
            asked.setlist(name, [value.replace("\0", "") for value in values])
        asked._mutable = False
        request.GET = asked  # type: ignore[assignment]


class ProblemMiddleware:
    """Turn a PortalError into a page, or for htmx into a notice at the head of the page that is open."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        _leave_nul_out(request)
        response = self.get_response(request)
        signs_in = isinstance(response, HttpResponseRedirect) and response.url.startswith(
            resolve_url(settings.LOGIN_URL)
        )
        if is_htmx(request) and signs_in:  # the session is over: never put the door into a part of a page
            return HttpResponseClientRedirect(request.htmx.current_url_abs_path or "/")  # type: ignore[attr-defined]
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if isinstance(exception, SignInAgain):
            return _sign_in_again(request)
        return problem(request, exception) if isinstance(exception, PortalError) else None
