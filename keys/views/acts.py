"""Renew, rotate, pause, resume and revoke one key. GET asks, for who comes without script; POST does it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from keys.forms import ReasonForm, RenewForm, RotateForm, TransferForm
from keys.models import Lease, State
from keys.models.lease import ENDED
from keys.services import leases
from keys.services.errors import AlreadyRotated
from keys.views.leases import visible_lease
from keys.views.offers import offer, rotate_or_replace
from keys.views.once import sent_before, show_once
from portal.errors import NotAllowed, PortalError
from portal.forms import DeskForm
from portal.templatetags.ui import when
from portal.ui import render_part, sent, undoable
from teams.access import require, require_fresh
from teams.requests import SignedIn
from teams.roles import Can

MORE_THAN_A_MOMENT = 1.0  # seconds
DONE = {"pause": _("Paused"), "resume": _("Resumed"), "revoke": _("Revoked")}


@login_required
@require_http_methods(["GET", "POST"])
def renew_key(request: SignedIn, pk: UUID) -> HttpResponse:
    """A query, or `look`, works out what a renewal would give; POST renews."""
    lease = visible_lease(request, pk)
    require(request.user, Can.RENEW_KEY, lease)
    form = RenewForm(sent(request) or request.GET or None, lease=lease, auto_id="renew_%s")
    if request.method == "POST" and "look" not in request.POST:
        if renewed := form.hand_to(partial(leases.renew, lease), by=request.user):
            messages.success(
                request,
                gettext("Renewed; %(renewed)s ends %(expires_at)s UTC.")
                % {"renewed": renewed, "expires_at": when(renewed.expires_at)},
            )
            return redirect("keys:lease", renewed.pk)
        lease = visible_lease(request, pk)
    plan = leases.renewal(lease, form.cleaned_data.get("ttl") if form.is_bound and form.is_valid() else None)
    return _ask(request, lease, "renew", form, plan=plan)


@never_cache
@login_required
@require_http_methods(["GET", "POST"])
def rotate_key(request: SignedIn, pk: UUID) -> HttpResponse:
    """POST answers the next secret, once; the same form again answers the key as it stands."""
    lease = visible_lease(request, pk)
    require(request.user, Can.RENEW_KEY, lease)
    require_fresh(request.user)
    form = RotateForm(sent(request), lease=lease, auto_id="rotate_%s")
    if request.method == "POST":
        form.status = HTTPStatus.UNPROCESSABLE_ENTITY
        if form.is_valid():
            try:
                return show_once(request, leases.rotate(lease, by=request.user, **form.fields_given()))
            except AlreadyRotated as error:
                return sent_before(request, lease, error)
            except NotAllowed:
                raise
            except PortalError as error:
                form.blame(error)
                form.status = error.status
        lease = visible_lease(request, pk)
    act = rotate_or_replace(lease, replaces="replace" in request.GET or "replace" in request.POST)
    return _ask(request, lease, "rotate", form, part=act.part, title=act.title, nothing=act.nothing)


@login_required
@require_http_methods(["GET", "POST"])
def pause_key(request: SignedIn, pk: UUID) -> HttpResponse:
    form = ReasonForm(sent(request), auto_id="pause_%s")
    return _turn(request, visible_lease(request, pk), "pause", form, leases.pause)


@login_required
@require_http_methods(["GET", "POST"])
def resume_key(request: SignedIn, pk: UUID) -> HttpResponse:
    return _turn(request, visible_lease(request, pk), "resume", DeskForm(sent(request)), leases.resume)


@login_required
@require_http_methods(["GET", "POST"])
def revoke_key(request: SignedIn, pk: UUID) -> HttpResponse:
    """Safe to repeat."""
    form = ReasonForm(sent(request), auto_id="revoke_%s")
    return _turn(request, visible_lease(request, pk), "revoke", form, leases.revoke)


@login_required
@require_http_methods(["GET", "POST"])
def transfer_key(request: SignedIn, pk: UUID) -> HttpResponse:
    lease = visible_lease(request, pk)
    require(request.user, Can.TRANSFER_KEY, lease)
    form = TransferForm(sent(request), lease=lease, auto_id="transfer_%s")
    if request.method == "POST" and (done := form.hand_to(partial(leases.transfer, lease), by=request.user)):
        messages.success(
            request,
            gettext("%(done)s is held by %(holder)s now. Both are told.") % {"done": done, "holder": done.holder},
        )
        return redirect("keys:lease", done.pk)
    return _ask(request, visible_lease(request, pk), "transfer", form)


def _turn(request: SignedIn, lease: Lease, name: str, form: DeskForm, verb: Callable[..., Lease]) -> HttpResponse:
    require(request.user, Can.REVOKE_KEY, lease)
    was = State(lease.state)
    if request.method == "POST" and (done := form.hand_to(partial(verb, lease), by=request.user)):
        said = _what_happened(done, was, name)
        if name == "pause" and not done.is_pending and leases.may_lift(done, request.user):
            undoable(
                request,
                said,
                label=gettext("Resume %(done)s") % {"done": done},
                path=reverse("keys:resume", args=[done.pk]),
            )
        else:
            (messages.warning if done.is_pending else messages.success)(request, said)
        return redirect("keys:lease", done.pk)
    return _ask(request, visible_lease(request, lease.pk), name, form)


def _ask(request: SignedIn, lease: Lease, name: str, form: DeskForm, **more: Any) -> HttpResponse:
    """The page of one act; htmx gets what a renewal would give."""
    offered = offer(lease, request.user)
    act = offered.act(name, form=form, **more)
    context = {"lease": lease, "form": form, "act": act, "notes": offered.notes, "name": name}
    return render_part(request, "keys/act.html", "keys/acts/_renew_slip.html", context, status=form.status)


def _what_happened(lease: Lease, was: State, name: str) -> str:
    if name == "revoke" and was in ENDED:
        return gettext("%(lease)s had ended before.") % {"lease": lease}
    slow = lease.gateway.effective_within
    said = {
        "done": DONE[name],
        "gateway": lease.gateway,
        "time": f"{lease.ended_at:%H:%M:%S}" if lease.ended_at else "",
    }
    if lease.is_pending and name == "revoke":
        words = gettext(
            "Not yet revoked: %(gateway)s has not confirmed it. "
            "Keydesk keeps trying; until then the key may still answer."
        )
    elif lease.is_pending:
        words = gettext("%(done)s here, and not yet effective: %(gateway)s has not confirmed it. Keydesk keeps trying.")
    elif slow and slow > MORE_THAN_A_MOMENT:
        words = gettext("%(done)s; %(gateway)s confirmed it, effective within 60 s.")
        if lease.ended_at:
            words = gettext("%(done)s; %(gateway)s confirmed it at %(time)s UTC, effective within 60 s.")
    elif lease.ended_at:
        words = gettext("%(done)s; %(gateway)s confirmed it at %(time)s UTC.")
    else:
        words = gettext("%(done)s; %(gateway)s confirmed it.")
    return words % said
