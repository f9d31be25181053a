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
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET, require_http_methods

from keys.forms import RoleForm
from keys.models import Gateway, How, KeyRole, RoleVersion
from keys.models.lease import ENDED
from keys.services import roles
from keys.services.simulator import Simulation, SimulationChanged
from keys.services.terms import worst_ceiling
from portal.errors import PortalError
from portal.paging import Stretch, stretch_of
from portal.ui import render_part
from teams.access import require
from teams.requests import SignedIn
from teams.roles import Can

VERSIONS = 20  # on the page of a role; the audit has them all
OWN = ("csrfmiddlewaretoken", "look", "how", "seen")  # of the preview, not of the form


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
    rows = _rows().filter(ended_at__isnull=not ended)
    page: Stretch[Any] = stretch_of(request, rows, "gateway__name", "name", "pk", counted=True)
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
    context = {"role": role, "most": most(role), "history": _history(role), "shown": VERSIONS}
    return render(request, "keys/role.html", context)


def _history(role: KeyRole) -> list[tuple[RoleVersion, RoleVersion | None, int]]:
    """The newest versions, each with the one before it and how many live keys have its terms."""
    versions = list(role.versions.all()[: VERSIONS + 1])
    have = dict(
        role.leases.live().order_by().values_list("limits__role_version").annotate(Count("pk"))
    )  # a key that was narrowed has the terms of the version that narrowed it
    older: list[RoleVersion | None] = [*versions[1:], None]
    return [(each, older[at], have.get(each.number, 0)) for at, each in enumerate(versions[:VERSIONS])]


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
    """Draw the form; with a query, draw what a key of these terms can cost; on POST, save.

    A change that leaves live keys with more than the role gives is first shown with what it does to them.
    """
    asked = request.POST if request.method == "POST" else (request.GET or None)
    form = RoleForm(asked, role=role)
    if request.method == "POST" and "look" not in request.POST and (answer := _save(request, role, form)):
        return answer
    shown = _rows().get(pk=role.pk) if role else None  # as stored: a refused form may have changed the object
    context = {"form": form, "role": shown, "draft": form.draft(), "refused": form.status != HTTPStatus.OK}
    context["gateway_moved"] = asked is not None and asked.get("listed") != str(
        form.chosen_gateway.pk if form.chosen_gateway else ""
    )
    return render_part(request, "keys/role_form.html", "keys/_role_parts.html", context, status=form.status)


def _save(request: SignedIn, role: KeyRole | None, form: RoleForm) -> HttpResponse | None:
    """Save it, or show first what that does. None: the form was refused, and says why."""
    if role is None:
        saved = form.hand_to(roles.make, by=request.user)
        said = gettext("%(saved)s is saved. Its teams can get keys from it.") % {"saved": saved}
    else:
        simulation = form.hand_to(partial(roles.simulate, role), by=request.user)
        if simulation is None:
            return None
        chosen, seen = request.POST.get("how", ""), request.POST.get("seen", "")
        if simulation.asks and (chosen not in How.values or simulation.mark != seen):
            return _preview(request, simulation, SimulationChanged() if seen else None)
        how = How(chosen) if simulation.asks else How.LEAVE
        saved = form.hand_to(partial(roles.change, role), how=how, seen=simulation.mark, by=request.user)
        said = gettext("%(saved)s is saved. %(saved_2)s") % {"saved": saved, "saved_2": SAVED[how]}
    if saved is None:
        return None
    messages.success(request, said)
    return redirect("keys:role", saved.pk)


SAVED = {
    How.LEAVE: _("New keys get these terms; keys that live keep theirs."),
    How.RENEWAL: _("New keys get these terms; keys with more shrink when they are renewed."),
    How.NOW: _("New keys get these terms, and keys that had more were cut to them. Their holders are told."),
}


def _preview(request: SignedIn, simulation: Simulation, problem: PortalError | None) -> HttpResponse:
    """What the change does to live keys, with the form in it; 409 when it is another than was shown."""
    sent = [(name, value) for name, values in request.POST.lists() if name not in OWN for value in values]
    context = {"role": KeyRole.objects.get(pk=simulation.role.pk), "simulation": simulation, "sent": sent}
    context |= {"chosen": request.POST.get("how", How.LEAVE), "problem": problem}
    return render(request, "keys/role_preview.html", context, status=problem.status if problem else 200)
