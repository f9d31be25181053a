"""Requests: the inbox, one request with what decides it, and the acts on it. A link in a mail only shows."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Count, Q
from django.http import HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from keys.forms.requests import DecideForm, DenyForm, SayForm
from keys.models import KeyRequest
from keys.models.request import KeyRequestQuerySet
from keys.services import requests
from keys.services.errors import AlreadyIssued
from keys.views.decision import Decision, decision
from keys.views.once import one_time, sent_before, show_once
from portal.errors import Conflict, NotAllowed, PortalError
from portal.forms import DeskForm
from portal.paging import stretch_of
from portal.templatetags.ui import when
from teams.access import allowed
from teams.models import Team, User
from teams.requests import SignedIn
from teams.roles import Can
from teams.views.teams import visible_team

State = KeyRequest.State
TABS = {"waiting": [State.PENDING], "approved": [State.APPROVED]}
OPEN = [State.PENDING, State.APPROVED]
NEWEST = ("-submitted_at", "-pk")
ORDER = {"waiting": ("submitted_at", "pk"), "approved": NEWEST, "decided": NEWEST}
LATE = 5  # of one's own on the first page
NARROWS = ("ttl", "max_budget", "models")
INBOX = "inbox"  # where a form was sent from, so that whoever decides several comes back to the rest


def visible_request(request: SignedIn, pk: UUID) -> KeyRequest:
    """The request, if whoever asks may see it. Raises Http404."""
    return get_object_or_404(_with_all(KeyRequest.objects.visible_to(request.user)), pk=pk)


def _with_all(rows: KeyRequestQuerySet) -> KeyRequestQuerySet:
    """With what a row of the inbox shows, in the same query."""
    related = ("team", "role__gateway", "holder", "asked_by", "decided_by", "lease", "again__decided_by")
    return rows.select_related(*related).defer("role__gateway__master_key")


@login_required
@require_GET
def inbox(request: SignedIn) -> HttpResponse:
    """`?tab=` waiting, approved or decided; `?team=` a team; `?open=` the request that is unfolded."""
    user, seen = request.user, KeyRequest.objects.visible_to(request.user)
    tab = request.GET.get("tab", "")
    tab = tab if tab in ORDER else "waiting"
    team = visible_team(request, request.GET["team"]) if request.GET.get("team") else None
    teams = Team.objects.filter(pk__in=seen.order_by().values("team")).order_by("name")
    rows = seen.filter(team=team) if team else seen
    page = stretch_of(request, _with_all(_in_tab(rows, tab)), *ORDER[tab])
    shown = [row.pk for row in page]
    mine = set(KeyRequest.objects.decidable_by(user).filter(pk__in=shown).values_list("pk", flat=True))
    first = next((row for row in page if str(row.pk) == request.GET.get("open")), None) or next(
        (row for row in page if row.pk in mine), None
    )
    stakes = [(row, requests.stake(row), row.pk in mine) for row in page]
    open_ones = [stake.total for row, stake, may in stakes if may]
    context = {
        "tab": tab,
        "team": team,
        "teams": teams,
        "page": page,
        "rows": stakes,
        "first": decision(first, user) if first else None,
        "counts": rows.order_by().aggregate(**_counts()),
        "mine": len(mine),
        "at_most": None if None in open_ones else sum(total for total in open_ones if total is not None),
    }
    return render(request, "keys/requests/inbox.html", context)


def _in_tab(rows: KeyRequestQuerySet, tab: str) -> KeyRequestQuerySet:
    return rows.filter(state__in=TABS[tab]) if tab in TABS else rows.exclude(state__in=OPEN)


def _counts() -> dict[str, Count]:
    found = {name: Count("pk", filter=Q(state__in=states)) for name, states in TABS.items()}
    return {**found, "decided": Count("pk", filter=~Q(state__in=OPEN))}


@login_required
@require_GET
def request_page(request: SignedIn, pk: UUID) -> HttpResponse:
    """One request. A query narrows the slip; htmx gets the sum that changed, or the part that an inbox unfolds."""
    row = visible_request(request, pk)
    narrowed = request.GET if any(name in request.GET for name in NARROWS) else None
    htmx = getattr(request, "htmx", None)
    if htmx and htmx.target == f"sum-{row.pk}":
        return render(request, "keys/requests/_sum.html", {"decision": decision(row, request.user, narrowed)})
    if htmx and htmx.target == f"body-{row.pk}":
        context = {"decision": decision(row, request.user, narrowed), "back": INBOX}
        return render(request, "keys/requests/_body.html", context)
    return _show(request, decision(row, request.user, narrowed))


def asked_and_claims(user: User) -> dict[str, Any]:
    """What somebody has asked for of late, and what of it is approved and waits to be issued."""
    theirs = Q(holder=user) | Q(asked_by=user)
    rows = _with_all(KeyRequest.objects.visible_to(user).filter(theirs))
    claims = rows.claimable(timezone.now()).order_by("claim_until")
    return {
        "asked": [(row, requests.stake(row)) for row in rows.order_by(*NEWEST)[:LATE]],
        "claims": [row for row in claims if allowed(user, Can.ISSUE_KEY, row)],
    }


def _show(request: SignedIn, shown: Decision, form: DeskForm | None = None) -> HttpResponse:
    """The page of one request; `form`: one that was refused."""
    context = {"decision": shown, "refused": form, "say": form if isinstance(form, SayForm) else SayForm()}
    response = render(request, "keys/requests/request.html", context, status=form.status if form else None)
    patch_vary_headers(response, ["HX-Request", "HX-Target"])
    return response


@login_required
@require_POST
def approve_request(request: SignedIn, pk: UUID) -> HttpResponse:
    """Approve as asked or narrower; `look` works the slip out anew, `as` gives what its button says."""
    row = visible_request(request, pk)
    if "look" in request.POST:
        return HttpResponseRedirect(f"{reverse('keys:request', args=[row.pk])}?{_query(request.POST)}")
    shown = decision(row, request.user, request.POST)
    form: DeskForm = shown.form
    done = None
    if "as" not in request.POST:
        done = form.hand_to(partial(requests.approve, row), by=request.user)
    elif shown.others and shown.others.mark == request.POST["as"]:
        form = DeskForm({})
        done = form.hand_to(partial(requests.approve, row, **shown.others.given), by=request.user)
    else:
        form, changed = DeskForm({}), Conflict(_("What similar requests got is another now than on that button."))
        form.blame(changed)
        form.status = changed.status
    if done is None:
        row = visible_request(request, pk)
        own = {"form": form} if isinstance(form, DecideForm) else {}
        return _show(request, decision(row, request.user, request.POST, **own), form)
    messages.success(request, _approved_words(done))
    return _back(request, done)


def _approved_words(done: KeyRequest) -> str:
    if done.state == State.PENDING:
        return _("Approved by you. %(done)s needs a second, different approver.") % {"done": done}
    if done.is_rise:
        return _("Approved: %(lease)s is raised until %(reverts_at)s UTC, then back by itself.") % {
            "lease": done.lease,
            "reverts_at": when(done.reverts_at),
        }
    return _("Approved. %(holder)s can issue the key until %(claim_until)s UTC.") % {
        "holder": done.holder,
        "claim_until": when(done.claim_until),
    }


@login_required
@require_POST
def deny_request(request: SignedIn, pk: UUID) -> HttpResponse:
    row = visible_request(request, pk)
    form = DenyForm(request.POST, auto_id=f"{row.pk}_%s")
    if done := form.hand_to(partial(requests.deny, row), by=request.user):
        messages.success(request, _("Denied. %(asked_by)s reads your reason.") % {"asked_by": done.asked_by})
        return _back(request, done)
    return _show(request, decision(visible_request(request, pk), request.user, deny=form), form)


@login_required
@require_POST
def cancel_request(request: SignedIn, pk: UUID) -> HttpResponse:
    row, form = visible_request(request, pk), DeskForm(request.POST)
    if form.hand_to(partial(requests.cancel, row), by=request.user):
        messages.success(request, _("Taken back. Nobody has to decide about it any more."))
        return redirect("keys:request", row.pk)
    return _show(request, decision(visible_request(request, pk), request.user), form)


@login_required
@require_POST
def say_to_request(request: SignedIn, pk: UUID) -> HttpResponse:
    row, form = visible_request(request, pk), SayForm(request.POST)
    if form.hand_to(partial(requests.say, row), by=request.user):
        return HttpResponseRedirect(f"{reverse('keys:request', args=[row.pk])}#thread")
    return _show(request, decision(visible_request(request, pk), request.user), form)


@never_cache
@login_required
@require_POST
def claim_request(request: SignedIn, pk: UUID) -> HttpResponse:
    """Answer the secret, once; the same form again answers the key as it stands."""
    row, form = visible_request(request, pk), DeskForm(request.POST)
    try:
        return show_once(request, requests.claim(row, by=request.user, once=one_time(request)))
    except AlreadyIssued as error:
        return sent_before(request, error.lease, error)
    except NotAllowed:
        raise
    except PortalError as error:
        form.blame(error)
        form.status = error.status
    return _show(request, decision(visible_request(request, pk), request.user), form)


def _back(request: SignedIn, done: KeyRequest) -> HttpResponse:
    """To the rest of the inbox that the form was sent from, or to the request."""
    if request.POST.get("back") == INBOX:
        return redirect("keys:requests")
    return redirect("keys:request", done.pk)


def _query(sent: QueryDict) -> str:
    kept = QueryDict(mutable=True)
    for name in NARROWS:
        kept.setlist(name, sent.getlist(name))
    return kept.urlencode()
