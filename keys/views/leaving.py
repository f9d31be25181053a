"""Who leaves, and what that ends: first the rehearsal, which changes nothing, then the act."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from keys.services import offboarding
from keys.services.offboarding import Plan
from portal.errors import NotAllowed, PortalError
from portal.templatetags.ui import amid, count
from teams import departures
from teams.access import allowed, require
from teams.models import User
from teams.requests import SignedIn
from teams.roles import Can, MemberRole, holds_keys
from teams.views.teams import visible_team


@dataclass(frozen=True, slots=True)
class Said:
    """What is said afterwards: where no key ended, and where some did."""

    alone: str
    with_keys: str
    told: Mapping[str, object]


@login_required
@require_http_methods(["GET", "POST"])
def person_leaving(request: SignedIn, pk: UUID) -> HttpResponse:
    """Out of Keydesk, or back in with `act=reactivate`. One's own is a rehearsal only."""
    if pk != request.user.pk:
        require(request.user, Can.SEE_PLATFORM)
    person = get_object_or_404(User, pk=pk, kind=User.Kind.PERSON)

    def show(**more: Any) -> HttpResponse:
        plan = offboarding.plan(person, by=request.user)
        acts = allowed(request.user, Can.MANAGE_PLATFORM)
        return _page(request, plan, acts=acts, **more)

    if request.method == "GET":
        return show()
    if request.POST.get("act") == "reactivate":
        departures.reactivate(person, by=request.user)
        messages.success(request, _("%(person)s may sign in again. Keys that ended stay ended.") % {"person": person})
        return redirect("keys:person", person.pk)
    said = Said(_("%(person)s is deactivated."), _("%(person)s is deactivated, with %(keys)s."), {"person": person})
    return _done(request, show, lambda seen: offboarding.deactivate(person, seen=seen, by=request.user),
                 said, "keys:person", person.pk)  # fmt: skip


@login_required
@require_http_methods(["GET", "POST"])
def member_leaving(request: SignedIn, slug: str, user: UUID) -> HttpResponse:
    """Out of one team: somebody, by its admins, or oneself; with `role`, still in it, as somebody without keys."""
    team = visible_team(request, slug)
    membership = get_object_or_404(team.memberships.select_related("user", "team"), user=user)
    person, oneself = membership.user, membership.user_id == request.user.pk
    role = _role(request)

    def show(**more: Any) -> HttpResponse:
        plan = offboarding.plan(person, team=team, by=request.user)
        acts = (oneself and not role) or allowed(request.user, Can.MANAGE_MEMBERS, team)
        return _page(request, plan, acts=acts, role=role, **more)

    if request.method == "GET":
        return show()
    if role:
        lower: Callable[[str], Plan] = lambda seen: offboarding.lower(membership, role, seen=seen, by=request.user)  # noqa: E731
        told = {"person": person, "role": amid(role.label)}
        said = Said(_("%(person)s is %(role)s now."), _("%(person)s is %(role)s now; %(keys)s ended."), told)
        return _done(request, show, lower, said, "teams:members", team.slug)
    told = {"person": person, "team": team}
    said = Said(_("%(person)s is out of %(team)s."), _("%(person)s is out of %(team)s, with %(keys)s."), told)
    if oneself:
        said = Said(_("You are out of %(team)s."), _("You are out of %(team)s, with %(keys)s."), told)
    back = "teams:members" if allowed(request.user, Can.SEE_PLATFORM) or not oneself else "teams:list"
    act: Callable[[str], Plan] = lambda seen: offboarding.take_out(membership, seen=seen, by=request.user)  # noqa: E731
    return _done(request, show, act, said, back, *([team.slug] if back == "teams:members" else []))


def _role(request: SignedIn) -> MemberRole | None:
    """The role that is to stay, one that may hold no keys; None: none is. Raises Http404."""
    sent = (request.POST if request.method == "POST" else request.GET).get("role", "")
    if not sent:
        return None
    if sent not in MemberRole.values or holds_keys(MemberRole(sent)):
        raise Http404
    return MemberRole(sent)


def _page(
    request: SignedIn, plan: Plan, *, acts: bool, role: MemberRole | None = None,
    problem: PortalError | None = None, status: int = 200,
) -> HttpResponse:  # fmt: skip
    oneself = plan.user.pk == request.user.pk
    context = {"plan": plan, "acts": acts, "oneself": oneself, "role": role, "problem": problem}
    return render(request, "people/leaving.html", context, status=status)


def _done(
    request: SignedIn, show: Callable[..., HttpResponse], act: Callable[[str], Plan], said: Said, *back: Any
) -> HttpResponse:  # fmt: skip
    """Act, and say how many keys ended with it; a refusal is said above the plan as it is now."""
    try:
        plan = act(request.POST.get("seen", ""))
    except NotAllowed:
        raise
    except PortalError as error:
        return show(problem=error, status=error.status)
    words = said.with_keys if plan.dies else said.alone
    messages.success(request, words % {**said.told, "keys": count(plan.dies, "live key")})
    return redirect(*back)
