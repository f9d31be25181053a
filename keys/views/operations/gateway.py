"""What a platform admin asks of one gateway: compare, end what was listed, release a hold, measure."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Count, Q
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from keys.models import Finding, Gateway, Intent
from keys.services import operations, reconcile
from keys.views.operations.findings import rows
from keys.views.operations.standing import listed
from portal.errors import Invalid, NotAllowed, PortalError
from portal.models import AuditEvent
from portal.paging import stretch_of
from portal.templatetags.ui import count
from teams.access import require
from teams.requests import SignedIn
from teams.roles import Can

Kind = Finding.Kind
MONEY = (Kind.SPEND, Kind.PRICE)
AT_ONCE = 100  # unknown keys that are revoked with one press: each is looked at before and after


def compared(gateway: Gateway) -> dict[str, Any]:
    """What the last comparison found, for the page of a gateway; and who has asked for the next."""
    is_open = gateway.findings.filter(state=Finding.State.OPEN).order_by()
    found = is_open.aggregate(
        listed=Count("pk", filter=listed()),
        unknown=Count("pk", filter=Q(kind=Kind.ORPHAN, version=None)),
        money=Count("pk", filter=Q(kind__in=MONEY)),
        all=Count("pk"),
    )
    found["drifted"] = found["all"] - found["listed"] - found["unknown"] - found["money"]
    asked = AuditEvent.objects.filter(
        action="gateway.compare_asked", target_type="gateway", target_id=str(gateway.pk)
    ).first()
    return {
        "found": found,
        "asked": asked if gateway.reconciled_at is None else None,
        "pause": next((pause for task, pause in settings.SWEEPS.items() if "reconcile" in task), None),
        "promises": Intent.objects.open(timezone.now()).filter(gateway=gateway).count(),
    }


def _gateway(pk: int) -> Gateway:
    """Raises Http404."""
    return get_object_or_404(Gateway.objects.defer("master_key"), pk=pk)


@login_required
@require_POST
def compare(request: SignedIn, pk: int) -> HttpResponse:
    require(request.user, Can.MANAGE_PLATFORM)
    gateway = _gateway(pk)
    operations.compare_soon(gateway, by=request.user)
    messages.success(
        request, _("Asked. %(gateway)s is compared with our books by the next sweep.") % {"gateway": gateway}
    )
    return redirect("keys:gateway", pk)


@login_required
@require_http_methods(["GET", "POST"])
def end_listed(request: SignedIn, pk: int) -> HttpResponse:
    """The keys that a comparison left for a person to see; POST ends them."""
    require(request.user, Can.SEE_PLATFORM if request.method == "GET" else Can.MANAGE_PLATFORM)
    gateway = _gateway(pk)
    left = rows().filter(listed(), gateway=gateway, state=Finding.State.OPEN)
    if request.method == "GET":
        page = stretch_of(request, left, "-first_seen_at", "-pk", counted=True)
        context = {"gateway": gateway, "page": page}
        return render(request, "keys/operations/end.html", context)
    outcome = operations.end_listed(gateway, by=request.user)
    done = len(outcome.revoked) + len(outcome.closed)
    said = capfirst(count(done, "key ended,keys ended"))
    messages.success(
        request, _("%(said)s. What %(gateway)s has not confirmed is tried again.") % {"said": said, "gateway": gateway}
    )
    if outcome.stopped:
        messages.warning(request, _("%(stopped)s They are listed: look at them.") % {"stopped": outcome.stopped})
    return redirect("keys:gateway", pk)


@login_required
@require_http_methods(["GET", "POST"])
def hold(request: SignedIn, pk: int) -> HttpResponse:
    """What a release would set free; POST with `act` releases, or revokes the unknown keys that are ticked."""
    if request.method == "POST":
        return _answer(request, pk)
    require(request.user, Can.SEE_PLATFORM)
    gateway = _gateway(pk)
    context: dict[str, Any] = {"gateway": gateway, "most": AT_ONCE}
    if gateway.held_since:
        try:
            found = operations.preview(gateway, by=request.user)
            context |= {"preview": found, "at_once": len(found.expiring) + len(found.ending)}
        except NotAllowed:
            raise
        except PortalError as error:
            context["trouble"] = error
    trouble = context.get("trouble")
    return render(request, "keys/operations/hold.html", context, status=trouble.status if trouble else 200)


def _answer(request: SignedIn, pk: int) -> HttpResponse:
    require(request.user, Can.MANAGE_PLATFORM)
    gateway, act = _gateway(pk), request.POST.get("act", "")
    if act == "release":
        reconcile.release(gateway, by=request.user)
        messages.success(request, _("%(gateway)s is released. The sweeps act there again.") % {"gateway": gateway})
        return redirect("keys:gateway", pk)
    if act != "revoke":
        raise Invalid(_("There is no such act."))
    chosen = request.POST.getlist("key")[:AT_ONCE]
    done = reconcile.revoke_unknown(gateway, chosen, by=request.user)
    said = capfirst(count(done, "key is gone,keys are gone"))
    if chosen and done == len(chosen):
        messages.success(request, _("%(said)s from %(gateway)s.") % {"said": said, "gateway": gateway})
    elif chosen:
        messages.warning(
            request,
            _("%(keys)s from %(gateway)s, %(left)s not: try again.")
            % {"keys": said, "gateway": gateway, "left": len(chosen) - done},
        )
    else:
        messages.warning(request, _("No key was ticked."))
    return redirect("keys:gateway_hold", pk)


@login_required
@require_POST
def measure(request: SignedIn, pk: int) -> HttpResponse:
    require(request.user, Can.MANAGE_PLATFORM)
    gateway = _gateway(pk)
    try:
        found = operations.measure(gateway, by=request.user)
        messages.success(
            request,
            _("An ending on %(gateway)s works within %(found)s s.") % {"gateway": gateway, "found": f"{found:g}"},
        )
    except NotAllowed:
        raise
    except PortalError as error:
        messages.error(request, f"{error.message} {error.action}")
    return redirect("keys:gateway", pk)
