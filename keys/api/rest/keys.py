"""Keys: the list, one, issuing, and the acts on one: renew, rotate, pause, resume, revoke."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from keys.api.fields import Amount, Grace, Models, Ttl
from keys.api.rest.common import (
    Door,
    Listed,
    Nothing,
    actor,
    checked,
    exact,
    named_account,
    named_heir,
    named_role,
    seen_teams,
    visible_lease,
    whose,
)
from keys.api.rest.shapes import LeaseOut, lease_answer, shown_once
from keys.models import KeyRole, Lease
from keys.services import leases
from keys.services.terms import Ask
from portal.api import Pages
from teams.models import Team, User

LONGEST_SEARCH = 100  # characters
ME = "me"


class KeyIn(serializers.Serializer[Any]):
    team = serializers.CharField()
    role = serializers.CharField()
    gateway = serializers.CharField(required=False)
    ttl = Ttl(required=False, allow_null=True)
    models = Models(required=False, allow_null=True)
    max_budget = Amount(required=False)
    holder = serializers.CharField(max_length=254, required=False, default=ME)
    purpose = serializers.CharField(max_length=300, required=False, allow_blank=True, default="")
    name = serializers.CharField(max_length=80, required=False, allow_blank=True, default="")


class RenewIn(serializers.Serializer[Any]):
    ttl = Ttl(required=False, allow_null=True)


class RotateIn(serializers.Serializer[Any]):
    grace = Grace(required=False)
    replaces = serializers.IntegerField(min_value=1, required=False)


class TransferIn(serializers.Serializer[Any]):
    to = serializers.CharField(max_length=254)


class ReasonIn(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=200, required=False)


def _held_by(rows: QuerySet[Lease], value: str, asker: User) -> QuerySet[Lease]:
    account = Q(holder__kind=User.Kind.SERVICE, holder__name__iexact=value)
    return rows.filter(Q(holder=asker) if value == ME else whose(value, "holder__") | account)


def _called(rows: QuerySet[Lease], value: str, _: User) -> QuerySet[Lease]:
    if len(value) > LONGEST_SEARCH:
        raise serializers.ValidationError({"q": f"At most {LONGEST_SEARCH} characters."})
    return rows.filter(Q(name__icontains=value) | Q(alias__icontains=value))


class KeysView(Listed[Lease]):
    """The leases that the caller sees, ended ones too; POST issues a key."""

    serializer_class = LeaseOut

    class pagination_class(Pages):  # noqa: N801  (DRF's name)
        ordering = ("-issued_at", "-pk")

    filters = {
        "team": exact("team__slug"),
        "state": exact("state"),
        "role": exact("role__name"),
        "gateway": exact("gateway__name"),
        "holder": _held_by,
        "q": _called,
    }

    def get_queryset(self) -> QuerySet[Lease]:
        return Lease.objects.visible_to(actor(self.request)).rows()

    def post(self, request: Request) -> Response:
        fields, by = checked(KeyIn, request), actor(request)
        team, role = _ordered(by, fields)
        holder = by if fields["holder"] == ME else named_account(team, fields["holder"])
        if holder is None:
            raise serializers.ValidationError({"holder": f"{team.slug} has no service account {fields['holder']!r}."})
        ask = Ask(
            team=team,
            role=role,
            ttl=fields.get("ttl"),
            models=None if fields.get("models") is None else tuple(fields["models"]),
            max_budget=fields.get("max_budget"),
            purpose=fields["purpose"],
            name=fields["name"],
        )
        return shown_once(leases.issue(ask, holder=holder, by=by), status.HTTP_201_CREATED)


def _ordered(by: User, fields: dict[str, Any]) -> tuple[Team, KeyRole]:
    """The team and role of an order. Raises ValidationError: one that is not visible is as unknown as none."""
    team = seen_teams(by).filter(slug=fields["team"]).first()
    if team is None:
        raise serializers.ValidationError({"team": f"There is no team {fields['team']!r} that you may see."})
    role = named_role(team, fields["role"], fields.get("gateway"))
    if role is None:
        raise serializers.ValidationError({"role": f"There is no key role {fields['role']!r} open to {team.slug}."})
    return team, role


class KeyView(Door):
    def get(self, request: Request, pk: UUID) -> Response:
        return Response(LeaseOut(visible_lease(request, pk)).data)


class KeyAct(Door):
    """One act on one key that the caller sees: a body in `shape`, one service."""

    shape: type[serializers.Serializer[Any]] = Nothing

    def post(self, request: Request, pk: UUID) -> Response:
        lease = visible_lease(request, pk)
        return self.act(lease, actor(request), **checked(self.shape, request))

    def act(self, lease: Lease, by: User, **fields: Any) -> Response:
        raise NotImplementedError


class RenewView(KeyAct):
    """Let it live longer, from now; answers the capped rest."""

    shape = RenewIn

    def act(self, lease: Lease, by: User, **fields: Any) -> Response:
        return lease_answer(leases.renew(lease, by=by, **fields))


class RotateView(KeyAct):
    """The next secret, shown once; the old one works for the grace period."""

    shape = RotateIn

    def act(self, lease: Lease, by: User, **fields: Any) -> Response:
        return shown_once(leases.rotate(lease, by=by, **fields), status.HTTP_200_OK)


class TransferView(KeyAct):
    """Hand it over to another member or service account of its team; who held it has seen the secret."""

    shape = TransferIn

    def act(self, lease: Lease, by: User, **fields: Any) -> Response:
        return lease_answer(leases.transfer(lease, to=named_heir(lease, fields["to"]), by=by))


class PauseView(KeyAct):
    shape = ReasonIn

    def act(self, lease: Lease, by: User, **fields: Any) -> Response:
        return lease_answer(leases.pause(lease, by=by, **fields))


class ResumeView(KeyAct):
    def act(self, lease: Lease, by: User, **fields: Any) -> Response:
        return lease_answer(leases.resume(lease, by=by))


class RevokeView(KeyAct):
    """End a key now. 200 with the lease, also while it is `revoking`."""

    shape = ReasonIn

    def act(self, lease: Lease, by: User, **fields: Any) -> Response:
        return lease_answer(leases.revoke(lease, by=by, **fields))
