"""Gateways: the list, one gateway, and its form. The master key goes in and never comes out."""

from __future__ import annotations

from functools import partial

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Count, Q, QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from keys.forms import GatewayForm
from keys.models import Gateway
from keys.models.lease import ENDED
from keys.services import gateways
from keys.views.operations.gateway import compared
from portal.errors import NotAllowed, PortalError
from portal.ui import render_part, sent
from teams.access import require, require_fresh
from teams.requests import SignedIn
from teams.roles import Can


def _rows() -> QuerySet[Gateway]:
    live = Count("leases", filter=~Q(leases__state__in=ENDED))
    return Gateway.objects.annotate(live_keys=live).order_by("-is_default", "name")


@login_required
@require_GET
def gateway_list(request: SignedIn) -> HttpResponse:
    require(request.user, Can.SEE_PLATFORM)
    return render(request, "keys/gateways.html", {"gateways": list(_rows())})


@login_required
@require_GET
def gateway_page(request: SignedIn, pk: int) -> HttpResponse:
    require(request.user, Can.SEE_PLATFORM)
    gateway = get_object_or_404(_rows(), pk=pk)
    context = {"gateway": gateway, **compared(gateway)}
    return render_part(request, "keys/gateway.html", "keys/operations/_gateway_compare.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def new_gateway(request: SignedIn) -> HttpResponse:
    return _form(request, None)


@login_required
@require_http_methods(["GET", "POST"])
def edit_gateway(request: SignedIn, pk: int) -> HttpResponse:
    return _form(request, pk)


@login_required
@require_POST
def check_gateway(request: SignedIn, pk: int) -> HttpResponse:
    require(request.user, Can.MANAGE_PLATFORM)
    gateway = get_object_or_404(Gateway, pk=pk)
    try:
        gateways.check(gateway, by=request.user)
        messages.success(request, _("%(gateway)s answers.") % {"gateway": gateway})
    except NotAllowed:
        raise
    except PortalError as error:
        messages.error(request, f"{error.message} {error.action}")
    return redirect("keys:gateway", pk)


def _form(request: SignedIn, pk: int | None) -> HttpResponse:
    require(request.user, Can.MANAGE_PLATFORM)
    require_fresh(request.user)  # before anything is typed
    gateway = get_object_or_404(Gateway, pk=pk) if pk else None
    form = GatewayForm(sent(request), gateway=gateway)
    verb = partial(gateways.change, gateway) if gateway else gateways.make
    if request.method == "POST" and (saved := form.hand_to(verb, by=request.user)):
        messages.success(request, _("%(saved)s answers, and is saved.") % {"saved": saved})
        return redirect("keys:gateway", saved.pk)
    shown = Gateway.objects.get(pk=pk) if pk else None  # as stored: a refused form may have changed the object
    return render(request, "keys/gateway_form.html", {"form": form, "gateway": shown}, status=form.status)
