"""Pages of teams: fetch what is visible, call one service, answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import partial
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Case, Count, Q, QuerySet, Value, When
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from portal.errors import Invalid, NotAllowed, PortalError
from portal.paging import stretch_of
from portal.templatetags.ui import amid, money, when
from portal.ui import sent
from teams import services
from teams.access import allowed, reach_of, require, within
from teams.forms.teams import HolderBudgetForm, MemberForm, TeamForm
from teams.models import Invitation, Membership, Team
from teams.requests import SignedIn
from teams.roles import Can, MemberRole, Reach, holds_keys
from teams.services import invitations

ENDED = ("revoked", "expired", "failed")


def visible_team(request: SignedIn, slug: str) -> Team:
    """The team, if whoever asks may see it. Raises Http404."""
    return get_object_or_404(Team.objects.filter(within(request.user, Can.SEE_TEAM, team="pk")), slug=slug)


@login_required
@require_GET
def team_list(request: SignedIn) -> HttpResponse:
    seen = Team.objects.filter(within(request.user, Can.SEE_TEAM, team="pk")).annotate(
        people=Count("memberships", distinct=True),
        live_keys=Count("leases", filter=~Q(leases__state__in=ENDED), distinct=True),
        is_over=Case(When(ended_at=None, then=Value(0)), default=Value(1)),
    )
    page = stretch_of(request, seen, "is_over", "name", "slug", counted=True)
    return render(request, "teams/list.html", {"page": page})


@login_required
@require_http_methods(["GET", "POST"])
def new_team(request: SignedIn) -> HttpResponse:
    require(request.user, Can.MANAGE_PLATFORM)
    form = TeamForm(sent(request))
    if request.method == "POST" and (team := form.hand_to(services.create_team, by=request.user)):
        messages.success(request, gettext("%(team)s is there. Put the first people into it.") % {"team": team})
        return redirect("teams:team", team.slug)
    return render(request, "teams/form.html", {"form": form}, status=form.status)


@login_required
@require_http_methods(["GET", "POST"])
def edit_team(request: SignedIn, slug: str) -> HttpResponse:
    team = visible_team(request, slug)
    require(request.user, Can.SET_TEAM_BUDGET, team)
    renames = allowed(request.user, Can.MANAGE_PLATFORM)
    form = TeamForm(sent(request), team=team, renames=renames)
    if request.method == "POST" and (changed := form.hand_to(partial(services.change_team, team), by=request.user)):
        messages.success(request, gettext("%(changed)s is changed.") % {"changed": changed})
        return redirect("teams:team", changed.slug)
    return render(request, "teams/form.html", {"form": form, "team": team}, status=form.status)


@login_required
@require_GET
def team_page(request: SignedIn, slug: str) -> HttpResponse:
    """The overview. The team's keys were here once: an address that asks for them leads to them."""
    team = visible_team(request, slug)
    if "state" in request.GET or "after" in request.GET:
        return redirect(f"{reverse('teams:keys', args=[slug])}?{request.GET.urlencode()}")
    context = {"team": team, "here": "overview", "sees_all": _sees_all(request, team)}
    return render(request, "teams/team.html", context)


@login_required
@require_GET
def team_keys(request: SignedIn, slug: str) -> HttpResponse:
    team = visible_team(request, slug)
    keys = team.leases.visible_to(request.user).rows()
    state = "ended" if request.GET.get("state") == "ended" else "live"
    counts = keys.order_by().aggregate(
        live=Count("pk", filter=~Q(state__in=ENDED)), ended=Count("pk", filter=Q(state__in=ENDED))
    )
    if state == "ended":
        page = stretch_of(request, keys.filter(state__in=ENDED), "-ended_at", "-pk")
    else:
        page = stretch_of(request, keys.exclude(state__in=ENDED), "expires_at", "pk")
    context: dict[str, Any] = {
        "team": team,
        "here": "keys",
        "page": page,
        "state": state,
        "counts": counts,
        "sees_all": _sees_all(request, team),
        "ends_all": reach_of(request.user, Can.REVOKE_KEY, team.pk) is Reach.ANY,
    }
    return render(request, "teams/keys.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def team_members(request: SignedIn, slug: str) -> HttpResponse:
    """Who is in it; a team admin puts somebody in."""
    team = visible_team(request, slug)
    if request.method != "POST":
        return _members_page(request, team, MemberForm())
    form = MemberForm(request.POST)
    require(request.user, Can.MANAGE_MEMBERS, team)
    there = team.memberships.filter(user__email=request.POST.get("email", "").replace("\0", "").strip().lower()).first()
    if there and _ends_keys(there, request.POST.get("role", "")):
        return _shown_first(there, request.POST["role"])
    if put := form.hand_to(partial(invitations.put_or_invite, team), by=request.user):
        messages.success(request, _put(put, team))
        return redirect("teams:members", team.slug)
    return _members_page(request, team, form, status=form.status)


@login_required
@require_POST
def change_member(request: SignedIn, slug: str, user: UUID) -> HttpResponse:
    """Change somebody's role. One that ends keys is shown first."""
    team = visible_team(request, slug)
    membership = get_object_or_404(team.memberships.select_related("user"), user=user)
    person = membership.user
    require(request.user, Can.MANAGE_MEMBERS, team)
    if _ends_keys(membership, request.POST.get("role", "")):
        return _shown_first(membership, request.POST["role"])
    try:
        role = _member_role(request.POST.get("role", ""))
        changed, _ = services.put_member(team, email=person.email or "", role=role, by=request.user)
        messages.success(
            request,
            gettext("%(person)s is %(role)s now.") % {"person": person, "role": amid(changed.get_role_display())},
        )
    except NotAllowed:
        raise
    except PortalError as error:
        messages.error(request, f"{error.message} {error.action}")
    return redirect("teams:members", team.slug)


@login_required
@require_http_methods(["GET", "POST"])
def holder_budget(request: SignedIn, slug: str, user: UUID) -> HttpResponse:
    """What the keys of one member may spend here."""
    team = visible_team(request, slug)
    require(request.user, Can.SET_TEAM_BUDGET, team)
    membership = get_object_or_404(team.memberships.select_related("user", "team"), user=user)
    form = HolderBudgetForm(sent(request), membership=membership)
    verb = partial(services.set_holder_budget, membership)
    if request.method == "POST" and (changed := form.hand_to(verb, by=request.user)):
        named = {"user": changed.user, "money": money(changed.max_budget or 0)}
        has = gettext("%(user)s has a budget of %(money)s here now.") % named
        none = gettext("%(user)s has no budget of their own here now.") % named
        messages.success(request, has if changed.max_budget else none)
        return redirect("teams:members", team.slug)
    context = {"team": team, "membership": membership, "form": form}
    return render(request, "teams/holder_budget.html", context, status=form.status)


def _ends_keys(membership: Membership, role: str) -> bool:
    """Whether `role` may hold no keys, and they hold live ones here."""
    if role not in MemberRole.values or holds_keys(MemberRole(role)):
        return False
    return membership.team.leases.filter(holder=membership.user_id).exclude(state__in=ENDED).exists()


def _shown_first(membership: Membership, role: str) -> HttpResponse:
    url = reverse("keys:member_leaving", args=[membership.team.slug, membership.user_id])
    return redirect(f"{url}?role={role}")


def _sees_all(request: SignedIn, team: Team) -> bool:
    return reach_of(request.user, Can.SEE_KEY, team.pk) is Reach.ANY


def _members_page(request: SignedIn, team: Team, form: MemberForm, status: int = 200) -> HttpResponse:
    there = team.memberships.select_related("user")
    page = stretch_of(request, there, "user__name", "user__email", counted=True)
    context: dict[str, Any] = {
        "team": team,
        "here": "members",
        "page": page,
        "members": _with_keys(page, team.leases.visible_to(request.user)),
        "form": form,
        "is_in": team.memberships.filter(user=request.user).exists(),
        "invitations": _invitations(request, team),
        "roles": MemberRole.choices,
        "sees_all": _sees_all(request, team),
        "ends_all": reach_of(request.user, Can.REVOKE_KEY, team.pk) is Reach.ANY,
    }
    return render(request, "teams/members.html", context, status=status)


def _put(put: tuple[Membership, bool] | Invitation, team: Team) -> str:
    if isinstance(put, Invitation):
        return gettext("Invited %(email)s; the link is good until %(moment)s UTC.") % {
            "email": put.email,
            "moment": when(put.expires_at),
        }
    membership, new = put
    named = {"user": membership.user, "team": team, "role": amid(membership.get_role_display())}
    if new:
        return gettext("%(user)s is in %(team)s now, as %(role)s.") % named
    return gettext("%(user)s was in %(team)s already, as %(role)s.") % named


def _member_role(text: str) -> MemberRole:
    """Raises Invalid."""
    try:
        return MemberRole(text)
    except ValueError:
        raise Invalid(gettext("There is no such member role.")) from None


def _invitations(request: SignedIn, team: Team) -> QuerySet[Invitation]:
    """What waits, for whoever may change who is here; nobody else sees addresses of people who are not."""
    if not allowed(request.user, Can.MANAGE_MEMBERS, team):
        return team.invitations.none()
    return team.invitations.waiting().select_related("invited_by")


def _with_keys(members: Iterable[Membership], keys: Any) -> list[tuple[Membership, int]]:
    """The members, each with how many live keys here whoever asks may see of them."""
    members = list(members)
    theirs = keys.exclude(state__in=ENDED).filter(holder__in=[membership.user_id for membership in members])
    held = Counter(theirs.order_by().values_list("holder_id", flat=True))
    return [(membership, held[membership.user_id]) for membership in members]
