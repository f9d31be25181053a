"""Dashboards: a team's spend, and the platform as a whole, for the days in the address."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from keys.models import Gateway, SpendDay
from keys.services import advice, spend
from keys.services.dashboards import money, platform, spans
from keys.services.dashboards.spans import Span, WrongDays
from keys.views.operations.standing import open_intents, standing
from teams.access import reach_of, require
from teams.models import Team
from teams.requests import SignedIn
from teams.roles import Can, Reach
from teams.views.teams import visible_team

SHOWN = 5  # open intents on the platform's overview


@login_required
@require_GET
def team_spend(request: SignedIn, slug: str) -> HttpResponse:
    return team_spend_page(request, visible_team(request, slug))


def team_spend_page(request: SignedIn, team: Team, status: int = 200) -> HttpResponse:
    days = span_of(request)
    rows, span = SpendDay.objects.filter(team=team), days["span"]
    used = Gateway.objects.filter(leases__team=team).distinct().defer("master_key")
    context = {
        **days,
        "team": team,
        "here": "spend",
        "days": money.daily(rows, span),
        "models": money.grouped(rows, "model", span),
        "members": money.grouped(rows, "holder", span) if sees_members(request, team) else None,
        "figures": [(gateway, spend.team_figures(team, gateway)) for gateway in used],
        "read_at": money.as_of(used),
    }
    return render(request, "keys/dashboards/team_spend.html", context, status=status)


def sees_members(request: SignedIn, team: Team) -> bool:
    """Whether they see all keys of the team, and so what each member spends."""
    return reach_of(request.user, Can.SEE_KEY, team.pk) is Reach.ANY


@login_required
@require_GET
def platform_page(request: SignedIn) -> HttpResponse:
    require(request.user, Can.SEE_PLATFORM)
    return overview(request)


def overview(request: SignedIn, status: int = 200) -> HttpResponse:
    days = span_of(request)
    context = {
        **days,
        "board": platform.board(days["span"]),
        "standing": standing(),
        "intents": open_intents()[:SHOWN],
        "posture": advice.posture(),
    }
    return render(request, "keys/dashboards/platform.html", context, status=status)


def span_of(request: SignedIn) -> dict[str, Any]:
    """The days that the address asks for; where it cannot be read, this month and what was wrong."""
    today = timezone.now().date()
    found: dict[str, Any] = {"presets": spans.presets(today), "today": today, "wrong_days": None}
    try:
        return found | {"span": asked_span(request)}
    except WrongDays as error:
        return found | {"span": spans.this_month(today), "wrong_days": error}


def asked_span(request: SignedIn) -> Span:
    """Raises WrongDays."""
    return spans.read(request.GET.get("from", ""), request.GET.get("to", ""), timezone.now().date())
