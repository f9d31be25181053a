"""People, for the platform: who there is, what gives them their roles, and what ends when they leave."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from keys.models.lease import LIVE
from portal.errors import NotAllowed, PortalError
from portal.paging import stretch_of
from portal.templatetags.ui import amid
from portal.ui import render_part
from teams.access import require, require_fresh
from teams.gifts import Gift, given_by_providers
from teams.mfa import factors_of
from teams.models import Membership, User
from teams.requests import SignedIn
from teams.roles import Can, PlatformRole
from teams.services import people

SHOWN = {"": Q(), "platform": ~Q(platform_role=""), "inactive": Q(is_active=False)}


@login_required
@require_GET
def person_list(request: SignedIn) -> HttpResponse:
    """Everybody, found by name or address."""
    require(request.user, Can.SEE_PLATFORM)
    shown, find = request.GET.get("show", ""), request.GET.get("q", "").replace("\0", "").strip()
    shown = shown if shown in SHOWN else ""
    everybody = User.objects.filter(kind=User.Kind.PERSON)
    found = everybody.filter(SHOWN[shown])
    if find:
        found = found.filter(Q(name__icontains=find) | Q(email__icontains=find))
    context = {
        "page": stretch_of(request, _with_figures(found), "name", "email", counted=True),
        "shown": shown,
        "find": find,
        "tabs": [
            (value, words, everybody.filter(SHOWN[value]).count())
            for value, words in (
                ("", _("All")),
                ("platform", _("With a platform role")),
                ("inactive", _("Not active")),
            )
        ],
    }
    return render_part(request, "people/list.html", "people/_list.html", context)


@login_required
@require_GET
def person_page(request: SignedIn, pk: UUID) -> HttpResponse:
    require(request.user, Can.SEE_PLATFORM)
    person = get_object_or_404(_with_figures(User.objects.filter(kind=User.Kind.PERSON)), pk=pk)
    memberships = person.memberships.select_related("team").order_by("team__name")
    context: dict[str, Any] = {
        "person": person,
        "memberships": [(each, _sources(person, each)) for each in memberships],
        "platform_groups": [(source, gift.groups) for source, gift in given_by_providers(person, None)],
        "accounts": person.answers_for.filter(is_active=True).select_related("service_team").order_by("name"),
        "identities": SocialAccount.objects.filter(user=person).order_by("provider", "pk"),
        "tokens": person.api_tokens.living(timezone.now()).select_related("parent").order_by("expires_at", "pk"),
        "departures": person.departures.by_providers().select_related("team")[:20],
        "roles": PlatformRole.choices,
    }
    return render(request, "people/person.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def platform_role(request: SignedIn, pk: UUID) -> HttpResponse:
    """Give a platform role by hand, or none. GET is the way back from a fresh sign-in: to the person's page."""
    require(request.user, Can.MANAGE_PLATFORM)
    person = get_object_or_404(User, pk=pk, kind=User.Kind.PERSON)
    require_fresh(request.user)
    if request.method == "GET":
        return redirect("keys:person", person.pk)
    try:
        people.set_platform_role(person, request.POST.get("role", ""), by=request.user)
        said = {"person": person, "role": amid(person.get_platform_role_display())}
        if person.platform_role:
            messages.success(request, _("%(person)s is %(role)s now.") % said)
        else:
            messages.success(request, _("%(person)s is without a platform role now.") % said)
    except NotAllowed:
        raise
    except PortalError as error:
        messages.error(request, f"{error.message} {error.action}")
    return redirect("keys:person", person.pk)


@login_required
@require_http_methods(["GET", "POST"])
def reset_factors(request: SignedIn, pk: UUID) -> HttpResponse:
    """GET asks; POST takes somebody's second factors away, for when their devices are gone."""
    require(request.user, Can.MANAGE_PLATFORM)
    require_fresh(request.user)
    person = get_object_or_404(User, pk=pk, kind=User.Kind.PERSON)
    if request.method == "POST":
        people.reset_factors(person, by=request.user)
        messages.success(request, _("%(person)s has no second factor now.") % {"person": person})
        return redirect("keys:person", person.pk)
    return render(request, "people/factors.html", {"person": person, "factors": factors_of(person)})


def _with_figures(found: QuerySet[User]) -> QuerySet[User]:
    """With the figures of a row, counted by the database."""
    return found.annotate(
        team_count=Count("memberships", filter=Q(memberships__team__ended_at=None), distinct=True),
        live_keys=Count("leases", filter=Q(leases__state__in=LIVE), distinct=True),
        second_factor=Exists(Authenticator.objects.filter(user=OuterRef("pk")).exclude(type="recovery_codes")),
    )


def _sources(person: User, membership: Membership) -> list[str]:
    """What gives somebody their place in a team: a person's hand, groups of a provider, or both."""
    given: list[tuple[str, Gift]] = given_by_providers(person, membership.team)
    also = _(" and ")
    groups = [f"{also.join(gift.groups)} ({source})" for source, gift in given]
    return ([_("by hand")] if membership.given_role or not groups else []) + groups
