"""API tokens: one's own, and those of the service accounts of a team that one runs."""

from __future__ import annotations

from functools import partial
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Count, Q
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.cache import add_never_cache_headers
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from portal.paging import stretch_of
from portal.templatetags.ui import count
from portal.ui import sent
from teams.access import require, require_fresh
from teams.forms.tokens import TokenForm
from teams.models import ApiToken, User
from teams.requests import SignedIn
from teams.roles import Can
from teams.services import tokens
from teams.views.teams import visible_team


@login_required
@require_GET
def token_list(request: SignedIn) -> HttpResponse:
    mine, now = ApiToken.objects.filter(owner=request.user), timezone.now()
    living = Q(expires_at__gt=now, ended_at=None)
    counts = mine.order_by().aggregate(live=Count("pk", filter=living), ended=Count("pk", filter=~living))
    state = "ended" if request.GET.get("state") == "ended" else "live"
    shown = mine.filter(living) if state == "live" else mine.exclude(living)
    order = ("expires_at", "pk") if state == "live" else ("-created_at", "-pk")
    page = stretch_of(request, shown.select_related("parent"), *order)
    context = {"page": page, "state": state, "counts": counts, "server": settings.URL}
    return render(request, "teams/tokens/list.html", context)


@never_cache
@login_required
@require_http_methods(["GET", "POST"])
def new_token(request: SignedIn) -> HttpResponse:
    return _new(request, request.user)


@never_cache
@login_required
@require_http_methods(["GET", "POST"])
def new_service_token(request: SignedIn, slug: str, account: UUID) -> HttpResponse:
    team = visible_team(request, slug)
    require(request.user, Can.MANAGE_MEMBERS, team)
    return _new(request, get_object_or_404(team.service_accounts.select_related("service_team"), pk=account))


@login_required
@require_http_methods(["GET", "POST"])
def end_token(request: SignedIn, pk: UUID) -> HttpResponse:
    """GET asks, and counts what ends with it; POST ends it. Safe to repeat."""
    seen = ApiToken.objects.filter(tokens.visible_tokens(request.user)).select_related("owner__service_team", "parent")
    token = get_object_or_404(seen, pk=pk)
    tokens.require_end(token, request.user)
    back = tokens.page_of(token.owner, by=request.user)
    if request.method == "POST":
        ended = tokens.end_token(token, by=request.user)
        named = {"token": token, "others": count(ended - 1, "token")}
        alone = gettext("%(token)s is ended: calls with it answer 401 now.") % named
        with_more = gettext("%(token)s is ended, with %(others)s that it made: calls with it answer 401 now.") % named
        messages.success(request, with_more if ended > 1 else alone)
        return redirect(back)
    return render(request, "teams/tokens/end.html", {"token": token, "back": back, "below": tokens.below(token)})


def _new(request: SignedIn, owner: User) -> HttpResponse:
    """The form; POST answers the token, once. The same form again goes to the list."""
    require_fresh(request.user)  # before anything is typed
    form, back = TokenForm(sent(request), owner=owner), tokens.page_of(owner)
    if request.method == "POST":
        if form.is_valid() and ApiToken.objects.filter(pk=form.cleaned_data["once"]).exists():
            messages.warning(request, f"{tokens.AlreadyMade.message} {tokens.AlreadyMade.action}")
            return redirect(back)
        if made := form.hand_to(partial(tokens.make_token, owner), by=request.user):
            return _show_once(request, *made, back)
    context = {"form": form, "owner": owner, "back": back}
    return render(request, "teams/tokens/form.html", context, status=form.status)


def _show_once(request: SignedIn, token: ApiToken, plain: str, back: str) -> HttpResponse:
    """The one page that shows a token: not kept by browsers, proxies, htmx or sessions."""
    context = {"token": token, "plain": plain, "back": back, "now": timezone.now()}
    response = render(request, "teams/tokens/once.html", context)
    add_never_cache_headers(response)
    return response
