"""Held departures: a provider took access from too many at once, and a platform admin decides what that meant."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from keys.models import Lease
from keys.services import operations
from keys.views.operations.standing import held_departures
from portal.errors import Invalid
from portal.paging import Stretch, stretch_of
from portal.templatetags.ui import count
from teams.access import require
from teams.models import Departure
from teams.requests import SignedIn
from teams.roles import Can

GO_ON = {"go_on": True, "dismiss": False}


@login_required
@require_http_methods(["GET", "POST"])
def departures(request: SignedIn) -> HttpResponse:
    """The list; on POST decide about one (`departure`) or, without it, about all that were `shown`."""
    if request.method == "POST":
        return _decide(request)
    require(request.user, Can.SEE_PLATFORM)
    page: Stretch[Any] = stretch_of(request, held_departures(), "at", "pk", counted=True)
    live = Lease.objects.live().filter(holder__in=[each.user_id for each in page])
    keys = Counter(live.order_by().values_list("holder", "team"))
    for each in page:
        each.keys = sum(number for (who, team), number in keys.items() if _is_of(each, who, team))
    context = {"page": page, "keys": sum(each.keys for each in page)}
    return render(request, "keys/operations/departures.html", context)


def _is_of(departure: Departure, holder: object, team: object) -> bool:
    return departure.user_id == holder and departure.team_id in {None, team}


def _decide(request: SignedIn) -> HttpResponse:
    require(request.user, Can.MANAGE_PLATFORM)
    go_on = GO_ON.get(request.POST.get("act", ""))
    if go_on is None:
        raise Invalid(_("There is no such decision."))
    wanted = [pk for pk in request.POST.getlist("departure") if pk.isdigit()]
    done, left = operations.decide_all(held_departures().filter(pk__in=wanted), go_on=go_on, by=request.user)
    if not done:
        messages.warning(request, _("Somebody else has decided meanwhile."))
    elif go_on:
        said = count(done, "person loses access now,people lose access now")
        messages.success(request, _("%(said)s. Their keys are blocked.") % {"said": capfirst(said)})
    else:
        said = count(done, "removal is dismissed,removals are dismissed")
        messages.success(request, _("%(said)s. Nothing was taken away.") % {"said": capfirst(said)})
    if left:
        said = count(left, "is left,are left")
        messages.warning(request, _("The time was over; %(said)s. Press again.") % {"said": said})
    return redirect("keys:departures")
