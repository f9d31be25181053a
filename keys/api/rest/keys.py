"""Keys: the list, one, issuing, and the acts on one: renew, rotate, pause, resume, revoke."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from keys.api.fields import Amount, Grace, Models, Ttl
from keys.api.rest.common import (
    Door,
    Listed,
    Nothing,
    actor,
    ask_of,
    checked,
    exact,
    named_account,
    named_heir,
    named_role,
    seen_teams,
    visible_lease,
    whose,
)
from keys.api.rest.once import ShownOnceOut, once
from keys.api.rest.request_shapes import RequestOut
from keys.api.rest.shapes import BundleOut, LeaseOut, bundle_answer, lease_answer
from keys.models import KeyRequest, KeyRole, Lease
from keys.services import bundle, leases, requests
from portal.api import Pages
from portal.schema import either
from teams.models import Team, User

LONGEST_SEARCH = 100  # characters
ME = "me"
MOST = 2_147_483_647  # of a rate, as the database keeps it


class KeyIn(serializers.Serializer[Any]):
    """An order. What is left out is as the key role gives it; `name` (or `alias`) is what the key is called here.

    Less than the role gives is given at once; of models, time and budget more may be asked where the role lets people
    ask.
    """

    team = serializers.CharField()
    role = serializers.CharField()
    gateway = serializers.CharField(required=False)
    ttl = Ttl(required=False, allow_null=True)
    models = Models(required=False, allow_null=True)
    max_budget = Amount(required=False)
    holder = serializers.CharField(max_length=254, required=False, default=ME)
    purpose = serializers.CharField(max_length=300, required=False, allow_blank=True, default="")
    name = serializers.CharField(max_length=80, required=False, allow_blank=True, default="")
    alias = serializers.CharField(max_length=80, required=False, allow_blank=True)
    tpm_limit = serializers.IntegerField(min_value=1, max_value=MOST, required=False, allow_null=True)
    rpm_limit = serializers.IntegerField(min_value=1, max_value=MOST, required=False, allow_null=True)
    max_parallel_requests = serializers.IntegerField(min_value=1, max_value=MOST, required=False, allow_null=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        alias = attrs.pop("alias", "")
        if alias and attrs["name"] and alias != attrs["name"]:
            raise serializers.ValidationError({"alias": "Say `name` or `alias`, not both: they mean the same."})
        return {**attrs, "name": attrs["name"] or alias}


class AskedOut(serializers.Serializer[Any]):
    """What waits for a person's decision instead of a key."""

    request = RequestOut()


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
    repeatable = True  # by `once`

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
    orders = ("issued_at", "expires_at", "alias")

    def get_queryset(self) -> QuerySet[Lease]:
        return Lease.objects.visible_to(actor(self.request)).rows()

    @extend_schema(
        operation_id="keys_issue",
        request=KeyIn,
        responses={200: ShownOnceOut, 201: BundleOut, 202: AskedOut},
    )
    def post(self, request: Request) -> Response:
        """Issue a key, with everything a program needs of it; or ask for one, where a person must decide.

        201: the key, shown this once. 202: nobody has issued anything yet; once it is approved, its holder claims the
        key. The same order sent again while it waits is the same request.
        """
        fields, by = checked(KeyIn, request), actor(request)
        team, role = _ordered(by, fields)
        holder = by if fields["holder"] == ME else named_account(team, fields["holder"])
        if holder is None:
            raise serializers.ValidationError({"holder": f"{team.slug} has no service account {fields['holder']!r}."})
        came_to = requests.order(ask_of(team, role, fields), holder=holder, by=by, once=once(request))
        if isinstance(came_to, KeyRequest):
            return Response({"request": RequestOut(came_to).data}, status=status.HTTP_202_ACCEPTED)
        return bundle_answer(came_to, status.HTTP_201_CREATED)


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
    """One lease."""

    @extend_schema(responses={200: LeaseOut})
    def get(self, request: Request, pk: UUID) -> Response:
        return Response(LeaseOut(visible_lease(request, pk)).data)


class BundleView(Door):
    """What a key is good for, at any time: without its secret."""

    @extend_schema(responses={200: BundleOut})
    def get(self, request: Request, pk: UUID) -> Response:
        """Everything a program needs of a key but its secret.

        Its models are those of its limits, as the gateway knows them; what it has spent is of the last
        reading, every few minutes.
        """
        return Response(BundleOut(bundle.of_lease(visible_lease(request, pk))).data)


class KeyAct(Door):
    """One act on one key that the caller sees: a body in `shape`, one service."""

    shape: type[serializers.Serializer[Any]] = Nothing

    @extend_schema(responses={200: LeaseOut})
    def post(self, request: Request, pk: UUID) -> Response:
        lease = visible_lease(request, pk)
        return self.act(lease, actor(request), **checked(self.shape, request))

    def act(self, lease: Lease, by: User, **fields: Any) -> Response:
        raise NotImplementedError


class RenewView(KeyAct):
    """Let it live longer, from now; answers the capped rest."""

    shape = RenewIn
    repeatable = True

    def act(self, lease: Lease, by: User, **fields: Any) -> Response:
        return lease_answer(leases.renew(lease, by=by, **fields))


@extend_schema_view(post=extend_schema(responses={200: either(BundleOut, ShownOnceOut)}))
class RotateView(KeyAct):
    """The next secret, shown once; the old one works for the grace period."""

    shape = RotateIn

    def act(self, lease: Lease, by: User, **fields: Any) -> Response:
        return bundle_answer(leases.rotate(lease, by=by, **fields), status.HTTP_200_OK)


class TransferView(KeyAct):
    """Hand it over to another member or service account of its team; who held it has seen the secret."""

    shape = TransferIn

    def act(self, lease: Lease, by: User, **fields: Any) -> Response:
        return lease_answer(leases.transfer(lease, to=named_heir(lease, fields["to"]), by=by))


class PauseView(KeyAct):
    """Refuse its calls until it is resumed; its time runs on."""

    shape = ReasonIn
    repeatable = True

    def act(self, lease: Lease, by: User, **fields: Any) -> Response:
        return lease_answer(leases.pause(lease, by=by, **fields))


class ResumeView(KeyAct):
    """Let it answer again."""

    repeatable = True

    def act(self, lease: Lease, by: User, **fields: Any) -> Response:
        return lease_answer(leases.resume(lease, by=by))


class RevokeView(KeyAct):
    """End a key now. 200 with the lease, also while it is `revoking`."""

    shape = ReasonIn
    repeatable = True

    def act(self, lease: Lease, by: User, **fields: Any) -> Response:
        return lease_answer(leases.revoke(lease, by=by, **fields))
