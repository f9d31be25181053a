"""What the way in asks of every page: passwords that are off, and ways to other hosts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseRedirectBase
from django.shortcuts import render
from django.utils.cache import add_never_cache_headers

from teams.sso import passwords


class SignInMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Go to another host by a page of our own.

        Our policy says `form-action 'self'`, and Chromium holds redirects after a form to it as well; a page that leads
        on is no answer to a form any more. So no provider's host has to be in the policy.
        """
        answer = self.get_response(request)
        if request.method != "POST" or not isinstance(answer, HttpResponseRedirectBase):
            return answer
        there = urlsplit(answer.url)
        if not there.netloc or there.netloc == request.get_host():
            return answer
        page = render(request, "socialaccount/going.html", {"to": answer.url, "name": _name(there.netloc)})
        page.cookies = answer.cookies
        add_never_cache_headers(page)
        return page

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> None:
        """With KEYDESK_SSO_ONLY there are no pages for passwords, but for whom breaks the glass."""
        name = request.resolver_match.url_name if request.resolver_match else ""
        if settings.SSO_ONLY and name in passwords.PAGES and not passwords.may_use(request.user):
            raise Http404


def _name(host: str) -> str:
    """The provider at that host; the host itself where it is none's."""
    found = (each.name for each in settings.SSO_PROVIDERS.values() if urlsplit(each.issuer).netloc == host)
    return next(found, host)
