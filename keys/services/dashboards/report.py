"""What the keys that somebody sees have spent, by whatever they ask: sums of the ledger's rows, in one query."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.db.models import CharField, F, Max, Q, QuerySet, Sum
from django.db.models.functions import Cast

from keys.models import SpendDay
from keys.services.dashboards.money import HOLDER
from teams.access import within
from teams.models import User
from teams.roles import Can

# What is asked: what a group is told apart by, and what it is called now.
BY: dict[str, tuple[str, Any]] = {
    "team": ("team__slug", Max("team__name")),
    "key": ("version__lease", Max("version__lease__alias")),
    "member": ("holder", HOLDER),
    "model": ("model", Max("model")),
    "day": ("day", Cast("day", CharField())),
    "gateway": ("gateway__name", Max("gateway__name")),
    "role": ("role_name", Max("role_name")),
    "cost_centre": ("team__cost_centre", Max("team__cost_centre")),
}
SUMS = {
    "spent": Sum("spend", default=0), "prompts": Sum("prompt_tokens", default=0),
    "completions": Sum("completion_tokens", default=0), "calls": Sum("requests", default=0),
    "refused": Sum("failed", default=0),
}  # fmt: skip


def rows_of(user: User, start: date, end: date, *only: Q) -> QuerySet[SpendDay]:
    """The ledger's rows of these days, both included, that the person may see: by team and holder of that day."""
    return SpendDay.objects.filter(within(user, Can.SEE_KEY), *only, day__gte=start, day__lte=end).order_by()


def grouped(rows: QuerySet[SpendDay], by: str) -> QuerySet[Any, dict[str, Any]]:
    """One row for each team, key … (see BY): `which`, `called` and SUMS; the dearest first, days in their order."""
    column, called = BY[by]
    found: QuerySet[Any, Any] = rows.values(which=F(column)).annotate(called=called, **SUMS)
    return found.order_by("which") if by == "day" else found.order_by("-spent", "which")


def total(rows: QuerySet[SpendDay]) -> dict[str, Any]:
    """All of them together: SUMS."""
    return rows.aggregate(**SUMS)
