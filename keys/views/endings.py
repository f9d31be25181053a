"""End a key role or a team, with the keys that it gave; what that breaks is counted first."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from keys.models import KeyRole, Lease, State
from keys.models.lease import LeaseQuerySet
from keys.services import leases, roles
from portal.templatetags.ui import count, spelled
from teams import services as teams
from teams.access import require
from teams.requests import SignedIn
from teams.roles import Can
from teams.views.teams import visible_team


@login_required
@require_http_methods(["GET", "POST"])
def end_role(request: SignedIn, pk: int) -> HttpResponse:
    require(request.user, Can.MANAGE_PLATFORM)
    role = get_object_or_404(KeyRole.objects.with_gateway(), pk=pk)
    held, back = Lease.objects.filter(role=role), reverse("keys:role", args=[role.pk])
    if request.method == "GET":
        return _ask(request, role, held, back, _("Nobody issues or renews from it any more."))
    was = set(held.live().values_list("pk", flat=True))
    roles.end(role, by=request.user)
    return _done(request, role, was, back)


@login_required
@require_http_methods(["GET", "POST"])
def end_team(request: SignedIn, slug: str) -> HttpResponse:
    team = visible_team(request, slug)
    require(request.user, Can.MANAGE_PLATFORM)
    held, back = Lease.objects.filter(team=team), reverse("teams:team", args=[team.slug])
    if request.method == "GET":
        return _ask(
            request, team, held, back, _("Nobody gets or renews a key for it any more. Its members stay listed.")
        )
    was = set(held.live().values_list("pk", flat=True))
    teams.end_team(team, by=request.user)
    return _done(request, team, was, back)


def _ask(request: SignedIn, what: Any, held: LeaseQuerySet, back: str, lead: str) -> HttpResponse:
    reach = leases.reach(held, by=request.user)
    return render(request, "keys/end.html", {"what": what, "reach": reach, "back": back, "lead": lead})


def _done(request: SignedIn, what: Any, was: set[Any], back: str) -> HttpResponse:
    waiting = Lease.objects.filter(pk__in=was, state=State.REVOKING).count()
    said = {"what": what, "keys": count(len(was), "live key")}
    messages.success(request, _("%(what)s is ended, with %(keys)s.") % said)
    if waiting:
        words = ngettext(
            "%(words)s key is not yet revoked. The gateway has not confirmed it; Keydesk keeps trying, and until then "
            "they may still answer.",
            "%(words)s keys are not yet revoked. The gateway has not confirmed it; Keydesk keeps trying, and until "
            "then they may still answer.",
            waiting,
        )
        messages.warning(request, words % {"words": spelled(waiting).capitalize()})
    return redirect(back)
