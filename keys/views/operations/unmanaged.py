"""Keys on the gateways that are not ours: counted, listed, never touched; one may be imported as a lease."""

from __future__ import annotations

from functools import partial

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Count, Max, Q, QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from keys.forms.operations import ImportForm
from keys.models import Gateway, UnmanagedKey
from keys.services import unmanaged
from keys.views.operations.standing import open_findings
from portal.paging import stretch_of
from portal.ui import render_part, sent
from teams.access import require
from teams.requests import SignedIn
from teams.roles import Can

FOUND_BY = ("alias", "key_name", "team", "holder")


@login_required
@require_GET
def key_list(request: SignedIn) -> HttpResponse:
    require(request.user, Can.SEE_PLATFORM)
    listed = Gateway.objects.defer("master_key").annotate(
        listed=Count("unmanaged"), walked_at=Max("unmanaged__seen_at")
    )
    gateways = list(listed.order_by("-is_default", "name"))
    gateway = next((each for each in gateways if each.name == request.GET.get("gateway")), None)
    gateway = gateway or next((each for each in gateways if each.foreign_keys), next(iter(gateways), None))
    find = request.GET.get("q", "").strip()
    keys = UnmanagedKey.objects.filter(gateway=gateway)
    context = {
        "page": stretch_of(request, _found(keys, find), "-spend", "pk", counted=True),
        "gateway": gateway,
        "gateways": gateways,
        "find": find,
        "more": max(0, (gateway.foreign_keys or 0) - gateway.listed) if gateway else 0,
        "not_ours": sum(each.foreign_keys or 0 for each in gateways),
        "findings": open_findings().count(),
    }
    return render_part(request, "keys/operations/unmanaged.html", "keys/operations/_unmanaged.html", context)


def _found(keys: QuerySet[UnmanagedKey], words: str) -> QuerySet[UnmanagedKey]:
    match = Q()
    for field in FOUND_BY:
        match |= Q(**{f"{field}__icontains": words})
    return keys.filter(match) if words else keys


@login_required
@require_http_methods(["GET", "POST"])
def import_key(request: SignedIn, pk: int) -> HttpResponse:
    require(request.user, Can.MANAGE_PLATFORM)
    key = get_object_or_404(UnmanagedKey.objects.select_related("gateway").defer("gateway__master_key"), pk=pk)
    form = ImportForm(sent(request), key=key)
    if request.method == "POST" and (lease := form.hand_to(partial(unmanaged.adopt_key, key), by=request.user)):
        messages.success(
            request, _("%(lease)s is a lease now. Its secret is as it was, and goes on working.") % {"lease": lease}
        )
        return redirect("keys:lease", lease.pk)
    return render(request, "keys/operations/import.html", {"key": key, "form": form}, status=form.status)
