"""What a dashboard shows as CSV, for the same days: the file says no more than the page."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import Http404, HttpResponse, HttpResponseBase
from django.views.decorators.http import require_GET

from keys.models import SpendDay
from keys.services.dashboards import money
from keys.services.dashboards.spans import Span, WrongDays
from keys.views import dashboards
from portal.downloads import sheet
from teams.access import require
from teams.requests import SignedIn
from teams.roles import Can
from teams.views.teams import visible_team

OF_TEAM = {"day": "day", "member": "holder", "model": "model"}  # name in the address: column of the ledger
OF_PLATFORM = {"day": "day", "team": "team"}
COUNTED = ("requests", "failed", "tokens")


@login_required
@require_GET
def team_spend(request: SignedIn, slug: str, what: str) -> HttpResponseBase:
    team = visible_team(request, slug)
    require(request.user, Can.SEE_TEAM_AUDIT, team)
    rows = SpendDay.objects.filter(team=team)
    return _answer(
        request, rows, _column(OF_TEAM, what), f"{team.slug}-by-{what}",
        lambda: dashboards.team_spend_page(request, team, status=422),
    )  # fmt: skip


@login_required
@require_GET
def platform(request: SignedIn, what: str) -> HttpResponseBase:
    require(request.user, Can.SEE_PLATFORM)
    rows = SpendDay.objects.all()
    return _answer(
        request, rows, _column(OF_PLATFORM, what), f"platform-by-{what}",
        lambda: dashboards.overview(request, status=422),
    )  # fmt: skip


def _column(known: dict[str, str], what: str) -> str:
    """Raises Http404."""
    if what not in known:
        raise Http404
    return known[what]


def _answer(
    request: SignedIn, rows: QuerySet[SpendDay], by: str, name: str, wrong: Callable[[], HttpResponse]
) -> HttpResponseBase:
    """The file; days that cannot be read must not quietly become others."""
    try:
        span = dashboards.asked_span(request)
    except WrongDays:
        return wrong()
    heads, lines = _days(rows, span) if by == "day" else _groups(rows, by, span)
    return sheet(f"keydesk-{name}-{span.start}-{span.end}", heads, lines)


def _days(rows: QuerySet[SpendDay], span: Span) -> tuple[list[str], Iterable[list[Any]]]:
    return ["day", "spend_usd", "requests"], ([day.day, day.spend, day.requests] for day in money.daily(rows, span))


def _groups(rows: QuerySet[SpendDay], by: str, span: Span) -> tuple[list[str], Iterable[list[Any]]]:
    table, before = money.grouped(rows, by, span), span.before
    called = {"holder": "member"}.get(by, by)
    heads = [called, "spend_usd", f"spend_usd_{before.start}_{before.end}", *COUNTED]
    lines = [[row.name, row.spend, row.before, row.requests, row.failed, row.tokens] for row in table.rows]
    return heads, lines
