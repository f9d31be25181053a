"""Shapes at the API's edge: lifetimes as seconds or text, money as decimal strings, days of the ledger."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_datetime
from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from rest_framework import serializers

from portal.litellm import InvalidDuration, parse_duration
from portal.litellm.durations import LONGEST_LIFETIME


class Ttl(serializers.Field[timedelta, Any, Any, Any]):
    """Whole seconds, or LiteLLM's grammar: `3600`, `"24h"`, `"7d"`. Answers seconds. 0 where `zero` allows it."""

    def __init__(self, *, zero: bool = False, **kwargs: Any) -> None:
        self.zero = zero
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> timedelta:
        if isinstance(data, bool) or not isinstance(data, int | str):
            raise serializers.ValidationError("Seconds as a number, or text like 24h.")
        if self.zero and data in (0, "0", "0s"):
            return timedelta(0)
        try:
            return parse_duration(data)
        except InvalidDuration as error:
            raise serializers.ValidationError(f"{error.message} {error.action}".strip()) from None

    def to_representation(self, value: timedelta) -> int:
        return int(value.total_seconds())


class Grace(serializers.Field[timedelta, Any, Any, Any]):
    """How long an old secret still works: 0, seconds, text like `1h`, or a date (RFC 3339) until which it does."""

    def to_internal_value(self, data: Any) -> timedelta:
        if not isinstance(data, str) or "t" not in data.lower():
            return Ttl(zero=True).to_internal_value(data)
        try:
            moment = parse_datetime(data)
        except ValueError:  # well formed, and no such day
            moment = None
        if moment is None or moment.tzinfo is None:
            raise serializers.ValidationError("A date has a time and a zone, like 2026-12-01T00:00:00Z.")
        rest = moment - timezone.now()
        if rest <= timedelta(0):
            raise serializers.ValidationError("This date is over. Say 0 to end the old secret now.")
        return min(rest, LONGEST_LIFETIME)

    def to_representation(self, value: timedelta) -> int:
        return int(value.total_seconds())


class Amount(serializers.DecimalField):
    """USD in a body. Empty text is refused: only null means no limit."""

    def __init__(self, *, places: int = 4, **kwargs: Any) -> None:
        super().__init__(max_digits=12, decimal_places=places, allow_null=True, **kwargs)

    def validate_empty_values(self, data: Any) -> tuple[bool, Any]:
        if isinstance(data, str) and not data.strip():
            self.fail("invalid")
        return super().validate_empty_values(data)

    def validate_precision(self, value: Decimal) -> Decimal:
        """Noughts at the end are no places: an amount of an answer, to the millionth, may be sent."""
        return super().validate_precision(value.normalize())


class Usd(serializers.DecimalField):
    """An amount in an answer, to the millionth."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_digits=None, decimal_places=6, read_only=True, **kwargs)


class Models(serializers.ListField):
    """A list of model names; one text with commas will do. Source: the Vault engine's roles."""

    child = serializers.CharField(max_length=200)

    def to_internal_value(self, data: Any) -> list[str]:
        if isinstance(data, str):
            data = [name.strip() for name in data.split(",") if name.strip()]
        return [str(name) for name in super().to_internal_value(data)]


SECONDS: dict[str, Any] = {"type": "integer", "minimum": 0, "description": "Seconds."}


class TtlShape(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    """Lifetimes in the schema: sent as a number or text, answered as a number."""

    target_class: Any = Ttl
    match_subclasses = True

    def map_serializer_field(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        if direction == "response":
            return dict(SECONDS)
        return {
            "oneOf": [{"type": "integer", "minimum": 0}, {"type": "string", "minLength": 1}],
            "description": "Seconds, or text like `24h` or `7d`.",
            "example": "24h",
        }


class GraceShape(TtlShape):  # type: ignore[no-untyped-call]
    """As a lifetime, or a date."""

    target_class = Grace

    def map_serializer_field(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        found = super().map_serializer_field(auto_schema, direction)
        return {**found, "description": "0 (now), seconds, text like `1h`, or a date until which it works."}


class ModelsShape(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    """A list of names; where it is sent, one text with commas will do."""

    target_class = Models

    def map_serializer_field(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        names = {"type": "array", "items": {"type": "string", "maxLength": 200}, "example": ["gpt-4o"]}
        return names if direction == "response" else {"oneOf": [names, {"type": "string"}]}
