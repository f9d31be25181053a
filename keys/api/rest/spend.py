"""What a key or a team spent: figures side by side, the limit that binds, and the ledger's rows of some days."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from keys.api.fields import Usd
from keys.api.rest.common import Door, actor, asked, visible_lease, visible_team
from keys.api.rest.spend_shapes import FiguresOut, KeySpendOut, LinkOut, TeamSpendOut
from keys.models import Gateway, Lease
from keys.services import budgets, spend
from teams.models import Team

LONGEST = timedelta(days=366)


class PeriodIn(serializers.Serializer[Any]):
    """UTC days, both included; without any the running month until today."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return {name: serializers.DateField(required=False) for name in ("from", "to")}  # `from` is Python's own

    def validate(self, data: dict[str, Any]) -> dict[str, Any]:
        end = data.get("to") or datetime.now(UTC).date()
        start = data.get("from") or end.replace(day=1)
        if start > end:
            raise serializers.ValidationError({"from": "The first day is not after the last one."})
        if end - start >= LONGEST:
            raise serializers.ValidationError({"from": f"At most {LONGEST.days} days at once."})
        return {"start": start, "end": end}


class KeySpendView(Door):
    """What one key spent and may spend yet."""

    query = PeriodIn

    @extend_schema(responses=KeySpendOut)
    def get(self, request: Request, pk: UUID) -> Response:
        lease, period, now = visible_lease(request, pk), asked(PeriodIn, request), timezone.now()
        found, chain = spend.figures(lease, now), budgets.chain(lease, now)
        links = [LinkOut(link).data for link in chain.links]
        return Response(
            {
                "lease": str(lease.pk),
                "figures": FiguresOut(found).data,
                "forecast": _forecast(found, lease.issued_at, now, lease.ended_at or lease.expires_at),
                "limits": {
                    "binding": chain.binding.kind if chain.binding else None,
                    "left": LinkOut(chain.binding).data["left"] if chain.binding else None,
                    "links": links,
                    "stops": list(chain.stops),
                },
                **_ledger(lease, **period),
            }
        )


class TeamSpendView(Door):
    """What a team spent: per gateway side by side, and by member, model and day."""

    query = PeriodIn

    @extend_schema(responses=TeamSpendOut)
    def get(self, request: Request, slug: str) -> Response:
        team, period, now = visible_team(request, slug), asked(PeriodIn, request), timezone.now()
        used = Gateway.objects.filter(leases__team=team).defer("master_key").order_by("name").distinct()
        members = spend.by_member(team, period["start"], period["end"], seen_by=actor(request))
        return Response(
            {
                "team": team.slug,
                "max_budget": None if team.max_budget is None else str(team.max_budget),
                "budget_duration": team.budget_duration,
                "gateways": [_on(team, gateway, now) for gateway in used],
                **_ledger(team, **period),
                "by_member": [{"holder": each.name, "holder_id": each.holder, **_sums(each)} for each in members],
            }
        )


def _on(team: Team, gateway: Gateway, now: datetime) -> dict[str, Any]:
    found = spend.team_figures(team, gateway, now)
    return {
        "gateway": gateway.name,
        "figures": FiguresOut(found).data,
        "forecast": _forecast(found, team.created_at, now, team.ended_at),
    }


def _forecast(found: spend.Figures, born: datetime, now: datetime, ends: datetime | None) -> dict[str, Any] | None:
    """Where the running window leads, or the life that ends before it; null while it is too early to say."""
    start, end = found.window or (born, ends)
    end = min(end, ends) if end and ends else end
    spent = found.window_counter.amount if found.window_counter.amount is not None else found.window_ledger.amount
    if end is None or end <= now or spent is None:
        return None
    amount: Decimal | None = budgets.forecast(spent, max(start, born), now, end)
    return None if amount is None else {"spend": Usd().to_representation(amount), "until": end}


def _ledger(of: Lease | Team, *, start: date, end: date) -> dict[str, Any]:
    """The ledger's rows of some days, summed."""
    return {
        "from": start,
        "to": end,
        "by_model": [{"model": each.name, **_sums(each)} for each in spend.by_model(of, start, end)],
        "by_day": [{"day": each.day, **_sums(each)} for each in spend.by_day(of, start, end)],
    }


def _sums(total: spend.Total) -> dict[str, Any]:
    return {
        "spend": Usd().to_representation(total.spend),
        "prompt_tokens": total.prompt_tokens,
        "completion_tokens": total.completion_tokens,
        "requests": total.requests,
        "failed": total.failed,
    }
