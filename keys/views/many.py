"""End many keys: first what that would break, then what became of each."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_http_methods

from keys.forms import ReasonForm
from keys.models import KeyRole, Lease
from keys.models.lease import LeaseQuerySet
from keys.services import leases
from portal.ui import sent
from teams.access import require, within
from teams.requests import SignedIn
from teams.roles import Can
from teams.views.teams import visible_team

MOST = 500  # at a time: their ids travel in one form


@dataclass(frozen=True, slots=True)
class Choice:
    """Which keys are meant, and in words whose."""

    leases: LeaseQuerySet
    words: str = ""


@login_required
@require_http_methods(["GET", "POST"])
def revoke_many(request: SignedIn) -> HttpResponse:
    """`?id=…&id=…`, or `?team=`, `?role=`, `?holder=` for all of theirs. POST ends the ids that were shown."""
    form = ReasonForm(sent(request), auto_id="revoke_%s")
    asked = request.POST if request.method == "POST" else request.GET
    chosen = _named(request, asked.getlist("id")) if asked.getlist("id") else _belonging(request)
    _may_end_one(request, chosen.leases)
    if request.method == "POST":
        if ended := form.hand_to(leases.revoke_many, leases=list(chosen.leases.rows()), by=request.user):
            return render(request, "keys/revoked_many.html", {"ended": ended})
        form.add_error(None, "No key was chosen.")
    live = chosen.leases.live()
    some = live.order_by("expires_at").values_list("pk", flat=True)[:MOST]
    reach = leases.reach(Lease.objects.filter(pk__in=list(some)), by=request.user)
    context = {"form": form, "reach": reach, "words": chosen.words, "count": live.count(), "most": MOST}
    return render(request, "keys/revoke_many.html", context, status=form.status)


def _named(request: SignedIn, ids: list[str]) -> Choice:
    """Keys by their ids. Raises Http404 when one of them is not there for whoever asks."""
    wanted = {_id(each) for each in ids}
    found = Lease.objects.visible_to(request.user).filter(pk__in=wanted)
    if found.count() != len(wanted):
        raise Http404
    return Choice(found)


def _belonging(request: SignedIn) -> Choice:
    """All keys of a team, a role or a holder, or of a holder in a team. Raises Http404."""
    asked, found = request.GET, Lease.objects.visible_to(request.user)
    if not any(asked.get(name) for name in ("team", "role", "holder")):
        return Choice(found.none())
    words: list[str] = []
    if holder := asked.get("holder"):
        found = found.filter(holder=_id(holder))
        words += [str(lease.holder) for lease in found.select_related("holder")[:1]]
    if slug := asked.get("team"):
        team = visible_team(request, slug)
        found, words = found.filter(team=team), [*words, team.name]
    if number := asked.get("role"):
        role = get_object_or_404(KeyRole.objects.visible_to(request.user), pk=_number(number))
        found, words = found.filter(role=role), [*words, f"the key role {role}"]
    return Choice(found, " in ".join(words))


def _number(text: str) -> int:
    if not text.isdecimal():
        raise Http404
    return int(text)


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Http404 from None


def _may_end_one(request: SignedIn, chosen: LeaseQuerySet) -> None:
    """Refuse who may end none of them. Raises NotAllowed."""
    mine = chosen.filter(within(request.user, Can.REVOKE_KEY))
    if (any_of_them := chosen.first()) and not mine.exists():
        require(request.user, Can.REVOKE_KEY, any_of_them)
