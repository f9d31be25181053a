"""Service accounts of a team: who they are, what they hold and spend, who answers for them."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Count, Q
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from keys.models import Lease
from keys.models.lease import ENDED
from keys.services import leases, spend
from portal.paging import stretch_of
from portal.templatetags.ui import count
from portal.ui import sent
from teams.access import allowed, require
from teams.forms.service_accounts import ServiceAccountForm
from teams.models import ApiToken, Team, User
from teams.requests import SignedIn
from teams.roles import Can
from teams.services import service_accounts
from teams.views.teams import visible_team

DAYS = 30  # of the spend that is shown


def visible_account(request: SignedIn, slug: str, pk: UUID) -> User:
    """The service account, if whoever asks sees its team. Raises Http404."""
    team = visible_team(request, slug)
    return get_object_or_404(team.service_accounts.select_related("service_team", "responsible"), pk=pk)


def team_of(account: User) -> Team:
    assert account.service_team is not None  # noqa: S101  (a constraint of the table)
    return account.service_team


@login_required
@require_http_methods(["GET", "POST"])
def service_account_list(request: SignedIn, slug: str) -> HttpResponse:
    """The team's service accounts; POST makes one."""
    team = visible_team(request, slug)
    form = ServiceAccountForm(sent(request), team=team)
    if request.method == "POST":
        require(request.user, Can.MANAGE_MEMBERS, team)
        if account := form.hand_to(partial(service_accounts.make, team), by=request.user):
            messages.success(
                request, _("%(account)s is there. Issue it a key, or make it a token.") % {"account": account}
            )
            return redirect("keys:service_account", team.slug, account.pk)
    page = stretch_of(request, team.service_accounts.select_related("responsible"), "-is_active", "name", "pk")
    pks = [account.pk for account in page]
    held = Lease.objects.visible_to(request.user).filter(team=team, holder__in=pks).live().values_list("holder")
    tokens = ApiToken.objects.living(timezone.now()).filter(owner__in=pks).values_list("owner")
    context: dict[str, Any] = {
        "team": team,
        "page": page,
        "accounts": page.object_list,
        "keys": dict(held.annotate(Count("pk")).order_by()),
        "tokens": dict(tokens.annotate(Count("pk")).order_by()),
        "form": form,
    }
    return render(request, "keys/service_accounts/list.html", context, status=form.status)


@login_required
@require_GET
def service_account_page(request: SignedIn, slug: str, pk: UUID) -> HttpResponse:
    account = visible_account(request, slug, pk)
    team, now = team_of(account), timezone.now()
    keys = Lease.objects.visible_to(request.user).filter(holder=account).rows()
    state = "ended" if request.GET.get("state") == "ended" else "live"
    counts = keys.order_by().aggregate(
        live=Count("pk", filter=~Q(state__in=ENDED)), ended=Count("pk", filter=Q(state__in=ENDED))
    )
    if state == "ended":
        page = stretch_of(request, keys.filter(state__in=ENDED), "-ended_at", "-pk")
    else:
        page = stretch_of(request, keys.exclude(state__in=ENDED), "expires_at", "pk")
    sees_tokens = allowed(request.user, Can.MANAGE_MEMBERS, team) or allowed(request.user, Can.SEE_PLATFORM)
    tokens = ApiToken.objects.living(now).filter(owner=account).select_related("parent").order_by("expires_at")
    context: dict[str, Any] = {
        "team": team,
        "account": account,
        "page": page,
        "state": state,
        "counts": counts,
        "tokens": list(tokens) if sees_tokens else None,
        "spent": spend.of_holder(account, team, (now - timedelta(days=DAYS - 1)).date(), now.date()),
        "days": DAYS,
    }
    return render(request, "keys/service_accounts/account.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def edit_service_account(request: SignedIn, slug: str, pk: UUID) -> HttpResponse:
    """Its name, and who answers for it."""
    account = visible_account(request, slug, pk)
    team = team_of(account)
    require(request.user, Can.MANAGE_MEMBERS, team)
    form = ServiceAccountForm(sent(request), team=team, account=account)
    verb = partial(service_accounts.change, account)
    if request.method == "POST" and (changed := form.hand_to(verb, by=request.user)):
        messages.success(request, _("%(changed)s is changed.") % {"changed": changed})
        return redirect("keys:service_account", team.slug, account.pk)
    context = {"team": team, "account": account, "form": form}
    return render(request, "keys/service_accounts/edit.html", context, status=form.status)


@login_required
@require_http_methods(["GET", "POST"])
def end_service_account(request: SignedIn, slug: str, pk: UUID) -> HttpResponse:
    """GET counts what ends with it; POST ends it. Safe to repeat."""
    account = visible_account(request, slug, pk)
    team = team_of(account)
    require(request.user, Can.MANAGE_MEMBERS, team)
    held, tokens = Lease.objects.filter(holder=account), ApiToken.objects.living(timezone.now()).filter(owner=account)
    if request.method == "POST":
        keys = held.live().count()
        service_accounts.end(account, by=request.user)
        messages.success(
            request,
            _("%(account)s is ended, with %(keys)s and its tokens.")
            % {"account": account, "keys": count(keys, "live key")},
        )
        return redirect("keys:service_account", team.slug, account.pk)
    reach = leases.reach(held, by=request.user)
    context = {"team": team, "account": account, "reach": reach, "tokens": tokens.count()}
    return render(request, "keys/service_accounts/end.html", context)
