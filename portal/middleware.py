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
from portal.views import problem

GetResponse = Callable[[HttpRequest], HttpResponse]


def client_ip(remote: str, forwarded: str) -> str | None:
    """Who asks: the rightmost address of X-Forwarded-For that is not one of ours, as only our proxies tell the truth.

    None when what is there is no address (a Unix socket).
    """
    trusted = [ip_network(network, strict=False) for network in settings.TRUSTED_PROXIES]
    hops = [hop.strip() for hop in forwarded.split(",") if hop.strip()]
    found = None
    for hop in [remote, *reversed(hops)]:
        try:
            address = ip_address(hop)
        except ValueError:
            break
        found = address
        if not any(address in network for network in trusted):
            break
    return str(found) if found else None


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


class ProblemMiddleware:
    """Turn a PortalError into a page, or for htmx into a notice at the head of the page that is open."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
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
