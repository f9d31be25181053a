"""Teams, who is in them, and what each person may spend there."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from keys.api.fields import Amount
from keys.api.rest.common import Door, Listed, actor, checked, seen_teams, visible_team, whose
from keys.api.rest.shapes import InvitationOut, MemberOut, TeamOut
from keys.models.role import WINDOWS
from portal.api import Pages
from teams import services
from teams.models import Invitation, Team
from teams.roles import MemberRole
from teams.services import invitations


class TeamIn(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=120)
    slug = serializers.SlugField(max_length=60, required=False, default="")
    max_budget = Amount(places=2, required=False)
    budget_duration = serializers.ChoiceField(choices=WINDOWS, required=False)


class TeamChange(TeamIn):
    """Any of a team's fields; what is left out stays."""

    name = serializers.CharField(max_length=120, required=False)
    slug = serializers.SlugField(max_length=60, required=False)


class MemberIn(serializers.Serializer[Any]):
    email = serializers.CharField(max_length=254)
    role = serializers.ChoiceField(choices=MemberRole.choices, default=MemberRole.MEMBER)


class BudgetIn(serializers.Serializer[Any]):
    max_budget = Amount(places=2)


class TeamsView(Listed[Team]):
    """The teams that the caller sees; POST makes one."""

    serializer_class = TeamOut

    class pagination_class(Pages):  # noqa: N801  (DRF's name)
        ordering = "slug"

    def get_queryset(self) -> QuerySet[Team]:
        return seen_teams(actor(self.request))

    def post(self, request: Request) -> Response:
        team = services.create_team(**checked(TeamIn, request), by=actor(request))
        return Response(TeamOut(team).data, status=status.HTTP_201_CREATED)


class TeamView(Door):
    def get(self, request: Request, slug: str) -> Response:
        return Response(TeamOut(visible_team(request, slug)).data)

    def patch(self, request: Request, slug: str) -> Response:
        team = visible_team(request, slug)
        return Response(TeamOut(services.change_team(team, **checked(TeamChange, request), by=actor(request))).data)


class MembersView(Door):
    """Who is in the team; POST puts somebody in, changes their role, or invites an address without an account."""

    def get(self, request: Request, slug: str) -> Response:
        people = visible_team(request, slug).memberships.select_related("user")
        return Response({"results": MemberOut(people, many=True).data, "next": None, "previous": None})

    def post(self, request: Request, slug: str) -> Response:
        team = visible_team(request, slug)
        put = invitations.put_or_invite(team, **checked(MemberIn, request), by=actor(request))
        if isinstance(put, Invitation):
            return Response({"invitation": InvitationOut(put).data}, status=status.HTTP_202_ACCEPTED)
        membership, new = put
        return Response(MemberOut(membership).data, status=status.HTTP_201_CREATED if new else status.HTTP_200_OK)


class MemberBudgetView(Door):
    """What one person's keys in the team may spend together in its window; null: no limit of their own."""

    def put(self, request: Request, slug: str, who: str) -> Response:
        people = visible_team(request, slug).memberships.select_related("user", "team")
        membership = get_object_or_404(people, whose(who.replace("\0", ""), "user__"))
        changed = services.set_holder_budget(membership, **checked(BudgetIn, request), by=actor(request))
        return Response(MemberOut(changed).data)
