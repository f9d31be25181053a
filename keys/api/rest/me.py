"""Who asks: the person or service account, their teams, and the token in use."""

from __future__ import annotations

from typing import Any, cast

from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from keys.api.rest.common import Door, actor
from teams.access import allowed, carried
from teams.models import ApiToken, Team, User
from teams.roles import Can, MemberRole, PlatformRole


class MyTeamOut(serializers.Serializer[Any]):
    """A team that one is in. A service account is a member of its team."""

    slug = serializers.CharField()
    name = serializers.CharField()
    role = serializers.ChoiceField(choices=MemberRole.choices)
    rights = serializers.ListField(child=serializers.CharField(), help_text="Over one's own rows there, or all.")


class MyTokenOut(serializers.ModelSerializer[ApiToken]):
    """The token in use; `login`: of the command line."""

    class Meta:
        model = ApiToken
        fields = ["id", "name", "kind", "scopes", "networks", "created_at", "expires_at", "refreshable_until"]


class MeOut(serializers.ModelSerializer[User]):
    """Who asks. `platform_role` is empty for most; `token` is null in a browser's session.

    `rights`: what the platform role gives over everybody's rows. None counts that the token in use has no scope for.
    """

    rights = serializers.SerializerMethodField()
    teams = serializers.SerializerMethodField()
    token = serializers.SerializerMethodField()

    class Meta:
        model = User
        fields = ["id", "kind", "email", "name", "platform_role", "rights", "teams", "token"]

    def get_rights(self, user: User) -> list[str]:
        return [can.name.lower() for can in Can if allowed(user, can)]

    @extend_schema_field(MyTeamOut(many=True))
    def get_teams(self, user: User) -> Any:
        if team := user.service_team:
            rows = [_team(user, team, MemberRole.MEMBER)]
        else:
            mine = user.memberships.filter(team__ended_at=None).select_related("team").order_by("team__slug")
            rows = [_team(user, each.team, MemberRole(each.role)) for each in mine]
        return MyTeamOut(rows, many=True).data

    @extend_schema_field(MyTokenOut(allow_null=True))
    def get_token(self, user: User) -> Any:
        token = self.context["token"]
        return token and MyTokenOut(token).data


def _team(user: User, team: Team, role: MemberRole) -> dict[str, Any]:
    platform = [PlatformRole(user.platform_role)] if user.platform_role else []
    rights = [can.name.lower() for can in carried(user, role, *platform)]
    return {"slug": team.slug, "name": team.name, "role": role, "rights": rights}


class MeView(Door):
    @extend_schema(responses={200: MeOut})
    def get(self, request: Request) -> Response:
        """Who you are here, and what the token in use may do. Every token may ask that."""
        token = cast("ApiToken | None", request.auth)
        return Response(MeOut(actor(request), context={"token": token}).data)
