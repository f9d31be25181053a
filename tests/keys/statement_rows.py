"""Rows of the ledger, written as the sync does, and what statements say of them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from keys.models import Lease, SpendDay, StatementLine
from teams.models import Team


def row(
    lease: Lease, day: date, spend: str, *, model: str = "gpt-4o", at: datetime | None = None, **more: Any
) -> SpendDay:
    """What a key spent on a day; said again, what it says now replaces what it said before."""
    at = at or datetime(day.year, day.month, day.day, 23, tzinfo=UTC)
    version = more.pop("version", None) or lease.current
    fields = {
        "gateway": lease.gateway, "spend": Decimal(spend), "requests": 3, "prompt_tokens": 100,
        "completion_tokens": 20, "team": lease.team, "holder": lease.holder, "key_alias": version.alias,
        "team_name": str(lease.team), "holder_name": str(lease.holder), "role_name": str(lease.role),
        "written_at": at,
    } | more  # fmt: skip
    return SpendDay.objects.update_or_create(version=version, day=day, model=model, defaults=fields)[0]


def ledger_of(team: Team, before: date) -> Decimal:
    rows = SpendDay.objects.filter(team=team, day__lt=before).values_list("spend", flat=True)
    return sum(rows, Decimal(0))


def stated(team: Team, **which: Any) -> Decimal:
    rows = StatementLine.objects.filter(statement__team=team, **which).values_list("spend", flat=True)
    return sum(rows, Decimal(0))


__all__ = ["ledger_of", "row", "stated"]
