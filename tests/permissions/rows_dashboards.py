"""Dashboards, their files, and statements: who sees a team's money, who its reports, who the platform's."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from django.utils import timezone

from keys.models import Statement
from tests.permissions.scene import Scene

MONTH = date(2026, 1, 1)

# nobody olga mallory vic alice carol bob ines audra ruth
PAGES = {
    ("get", "teams:keys"): "302 404 404 200 200 200 200 200 200 200",
    ("get", "teams:members"): "302 404 404 200 200 200 200 200 200 200",
    ("post", "teams:members"): "302 404 404 403 403 403 403 422 403 422",
    ("get", "keys:team_spend"): "302 404 404 200 200 200 200 200 200 200",
    ("get", "keys:team_spend_csv"): "302 404 404 403 403 403 403 200 200 200",
    ("get", "keys:team_statements"): "302 404 404 403 403 403 403 200 200 200",
    ("get", "keys:statement"): "302 404 404 403 403 403 403 200 200 200",
    ("post", "keys:statement_export"): "302 404 404 403 403 403 403 200 200 200",
    ("get", "keys:statements"): "302 403 200 403 403 403 403 200 200 200",
    ("post", "keys:statements_export"): "302 403 403 403 403 403 403 200 200 200",
    ("get", "keys:platform"): "302 403 403 403 403 403 403 403 200 200",
    ("get", "keys:platform_csv"): "302 403 403 403 403 403 403 403 200 200",
}


def arguments(scene: Scene) -> dict[str, list[Any]]:
    slug, month = scene.team.slug, f"{MONTH:%Y-%m}"
    Statement.objects.get_or_create(
        team=scene.team,
        month=MONTH,
        defaults={"team_name": scene.team.name, "total": Decimal(0), "closed_at": timezone.now()},
    )
    return {
        "teams:keys": [slug],
        "teams:members": [slug],
        "keys:team_spend": [slug],
        "keys:team_spend_csv": [slug, "model"],
        "keys:team_statements": [slug],
        "keys:statement": [slug, month],
        "keys:statement_export": [slug, month, "csv"],
        "keys:statements_export": ["focus"],
        "keys:platform_csv": ["team"],
    }


def bodies(scene: Scene) -> dict[str, dict[str, Any]]:
    return {"keys:statements_export": {"month": f"{MONTH:%Y-%m}"}}
