"""One lease: how it stands, what it spent, its limits, its secrets and its history."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.decorators.http import require_GET

from keys.models import Lease
from keys.services import budgets, spend
from keys.services.terms import ceiling
from keys.views import advice
from keys.views.limits import is_nearly_spent, is_tight, limit_rows
from keys.views.offers import offer
from portal.models import AuditEvent
from portal.ui import render_part
from teams.models import User
from teams.requests import SignedIn

HISTORY = 50


def visible_lease(request: SignedIn, pk: UUID) -> Lease:
    """The lease, if whoever asks may see it. Raises Http404."""
    return get_object_or_404(Lease.objects.visible_to(request.user).rows(), pk=pk)


@login_required
@require_GET
def lease_page(request: SignedIn, pk: UUID) -> HttpResponse:
    """The page; htmx, which looks again while the gateway has a part in it, gets what may have changed."""
    context = about(visible_lease(request, pk), request.user)
    context["unseen"] = "unseen" in request.GET and any(act.name == "rotate" for act in context["offer"].acts)
    context["moved"] = request.GET.get("seen", context["mark"]) != context["mark"]
    return render_part(request, "keys/lease.html", "keys/_lease_parts.html", context)


def _handed_over(lease: Lease, history: QuerySet[AuditEvent]) -> AuditEvent | None:
    """How it came to its holder, while the secret is still the one that was in use before."""
    return history.filter(action="key.transferred").first() if lease.handed_over_at and lease.is_live else None


def about(lease: Lease, user: User) -> dict[str, Any]:
    """What a page shows of a lease to `user`."""
    now = timezone.now()
    history = AuditEvent.objects.filter(target_type="lease", target_id=str(lease.pk))
    window = str(lease.limits.get("budget_duration") or "")
    chain = budgets.chain(lease, now)
    return {
        "lease": lease,
        "limits": lease.limits,
        "most": ceiling(lease.max_budget, window, lease.issued_at, lease.expires_at),
        "key_name": lease.current.key_name if lease.versions.all() else "",
        "offer": offer(lease, user),
        "mark": f"{lease.state}-{lease.is_pending}",
        "history": history[:HISTORY],
        "handed_over": _handed_over(lease, history),
        "advice": advice.of_lease(lease) if lease.is_live else [],
        "chain": chain,
        "limit_rows": limit_rows(lease, chain),
        "tight": is_tight(chain.binding),
        "nearly_spent": is_nearly_spent(chain.binding),
        "figures": spend.figures(lease, now),
        "models": spend.by_model(lease, now.date().replace(day=1), now.date()),
        "now": now,
    }
