"""Findings: what a look at a gateway found that is not as our books say, and the answers to it."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Count, QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_http_methods

from keys.forms.operations import WhyForm
from keys.models import Finding, Gateway
from keys.services import findings, operations, reconcile
from keys.views.operations.standing import gateways_with_listed, listed, not_ours, open_findings
from portal.errors import Invalid, NotAllowed, PortalError
from portal.paging import Stretch, stretch_of
from portal.ui import render_part
from teams.access import require
from teams.requests import SignedIn
from teams.roles import Can


def rows() -> QuerySet[Finding]:
    found = Finding.objects.select_related("gateway", "team", "version__lease__team", "version__lease__holder")
    return found.defer("gateway__master_key")


@login_required
@require_GET
def finding_list(request: SignedIn) -> HttpResponse:
    require(request.user, Can.SEE_PLATFORM)
    state = _one_of(request.GET.get("state"), Finding.State.values, Finding.State.OPEN)
    kind = _one_of(request.GET.get("kind"), Finding.Kind.values)
    gateways = list(Gateway.objects.defer("master_key"))
    gateway = _one_of(request.GET.get("gateway"), [each.name for each in gateways])
    shown = rows().filter(**{name: value for name, value in (("kind", kind), ("gateway__name", gateway)) if value})
    if not kind:  # keys that are listed are answered together, on the page of the list
        shown = shown.exclude(listed(), state=Finding.State.OPEN)
    counts = dict(shown.order_by().values_list("state").annotate(Count("pk")))
    page: Stretch[Any] = stretch_of(request, shown.filter(state=state), "-first_seen_at", "-pk", counted=True)
    for each in page:
        each.acts = operations.acts_on(each)
    context = {
        "page": page,
        "state": state,
        "kind": kind,
        "gateway": gateway,
        "gateways": gateways,
        "kinds": Finding.Kind.choices,
        "states": [(name, words, counts.get(name, 0)) for name, words in Finding.State.choices],
        "open": open_findings().count(),
        "listed": gateways_with_listed(),
        "not_ours": not_ours(),
    }
    return render_part(request, "keys/operations/findings.html", "keys/operations/_findings.html", context)


def _one_of(wanted: str | None, known: list[str], otherwise: str = "") -> str:
    return wanted if wanted in known else otherwise


@login_required
@require_http_methods(["GET", "POST"])
def finding(request: SignedIn, pk: int) -> HttpResponse:
    """One finding with all that can be done about it; on POST `act` does it."""
    require(request.user, Can.SEE_PLATFORM if request.method == "GET" else Can.MANAGE_PLATFORM)
    found = get_object_or_404(rows(), pk=pk)
    if request.method == "GET":
        return _page(request, found, WhyForm())
    act = request.POST.get("act", "")
    if act == "ignore":
        return _ignore(request, found)
    if act not in DONE:
        raise Invalid(gettext("There is no such act."))
    try:
        DONE[act](request, found)
    except NotAllowed:
        raise
    except PortalError as error:
        messages.error(request, f"{error.message} {error.action}")
        return redirect("keys:finding", found.pk)
    return redirect("keys:findings")


def _ignore(request: SignedIn, found: Finding) -> HttpResponse:
    form = WhyForm(request.POST)
    if form.hand_to(partial(findings.ignore, found), by=request.user):
        messages.success(request, gettext("Left as it is. It opens again when it changes."))
        return redirect("keys:findings")
    return _page(request, found, form)


def _page(request: SignedIn, found: Finding, form: WhyForm) -> HttpResponse:
    context: dict[str, Any] = {"finding": found, "form": form, "acts": operations.acts_on(found)}
    return render(request, "keys/operations/finding.html", context, status=form.status)


def _restore(request: SignedIn, found: Finding) -> None:
    if findings.restore(found, by=request.user).state == Finding.State.CLOSED:
        messages.success(request, gettext("Restored: on %(gateway)s it is as it is here.") % {"gateway": found.gateway})
    else:
        said = gettext("%(gateway)s is asked to follow; it has not confirmed it yet. Keydesk keeps trying.")
        messages.warning(request, said % {"gateway": found.gateway})


def _adopt(request: SignedIn, found: Finding) -> None:
    findings.adopt(found, by=request.user)
    messages.success(
        request,
        gettext("Adopted: here it is as it is on %(gateway)s now. The holder is told.") % {"gateway": found.gateway},
    )


def _revoke(request: SignedIn, found: Finding) -> None:
    reconcile.revoke_unknown(found.gateway, [found.subject], by=request.user)
    messages.success(request, gettext("Revoked; it is gone from %(gateway)s.") % {"gateway": found.gateway})


DONE = {"restore": _restore, "adopt": _adopt, "revoke": _revoke}
