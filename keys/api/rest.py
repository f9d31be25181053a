"""The REST dialect: fetch what is visible, call one service, answer. It holds no rule of its own."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from rest_framework import serializers, status
from rest_framework.generics import ListAPIView, RetrieveAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from keys.api.fields import Grace, Models, Ttl
from keys.models import Approval, Gateway, KeyRole, Lease, State
from keys.models.role import WINDOWS
from keys.services import gateways, leases, roles
from keys.services.terms import Ask
from portal.api import Pages
from portal.errors import Invalid
from teams import services as team_services
from teams.access import within
from teams.models import Team, User
from teams.roles import Can, MemberRole


def actor(request: Request) -> User:
    return cast(User, request.user)


def visible_team(request: Request, slug: str) -> Team:
    return get_object_or_404(Team.objects.filter(within(actor(request), Can.SEE_TEAM, team="pk")), slug=slug)


def named_team(request: Request, slug: str) -> Team:
    """A team named in a body: one that is not visible is as unknown as one that is not there."""
    team = Team.objects.filter(within(actor(request), Can.SEE_TEAM, team="pk"), slug=slug).first()
    if team is None:
        raise serializers.ValidationError({"team": f"There is no team {slug!r} that you may see."})
    return team


class TeamOut(serializers.ModelSerializer[Team]):
    class Meta:
        model = Team
        fields = ["id", "slug", "name", "max_budget", "budget_duration", "created_at"]


class LeaseOut(serializers.ModelSerializer[Lease]):
    """A lease as every door of the API shows it. Times are UTC; `max_budget` and `spend` are USD."""

    team = serializers.SlugRelatedField[Team](slug_field="slug", read_only=True)
    role = serializers.SlugRelatedField[KeyRole](slug_field="name", read_only=True)
    gateway = serializers.SlugRelatedField[Gateway](slug_field="name", read_only=True)
    holder = serializers.SerializerMethodField()
    renewable = serializers.BooleanField(read_only=True)
    max_budget = serializers.DecimalField(max_digits=12, decimal_places=4, read_only=True)
    models = serializers.SerializerMethodField()
    all_models = serializers.SerializerMethodField()
    base_url = serializers.CharField(source="gateway.url_for_holders", read_only=True)

    class Meta:
        model = Lease
        fields = [
            "id", "alias", "name", "state", "team", "role", "gateway", "holder", "purpose", "issued_at", "expires_at",
            "max_expires_at", "ended_at", "end_reason", "renewable", "models", "all_models", "max_budget", "spend",
            "base_url",
        ]  # fmt: skip

    def get_holder(self, lease: Lease) -> str:
        return lease.holder.audit_name

    def get_models(self, lease: Lease) -> list[str]:
        return list(lease.limits.get("models", []))

    def get_all_models(self, lease: Lease) -> bool:
        return bool(lease.limits.get("all_models"))


class RoleOut(serializers.ModelSerializer[KeyRole]):
    gateway = serializers.SlugRelatedField[Gateway](slug_field="name", read_only=True)
    teams = serializers.SerializerMethodField()
    ttl = Ttl()
    max_ttl = Ttl()

    class Meta:
        model = KeyRole
        fields = [
            "id", "name", "description", "gateway", "models", "all_models", "max_budget", "budget_duration",
            "tpm_limit", "rpm_limit",
            "max_parallel_requests", "ttl", "max_ttl", "alias_prefix", "metadata", "all_teams", "teams",
            "approval", "max_live_keys", "version",
        ]  # fmt: skip

    def get_teams(self, role: KeyRole) -> list[str]:
        """Slugs of the teams that the caller may see: others are nobody's business."""
        seen = self.context["teams"]
        return [team.slug for team in role.teams.all() if team.pk in seen]


class TeamIn(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=120)
    slug = serializers.SlugField(max_length=60, required=False, default="")
    max_budget = serializers.DecimalField(max_digits=12, decimal_places=2, required=False, allow_null=True)
    budget_duration = serializers.ChoiceField(choices=WINDOWS, required=False)


class TeamChange(TeamIn):
    """Any of a team's fields; what is left out stays."""

    name = serializers.CharField(max_length=120, required=False)
    slug = serializers.SlugField(max_length=60, required=False)


class MemberIn(serializers.Serializer[Any]):
    email = serializers.CharField(max_length=254)
    role = serializers.ChoiceField(choices=MemberRole.choices, default=MemberRole.MEMBER)


class RoleIn(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=60)
    description = serializers.CharField(max_length=200, required=False, allow_blank=True)
    gateway = serializers.CharField(required=False)
    models = Models(required=False)
    all_models = serializers.BooleanField(required=False)
    max_budget = serializers.DecimalField(max_digits=12, decimal_places=4, required=False, allow_null=True)
    budget_duration = serializers.ChoiceField(choices=WINDOWS, required=False, allow_blank=True)
    tpm_limit = serializers.IntegerField(min_value=1, required=False, allow_null=True)
    rpm_limit = serializers.IntegerField(min_value=1, required=False, allow_null=True)
    max_parallel_requests = serializers.IntegerField(min_value=1, required=False, allow_null=True)
    ttl = Ttl(required=False, zero=True)
    max_ttl = Ttl(required=False, zero=True)
    alias_prefix = serializers.CharField(max_length=30, required=False, allow_blank=True)
    metadata = serializers.DictField(child=serializers.CharField(), required=False)
    approval = serializers.ChoiceField(choices=Approval.choices, required=False)
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


class KeyIn(serializers.Serializer[Any]):
    team = serializers.CharField()
    role = serializers.CharField()
    gateway = serializers.CharField(required=False)
    ttl = Ttl(required=False, allow_null=True)
    models = Models(required=False, allow_null=True)
    max_budget = serializers.DecimalField(max_digits=12, decimal_places=4, required=False, allow_null=True)
    purpose = serializers.CharField(max_length=300, required=False, allow_blank=True, default="")
    name = serializers.CharField(max_length=80, required=False, allow_blank=True, default="")


class Nothing(serializers.Serializer[Any]):
    """No fields."""


class RenewIn(serializers.Serializer[Any]):
    ttl = Ttl(required=False, allow_null=True)


class RotateIn(serializers.Serializer[Any]):
    grace = Grace(required=False)


class ReasonIn(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=200, required=False)


class TeamsView(ListAPIView[Team]):
    """The teams that the caller sees; POST makes one."""

    serializer_class = TeamOut

    class pagination_class(Pages):  # noqa: N801  (DRF's name)
        ordering = "slug"

    def get_queryset(self) -> QuerySet[Team]:
        return Team.objects.filter(within(actor(self.request), Can.SEE_TEAM, team="pk"))

    def post(self, request: Request) -> Response:
        team = team_services.create_team(**checked(TeamIn, request), by=actor(request))
        return Response(TeamOut(team).data, status=status.HTTP_201_CREATED)


class TeamView(APIView):
    def get(self, request: Request, slug: str) -> Response:
        return Response(TeamOut(visible_team(request, slug)).data)

    def patch(self, request: Request, slug: str) -> Response:
        team = visible_team(request, slug)
        return Response(
            TeamOut(team_services.change_team(team, **checked(TeamChange, request), by=actor(request))).data
        )


class MembersView(APIView):
    """Who is in the team; POST puts somebody in, or changes their role."""

    def get(self, request: Request, slug: str) -> Response:
        people = visible_team(request, slug).memberships.select_related("user")
        return Response({"results": [member_out(each) for each in people], "next": None, "previous": None})

    def post(self, request: Request, slug: str) -> Response:
        team = visible_team(request, slug)
        membership, new = team_services.put_member(team, **checked(MemberIn, request), by=actor(request))
        return Response(member_out(membership), status=status.HTTP_201_CREATED if new else status.HTTP_200_OK)


class RolesView(ListAPIView[KeyRole]):
    """The key roles open to the caller's teams (all of them for the platform); POST makes one."""

    serializer_class = RoleOut

    class pagination_class(Pages):  # noqa: N801
        ordering = ("name", "pk")

    def get_queryset(self) -> QuerySet[KeyRole]:
        return KeyRole.objects.visible_to(actor(self.request)).with_gateway().prefetch_related("teams")

    def get_serializer_context(self) -> dict[str, Any]:
        seen = Team.objects.filter(within(actor(self.request), Can.SEE_TEAM, team="pk"))
        return {**super().get_serializer_context(), "teams": set(seen.values_list("pk", flat=True))}

    def post(self, request: Request) -> Response:
        fields = checked(RoleIn, request)
        fields["gateway"] = fields.get("gateway") or gateways.default()
        role = roles.make(**fields, by=actor(request))
        return Response(self.get_serializer(role).data, status=status.HTTP_201_CREATED)


class KeysView(ListAPIView[Lease]):
    """The leases that the caller sees, ended ones too; POST issues a key."""

    serializer_class = LeaseOut

    class pagination_class(Pages):  # noqa: N801
        ordering = ("-issued_at", "-pk")

    def get_queryset(self) -> QuerySet[Lease]:
        found = Lease.objects.visible_to(actor(self.request)).rows()
        wanted = self.request.query_params
        if "team" in wanted:
            found = found.filter(team__slug=wanted["team"].replace("\0", ""))
        if "state" in wanted:
            found = found.filter(state__in=[state for state in State if state == wanted["state"]])
        return found

    def post(self, request: Request) -> Response:
        fields = checked(KeyIn, request)
        team = named_team(request, fields["team"])
        ask = Ask(
            team=team,
            role=named_role(team, fields["role"], fields.get("gateway")),
            ttl=fields.get("ttl"),
            models=None if fields.get("models") is None else tuple(fields["models"]),
            max_budget=fields.get("max_budget"),
            purpose=fields["purpose"],
            name=fields["name"],
        )
        issued = leases.issue(ask, holder=actor(request), by=actor(request))
        return shown_once(issued, status.HTTP_201_CREATED)


class KeyView(RetrieveAPIView[Lease]):
    serializer_class = LeaseOut

    def get_queryset(self) -> QuerySet[Lease]:
        return Lease.objects.visible_to(actor(self.request)).rows()


class KeyAct(APIView):
    """One act on one key that the caller sees: a body in `shape`, one service."""

    shape: type[serializers.Serializer[Any]] = Nothing

    def post(self, request: Request, pk: UUID) -> Response:
        lease = get_object_or_404(Lease.objects.visible_to(actor(request)).rows(), pk=pk)
        return self.act(lease, actor(request), **checked(self.shape, request))

    def act(self, lease: Lease, by: User, **fields: Any) -> Response:
        raise NotImplementedError


class RenewView(KeyAct):
    """Let it live longer, from now; answers the capped rest."""

    shape = RenewIn

    def act(self, lease: Lease, by: User, **fields: Any) -> Response:
        return Response(LeaseOut(leases.renew(lease, by=by, **fields)).data)


class RotateView(KeyAct):
    """The next secret, shown once; the old one works for the grace period."""

    shape = RotateIn

    def act(self, lease: Lease, by: User, **fields: Any) -> Response:
        return shown_once(leases.rotate(lease, by=by, **fields), status.HTTP_200_OK)


class PauseView(KeyAct):
    shape = ReasonIn

    def act(self, lease: Lease, by: User, **fields: Any) -> Response:
        return Response(LeaseOut(leases.pause(lease, by=by, **fields)).data)


class ResumeView(KeyAct):
    def act(self, lease: Lease, by: User, **fields: Any) -> Response:
        return Response(LeaseOut(leases.resume(lease, by=by)).data)


class RevokeView(KeyAct):
    """End a key now. 200 with the lease, also while it is `revoking`."""

    shape = ReasonIn

    def act(self, lease: Lease, by: User, **fields: Any) -> Response:
        return Response(LeaseOut(leases.revoke(lease, by=by, **fields)).data)


def shown_once(issued: leases.Issued, code: int) -> Response:
    """A secret and its lease. The only answers that hold a secret."""
    answer = {
        "key": issued.secret,
        "lease": LeaseOut(issued.lease).data,
        "base_url": issued.lease.gateway.url_for_holders,
    }
    return Response(answer, status=code, headers={"Cache-Control": "no-store"})


def checked(shape: type[serializers.Serializer[Any]], request: Request) -> dict[str, Any]:
    """The request's body in `shape`. Raises ValidationError, also for a field that `shape` does not know."""
    if not isinstance(request.data, dict):
        raise Invalid("Send one JSON object.")
    form = shape(data=request.data)
    unknown = sorted(set(request.data) - set(form.fields))
    if unknown:
        raise serializers.ValidationError(dict.fromkeys(unknown, "There is no such field."))
    form.is_valid(raise_exception=True)
    return dict(form.validated_data)


def named_role(team: Team, name: str, gateway: str | None) -> KeyRole:
    """The role of that name open to the team; of several gateways, the named one or the default one."""
    found = leases.open_roles(team).filter(name=name.lower())
    found = found.filter(gateway__name=gateway) if gateway else found.order_by("-gateway__is_default", "pk")
    role = found.first()
    if role is None:
        raise serializers.ValidationError({"role": f"There is no key role {name!r} open to {team.slug}."})
    return cast(KeyRole, role)


def member_out(membership: Any) -> dict[str, Any]:
    user = membership.user
    return {"id": str(user.pk), "email": user.email, "name": user.name, "role": membership.role}
