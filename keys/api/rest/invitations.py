"""Invitations into teams, for who may change who is in them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from keys.api.rest.common import Door, Listed, Nothing, actor, checked, exact, named_team
from portal.api import Pages
from teams.access import within
from teams.models import Invitation, Team, User
from teams.roles import Can, MemberRole
from teams.services import invitations


class OpenInvitationOut(serializers.ModelSerializer[Invitation]):
    """A place that waits for an address, also over its time: sent again it is good for a week more.

    The link is in the letter alone.
    """

    team = serializers.SlugRelatedField[Team](slug_field="slug", read_only=True)
    invited_by = serializers.SerializerMethodField()
    over = serializers.BooleanField(source="is_over", read_only=True)

    class Meta:
        model = Invitation
        fields = ["id", "team", "email", "role", "invited_by", "created_at", "expires_at", "over", "withdrawn_at"]

    def get_invited_by(self, invitation: Invitation) -> str:
        return invitation.invited_by.audit_name if invitation.invited_by else ""


class InvitationIn(serializers.Serializer[Any]):
    team = serializers.CharField(max_length=60)
    email = serializers.CharField(max_length=254)
    role = serializers.ChoiceField(choices=MemberRole.choices, default=MemberRole.MEMBER)


def _visible(user: User) -> QuerySet[Invitation]:
    """Of teams that one runs: nobody else sees addresses of people who are not there."""
    run = Team.objects.filter(within(user, Can.MANAGE_MEMBERS, team="pk"))
    return Invitation.objects.filter(Q(team__in=run)).select_related("team", "invited_by")


class InvitationsView(Listed[Invitation]):
    """The invitations that wait, of the teams that you run."""

    serializer_class = OpenInvitationOut
    filters = {"team": exact("team__slug")}
    orders = ("created_at", "expires_at", "email")

    class pagination_class(Pages):  # noqa: N801  (DRF's name)
        ordering = ("-created_at", "-pk")

    def get_queryset(self) -> QuerySet[Invitation]:
        return _visible(actor(self.request)).filter(accepted_at=None, withdrawn_at=None)

    @extend_schema(request=InvitationIn, responses={201: OpenInvitationOut})
    def post(self, request: Request) -> Response:
        """Offer a place in a team by letter. One that waits for that address is changed and sent again.

        `POST teams/{slug}/members/` puts in at once who has an account.
        """
        fields, by = checked(InvitationIn, request), actor(request)
        team = named_team(by, fields.pop("team"))
        made = invitations.invite(team, **fields, by=by)
        return Response(OpenInvitationOut(made).data, status=status.HTTP_201_CREATED)


class InvitationAct(Door):
    """One act on one invitation; answers it as it is then."""

    troubles = frozenset({410})

    @extend_schema(request=Nothing, responses=OpenInvitationOut)
    def post(self, request: Request, pk: UUID) -> Response:
        invitation = get_object_or_404(_visible(actor(request)), pk=pk)
        checked(Nothing, request)
        self.act(invitation, actor(request))
        return Response(OpenInvitationOut(_visible(actor(request)).get(pk=pk)).data)

    def act(self, invitation: Invitation, by: User) -> None:
        raise NotImplementedError


class WithdrawView(InvitationAct):
    """Let nobody accept it any more."""

    def act(self, invitation: Invitation, by: User) -> None:
        invitations.withdraw(invitation, by=by)


class SendAgainView(InvitationAct):
    """Send the letter again; its link is good for a week more."""

    def act(self, invitation: Invitation, by: User) -> None:
        invitations.resend(invitation, by=by)
