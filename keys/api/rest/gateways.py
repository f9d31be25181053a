"""Gateways as they are, their reconcile, and the keys on them that are not ours. The master key never comes out."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from keys.api.fields import Ttl, Usd
from keys.api.rest.common import (
    Listed,
    Nothing,
    NotThere,
    PlatformDoor,
    actor,
    checked,
    exact,
    named_gateway,
    named_person,
    named_role,
    named_team,
)
from keys.api.rest.gateway_shapes import HealthOut, HeldOut, LicenceOut, ReleaseOut
from keys.api.rest.shapes import LeaseOut, lease_answer
from keys.models import Gateway, KeyVersion, Lease, UnmanagedKey
from keys.services import operations, reconcile, unmanaged
from portal.api import Pages
from portal.schema import holding


class GatewayOut(serializers.ModelSerializer[Gateway]):
    """A gateway as it was when last asked. `effective_within`: seconds until an ending is known everywhere there."""

    base_url = serializers.CharField(source="url_for_holders", read_only=True)
    ttl = Ttl(read_only=True)
    max_ttl = Ttl(read_only=True)
    licence = LicenceOut(read_only=True)
    models = serializers.ListField(source="models_seen", child=serializers.CharField(), read_only=True)
    health = serializers.SerializerMethodField()
    held = serializers.SerializerMethodField()
    spend = Usd(allow_null=True)
    max_budget = Usd(allow_null=True)

    class Meta:
        model = Gateway
        fields = [
            "id", "name", "base_url", "is_default", "timeout", "ttl", "max_ttl", "litellm_version", "licence",
            "chosen_keys", "models", "health", "held", "reconciled_at", "foreign_keys", "effective_within",
            "spend", "max_budget", "spend_synced_at", "version",
        ]  # fmt: skip

    @extend_schema_field(HealthOut)
    def get_health(self, gateway: Gateway) -> dict[str, Any]:
        state = "ok" if gateway.checked_at else "never_asked"
        return {
            "state": "away" if gateway.away_since else state,
            "checked_at": gateway.checked_at,
            "away_since": gateway.away_since,
            "away_reason": gateway.away_reason,
            "next_try_at": gateway.next_try_at,
        }

    @extend_schema_field(HeldOut(allow_null=True))
    def get_held(self, gateway: Gateway) -> dict[str, Any] | None:
        return {"since": gateway.held_since, "reason": gateway.held_reason} if gateway.held_since else None


class OutcomeOut(serializers.Serializer[reconcile.Outcome]):
    """What a reconcile found and did; keys by their hash."""

    gateway = serializers.CharField(source="gateway.name")
    live = serializers.IntegerField()
    foreign = serializers.IntegerField()
    revoked = serializers.ListField(child=serializers.CharField())
    closed = serializers.ListField(child=serializers.CharField())
    listed = serializers.ListField(child=serializers.CharField())
    unknown = serializers.ListField(child=serializers.CharField())
    drifted = serializers.IntegerField()
    held = serializers.CharField()
    stopped = serializers.CharField()


class UnmanagedOut(serializers.ModelSerializer[UnmanagedKey]):
    """A key on a gateway that is not ours. `team` and `holder` are the gateway's own ids."""

    gateway = serializers.SlugRelatedField[Gateway](slug_field="name", read_only=True)
    models = serializers.ListField(child=serializers.CharField(), read_only=True)
    max_budget = Usd(allow_null=True)
    spend = Usd()

    class Meta:
        model = UnmanagedKey
        fields = [
            "id", "gateway", "token_hash", "key_name", "alias", "team", "holder", "instance", "models", "max_budget",
            "budget_duration", "spend", "expires_at", "last_used_at", "seen_at",
        ]  # fmt: skip


class ReconcileIn(serializers.Serializer[Any]):
    approved = serializers.BooleanField(default=False)


class AdoptIn(serializers.Serializer[Any]):
    team = serializers.CharField(max_length=60)
    role = serializers.CharField(max_length=60)
    holder = serializers.CharField(max_length=254)
    name = serializers.CharField(max_length=80, required=False, allow_blank=True)
    ttl = Ttl(required=False, allow_null=True)
    take_over = serializers.BooleanField(required=False)


Compared = holding("Compared", outcome=OutcomeOut(allow_null=True))


class GatewaysView(PlatformDoor, Listed[Gateway]):
    """The gateways as they were when last asked."""

    serializer_class = GatewayOut

    class pagination_class(Pages):  # noqa: N801  (DRF's name)
        ordering = "name"

    def get_queryset(self) -> QuerySet[Gateway]:
        return Gateway.objects.defer("master_key")


class GatewayView(PlatformDoor):
    """One gateway."""

    @extend_schema(responses=GatewayOut)
    def get(self, request: Request, name: str) -> Response:
        return Response(GatewayOut(named_gateway(name)).data)


class ReconcileView(PlatformDoor):
    """Have both sides compared by the next sweep; with `approved`, end now what a comparison has listed and left."""

    @extend_schema(request=ReconcileIn, responses={200: Compared, 202: Compared})
    def post(self, request: Request, name: str) -> Response:
        gateway, by = named_gateway(name), actor(request)
        if checked(ReconcileIn, request)["approved"]:
            return Response({"outcome": OutcomeOut(operations.end_listed(gateway, by=by)).data})
        operations.compare_soon(gateway, by=by)
        return Response({"outcome": None}, status=status.HTTP_202_ACCEPTED)


class ReleaseView(PlatformDoor):
    troubles = frozenset({409})  # the gateway is asked

    @extend_schema(responses=ReleaseOut)
    def get(self, request: Request, name: str) -> Response:
        """What a release of a held gateway would set free, asked of the gateway now."""
        found = operations.preview(named_gateway(name), by=actor(request))
        return Response(
            {
                "expiring": [_key(lease) for lease in found.expiring],
                "ending": [{**_key(lease), "reason": reason.value} for lease, reason in found.ending],
                "orphans": [_secret(version) for version in found.orphans],
                "missing": [_secret(version) for version in found.missing],
                "later": [_secret(drift.version) for drift in found.later],
                "unknown": [{"token_hash": key.token, "alias": key.alias} for key in found.unknown],
            }
        )

    @extend_schema(request=Nothing, responses=GatewayOut)
    def post(self, request: Request, name: str) -> Response:
        """End the hold: sweeps end keys on it again."""
        checked(Nothing, request)
        reconcile.release(named_gateway(name), by=actor(request))
        return Response(GatewayOut(named_gateway(name)).data)


def _key(lease: Lease) -> dict[str, Any]:
    return {"lease": str(lease.pk), "alias": lease.alias, "holder": lease.holder.audit_name}


def _secret(version: KeyVersion) -> dict[str, Any]:
    return {"lease": str(version.lease_id), "version": version.number, "alias": version.alias}


class UnmanagedKeysView(PlatformDoor, Listed[UnmanagedKey]):
    """Keys on a gateway that are not ours, the most spent first."""

    serializer_class = UnmanagedOut
    filters = {"gateway": exact("gateway__name")}

    class pagination_class(Pages):  # noqa: N801
        ordering = ("-spend", "pk")

    def get_queryset(self) -> QuerySet[UnmanagedKey]:
        return UnmanagedKey.objects.select_related("gateway").defer("gateway__master_key")


class AdoptView(PlatformDoor):
    """Make a lease of a key that is on a gateway already; nobody here learns its secret."""

    @extend_schema(request=AdoptIn, responses={201: LeaseOut})
    def post(self, request: Request, pk: int) -> Response:
        rows = UnmanagedKey.objects.select_related("gateway").defer("gateway__master_key")
        key, fields, by = get_object_or_404(rows, pk=pk), checked(AdoptIn, request), actor(request)
        team = named_team(by, fields.pop("team"))
        name = fields.pop("role")
        role = named_role(team, name, key.gateway.name)
        if role is None:
            raise NotThere("role", f"There is no key role {name!r} of {key.gateway} open to {team.slug}.")
        holder = named_person(by, fields.pop("holder"))
        lease = unmanaged.adopt_key(key, team=team, holder=holder, role=role, by=by, **fields)
        return lease_answer(lease, status.HTTP_201_CREATED)
