"""Key roles: the list, one role, and its form with what a key of it can cost."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Count, Q, QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from keys.forms import RoleForm
from keys.models import Gateway, KeyRole
from keys.models.lease import ENDED
from keys.services import roles
from keys.services.terms import worst_ceiling
from portal.ui import page_of, render_part
from teams.access import require
from teams.requests import SignedIn
from teams.roles import Can


def _rows() -> QuerySet[KeyRole]:
    return (
        KeyRole.objects.with_gateway()
        .prefetch_related("teams")
        .annotate(live_keys=Count("leases", filter=~Q(leases__state__in=ENDED), distinct=True))
        .order_by("gateway__name", "name")
    )


def most(role: KeyRole) -> Any:
    """The most one key can cost, whenever it is issued."""
    return worst_ceiling(role.max_budget, role.budget_duration, role.default_ttl)


@login_required
@require_GET
def role_list(request: SignedIn) -> HttpResponse:
    require(request.user, Can.SEE_PLATFORM)
    counts = KeyRole.objects.aggregate(live=Count("pk", filter=Q(ended_at=None)), every=Count("pk"))
    ended = request.GET.get("state") == "ended"
    page = page_of(request, _rows().filter(ended_at__isnull=not ended))
    for role in page:
        role.most = most(role)
    context = {"page": page, "has_gateway": Gateway.objects.exists(), "state": "ended" if ended else "live"}
    context["counts"] = {"live": counts["live"], "ended": counts["every"] - counts["live"]}
    return render(request, "keys/roles.html", context)


@login_required
@require_GET
def role_page(request: SignedIn, pk: int) -> HttpResponse:
    require(request.user, Can.SEE_PLATFORM)
    role = get_object_or_404(_rows(), pk=pk)
    return render(request, "keys/role.html", {"role": role, "most": most(role)})


@login_required
@require_http_methods(["GET", "POST"])
def new_role(request: SignedIn) -> HttpResponse:
    require(request.user, Can.MANAGE_PLATFORM)
    if not Gateway.objects.exists():
        return render(request, "keys/roles.html", {"page": None, "has_gateway": False})
    return _form(request, None)


@login_required
@require_http_methods(["GET", "POST"])
def edit_role(request: SignedIn, pk: int) -> HttpResponse:
    require(request.user, Can.MANAGE_PLATFORM)
    return _form(request, get_object_or_404(_rows().filter(ended_at=None), pk=pk))


def _form(request: SignedIn, role: KeyRole | None) -> HttpResponse:
    """Draw the form; with a query, draw what a key of these terms can cost; on POST, save."""
    asked = request.POST if request.method == "POST" else (request.GET or None)
    form = RoleForm(asked, role=role)
    verb = partial(roles.change, role) if role else roles.make
    if request.method == "POST" and "look" not in request.POST and (saved := form.hand_to(verb, by=request.user)):
        messages.success(request, f"{saved} is saved. New keys get these terms; keys that live keep theirs.")
        return redirect("keys:role", saved.pk)
    shown = _rows().get(pk=role.pk) if role else None  # as stored: a refused form may have changed the object
    context = {"form": form, "role": shown, "draft": form.draft(), "refused": form.status != HTTPStatus.OK}
    context["gateway_moved"] = asked is not None and asked.get("listed") != str(
        form.chosen_gateway.pk if form.chosen_gateway else ""
    )
    return render_part(request, "keys/role_form.html", "keys/_role_parts.html", context, status=form.status)
