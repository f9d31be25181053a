"""The audit trail: who did what, to what, from where and when, as far as whoever asks may see it."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_GET, require_POST

from portal.downloads import download
from portal.models import AuditEvent
from teams.forms.audit import SecretForm, TrailForm
from teams.models import Team
from teams.requests import SignedIn
from teams.services import trail

ROWS = 50  # on one page


@login_required
@require_GET
def audit_page(request: SignedIn) -> HttpResponse:
    return _page(request, SecretForm())


@sensitive_post_parameters("secret")
@sensitive_variables("form")
@login_required
@require_POST
def find_secret(request: SignedIn) -> HttpResponse:
    """Look for a pasted secret: from here on there is its keyed hash alone."""
    form = SecretForm(request.POST)
    if trail.may_look(request.user) and form.is_valid():
        found = trail.hash_of(form.cleaned_data["secret"])
        return redirect(f"{reverse('audit:page')}?secret={found}")
    return _page(request, form, status=422)


@login_required
@require_POST
def export(request: SignedIn, kind: str) -> HttpResponseBase:
    """What the page shows with the same query, all of it, as a file. An export is itself an act."""
    if kind not in trail.KINDS:
        raise Http404
    form = _form(request)
    wanted = form.wanted()
    if form.errors:  # what cannot be looked for must not quietly become more than was asked
        return _page(request, SecretForm(), status=422)
    events = trail.export(wanted, kind=kind, by=request.user)
    name = f"keydesk-audit-{timezone.now():%Y-%m-%d-%H%M}.{kind}"
    return download(name, trail.lines(events, kind), trail.KINDS[kind])


def _form(request: SignedIn) -> TrailForm:
    """The filters in the address. Raises Http404 for a team whose trail is not theirs."""
    seen = trail.audited_teams(request.user)
    if slug := request.GET.get("team"):
        get_object_or_404(seen, slug=slug)
    return TrailForm(request.GET, teams=seen)


def _page(request: SignedIn, secret: SecretForm, status: int = 200) -> HttpResponse:
    form = _form(request)
    wanted = form.wanted()
    events = trail.trail(request.user, wanted)
    before = request.GET.get("before", "")
    if before.isdecimal() and len(before) < 19:
        events = events.filter(pk__lt=int(before))
    rows = list(events[: ROWS + 1])
    shown, more = rows[:ROWS], len(rows) > ROWS
    teams = _teams(shown)
    context = {
        "form": form,
        "secret_form": secret,
        "wanted": wanted,
        "events": [(event, teams.get(event.team_id)) for event in shown],
        "older": shown[-1].pk if more else None,
        "newest": not before,
        "sealed": trail.sealed(),
        "query": request.GET.urlencode(),
    }
    return render(request, "audit/audit.html", context, status=status)


def _teams(events: Iterable[AuditEvent]) -> dict[str, Team]:
    return {
        str(team.pk): team for team in Team.objects.filter(pk__in={each.team_id for each in events if each.team_id})
    }
