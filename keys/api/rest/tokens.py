"""API tokens: one's own, those of service accounts that one runs, and for platform admins everybody's."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from keys.api.fields import Ttl
from keys.api.rest.common import Door, Listed, Narrow, actor, checked, exact, whose
from keys.api.rest.once import once
from portal.api import Pages
from portal.schema import either, holding
from teams.models import ApiToken, Team, User
from teams.services import tokens

ME = "me"


class TokenOut(serializers.ModelSerializer[ApiToken]):
    """A token, never its secret. `kind`: `login` is one of the command line. `team`: of a service account."""

    owner = serializers.CharField(source="owner.audit_name", read_only=True)
    owner_id = serializers.UUIDField(read_only=True)
    team = serializers.SlugRelatedField[Team](slug_field="slug", source="owner.service_team", read_only=True)
    made_with = serializers.UUIDField(source="parent_id", read_only=True, allow_null=True)
    living = serializers.BooleanField(source="is_living", read_only=True)
    scopes = serializers.ListField(child=serializers.CharField(), read_only=True)
    networks = serializers.ListField(child=serializers.CharField(), read_only=True)

    class Meta:
        model = ApiToken
        fields = [
            "id", "name", "kind", "owner", "owner_id", "team", "scopes", "networks", "created_at", "expires_at",
            "refreshable_until", "last_used_at", "ended_at", "living", "made_with",
        ]  # fmt: skip


class TokenIn(serializers.Serializer[Any]):
    """`scopes`: of the table, or `["all"]` for every one that the owner can have. `ttl`: 90 days unless said."""

    name = serializers.CharField(max_length=80)
    scopes = serializers.ListField(child=serializers.CharField(max_length=40), max_length=20)
    ttl = Ttl(required=False)
    networks = serializers.ListField(child=serializers.CharField(max_length=60), required=False, max_length=40)

    def validate_ttl(self, ttl: timedelta) -> timedelta:
        if ttl > tokens.LONGEST_TOKEN:
            raise serializers.ValidationError(f"At most {tokens.LONGEST_TOKEN.days} days.")
        return ttl


class NewTokenOut(serializers.Serializer[Any]):
    """A token with its secret, which is shown in this answer and never again."""

    secret = serializers.CharField()
    token = TokenOut()


class TokenEndIn(serializers.Serializer[Any]):
    preview = serializers.BooleanField(default=False)


class TokenReachOut(serializers.Serializer[Any]):
    """What ending it would break: `tokens` that were made with it end, too."""

    tokens = serializers.IntegerField()
    last_used_at = serializers.DateTimeField(allow_null=True)


TokenReach = holding("TokenEnding", reach=TokenReachOut())


def _owned_by(rows: QuerySet[ApiToken], value: str, asker: User) -> QuerySet[ApiToken]:
    return rows.filter(owner=asker) if value == ME else rows.filter(whose(value, "owner__"))


def _in_state(rows: QuerySet[ApiToken], value: str, _: User) -> QuerySet[ApiToken]:
    living = ApiToken.objects.living(timezone.now()).values("pk")
    states = {"live": rows.filter(pk__in=living), "ended": rows.exclude(pk__in=living)}
    return states.get(value, rows.none())


STATES: dict[str, Narrow] = {"state": _in_state, "kind": exact("kind")}


def visible_tokens(request: Request) -> QuerySet[ApiToken]:
    return ApiToken.objects.filter(tokens.visible_tokens(actor(request))).select_related("owner__service_team")


def make(request: Request, owner: User) -> Response:
    """Make one for this owner, and show it once."""
    fields = checked(TokenIn, request)
    life = {"life": fields.pop("ttl")} if "ttl" in fields else {}
    token, plain = tokens.make_token(owner, **fields, **life, by=actor(request), once=once(request))
    answer = {"secret": plain, "token": TokenOut(token).data}
    return Response(answer, status=status.HTTP_201_CREATED, headers={"Cache-Control": "no-store"})


class TokensView(Listed[ApiToken]):
    """The tokens that you see; `owner`: `me`, an e-mail or an id."""

    serializer_class = TokenOut
    filters = {**STATES, "owner": _owned_by, "team": exact("owner__service_team__slug")}
    orders = ("created_at", "expires_at", "name")

    class pagination_class(Pages):  # noqa: N801  (DRF's name)
        ordering = ("-created_at", "-pk")

    def get_queryset(self) -> QuerySet[ApiToken]:
        return visible_tokens(self.request)

    @extend_schema(request=TokenIn, responses={200: NewTokenOut, 201: NewTokenOut})
    def post(self, request: Request) -> Response:
        """Make a token of your own.

        With a token, it has no more scopes, no later end and no wider networks than that one, and ends with it.
        """
        return make(request, actor(request))


class TokenView(Door):
    @extend_schema(responses=TokenOut)
    def get(self, request: Request, pk: UUID) -> Response:
        """One token."""
        return Response(TokenOut(get_object_or_404(visible_tokens(request), pk=pk)).data)


class TokenEndView(Door):
    @extend_schema(request=TokenEndIn, responses=either(TokenOut, TokenReach))
    def post(self, request: Request, pk: UUID) -> Response:
        """End a token now, and those that were made with it. Safe to repeat.

        With `preview`, only count what that would break.
        """
        token = get_object_or_404(visible_tokens(request), pk=pk)
        fields = checked(TokenEndIn, request)
        if fields["preview"]:
            tokens.require_end(token, actor(request))
            reach = {"tokens": tokens.below(token), "last_used_at": token.last_used_at}
            return Response({"reach": TokenReachOut(reach).data})
        tokens.end_token(token, by=actor(request))
        return Response(TokenOut(token).data)
