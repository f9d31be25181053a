"""Service accounts of teams: machines with keys and tokens of their own, and somebody who answers for them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from keys.api.rest import tokens
from keys.api.rest.common import (
    Door,
    Listed,
    NotThere,
    actor,
    checked,
    exact,
    named_team,
    seen_teams,
    truth,
    whose,
)
from keys.api.rest.shapes import ReachOut
from keys.models import Lease
from keys.services import leases
from portal.api import Pages
from portal.schema import either, holding
from teams.access import require
from teams.models import ApiToken, Team, User
from teams.roles import Can
from teams.services import service_accounts


class ServiceAccountOut(serializers.ModelSerializer[User]):
    """A machine of one team. `responsible` answers for it; empty: the team's admins do."""

    team = serializers.SlugRelatedField[Team](slug_field="slug", source="service_team", read_only=True)
    responsible = serializers.SerializerMethodField()
    active = serializers.BooleanField(source="is_active", read_only=True)

    class Meta:
        model = User
        fields = ["id", "name", "team", "responsible", "active", "created_at"]

    def get_responsible(self, account: User) -> str:
        return account.responsible.audit_name if account.responsible else ""


class ServiceAccountIn(serializers.Serializer[Any]):
    team = serializers.CharField(max_length=60)
    name = serializers.CharField(max_length=60)
    responsible = serializers.CharField(max_length=254, required=False, allow_null=True)


class ServiceAccountChange(serializers.Serializer[Any]):
    """What is left out stays. `responsible`: an e-mail or an id; null: the team's admins answer for it."""

    name = serializers.CharField(max_length=60, required=False)
    responsible = serializers.CharField(max_length=254, required=False, allow_null=True)


class AccountEndIn(serializers.Serializer[Any]):
    preview = serializers.BooleanField(default=False)


AccountReach = holding("AccountReach", reach=ReachOut(), tokens=serializers.IntegerField())


def _accounts(user: User) -> QuerySet[User]:
    found = User.objects.filter(kind=User.Kind.SERVICE, service_team__in=seen_teams(user))
    return found.select_related("service_team", "responsible")


def _visible(request: Request, pk: UUID) -> tuple[User, Team]:
    account = get_object_or_404(_accounts(actor(request)), pk=pk)
    assert account.service_team is not None  # noqa: S101  (a constraint of the table)
    return account, account.service_team


def _responsible(team: Team, text: str | None) -> User | None:
    """Somebody of the team, by e-mail or id. Raises NotThere."""
    if text is None:
        return None
    found = User.objects.filter(whose(text.replace("\0", "")), memberships__team=team).first()
    if found is None:
        raise NotThere("responsible", f"There is nobody {text!r} in {team.slug}.")
    return found


class ServiceAccountsView(Listed[User]):
    """The service accounts of the teams that you see, ended ones too."""

    serializer_class = ServiceAccountOut
    filters = {"team": exact("service_team__slug"), "active": truth("is_active")}
    orders = ("name",)

    class pagination_class(Pages):  # noqa: N801  (DRF's name)
        ordering = ("name", "pk")

    def get_queryset(self) -> QuerySet[User]:
        return _accounts(actor(self.request))

    @extend_schema(request=ServiceAccountIn, responses={201: ServiceAccountOut})
    def post(self, request: Request) -> Response:
        """Make a service account of a team."""
        fields, by = checked(ServiceAccountIn, request), actor(request)
        team = named_team(by, fields["team"])
        require(by, Can.MANAGE_MEMBERS, team)  # before names of its people are looked up
        responsible = _responsible(team, fields.get("responsible"))
        account = service_accounts.make(team, name=fields["name"], responsible=responsible, by=by)
        return Response(ServiceAccountOut(account).data, status=status.HTTP_201_CREATED)


class ServiceAccountView(Door):
    @extend_schema(responses=ServiceAccountOut)
    def get(self, request: Request, pk: UUID) -> Response:
        """One service account."""
        return Response(ServiceAccountOut(_visible(request, pk)[0]).data)

    @extend_schema(request=ServiceAccountChange, responses=ServiceAccountOut)
    def patch(self, request: Request, pk: UUID) -> Response:
        """Rename it, or make somebody else answer for it; what it holds and did stays under its id."""
        account, team = _visible(request, pk)
        fields, by = checked(ServiceAccountChange, request), actor(request)
        require(by, Can.MANAGE_MEMBERS, team)
        name = fields.get("name", account.name)
        who = _responsible(team, fields["responsible"]) if "responsible" in fields else account.responsible
        return Response(ServiceAccountOut(service_accounts.change(account, name=name, responsible=who, by=by)).data)


class ServiceAccountEndView(Door):
    @extend_schema(request=AccountEndIn, responses=either(ServiceAccountOut, AccountReach))
    def post(self, request: Request, pk: UUID) -> Response:
        """End it for good, with its keys and tokens. Safe to repeat.

        With `preview`, only count what that would break.
        """
        account, team = _visible(request, pk)
        fields, by = checked(AccountEndIn, request), actor(request)
        if fields["preview"]:
            require(by, Can.MANAGE_MEMBERS, team)
            reach = leases.reach(Lease.objects.filter(holder=account), by=by)
            alive = ApiToken.objects.filter(owner=account, ended_at=None).count()
            return Response({"reach": ReachOut(reach).data, "tokens": alive})
        return Response(ServiceAccountOut(service_accounts.end(account, by=by)).data)


class AccountTokensView(Listed[ApiToken]):
    """The tokens of a service account, for who runs its team or watches over the platform."""

    serializer_class = tokens.TokenOut
    filters = tokens.STATES

    class pagination_class(Pages):  # noqa: N801  (DRF's name)
        ordering = ("-created_at", "-pk")

    def get_queryset(self) -> QuerySet[ApiToken]:
        if getattr(self, "swagger_fake_view", False):
            return ApiToken.objects.none()
        account, _ = _visible(self.request, self.kwargs["pk"])
        return tokens.visible_tokens(self.request).filter(owner=account)

    @extend_schema(request=tokens.TokenIn, responses={200: tokens.NewTokenOut, 201: tokens.NewTokenOut})
    def post(self, request: Request, pk: UUID) -> Response:
        """Make it a token, shown once. It acts as the service account, a member of its team."""
        return tokens.make(request, _visible(request, pk)[0])
