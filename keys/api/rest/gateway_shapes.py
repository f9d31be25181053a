"""How the health of a gateway, its licence and what its release would set free look in answers."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers


class HealthOut(serializers.Serializer[Any]):
    """Whether calls reach it; while it is away, when it is tried again."""

    state = serializers.ChoiceField(["ok", "away", "never_asked"])
    checked_at = serializers.DateTimeField(allow_null=True)
    away_since = serializers.DateTimeField(allow_null=True)
    away_reason = serializers.CharField()
    next_try_at = serializers.DateTimeField(allow_null=True)


class HeldOut(serializers.Serializer[Any]):
    """Nothing is ended on it until a platform admin releases it."""

    since = serializers.DateTimeField()
    reason = serializers.CharField()


class LicenceOut(serializers.Serializer[Any]):
    """What the proxy says of its licence; without fields where it says nothing."""

    type = serializers.CharField(required=False, allow_null=True)
    has_license = serializers.BooleanField(required=False)
    features = serializers.ListField(child=serializers.CharField(), required=False)


class AffectedOut(serializers.Serializer[Any]):
    """A key that would end."""

    lease = serializers.UUIDField()
    alias = serializers.CharField()
    holder = serializers.CharField()


class EndingOut(AffectedOut):
    """A key that would end, and why."""

    reason = serializers.CharField()


class SecretOut(serializers.Serializer[Any]):
    """One secret of a lease."""

    lease = serializers.UUIDField()
    version = serializers.IntegerField()
    alias = serializers.CharField()


class StrangerOut(serializers.Serializer[Any]):
    """A key of this installation that its database does not know."""

    token_hash = serializers.CharField()
    alias = serializers.CharField(allow_null=True)


class ReleaseOut(serializers.Serializer[Any]):
    """What a release of a held gateway would set free."""

    expiring = AffectedOut(many=True)
    ending = EndingOut(many=True)
    orphans = SecretOut(many=True)
    missing = SecretOut(many=True)
    later = SecretOut(many=True)
    unknown = StrangerOut(many=True)
