"""Key roles: those open to the caller's teams, a new one, and the end of one with the keys it gave."""

from __future__ import annotations

from typing import Any, cast

from django.db.models import QuerySet
from django.http import Http404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from keys.api.fields import Amount, Models, Ttl
from keys.api.rest.common import Door, Listed, Nothing, actor, asked, checked, exact, seen_teams
from keys.api.rest.shapes import ReachOut, RoleOut
from keys.models import Approval, Decider, Gateway, KeyRole
from keys.models.role import WINDOWS
from keys.services import gateways, leases, roles
from portal.api import Pages
from portal.schema import either, holding
from teams.access import SYSTEM, require
from teams.models import Team, User
from teams.roles import Can


class RoleIn(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=60)
    description = serializers.CharField(max_length=200, required=False, allow_blank=True)
    gateway = serializers.CharField(required=False)
    models = Models(required=False)
    all_models = serializers.BooleanField(required=False)
    max_budget = Amount(required=False)
    budget_duration = serializers.ChoiceField(choices=WINDOWS, required=False, allow_blank=True)
    tpm_limit = serializers.IntegerField(min_value=1, required=False, allow_null=True)
    rpm_limit = serializers.IntegerField(min_value=1, required=False, allow_null=True)
    max_parallel_requests = serializers.IntegerField(min_value=1, required=False, allow_null=True)
    ttl = Ttl(required=False, zero=True)
    max_ttl = Ttl(required=False, zero=True)
    alias_prefix = serializers.CharField(max_length=30, required=False, allow_blank=True)
    metadata = serializers.DictField(child=serializers.CharField(), required=False)
    approval = serializers.ChoiceField(choices=Approval.choices, required=False)
    auto_ttl = Ttl(required=False, allow_null=True)
    auto_budget = Amount(required=False)
    excess = serializers.ChoiceField(choices=Decider.choices, required=False, allow_blank=True)
    max_live_keys = serializers.IntegerField(min_value=1, required=False, allow_null=True)
    teams = serializers.ListField(child=serializers.CharField(), required=False)
    all_teams = serializers.BooleanField(required=False)

    def validate_gateway(self, name: str) -> Gateway:
        gateway = Gateway.objects.filter(name=name).first()
        if gateway is None:
            raise serializers.ValidationError(f"There is no gateway {name!r}.")
        return gateway

    def validate_teams(self, slugs: list[str]) -> list[Team]:
        found = {team.slug: team for team in Team.objects.filter(slug__in=slugs)}
        if missing := [slug for slug in slugs if slug not in found]:
            raise serializers.ValidationError(f"There is no team {', '.join(missing)}.")
        return list(found.values())


class RoleEndIn(serializers.Serializer[Any]):
    gateway = serializers.CharField(max_length=60, required=False)
    preview = serializers.BooleanField(default=False)


Reached = holding("Reached", reach=ReachOut())


class RolesView(Listed[KeyRole]):
    """The key roles open to the caller's teams; for the platform all of them, ended ones too."""

    serializer_class = RoleOut

    class pagination_class(Pages):  # noqa: N801  (DRF's name)
        ordering = ("name", "pk")

    filters = {"gateway": exact("gateway__name")}
    orders = ("name",)

    def get_queryset(self) -> QuerySet[KeyRole]:
        return visible_roles(actor(self.request))

    def get_serializer_context(self) -> dict[str, Any]:
        return {**super().get_serializer_context(), **context(actor(self.request))}

    @extend_schema(request=RoleIn, responses={201: RoleOut})
    def post(self, request: Request) -> Response:
        """Make a key role."""
        fields = checked(RoleIn, request)
        fields["gateway"] = fields.get("gateway") or gateways.default()
        role = roles.make(**fields, by=actor(request))
        return Response(self.get_serializer(role).data, status=status.HTTP_201_CREATED)


class RoleView(Door):
    query = RoleEndIn

    @extend_schema(responses=RoleOut, parameters=[OpenApiParameter("preview", exclude=True)])
    def get(self, request: Request, name: str) -> Response:
        """One key role."""
        by, query = actor(request), asked(RoleEndIn, request)
        return Response(RoleOut(self._role(by, name, query.get("gateway")), context=context(by)).data)

    @extend_schema(responses={200: either(RoleOut, Reached)})
    def delete(self, request: Request, name: str) -> Response:
        """End it and the keys it gave; with `preview` only count them."""
        by, query = actor(request), asked(RoleEndIn, request)
        checked(Nothing, request)  # a `preview` in the body must not end anything
        role = self._role(by, name, query.get("gateway"))
        if query["preview"]:
            require(by, Can.MANAGE_PLATFORM)
            return Response({"reach": ReachOut(leases.reach(role.leases.all(), by=SYSTEM)).data})
        roles.end(role, by=by)
        ended = KeyRole.objects.with_gateway().prefetch_related("teams").get(pk=role.pk)  # maybe out of their sight now
        return Response(RoleOut(ended, context=context(by)).data)

    @staticmethod
    def _role(by: User, name: str, gateway: str | None) -> KeyRole:
        """The role of that name. Raises Http404, and ValidationError where several gateways have one."""
        found = visible_roles(by).filter(name=name.lower())
        if gateway is not None:
            found = found.filter(gateway__name=gateway)
        there = list(found[:2])
        if not there:
            raise Http404
        if len(there) > 1:
            raise serializers.ValidationError({"gateway": "Several gateways have a role of this name. Say which."})
        return there[0]


def visible_roles(user: User) -> QuerySet[KeyRole]:
    return cast("QuerySet[KeyRole]", KeyRole.objects.visible_to(user).with_gateway().prefetch_related("teams"))


def context(user: User) -> dict[str, Any]:
    """What RoleOut needs to name no team that `user` does not see."""
    return {"teams": set(seen_teams(user).values_list("pk", flat=True))}
