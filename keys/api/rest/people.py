"""People, for the platform: who there is, their platform roles, and what ends when they leave Keydesk or a team."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import Count, Q, QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from keys.api.fields import Usd
from keys.api.rest.common import Door, Listed, Nothing, PlatformDoor, actor, asked, checked, exact, truth, visible_team
from keys.api.rest.common import whose as somebody
from keys.models.lease import LIVE
from keys.services import offboarding
from keys.services.offboarding import Plan
from portal.api import Pages
from portal.schema import holding
from teams import departures
from teams.models import Membership, User
from teams.roles import PlatformRole
from teams.services import people

ME = "me"


class PersonOut(serializers.ModelSerializer[User]):
    """An account. `teams` and `live_keys` count; `given_platform_role` is what a person gave by hand."""

    active = serializers.BooleanField(source="is_active", read_only=True)
    teams = serializers.IntegerField(source="team_count", read_only=True)
    live_keys = serializers.IntegerField(read_only=True)

    class Meta:
        model = User
        fields = [
            "id", "email", "name", "platform_role", "given_platform_role", "active", "teams", "live_keys",
            "created_at", "last_login",
        ]  # fmt: skip


class PlatformRoleIn(serializers.Serializer[Any]):
    """Empty: none."""

    role = serializers.ChoiceField(choices=PlatformRole.choices, allow_blank=True)


class LeavingIn(serializers.Serializer[Any]):
    """`seen`: the `mark` of the plan that you looked at; what has changed since is refused with 409 `plan_changed`."""

    seen = serializers.CharField(max_length=64, required=False)


class OutIn(LeavingIn):
    preview = serializers.BooleanField(default=False)


class DyingKeyOut(serializers.Serializer[Any]):
    """A key that ends; `spend` and `calls` of the last 7 days."""

    id = serializers.UUIDField(source="lease.pk")
    alias = serializers.CharField(source="lease.alias")
    team = serializers.CharField(source="lease.team.slug")
    spend = Usd()
    calls = serializers.IntegerField()


class PlanOut(serializers.Serializer[Any]):
    """What leaving means. `survives`: keys that somebody else goes on using; `headless`: teams without an admin then.

    `unanswered`: service accounts that nobody but the team's admins answers for then. `kept_by`: groups of a provider
    that keep them there; no hand takes them out. Figures of the last 7 days, USD.
    """

    person = serializers.CharField(source="user.audit_name")
    team = serializers.SerializerMethodField()
    dies = DyingKeyOut(many=True)
    at_risk = Usd()
    survives = serializers.SerializerMethodField()
    headless = serializers.SerializerMethodField()
    unanswered = serializers.SerializerMethodField()
    tokens = serializers.SerializerMethodField()
    invitations = serializers.SerializerMethodField()
    kept_by = serializers.ListField(child=serializers.CharField())
    mark = serializers.CharField()

    def get_team(self, plan: Plan) -> str:
        return plan.team.slug if plan.team else ""

    def get_survives(self, plan: Plan) -> list[str]:
        return [lease.alias for lease in plan.survives]

    def get_headless(self, plan: Plan) -> list[str]:
        return [team.slug for team in plan.headless]

    def get_unanswered(self, plan: Plan) -> list[str]:
        return [account.name for account in plan.unanswered]

    def get_tokens(self, plan: Plan) -> int:
        return len(plan.tokens)

    def get_invitations(self, plan: Plan) -> int:
        return len(plan.invitations)


Planned = holding("Leaving", plan=PlanOut())
Done = holding("Left", person=PersonOut(), plan=PlanOut())


def _people() -> QuerySet[User]:
    return User.objects.filter(kind=User.Kind.PERSON).annotate(
        team_count=Count("memberships", filter=Q(memberships__team__ended_at=None), distinct=True),
        live_keys=Count("leases", filter=Q(leases__state__in=LIVE), distinct=True),
    )


def _found(rows: QuerySet[User], value: str, _: User) -> QuerySet[User]:
    return rows.filter(Q(name__icontains=value) | Q(email__icontains=value))


class PeopleView(PlatformDoor, Listed[User]):
    """Everybody with an account; `q`: part of a name or address."""

    serializer_class = PersonOut
    filters = {"q": _found, "platform_role": exact("platform_role"), "active": truth("is_active")}

    class pagination_class(Pages):  # noqa: N801  (DRF's name)
        ordering = ("email", "pk")

    def get_queryset(self) -> QuerySet[User]:
        return _people()


class PersonView(PlatformDoor):
    @extend_schema(responses=PersonOut)
    def get(self, request: Request, pk: UUID) -> Response:
        """One person."""
        return Response(PersonOut(get_object_or_404(_people(), pk=pk)).data)


class PlatformRoleView(PlatformDoor):
    @extend_schema(request=PlatformRoleIn, responses=PersonOut)
    def put(self, request: Request, pk: UUID) -> Response:
        """Give a platform role by hand, or none."""
        person = get_object_or_404(_people(), pk=pk)
        people.set_platform_role(person, checked(PlatformRoleIn, request)["role"], by=actor(request))
        return Response(PersonOut(_people().get(pk=pk)).data)


class LeavingView(PlatformDoor):
    @extend_schema(responses=Planned)
    def get(self, request: Request, pk: UUID) -> Response:
        """What would end if they left Keydesk. Changes nothing."""
        plan = offboarding.plan(get_object_or_404(_people(), pk=pk), by=actor(request))
        return Response({"plan": PlanOut(plan).data})


class DeactivateView(PlatformDoor):
    @extend_schema(request=LeavingIn, responses=Done)
    def post(self, request: Request, pk: UUID) -> Response:
        """Let them do nothing any more: their keys and tokens end at once."""
        person, fields = get_object_or_404(_people(), pk=pk), checked(LeavingIn, request)
        plan = offboarding.deactivate(person, seen=fields.get("seen"), by=actor(request))
        return Response({"person": PersonOut(_people().get(pk=pk)).data, "plan": PlanOut(plan).data})


class ReactivateView(PlatformDoor):
    @extend_schema(request=Nothing, responses=PersonOut)
    def post(self, request: Request, pk: UUID) -> Response:
        """Let them back in. Keys and tokens that ended stay ended."""
        person = get_object_or_404(_people(), pk=pk)
        checked(Nothing, request)
        departures.reactivate(person, by=actor(request))
        return Response(PersonOut(_people().get(pk=pk)).data)


class MemberView(Door):
    """Somebody in a team: by e-mail or id, or `me`."""

    query = OutIn

    @extend_schema(responses={200: Planned})
    def delete(self, request: Request, slug: str, who: str) -> Response:
        """Take them out of the team, or leave it yourself (`me`): their keys there end at once.

        With `preview=true` nothing happens. `seen`: the `mark` of the plan that you looked at. Answers the plan.
        """
        team, by, fields = visible_team(request, slug), actor(request), asked(OutIn, request)
        checked(Nothing, request)  # a `preview` in the body must not take anybody out
        whom = Q(user=by) if who == ME else somebody(who.replace("\0", ""), "user__")
        membership = get_object_or_404(Membership.objects.filter(whom, team=team).select_related("user", "team"))
        if fields["preview"]:
            plan = offboarding.plan(membership.user, team=team, by=by)
        else:
            plan = offboarding.take_out(membership, seen=fields.get("seen"), by=by)
        return Response({"plan": PlanOut(plan).data})
