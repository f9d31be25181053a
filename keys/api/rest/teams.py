"""Teams, who is in them, and what each person may spend there."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from keys.api.fields import Amount
from keys.api.rest.common import Door, Listed, actor, checked, seen_teams, visible_team, whose
from keys.api.rest.shapes import InvitationOut, MemberOut, ReachOut, TeamOut
from keys.models import Lease
from keys.models.role import WINDOWS
from keys.services import leases
from portal.api import Pages
from portal.schema import either, holding, whole
from teams import services
from teams.access import require
from teams.models import Invitation, Team
from teams.roles import Can, MemberRole
from teams.services import invitations


class TeamIn(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=120)
    slug = serializers.SlugField(max_length=60, required=False, default="")
    max_budget = Amount(places=2, required=False)
    budget_duration = serializers.ChoiceField(choices=WINDOWS, required=False)
    cost_centre = serializers.CharField(max_length=64, required=False, allow_blank=True)


class TeamChange(TeamIn):
    """Any of a team's fields; what is left out stays."""

    name = serializers.CharField(max_length=120, required=False)
    slug = serializers.SlugField(max_length=60, required=False)


class MemberIn(serializers.Serializer[Any]):
    email = serializers.CharField(max_length=254)
    role = serializers.ChoiceField(choices=MemberRole.choices, default=MemberRole.MEMBER)


class TeamEndIn(serializers.Serializer[Any]):
    preview = serializers.BooleanField(default=False)


class BudgetIn(serializers.Serializer[Any]):
    max_budget = Amount(places=2)


Invited = holding("Invited", invitation=InvitationOut())
TeamReach = holding("TeamReach", reach=ReachOut())


class TeamsView(Listed[Team]):
    """The teams that the caller sees."""

    serializer_class = TeamOut
    orders = ("slug", "name", "created_at")

    class pagination_class(Pages):  # noqa: N801  (DRF's name)
        ordering = "slug"

    def get_queryset(self) -> QuerySet[Team]:
        return seen_teams(actor(self.request))

    @extend_schema(request=TeamIn, responses={201: TeamOut})
    def post(self, request: Request) -> Response:
        """Make a team."""
        team = services.create_team(**checked(TeamIn, request), by=actor(request))
        return Response(TeamOut(team).data, status=status.HTTP_201_CREATED)


class TeamView(Door):
    @extend_schema(responses=TeamOut)
    def get(self, request: Request, slug: str) -> Response:
        """One team."""
        return Response(TeamOut(visible_team(request, slug)).data)

    @extend_schema(request=TeamChange, responses=TeamOut)
    def patch(self, request: Request, slug: str) -> Response:
        """Change a team; what is left out stays."""
        team = visible_team(request, slug)
        return Response(TeamOut(services.change_team(team, **checked(TeamChange, request), by=actor(request))).data)


class TeamEndView(Door):
    @extend_schema(request=TeamEndIn, responses=either(TeamOut, TeamReach))
    def post(self, request: Request, slug: str) -> Response:
        """End a team, with the keys that it has; its history stays. Safe to repeat.

        With `preview`, only count what that would break.
        """
        team, by = visible_team(request, slug), actor(request)
        if checked(TeamEndIn, request)["preview"]:
            require(by, Can.MANAGE_PLATFORM)
            return Response({"reach": ReachOut(leases.reach(Lease.objects.filter(team=team), by=by)).data})
        return Response(TeamOut(services.end_team(team, by=by)).data)


class MembersView(Door):
    @extend_schema(responses=whole(MemberOut))
    def get(self, request: Request, slug: str) -> Response:
        """Who is in the team."""
        people = visible_team(request, slug).memberships.select_related("user")
        return Response({"results": MemberOut(people, many=True).data, "next": None, "previous": None})

    @extend_schema(request=MemberIn, responses={200: MemberOut, 201: MemberOut, 202: Invited})
    def post(self, request: Request, slug: str) -> Response:
        """Put somebody in, change their role (200), or invite an address without an account (202)."""
        team = visible_team(request, slug)
        put = invitations.put_or_invite(team, **checked(MemberIn, request), by=actor(request))
        if isinstance(put, Invitation):
            return Response({"invitation": InvitationOut(put).data}, status=status.HTTP_202_ACCEPTED)
        membership, new = put
        return Response(MemberOut(membership).data, status=status.HTTP_201_CREATED if new else status.HTTP_200_OK)


class MemberBudgetView(Door):
    """What one person's keys in the team may spend together in its window; null: no limit of their own."""

    @extend_schema(request=BudgetIn, responses=MemberOut)
    def put(self, request: Request, slug: str, who: str) -> Response:
        people = visible_team(request, slug).memberships.select_related("user", "team")
        membership = get_object_or_404(people, whose(who.replace("\0", ""), "user__"))
        changed = services.set_holder_budget(membership, **checked(BudgetIn, request), by=actor(request))
        return Response(MemberOut(changed).data)
