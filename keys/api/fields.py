"""Shapes at the API's edge: lifetimes as seconds or text, money as decimal strings."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_datetime
from rest_framework import serializers

from portal.litellm import InvalidDuration, parse_duration


class Ttl(serializers.Field[timedelta, Any, Any, Any]):
    """Whole seconds, or LiteLLM's grammar: `3600`, `"24h"`, `"7d"`. Answers seconds. 0 where `zero` allows it."""

    def __init__(self, *, zero: bool = False, **kwargs: Any) -> None:
        self.zero = zero
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> timedelta:
        if self.zero and data in (0, "0", "0s"):
            return timedelta(0)
        if isinstance(data, bool) or not isinstance(data, int | str):
            raise serializers.ValidationError("Seconds as a number, or text like 24h.")
        try:
            return parse_duration(data)
        except InvalidDuration as error:
            raise serializers.ValidationError(f"{error.message} {error.action}".strip()) from None

    def to_representation(self, value: timedelta) -> int:
        return int(value.total_seconds())


class Grace(serializers.Field[timedelta, Any, Any, Any]):
    """How long an old secret still works: 0, seconds, text like `1h`, or a date (RFC 3339) until which it does."""

    def to_internal_value(self, data: Any) -> timedelta:
        if data in (0, "0", "0s") and not isinstance(data, bool):
            return timedelta(0)
        moment = parse_datetime(data) if isinstance(data, str) and "T" in data.upper() else None
        if moment is None:
            return Ttl().to_internal_value(data)
        if moment.tzinfo is None:
            raise serializers.ValidationError("A date needs a zone, like 2026-12-01T00:00:00Z.")
        if (rest := moment - timezone.now()) <= timedelta(0):
            raise serializers.ValidationError("This date is over. Say 0 to end the old secret now.")
        return rest

    def to_representation(self, value: timedelta) -> int:
        return int(value.total_seconds())


class Models(serializers.ListField):
    """A list of model names; one text with commas will do. Source: the Vault engine's roles."""

    child = serializers.CharField(max_length=200)

    def to_internal_value(self, data: Any) -> list[str]:
        if isinstance(data, str):
            data = [name.strip() for name in data.split(",") if name.strip()]
        return [str(name) for name in super().to_internal_value(data)]
