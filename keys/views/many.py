"""Act on many keys: first which, and what ending them would break; then what became of each, a stretch at a time.

Whoever presses waits some seconds at most. The page then says how far it is and holds a form that goes on with the
rest: script sends it by itself, a person without script presses it. Whatever was done stays done, whoever closes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods

from keys.forms import ReasonForm
from keys.models import KeyRole, Lease, State
from keys.models.lease import LIVE, LeaseQuerySet
from keys.services import leases
from keys.services.leases import NEEDS, Ending
from keys.views.key_list import filtered
from portal.ui import sent
from teams.access import require, within
from teams.requests import SignedIn
from teams.views.teams import visible_team

MOST = 500  # at a time: their ids travel in one form
FROM = {"revoke": LIVE, "pause": {State.ACTIVE}, "resume": {State.PAUSED}, "renew": {State.ACTIVE}}


@dataclass(frozen=True, slots=True)
class Choice:
    """Which keys are meant, and in words whose."""

    leases: LeaseQuerySet
    words: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one key. `trouble` in words; blank: it was done."""

    lease: Lease
    trouble: str = ""


@login_required
@require_http_methods(["GET", "POST"])
def act_on_many(request: SignedIn, act: str) -> HttpResponse:
    """`?id=…&id=…`; `?team=`, `?role=`, `?holder=` for all of theirs; or `?all=1` with the filters of the list of keys.

    POST acts on the ids that were shown, as far as there is time for; `told` is what became of others before.
    """
    form = ReasonForm(sent(request), auto_id=f"{act}_%s")
    asked = request.POST if request.method == "POST" else request.GET
    told = _told(asked)
    ids = [*told, *asked.getlist("id")]
    chosen = _named(request, ids) if ids else _belonging(request)
    _may_act_on_one(request, act, chosen.leases)
    if request.method == "POST":
        rows = chosen.leases.rows().in_bulk()
        left = [lease for pk, lease in rows.items() if str(pk) not in told]
        done: list[Ending] | None = form.hand_to(partial(leases.act_on_many, act), leases=left, by=request.user)
        if done:
            return _results(request, act, _after(done) | told, left[len(done) :], form)
        form.add_error(None, gettext("No key was chosen."))
    fitting = chosen.leases.filter(state__in=FROM[act])
    some = Lease.objects.filter(pk__in=list(fitting.order_by("expires_at").values_list("pk", flat=True)[:MOST]))
    mine = some.filter(within(request.user, NEEDS[act])).order_by("expires_at").select_related("team", "holder")
    context: dict[str, Any] = {"act": act, "form": form, "words": chosen.words, "count": fitting.count(), "most": MOST}
    if act == "revoke":
        context["reach"] = leases.reach(some, by=request.user)
    else:
        context["leases"] = list(mine)
        context["refused"] = some.count() - len(context["leases"])
    template = "keys/revoke_many.html" if act == "revoke" else "keys/act_on_many.html"
    return render(request, template, context, status=form.status)


def _results(
    request: SignedIn, act: str, told: dict[str, str], left: Sequence[Lease], form: ReasonForm
) -> HttpResponse:
    """How far it is, and what became of each: as their rows are now."""
    rows = Lease.objects.rows().in_bulk([UUID(pk) for pk in told])
    results = [Result(lease, told[str(pk)]) for pk, lease in rows.items()]
    pending = sum(1 for each in results if not each.trouble and each.lease.is_pending)
    refused = sum(1 for each in results if each.trouble)
    context = {
        "act": act,
        "results": results,
        "told": [f"{pk} {words}" for pk, words in told.items()],
        "left": left,
        "done": len(results) - pending - refused,
        "pending": pending,
        "refused": refused,
        "all": len(results) + len(left),
        "reason": form.cleaned_data["reason"],
    }
    return render(request, "keys/acted_on_many.html", context)


def _after(done: Sequence[Ending]) -> dict[str, str]:
    return {
        str(each.lease.pk): f"{each.trouble.message} {each.trouble.action}" if each.trouble else "" for each in done
    }


def _told(asked: QueryDict) -> dict[str, str]:
    """What became of keys before, by their id, as the page said it."""
    return {pk: words for pk, _, words in (each.partition(" ") for each in asked.getlist("told"))}


def _named(request: SignedIn, ids: list[str]) -> Choice:
    """Keys by their ids. Raises Http404 when one of them is not there for whoever asks."""
    wanted = {_id(each) for each in ids}
    found = Lease.objects.visible_to(request.user).filter(pk__in=wanted)
    if found.count() != len(wanted):
        raise Http404
    return Choice(found)


def _belonging(request: SignedIn) -> Choice:
    """All that fit the filters, or those of a team, a role or a holder, or of a holder in a team. Raises Http404."""
    asked, found = request.GET, Lease.objects.visible_to(request.user)
    if asked.get("all"):
        return Choice(filtered(request).of(found))
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
        found, words = found.filter(role=role), [*words, gettext("the key role %(role)s") % {"role": role}]
    return Choice(found, gettext(" in ").join(words))


def _number(text: str) -> int:
    if not text.isdecimal():
        raise Http404
    return int(text)


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Http404 from None


def _may_act_on_one(request: SignedIn, act: str, chosen: LeaseQuerySet) -> None:
    """Refuse who may do it to none of them. Raises NotAllowed."""
    mine = chosen.filter(within(request.user, NEEDS[act]))
    if (any_of_them := chosen.first()) and not mine.exists():
        require(request.user, NEEDS[act], any_of_them)
