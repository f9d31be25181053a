"""Operations: how things stand, what waits, the sweeps, and the promises that gateways have not confirmed."""

from __future__ import annotations

from functools import partial

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from keys.forms.operations import WhyForm
from keys.models import Intent
from keys.services import intents
from keys.templatetags.operations import coming, must, subject
from keys.templatetags.told import retold
from keys.views.operations.standing import open_intents, standing
from portal.paging import stretch_of
from portal.ui import sent
from teams.access import require
from teams.requests import SignedIn
from teams.roles import Can


@login_required
@require_GET
def operations(request: SignedIn) -> HttpResponse:
    require(request.user, Can.SEE_PLATFORM)
    page = stretch_of(request, open_intents(), "-attempts", "created_at", "pk", counted=True)
    context = {"standing": standing(), "page": page}
    return render(request, "keys/operations/overview.html", context)


@login_required
@require_POST
def retry(request: SignedIn, pk: int) -> HttpResponse:
    require(request.user, Can.MANAGE_PLATFORM)
    if not (intent := _intent(pk)):
        return _kept_already(request)
    intents.retry(intent, by=request.user)
    about = gettext("%(subject)s %(must)s on %(gateway)s") % {
        "subject": subject(intent),
        "must": must(intent),
        "gateway": intent.gateway,
    }
    left = open_intents().filter(pk=pk).first()
    if left is None:
        said = {"about": about, "gateway": intent.gateway}
        messages.success(request, gettext("Kept: %(about)s, and %(gateway)s confirmed it.") % said)
    else:
        said = {"about": about, "error": retold(left.last_error), "due": coming(left.due_at)}
        messages.warning(request, gettext("Not yet: %(about)s. %(error)s Next try %(due)s.") % said)
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
    "force": _("{0} has ended by our books. Keydesk keeps trying on {1}."),
    "forget": _("Keydesk does not try any more with {0} on {1}."),
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
    messages.success(request, gettext("This promise is kept already, or was forgotten."))
    return redirect("keys:operations")
