"""One lease: how it stands, its limits, its history, and its end."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from keys.forms import RevokeForm
from keys.models import Lease, State
from keys.services import leases
from keys.services.terms import ceiling
from portal.models import AuditEvent
from portal.ui import render_part, sent
from teams.access import require
from teams.requests import SignedIn
from teams.roles import Can

HISTORY = 50


def visible_lease(request: SignedIn, pk: UUID) -> Lease:
    """The lease, if whoever asks may see it. Raises Http404."""
    return get_object_or_404(Lease.objects.visible_to(request.user).rows(), pk=pk)


@login_required
@require_GET
def lease_page(request: SignedIn, pk: UUID) -> HttpResponse:
    lease = visible_lease(request, pk)
    return render_part(request, "keys/lease.html", "keys/_lease.html", about(lease))


@login_required
@require_http_methods(["GET", "POST"])
def revoke_key(request: SignedIn, pk: UUID) -> HttpResponse:
    """Ask once more without script; end the lease on POST. Safe to repeat."""
    lease = visible_lease(request, pk)
    form = RevokeForm(sent(request))
    if request.method != "POST" or not form.is_valid():
        require(request.user, Can.REVOKE_KEY, lease)
        return render(request, "keys/revoke.html", {"lease": lease, "form": form}, status=422 if form.errors else 200)
    was = lease.state
    lease = leases.revoke(lease, by=request.user, reason=form.cleaned_data["reason"] or "asked")
    said = _what_happened(lease, was)
    (messages.warning if lease.state == State.REVOKING else messages.success)(request, said)
    return redirect("keys:lease", lease.pk)


def _what_happened(lease: Lease, was: str) -> str:
    if lease.state == State.REVOKING:
        waits = "Keydesk keeps trying; until then the key may still answer."
        return f"Not yet revoked: {lease.gateway} has not confirmed it. {waits}"
    if was in {State.REVOKED, State.EXPIRED, State.FAILED}:
        return f"{lease} had ended before."
    return f"Revoked; {lease.gateway} confirmed it at {lease.ended_at or timezone.now():%H:%M:%S} UTC."


def about(lease: Lease) -> dict[str, Any]:
    """What a page shows of a lease."""
    history = AuditEvent.objects.filter(target_type="lease", target_id=str(lease.pk))
    window = str(lease.limits.get("budget_duration") or "")
    return {
        "lease": lease,
        "limits": lease.limits,
        "most": ceiling(lease.max_budget, window, lease.issued_at, lease.expires_at),
        "key_name": lease.current.key_name if lease.versions.all() else "",
        "history": history[:HISTORY],
        "now": timezone.now(),
        "revoke_form": RevokeForm(),
    }
