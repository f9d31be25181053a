"""The one page that shows a secret: not kept by browsers, proxies, htmx or sessions."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.cache import add_never_cache_headers

from keys.models import KeyVersion, Lease
from keys.services import leases
from keys.services.terms import ceiling
from keys.views.snippets import snippets
from portal.errors import PortalError


def one_time(request: HttpRequest) -> UUID:
    """The form's one-time token; a form without one can be sent only once anyway."""
    return uuid_in(request.POST.get("once", ""))


def uuid_in(text: str) -> UUID:
    """A UUID that somebody sent; one that is nobody's if it is none."""
    try:
        return UUID(text)
    except ValueError:
        return uuid4()


def show_once(request: HttpRequest, issued: leases.Issued) -> HttpResponse:
    """Answer the secret of an issue or of a rotation."""
    lease, now = issued.lease, timezone.now()
    window = str(lease.limits.get("budget_duration") or "")
    context: dict[str, Any] = {
        "secret": issued.secret,
        "lease": lease,
        "version": lease.current,
        "replaced": _before(lease),
        "trial": issued.trial,
        "limits": lease.limits,
        "most": ceiling(lease.max_budget, window, now, lease.expires_at),
        "snippets": snippets(issued),
        "now": now,
    }
    response = render(request, "keys/key_once.html", context)
    add_never_cache_headers(response)
    return response


def sent_before(request: HttpRequest, lease: Lease, error: PortalError) -> HttpResponse:
    """The same form again: the key as it stands, and a way to a new secret."""
    messages.warning(request, f"{error.message} {error.action}")
    return redirect(f"{reverse('keys:lease', args=[lease.pk])}?{urlencode({'unseen': 1})}")


def _before(lease: Lease) -> KeyVersion | None:
    """The version that the current one took the place of."""
    older = [each for each in lease.versions.all() if each.issued_at and each.number < lease.current.number]
    return older[-1] if older else None
