"""All keys that somebody may see, filtered by the address of the page."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from keys.forms.key_list import KeyListForm
from keys.models import KeyRole, Lease
from keys.views.home import ORDER
from portal.paging import stretch_of
from teams.access import within
from teams.models import Team
from teams.requests import SignedIn
from teams.roles import Can


def filtered(request: SignedIn) -> KeyListForm:
    """What is looked for, by the query of the page."""
    user = request.user
    teams = Team.objects.filter(within(user, Can.SEE_TEAM, team="pk"))
    roles = KeyRole.objects.visible_to(user).select_related("gateway").defer("gateway__master_key")
    return KeyListForm(request.GET, teams=teams, roles=roles)


@login_required
@require_GET
def key_list(request: SignedIn) -> HttpResponse:
    form = filtered(request)
    found = form.of(Lease.objects.visible_to(request.user)).rows()
    page = stretch_of(request, found, *ORDER["ended" if form.is_over else "live"], counted=True)
    may_end = not form.is_over and Lease.objects.filter(within(request.user, Can.REVOKE_KEY)).exists()
    context = {"form": form, "wanted": form.wanted, "page": page, "may_end": may_end}
    return render(request, "keys/list.html", context)
