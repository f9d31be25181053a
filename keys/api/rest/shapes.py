"""How teams, key roles and leases look in answers. Times are UTC, money is USD as text."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.response import Response

from keys.api.fields import Ttl, Usd
from keys.api.rest.bundle_shapes import FeaturesOut, KeyBudgetOut, KeyModelOut, KeyRatesOut
from keys.models import Gateway, KeyRole, KeyVersion, Lease
from keys.services import bundle, leases
from keys.services.catalog import Age
from portal.api import body
from portal.errors import PortalError
from teams.models import Invitation, Membership, Team


class TeamOut(serializers.ModelSerializer[Team]):
    class Meta:
        model = Team
        fields = ["id", "slug", "name", "max_budget", "budget_duration", "cost_centre", "created_at", "ended_at"]


class MemberOut(serializers.ModelSerializer[Membership]):
    """A person in a team. `id` is the person's; `max_budget`: of all their keys there, in the team's window."""

    id = serializers.UUIDField(source="user.pk", read_only=True)
    email = serializers.EmailField(source="user.email", read_only=True)
    name = serializers.CharField(source="user.name", read_only=True)

    class Meta:
        model = Membership
        fields = ["id", "email", "name", "role", "max_budget"]


class InvitationOut(serializers.ModelSerializer[Invitation]):
    """A place that waits for an address. The link is in the letter alone."""

    class Meta:
        model = Invitation
        fields = ["email", "role", "expires_at"]


class RoleOut(serializers.ModelSerializer[KeyRole]):
    """A key role. Of its teams only those are named that the caller sees: context `teams`, their pks."""

    gateway = serializers.SlugRelatedField[Gateway](slug_field="name", read_only=True)
    teams = serializers.SerializerMethodField()
    ttl = Ttl()
    max_ttl = Ttl()
    auto_ttl = Ttl(allow_null=True)

    class Meta:
        model = KeyRole
        fields = [
            "id", "name", "description", "gateway", "models", "all_models", "max_budget", "budget_duration",
            "tpm_limit", "rpm_limit",
            "max_parallel_requests", "ttl", "max_ttl", "alias_prefix", "metadata", "all_teams", "teams",
            "approval", "auto_ttl", "auto_budget", "excess", "max_live_keys", "version", "ended_at",
        ]  # fmt: skip

    def get_teams(self, role: KeyRole) -> list[str]:
        seen = self.context["teams"]
        return [team.slug for team in role.teams.all() if team.pk in seen]


class VersionOut(serializers.Serializer[Any]):
    """One secret of a key; `name` is how it ends, like `sk-...abcd`. `retiring`: its grace period runs."""

    number = serializers.IntegerField()
    name = serializers.CharField()
    state = serializers.ChoiceField(choices=["current", "retiring", "ended"])
    issued_at = serializers.DateTimeField()
    dies_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)
    last_used_at = serializers.DateTimeField(allow_null=True)


class LeaseOut(serializers.ModelSerializer[Lease]):
    """A lease as every door of the API shows it. `effective`: the gateway does what this says; else it will."""

    team = serializers.SlugRelatedField[Team](slug_field="slug", read_only=True)
    role = serializers.SlugRelatedField[KeyRole](slug_field="name", read_only=True)
    gateway = serializers.SlugRelatedField[Gateway](slug_field="name", read_only=True)
    holder = serializers.CharField(source="holder.audit_name", read_only=True)
    holder_id = serializers.UUIDField(read_only=True)
    effective = serializers.SerializerMethodField()
    renewable = serializers.BooleanField(read_only=True)
    max_budget = serializers.DecimalField(max_digits=12, decimal_places=4, read_only=True, allow_null=True)
    models = serializers.SerializerMethodField()
    all_models = serializers.SerializerMethodField()
    base_url = serializers.CharField(source="gateway.url_for_holders", read_only=True)
    versions = serializers.SerializerMethodField()

    class Meta:
        model = Lease
        fields = [
            "id", "alias", "name", "state", "effective", "team", "role", "gateway", "holder", "holder_id", "purpose",
            "issued_at", "expires_at", "max_expires_at", "renewed_at", "handed_over_at", "ended_at", "end_reason",
            "pause_reason", "renewable", "models", "all_models", "max_budget", "spend", "last_used_at", "base_url",
            "versions",
        ]  # fmt: skip

    def get_effective(self, lease: Lease) -> bool:
        return not lease.is_pending

    def get_models(self, lease: Lease) -> list[str]:
        return list(lease.limits.get("models", []))

    def get_all_models(self, lease: Lease) -> bool:
        return bool(lease.limits.get("all_models"))

    @extend_schema_field(VersionOut(many=True))
    def get_versions(self, lease: Lease) -> list[dict[str, Any]]:
        """The secrets that were handed over, oldest first."""
        current = lease.current
        return [_version(each, current) for each in lease.versions.all() if each.issued_at]


def _version(version: KeyVersion, current: KeyVersion) -> dict[str, Any]:
    alive = "current" if version.pk == current.pk else "retiring"
    return {
        "number": version.number,
        "name": version.key_name,
        "state": "ended" if version.ended_at else alive,
        "issued_at": version.issued_at,
        "dies_at": version.dies_at,
        "ended_at": version.ended_at,
        "last_used_at": version.last_used_at,
    }


class ReachOut(serializers.Serializer[leases.Reach]):
    """What ending these keys would break. `spend`: of the last 7 days; `busy`: used within the last hour."""

    keys = serializers.SerializerMethodField()
    refused = serializers.IntegerField()
    holders = serializers.SerializerMethodField()
    busy = serializers.IntegerField()
    spend = Usd()

    def get_keys(self, reach: leases.Reach) -> int:
        return len(reach.leases)

    def get_holders(self, reach: leases.Reach) -> list[str]:
        return sorted({lease.holder.audit_name for lease in reach.leases})


def lease_answer(lease: Lease, status: int = 200) -> Response:
    """The lease as it is now."""
    return Response(LeaseOut(Lease.objects.rows().get(pk=lease.pk)).data, status=status)


class BundleOut(serializers.Serializer[bundle.Bundle]):
    """Everything a program needs of a key. `key` is null where its secret is not at hand: it is shown once.

    `models` are what the key itself may call. `budget` and `rate_limit` are null where it has none, and so is whatever
    is not known or not set: 0 is never put in its place. `metadata` is the key role's, `tags` are none. `catalog` says
    how old the details of the models are: `fresh` (an hour at most), `stale` (a day at most), or `away`: some, or all,
    are missing.
    """

    key = serializers.SerializerMethodField()
    lease = LeaseOut()
    base_url = serializers.CharField(source="lease.gateway.url_for_holders")
    models = KeyModelOut(many=True)
    features = FeaturesOut()
    budget = KeyBudgetOut(allow_null=True)
    rate_limit = KeyRatesOut(allow_null=True)
    tags = serializers.SerializerMethodField()
    metadata = serializers.DictField(child=serializers.CharField())
    expires_at = serializers.DateTimeField(source="lease.expires_at")
    catalog = serializers.ChoiceField(choices=list(Age))

    def get_key(self, _: bundle.Bundle) -> str | None:
        return self.context.get("secret")

    def get_tags(self, _: bundle.Bundle) -> list[str]:
        """Keydesk sets none: they need a licence of the proxy."""
        return []


def bundle_answer(issued: leases.Issued, status: int) -> Response:
    """A secret with everything that belongs to it. The only answers that hold a key's secret."""
    shape = BundleOut(bundle.of_issued(issued), context={"secret": issued.secret})
    return Response(shape.data, status=status, headers={"Cache-Control": "no-store"})


def trouble(error: PortalError) -> dict[str, Any]:
    """An error inside an answer that is none itself."""
    found: dict[str, Any] = body(
        error.code, error.message, error.action, retryable=error.retryable, details=error.details
    )["error"]
    return found
