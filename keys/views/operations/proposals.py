"""Proposals: what one platform admin wants done, side by side with what is, and what the others decided."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from keys.models import Proposal
from keys.services import proposals as services
from portal.errors import Invalid
from portal.paging import Stretch, stretch_of
from teams.access import require
from teams.requests import SignedIn
from teams.roles import Can


@login_required
@require_GET
def proposals(request: SignedIn) -> HttpResponse:
    require(request.user, Can.SEE_PLATFORM)
    rows = Proposal.objects.select_related("proposed_by", "decided_by", "gateway", "role").defer("payload")
    page: Stretch[Any] = stretch_of(request, rows.open(), "at", "pk", counted=True)
    for each in page:
        each.lines = [(name, each.before.get(name, ""), said) for name, said in each.after.items()]
    context = {"page": page, "decided": rows.exclude(outcome="")[:20]}
    return render(request, "keys/operations/proposals.html", context)


@login_required
@require_POST
def decide(request: SignedIn, pk: int) -> HttpResponse:
    require(request.user, Can.MANAGE_PLATFORM)
    proposal = get_object_or_404(Proposal.objects.defer("payload"), pk=pk)
    act = request.POST.get("act")
    if act == "confirm":
        done = services.confirm(proposal, by=request.user)
        messages.success(
            request,
            _("%(done)s is saved, as %(proposed_by)s proposed.") % {"done": done, "proposed_by": proposal.proposed_by},
        )
    elif act == "reject":
        services.reject(proposal, by=request.user, reason=request.POST.get("reason", ""))
        messages.success(request, _("Rejected. Nothing was changed."))
    else:
        raise Invalid(_("There is no such decision."))
    return redirect("keys:proposals")
