"""Ask that a live key may do more for a while: a bigger budget, other models."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import UUID, uuid4

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from keys.forms.requests import USUAL, RiseForm
from keys.models import Bounds, KeyRequest, Lease
from keys.services import requests
from keys.services.beside import usual_wait
from keys.services.requests.rising import work_out
from keys.views.issue import query_of
from keys.views.leases import visible_lease
from keys.views.once import one_time, uuid_in
from portal.errors import PortalError
from portal.templatetags.ui import when
from portal.ui import render_part, undoable
from teams.access import require
from teams.models import User
from teams.requests import SignedIn
from teams.roles import Can


class Counter:
    """What a rise would be, worked out anew for each change of the form."""

    def __init__(self, lease: Lease, user: User, sent: QueryDict | None, *, is_draft: bool = False) -> None:
        self.lease, self.user, self.is_draft, self.once = lease, user, is_draft, uuid4()
        self.form = RiseForm(sent, lease=lease)
        self.bounds: Bounds | None = None
        self.decider = ""
        self.problem: PortalError | None = None
        self.deciders: list[User] = []
        again = sent.get("again", "") if sent else ""
        self.again = KeyRequest.objects.visible_to(user).filter(pk=uuid_in(again)).first() if again else None
        given = self._given()
        if given is not None:
            self._work_out(**given)

    def _given(self) -> dict[str, Any] | None:
        """What is asked so far; None: not enough of it can be read. What it is for is not needed for the slip."""
        form = self.form
        if not form.is_bound:
            return None
        form.is_valid()
        if self.is_draft:
            form.errors.pop("purpose", None)  # nobody has pressed anything yet
        if set(form.errors) - {"purpose"}:
            return None
        return {name: value for name, value in form.fields_given().items() if name != "purpose"}

    def _work_out(self, *, models: tuple[str, ...], max_budget: Any, lasts: Any) -> None:
        now = timezone.now()
        try:
            self.bounds, self.decider = work_out(self.lease, models, max_budget, lasts, now)
        except PortalError as error:
            self.problem = error
            return
        self.until = now + self.bounds.ttl
        would_be = KeyRequest(team=self.lease.team, role=self.lease.role, holder=self.lease.holder,
                              asked_by=self.user, decider=self.decider)  # fmt: skip
        self.deciders = list(requests.deciders(would_be)) if self.decider else []

    @property
    def adds(self) -> Any:
        """By how much the budget would be bigger, USD; None: it stays."""
        if not self.bounds or self.bounds.max_budget is None or self.lease.max_budget is None:
            return None
        return self.bounds.max_budget - self.lease.max_budget

    @property
    def usual_wait(self) -> Any:
        return usual_wait(self.lease.team)


@login_required
@require_http_methods(["GET", "POST"])
def rise(request: SignedIn, pk: UUID) -> HttpResponse:
    """A query, or `look`, works the slip out; POST asks, or raises the key at once where its role gives it."""
    lease = visible_lease(request, pk)
    require(request.user, Can.RENEW_KEY, lease)
    if request.method == "GET":
        draft = request.GET.copy()  # another page may say only what is missing
        draft.setdefault("lasts", USUAL)
        return _page(request, Counter(lease, request.user, draft if request.GET else None, is_draft=True))
    if "look" in request.POST:
        return HttpResponseRedirect(f"{reverse('keys:rise', args=[lease.pk])}?{query_of(request.POST)}")
    counter = Counter(lease, request.user, request.POST)
    verb = partial(requests.submit_rise, lease, again=counter.again, once=one_time(request))
    asked = counter.form.hand_to(verb, by=request.user)
    if asked is None:
        return _page(request, counter)
    if asked.is_running:
        messages.success(
            request, _("Raised until %(reverts_at)s UTC, then back by itself.") % {"reverts_at": when(asked.reverts_at)}
        )
        return redirect("keys:lease", lease.pk)
    back = reverse("keys:request_cancel", args=[asked.pk])
    undoable(request, _("Asked. You are told once somebody has decided."), label=_("Take the request back"), path=back)
    return redirect("keys:request", asked.pk)


def _page(request: SignedIn, counter: Counter) -> HttpResponse:
    context = {"counter": counter, "lease": counter.lease, "form": counter.form}
    status = counter.form.status if request.method == "POST" else None
    return render_part(request, "keys/requests/rise.html", "keys/requests/_rise_slip.html", context, status=status)
