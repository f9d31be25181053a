"""Operations: how things stand, what waits, the sweeps, and the promises that gateways have not confirmed."""

from __future__ import annotations

from functools import partial

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from keys.forms.operations import WhyForm
from keys.models import Intent
from keys.services import intents
from keys.templatetags.operations import coming, must, subject
from keys.views.operations.standing import open_intents, standing
from portal.ui import page_of, sent
from teams.access import require
from teams.requests import SignedIn
from teams.roles import Can


@login_required
@require_GET
def operations(request: SignedIn) -> HttpResponse:
    require(request.user, Can.SEE_PLATFORM)
    context = {"standing": standing(), "page": page_of(request, open_intents())}
    return render(request, "keys/operations/overview.html", context)


@login_required
@require_POST
def retry(request: SignedIn, pk: int) -> HttpResponse:
    require(request.user, Can.MANAGE_PLATFORM)
    if not (intent := _intent(pk)):
        return _kept_already(request)
    intents.retry(intent, by=request.user)
    about = f"{subject(intent)} {must(intent)} on {intent.gateway}"
    left = open_intents().filter(pk=pk).first()
    if left is None:
        messages.success(request, f"Kept: {about}, and {intent.gateway} confirmed it.")
    else:
        messages.warning(request, f"Not yet: {about}. {left.last_error} Next try {coming(left.due_at)}.")
    return redirect("keys:operations")


@login_required
@require_http_methods(["GET", "POST"])
def force(request: SignedIn, pk: int) -> HttpResponse:
    """Close the books on an ending that the gateway does not confirm, after a page that says what that means."""
    return _decide(request, pk, "force")


@login_required
@require_http_methods(["GET", "POST"])
def forget(request: SignedIn, pk: int) -> HttpResponse:
    """Drop a promise, after a page that says what that means."""
    return _decide(request, pk, "forget")


ACTS = {"force": intents.force, "forget": intents.forget}
DONE = {
    "force": "{0} has ended by our books. Keydesk keeps trying on {1}.",
    "forget": "Keydesk does not try any more with {0} on {1}.",
}


def _decide(request: SignedIn, pk: int, act: str) -> HttpResponse:
    require(request.user, Can.MANAGE_PLATFORM)
    if not (intent := _intent(pk)):
        return _kept_already(request)
    form = WhyForm(sent(request))
    if request.method == "POST":
        form.hand_to(partial(ACTS[act], intent), by=request.user)
        if not form.errors:
            messages.success(request, DONE[act].format(subject(intent), intent.gateway))
            return redirect("keys:operations")
    context = {"intent": intent, "form": form}
    return render(request, f"keys/operations/{act}.html", context, status=form.status)


def _intent(pk: int) -> Intent | None:
    rows = Intent.objects.select_related("gateway", "team", "version__lease__team", "version__lease__holder")
    return rows.defer("gateway__master_key").filter(pk=pk).first()


def _kept_already(request: SignedIn) -> HttpResponse:
    messages.success(request, "This promise is kept already, or was forgotten.")
    return redirect("keys:operations")
