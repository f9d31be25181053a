"""The way of an invitation: the letter's link, the page where it is accepted, and the team's own list."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import UUID

from allauth.account.adapter import get_adapter
from allauth.account.internal.flows.login import perform_password_login
from allauth.account.models import Login
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from portal.errors import Invalid, NotAllowed, PortalError
from portal.templatetags.ui import amid, when
from portal.ui import sent
from teams.access import require
from teams.forms.invitations import NewAccountForm
from teams.forms.teams import ROLE_MEANS
from teams.models import Invitation, User
from teams.requests import SignedIn
from teams.roles import Can, MemberRole
from teams.services import invitations
from teams.views.teams import visible_team

WAITS = "invitation"  # where a session keeps the ticket, through signing in


@never_cache
@require_GET
def open_link(request: HttpRequest, secret: str) -> HttpResponse:
    """Take the secret out of the address, so that no later page, Referer or log line has it. Changes nothing."""
    request.session[WAITS] = invitations.ticket_of(secret)
    return redirect("invitations:accept")


@never_cache
@require_http_methods(["GET", "POST"])
def accept(request: HttpRequest) -> HttpResponse:
    """What is offered, to whom; on POST join, or make the account and join."""
    ticket = request.session.get(WAITS, "")
    if isinstance(request.user, User):
        return _join(request, ticket, request.user) if request.method == "POST" else _page(request, ticket)
    form = NewAccountForm(sent(request))
    if request.method == "POST" and (person := form.hand_to(partial(invitations.accept_new, ticket))):
        return _come_in(request, person)
    return _page(request, ticket, form, status=form.status)


@require_POST
def switch(request: HttpRequest) -> HttpResponse:
    """Sign out, and go on with the same invitation as somebody else."""
    ticket = request.session.get(WAITS)
    get_adapter().logout(request)
    if ticket:
        request.session[WAITS] = ticket
    return redirect("invitations:accept")


@login_required
@require_POST
def change(request: SignedIn, slug: str, pk: UUID) -> HttpResponse:
    """Send one of the team's invitations again, or withdraw it, by `act`."""
    team = visible_team(request, slug)
    require(request.user, Can.MANAGE_MEMBERS, team)
    invitation = get_object_or_404(team.invitations.select_related("team"), pk=pk)
    try:
        if request.POST.get("act") == "resend":
            again = invitations.resend(invitation, by=request.user)
            said = gettext("Sent to %(email)s again; the link is good until %(moment)s UTC.")
            messages.success(request, said % {"email": again.email, "moment": when(again.expires_at)})
        elif request.POST.get("act") == "withdraw":
            invitations.withdraw(invitation, by=request.user)
            messages.success(
                request,
                gettext("The invitation of %(email)s is withdrawn; its link opens nothing.")
                % {"email": invitation.email},
            )
        else:
            raise Invalid(gettext("There is no such act."))
    except NotAllowed:
        raise
    except PortalError as error:
        messages.error(request, f"{error.message} {error.action}")
    return redirect("teams:members", team.slug)


def _join(request: HttpRequest, ticket: str, person: User) -> HttpResponse:
    membership = invitations.accept(ticket, by=person)
    del request.session[WAITS]
    messages.success(
        request,
        gettext("You are in %(team)s now, as %(role)s.")
        % {"team": membership.team, "role": amid(membership.get_role_display())},
    )
    return redirect("teams:team", membership.team.slug)


def _come_in(request: HttpRequest, person: User) -> HttpResponse:
    """Sign the new person in as the sign-in page would: with a new session key."""
    del request.session[WAITS]
    team = person.memberships.select_related("team").get().team
    login = Login(user=person, redirect_url=reverse("teams:team", args=[team.slug]), signup=True)
    return perform_password_login(request, {"email": person.email}, login)  # type: ignore[no-any-return]


def _page(request: HttpRequest, ticket: str, form: NewAccountForm | None = None, *, status: int = 200) -> HttpResponse:
    """Raises InvitationOver."""
    invitation: Invitation = invitations.look(ticket)
    context: dict[str, Any] = {
        "invitation": invitation,
        "means": ROLE_MEANS[MemberRole(invitation.role)],
        "form": form,
        "known": User.objects.filter(email__iexact=invitation.email).exists(),
        "sso_only": settings.SSO_ONLY,
        "here": reverse("invitations:accept"),
    }
    return render(request, "teams/invitations/accept.html", context, status=status)
