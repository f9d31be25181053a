"""Why was I refused: a pasted error or a picked key, the one limit that binds, and what helps.

What is pasted comes by POST, is read once and forgotten: no page, address, log line or row has any of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.db.models import BooleanField, Case, Q, Value, When
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from keys.forms.why import RefusedForm
from keys.models import KeyVersion, Lease, State
from keys.models.lease import ENDED
from keys.services import refused
from keys.services.refused.reading import Cause, Reading
from keys.services.refused.walking import missing
from keys.services.refused.ways import Do, Way
from keys.views.leases import visible_lease
from portal.ui import sent
from teams.models import User
from teams.requests import SignedIn

MOST_CHOICES = 100  # keys to pick from
# Of a text that names no key of the person's: what it is about, and what to do.
ABOUT = {
    Cause.BUDGET: (_("A budget was spent"), _("Pick the key, to see which one, who set it and when it resets.")),
    Cause.MODEL: (
        _("The key may not call that model"),
        _("Pick the key, to see what it may call and how to get more."),
    ),
    Cause.RATES: (_("Too many calls in a short time"), _("Wait a minute. Pick the key, to see how often it may call.")),
    Cause.EXPIRED: (_("The key was over its time"), _("Pick the key, to see when it ended and how to get another.")),
    Cause.BLOCKED: (_("The key was paused"), _("Pick the key, to see who paused it and why.")),
    Cause.UNKNOWN_KEY: (
        _("The gateway does not know that key"),
        _("It was revoked or replaced, or it is not of that gateway. Look for its ending among your keys."),
    ),
    Cause.NO_KEY: (
        _("The call carried no virtual key"),
        _("Send the secret as “Authorization: Bearer …”. It begins with “sk-”. An empty variable is the usual reason."),
    ),
    Cause.RIGHTS: (_("Virtual keys do not reach that address"), _("They call models. What manages keys is done here.")),
    Cause.PROVIDER: (
        _("The provider of the model said no"),
        _("That is no limit of Keydesk or of the gateway. A platform admin has the account at the provider."),
    ),
    Cause.SERVER: (_("The gateway had a trouble of its own"), _("Make the call again; if it goes on, tell an admin.")),
    Cause.AWAY: (
        _("The call got no answer"),
        _("Look at the address that the program calls; the page of a key has it."),
    ),
    Cause.UNCLEAR: (_("This error is not known here"), _("Pick the key: its own limits can be walked all the same.")),
}
LABELS = {
    Do.RENEW: _("Renew"),
    Do.RESUME: _("Resume"),
    Do.REPLACE: _("Replace the secret"),
    Do.ANOTHER: _("Get a key"),
    Do.ROLE: _("Get a key"),
    Do.RISE: _("Ask for it"),
    Do.TEAM_BUDGET: _("Set the budget"),
    Do.HOLDER_BUDGET: _("Set the budget"),
    Do.SEE: _("See the key"),
}


@dataclass(frozen=True, slots=True)
class Offered:
    """A way, and where it is gone. `url` blank: there is nothing to press."""

    way: Way
    url: str = ""
    label: str = ""
    first: bool = False  # of those that can be pressed


@sensitive_post_parameters("error")
@never_cache
@login_required
@require_http_methods(["GET", "POST"])
def why(request: SignedIn) -> HttpResponse:
    """`?key=` walks the chain of one key; POST reads an error first. `?said=`: what one was about, as a Cause."""
    form = RefusedForm(sent(request), auto_id="why_%s")
    chosen = _chosen(request)
    context: dict[str, Any] = {"form": form, "chosen": chosen}
    if request.method == "POST" and form.is_valid():
        _explain(context, refused.read(form.cleaned_data["error"]), chosen, request)
    elif request.method == "POST":
        form.status = HTTPStatus.UNPROCESSABLE_ENTITY
    elif chosen:
        _answer(context, chosen, _said(request), None, request.user)
    context["choices"] = _choices(request.user)
    return render(request, "keys/why/why.html", context, status=form.status)


def _explain(context: dict[str, Any], reading: Reading, chosen: Lease | None, request: SignedIn) -> None:
    """What the text is about, and of which key: one that it names comes before one that was picked."""
    meant = refused.keys_meant(reading, request.user)
    found = {version.lease_id: version for version in reversed(meant)}
    if chosen and (not found or chosen.pk in found):
        _answer(context, chosen, reading, found.get(chosen.pk), request.user)
    elif len(found) == 1:
        pk, version = next(iter(found.items()))
        _answer(context, visible_lease(request, pk), reading, version, request.user)
    else:
        title, second = ABOUT[reading.cause if reading.is_error else Cause.UNKNOWN_KEY]
        several = list(_each_once(meant))
        context |= {"reading": reading, "title": title, "second": second, "several": several}


def _answer(
    context: dict[str, Any], lease: Lease, reading: Reading | None, version: KeyVersion | None, user: User
) -> None:
    answer = refused.walk(lease, reading, version)
    offered = list(_offered(lease, refused.ways(answer, user)))
    context |= {"answer": answer, "reading": reading, "lease": lease, "ways": offered, "left": missing(answer)}


def _each_once(versions: Iterable[KeyVersion]) -> Iterator[Lease]:
    seen: set[UUID] = set()
    for version in versions:
        if version.lease_id not in seen:
            seen.add(version.lease_id)
            yield version.lease


def _offered(lease: Lease, ways: Iterable[Way]) -> Iterator[Offered]:
    pressed = False
    for way in ways:
        url = _url(lease, way)
        if way.do in LABELS and not url:
            continue  # a part of the desk that is not there
        yield Offered(way, url, str(LABELS.get(way.do, "")), first=bool(url) and not pressed)
        pressed |= bool(url)


def _url(lease: Lease, way: Way) -> str:
    """Where it is done."""
    do, slug = way.do, lease.team.slug
    if do in {Do.RENEW, Do.RESUME}:
        return reverse(f"keys:{do}", args=[lease.pk])
    if do is Do.REPLACE:
        return f"{reverse('keys:rotate', args=[lease.pk])}?replace=1"
    if do in {Do.ANOTHER, Do.ROLE} and way.role:
        told = {"team": slug, "role": way.role.pk, **({"name": lease.name} if lease.name else {})}
        return f"{reverse('keys:issue')}?{urlencode(told)}"
    if do is Do.TEAM_BUDGET:
        return reverse("teams:edit", args=[slug])
    if do is Do.HOLDER_BUDGET:
        return reverse("teams:holder_budget", args=[slug, lease.holder_id])
    if do is Do.SEE:
        return reverse("keys:lease", args=[lease.pk])
    return _rise(lease, way) if do is Do.RISE else ""


def _rise(lease: Lease, way: Way) -> str:
    """Where a rise is asked for; blank where this desk has no such page, or the key cannot be raised."""
    if lease.state != State.ACTIVE:
        return ""
    try:
        page = reverse("keys:rise", args=[lease.pk])
    except NoReverseMatch:
        return ""
    return f"{page}?{urlencode(way.told)}" if way.told else page


def _chosen(request: SignedIn) -> Lease | None:
    """The key that was picked. Raises Http404."""
    asked = request.POST if request.method == "POST" else request.GET
    if not (text := asked.get("key", "")):
        return None
    try:
        return visible_lease(request, UUID(text))
    except ValueError:
        raise Http404 from None


def _said(request: SignedIn) -> Reading | None:
    said = request.GET.get("said", "")
    return Reading(Cause(said)) if said in {*Cause} else None


def _choices(user: User) -> list[Lease]:
    """Keys to pick from: one's own first, live ones first, the newest first."""
    seen = Lease.objects.visible_to(user).exclude(state=State.FAILED).select_related("team", "holder")
    yes, no = Value(True), Value(False)
    ranked = seen.annotate(
        mine=Case(When(Q(holder=user), then=yes), default=no, output_field=BooleanField()),
        over=Case(When(Q(state__in=ENDED), then=yes), default=no, output_field=BooleanField()),
    )
    return list(ranked.order_by("-mine", "over", "-issued_at")[:MOST_CHOICES])
