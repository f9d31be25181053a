"""How spend looks in answers: figures side by side, the limit that binds, and the ledger's rows of some days."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from keys.api.fields import Usd
from keys.services import budgets, spend


class FigureOut(serializers.Serializer[spend.Figure]):
    """USD, and when it was read; both null where it never was."""

    amount = Usd(allow_null=True)
    as_of = serializers.DateTimeField(allow_null=True)


class WindowOut(serializers.Serializer[Any]):
    """The running budget window; without ends where there is one for ever."""

    starts_at = serializers.DateTimeField(allow_null=True)
    ends_at = serializers.DateTimeField(allow_null=True)
    counter = FigureOut()
    ledger = FigureOut()


class FiguresOut(serializers.Serializer[spend.Figures]):
    """Of the whole life, and of the running budget window: what the proxy stops by, and what its ledger says."""

    counter = FigureOut()
    ledger = FigureOut()
    ours = FigureOut()
    difference = Usd(source="differs")
    window = serializers.SerializerMethodField()

    @extend_schema_field(WindowOut)
    def get_window(self, found: spend.Figures) -> dict[str, Any]:
        starts_at, ends_at = found.window or (None, None)
        return {
            "starts_at": starts_at,
            "ends_at": ends_at,
            "counter": FigureOut(found.window_counter).data,
            "ledger": FigureOut(found.window_ledger).data,
        }


class LinkOut(serializers.Serializer[budgets.Link]):
    """One budget that a call must pass; what is spent against none is nobody's business here."""

    kind = serializers.CharField()
    who = serializers.CharField()
    limit = Usd(allow_null=True)
    window = serializers.CharField()
    spent = serializers.SerializerMethodField()
    left = Usd(allow_null=True)
    resets_at = serializers.DateTimeField(allow_null=True)
    set_by = serializers.CharField()
    as_of = serializers.DateTimeField(allow_null=True)
    enforced = serializers.BooleanField()

    @extend_schema_field(Usd(allow_null=True))
    def get_spent(self, link: budgets.Link) -> str | None:
        return None if link.limit is None else Usd().to_representation(link.spent)


class ForecastOut(serializers.Serializer[Any]):
    """Where it leads if it goes on as in this window so far; null while it is too early to say."""

    spend = Usd()
    until = serializers.DateTimeField()


class LimitsOut(serializers.Serializer[Any]):
    """Every budget that a call must pass. `binding`: the tightest, `left` of it; `stops`: why no call passes."""

    binding = serializers.CharField(allow_null=True)
    left = Usd(allow_null=True)
    links = LinkOut(many=True)
    stops = serializers.ListField(child=serializers.CharField())


class SumsOut(serializers.Serializer[Any]):
    """Rows of the ledger, summed."""

    spend = Usd()
    prompt_tokens = serializers.IntegerField()
    completion_tokens = serializers.IntegerField()
    requests = serializers.IntegerField()
    failed = serializers.IntegerField()


class ModelSpendOut(SumsOut):
    """What went to one model."""

    model = serializers.CharField()


class DaySpendOut(SumsOut):
    """What one UTC day cost."""

    day = serializers.DateField()


class MemberSpendOut(SumsOut):
    """What one person's keys spent."""

    holder = serializers.CharField()
    holder_id = serializers.UUIDField(allow_null=True)


class LedgerOut(serializers.Serializer[Any]):
    """The ledger's rows of some UTC days, both ends included."""

    by_model = ModelSpendOut(many=True)
    by_day = DaySpendOut(many=True)

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        days = {name: serializers.DateField() for name in ("from", "to")}  # `from` is Python's own
        return {**days, **super().get_fields()}


class KeySpendOut(LedgerOut):
    """What one key spent and may spend yet."""

    lease = serializers.UUIDField()
    figures = FiguresOut()
    forecast = ForecastOut(allow_null=True)
    limits = LimitsOut()


class GatewaySpendOut(serializers.Serializer[Any]):
    """What a team spent on one gateway, which enforces the team's budget by itself."""

    gateway = serializers.CharField()
    figures = FiguresOut()
    forecast = ForecastOut(allow_null=True)


class TeamSpendOut(LedgerOut):
    """What a team spent; `by_member`: of the keys that the caller sees."""

    team = serializers.CharField()
    max_budget = serializers.DecimalField(max_digits=12, decimal_places=2, allow_null=True)
    budget_duration = serializers.CharField()
    gateways = GatewaySpendOut(many=True)
    by_member = MemberSpendOut(many=True)
