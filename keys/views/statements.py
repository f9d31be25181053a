"""Monthly statements: of one team, of all teams, and as files."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from decimal import Decimal

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.db.models import Count, Q, QuerySet, Sum
from django.http import Http404, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from keys.models import SpendDay, Statement
from keys.services import focus, statements
from keys.services.dashboards import money, spans
from portal.downloads import sheet
from teams.access import require
from teams.models import Team
from teams.requests import SignedIn
from teams.roles import Can
from teams.views.teams import visible_team

KINDS = ("csv", "focus")


@login_required
@require_GET
def of_team(request: SignedIn, slug: str) -> HttpResponse:
    team = _audited(request, slug)
    today = timezone.now().date()
    running = spans.this_month(today)
    counted = Count("lines", filter=Q(lines__noted_on__isnull=False))
    context = {
        "team": team,
        "here": "statements",
        "statements": team.statements.annotate(corrections=counted).order_by("-month"),
        "running": running,
        "spent": money.total(SpendDay.objects.filter(team=team), running),
        "pending": statements.pending(team),
        "settles": settings.STATEMENT_AFTER,
    }
    return render(request, "keys/statements/team.html", context)


@login_required
@require_GET
def page(request: SignedIn, slug: str, month: str) -> HttpResponse:
    team = _audited(request, slug)
    statement = get_object_or_404(Statement, team=team, month=_month(month))
    lines = list(statement.lines.select_related("gateway").defer("gateway__master_key"))
    context = {
        "team": team,
        "statement": statement,
        "usage": [line for line in lines if not line.is_correction],
        "corrections": [line for line in lines if line.is_correction],
        "spent": sum((line.spend for line in lines if not line.is_correction), Decimal(0)),
        "corrected": sum((line.spend for line in lines if line.is_correction), Decimal(0)),
    }
    return render(request, "keys/statements/statement.html", context)


@login_required
@require_POST
def export(request: SignedIn, slug: str, month: str, kind: str) -> HttpResponseBase:
    team = _audited(request, slug)
    found = get_object_or_404(Statement, team=team, month=_month(month))
    return _file(request, [found], kind, f"{team.slug}-{found.number}")


@login_required
@require_GET
def of_month(request: SignedIn) -> HttpResponse:
    """The statements of a month, of all teams whose reports one may see."""
    seen = statements.seen_by(request.user)
    months = list(seen.order_by("-month").values_list("month", flat=True).distinct())
    month = _month(request.GET["month"]) if request.GET.get("month") else months[0] if months else None
    centre = request.GET.get("cost_centre")
    of_it = seen.filter(month=month) if month else seen.none()
    found = list(_of_centre(of_it, centre).order_by("team_name"))
    context = {
        "months": months,
        "month": month,
        "centre": centre,
        "statements": found,
        "total": sum((each.total for each in found), Decimal(0)),
        "centres": of_it.order_by("cost_centre").values("cost_centre").annotate(sum=Sum("total"), teams=Count("pk")),
        "settles": settings.STATEMENT_AFTER,
    }
    return render(request, "keys/statements/month.html", context)


@login_required
@require_POST
def export_month(request: SignedIn, kind: str) -> HttpResponseBase:
    """The statements of a month as one file, of one cost centre where it is given."""
    month = _month(request.POST.get("month", ""))
    found = _of_centre(statements.seen_by(request.user).filter(month=month), request.POST.get("cost_centre"))
    return _file(request, list(found), kind, f"statements-{month:%Y-%m}")


def _file(request: SignedIn, found: Iterable[Statement], kind: str, name: str) -> HttpResponseBase:
    if kind not in KINDS:
        raise Http404
    lines = statements.export(found, kind=kind, by=request.user)
    if kind == "focus":
        return sheet(f"keydesk-focus-{name}", focus.COLUMNS, focus.rows(lines))
    return sheet(f"keydesk-{name}", statements.HEADS, statements.rows(lines))


def _audited(request: SignedIn, slug: str) -> Team:
    """The team, for who sees its reports. Raises Http404, NotAllowed."""
    team = visible_team(request, slug)
    require(request.user, Can.SEE_TEAM_AUDIT, team)
    return team


def _of_centre(found: QuerySet[Statement], centre: str | None) -> QuerySet[Statement]:
    """Those of a cost centre; blank: of none. None: all."""
    return found if centre is None else found.filter(cost_centre=centre.replace("\0", ""))


def _month(text: str) -> date:
    """`2026-10`. Raises Http404."""
    if not re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", text) or text < "0001":
        raise Http404
    return date.fromisoformat(f"{text}-01")
