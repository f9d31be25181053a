"""Requests: the list, one with its thread, asking, and the acts on one: approve, deny, cancel, say, claim."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from keys.api.fields import Amount, Models, Ttl
from keys.api.rest.common import (
    Door,
    Listed,
    Nothing,
    NotThere,
    actor,
    ask_of,
    checked,
    exact,
    named_account,
    named_role,
    named_team,
)
from keys.api.rest.once import ShownOnceOut, once
from keys.api.rest.request_shapes import RequestInFullOut, RequestOut, with_all
from keys.api.rest.shapes import BundleOut, bundle_answer
from keys.models import KeyRequest, Lease
from keys.models.request import RATES
from keys.services import requests
from portal.api import Pages
from teams.models import User

ME = "me"
MOST = 2_147_483_647  # of a rate, as the database keeps it
OF_A_RISE, OF_A_KEY = {"lease", "lasts"}, {"team", "role", "gateway", "holder", "ttl", "name", *RATES}


class RequestIn(serializers.Serializer[Any]):
    """A key: `team` and `role`, as for `POST keys/`. A rise of a live key: `lease`, and how long it `lasts`.

    `again`: a request that was denied, cancelled or has lapsed; its thread goes on.
    """

    lease = serializers.UUIDField(required=False)
    lasts = Ttl(required=False)
    team = serializers.CharField(max_length=60, required=False)
    role = serializers.CharField(max_length=60, required=False)
    gateway = serializers.CharField(max_length=60, required=False)
    holder = serializers.CharField(max_length=254, required=False)
    ttl = Ttl(required=False, allow_null=True)
    name = serializers.CharField(max_length=80, required=False, allow_blank=True)
    models = Models(required=False, allow_null=True)
    max_budget = Amount(required=False, min_value=0)
    tpm_limit = serializers.IntegerField(min_value=1, max_value=MOST, required=False, allow_null=True)
    rpm_limit = serializers.IntegerField(min_value=1, max_value=MOST, required=False, allow_null=True)
    max_parallel_requests = serializers.IntegerField(min_value=1, max_value=MOST, required=False, allow_null=True)
    purpose = serializers.CharField(max_length=300)
    again = serializers.UUIDField(required=False, allow_null=True)

    def validate(self, data: dict[str, Any]) -> dict[str, Any]:
        needed, other = (OF_A_RISE, OF_A_KEY) if "lease" in data else ({"team", "role"}, OF_A_RISE)
        wrong = dict.fromkeys(sorted(needed - set(data)), "This field is required.")
        wrong |= dict.fromkeys(sorted(other & set(data)), "Either a rise of a lease, or a key of a team and a role.")
        if wrong:
            raise serializers.ValidationError(wrong)
        return data


class ApproveIn(serializers.Serializer[Any]):
    """As it was asked, or less: what is left out is given as it was asked. `ttl`: of a rise how long it lasts."""

    ttl = Ttl(required=False)
    models = Models(required=False)
    max_budget = Amount(required=False, min_value=0)
    text = serializers.CharField(max_length=500, required=False, allow_blank=True)


class DenyIn(serializers.Serializer[Any]):
    """Why not: who asked reads it."""

    reason = serializers.CharField(max_length=500)


class SayIn(serializers.Serializer[Any]):
    """A question, or an answer: whoever sees the request reads it, and the others are told by mail."""

    text = serializers.CharField(max_length=1000)


def _mine(rows: QuerySet[KeyRequest], value: str, asker: User) -> QuerySet[KeyRequest]:
    return _chosen(rows, value, Q(holder=asker) | Q(asked_by=asker))


def _waiting(rows: QuerySet[KeyRequest], value: str, asker: User) -> QuerySet[KeyRequest]:
    return _chosen(rows, value, Q(pk__in=KeyRequest.objects.decidable_by(asker).order_by().values("pk")))


def _chosen(rows: QuerySet[KeyRequest], value: str, so: Q) -> QuerySet[KeyRequest]:
    return rows.filter({"true": so, "false": ~so}.get(value, Q(pk__in=[])))


class RequestsView(Listed[KeyRequest]):
    """The requests that the caller sees, newest first; `waiting=true`: those that they may decide now.

    POST asks for a key, or for a rise of a live one. A rise that the key role gives at once is in force at once.
    """

    serializer_class = RequestOut
    repeatable = True  # by `once`

    class pagination_class(Pages):  # noqa: N801  (DRF's name)
        ordering = ("-submitted_at", "-pk")

    filters = {
        "state": exact("state"),
        "kind": exact("kind"),
        "team": exact("team__slug"),
        "role": exact("role__name"),
        "gateway": exact("role__gateway__name"),
        "mine": _mine,
        "waiting": _waiting,
    }
    orders = ("submitted_at",)

    def get_queryset(self) -> QuerySet[KeyRequest]:
        return with_all(KeyRequest.objects.visible_to(actor(self.request)))

    @extend_schema(request=RequestIn, responses={201: RequestOut})
    def post(self, request: Request) -> Response:
        """Ask for a key that somebody must decide about, or that a live key may do more for a while."""
        fields, by = checked(RequestIn, request), actor(request)
        again = fields.pop("again", None)
        before = _before(by, again) if again else None
        ask = _ask_rise if "lease" in fields else _ask_key
        asked = ask(by, fields, again=before, once=once(request))
        return _answer(asked, status.HTTP_201_CREATED)


def _before(by: User, pk: UUID) -> KeyRequest:
    found = KeyRequest.objects.visible_to(by).filter(pk=pk).first()
    if found is None:
        raise NotThere("again", "There is no such request, or you may not see it.")
    return found


def _ask_rise(by: User, fields: dict[str, Any], **more: Any) -> KeyRequest:
    lease = Lease.objects.visible_to(by).rows().filter(pk=fields.pop("lease")).first()
    if lease is None:
        raise NotThere("lease", "There is no such key, or you may not see it.")
    fields["models"] = fields.get("models") or ()
    return requests.submit_rise(lease, by=by, **fields, **more)


def _ask_key(by: User, fields: dict[str, Any], **more: Any) -> KeyRequest:
    team, name, who = named_team(by, fields["team"]), fields["role"], fields.get("holder", ME)
    role = named_role(team, name, fields.get("gateway"))
    if role is None:
        raise NotThere("role", f"There is no key role {name!r} open to {team.slug}.")
    holder = by if who == ME else named_account(team, who)
    if holder is None:
        raise NotThere("holder", f"{team.slug} has no service account {who!r}.")
    return requests.submit(ask_of(team, role, fields), holder=holder, by=by, **more)


def _answer(found: KeyRequest, code: int = status.HTTP_200_OK) -> Response:
    """The request as it is now."""
    return Response(RequestOut(with_all(KeyRequest.objects.filter(pk=found.pk)).get()).data, status=code)


def _visible(request: Request, pk: UUID) -> KeyRequest:
    return get_object_or_404(with_all(KeyRequest.objects.visible_to(actor(request))), pk=pk)


class RequestView(Door):
    """One request with its thread, and for whoever decides it what lies beside it."""

    @extend_schema(responses={200: RequestInFullOut})
    def get(self, request: Request, pk: UUID) -> Response:
        return Response(RequestInFullOut(_visible(request, pk), context={"asker": actor(request)}).data)


class RequestAct(Door):
    """One act on one request that the caller sees: a body in `shape`, one service, the request as it is then."""

    shape: type[serializers.Serializer[Any]] = Nothing

    @extend_schema(responses={200: RequestOut})
    def post(self, request: Request, pk: UUID) -> Response:
        found, by = _visible(request, pk), actor(request)
        self.act(found, by, **checked(self.shape, request))
        return _answer(found)

    def still_seen(self, request: Request, **kwargs: Any) -> None:
        _visible(request, kwargs["pk"])

    def act(self, found: KeyRequest, by: User, **fields: Any) -> None:
        raise NotImplementedError


class ApproveView(RequestAct):
    """Approve it as asked or narrower, never one's own. A rise is in force at once; of two, the first one waits."""

    shape = ApproveIn

    def act(self, found: KeyRequest, by: User, **fields: Any) -> None:
        requests.approve(found, by=by, **fields)


class DenyView(RequestAct):
    """Turn it down, with a reason."""

    shape = DenyIn

    def act(self, found: KeyRequest, by: User, **fields: Any) -> None:
        requests.deny(found, by=by, **fields)


class CancelView(RequestAct):
    """Take it back, also when it is approved and not claimed."""

    def act(self, found: KeyRequest, by: User, **fields: Any) -> None:
        requests.cancel(found, by=by)


class SayView(RequestAct):
    """Add a line to its thread."""

    shape = SayIn

    def act(self, found: KeyRequest, by: User, **fields: Any) -> None:
        requests.say(found, by=by, **fields)


class ClaimView(Door):
    """Issue the key exactly as it was granted, once; by its holder, of a service account by a team admin too."""

    shape = Nothing
    repeatable = True  # by `once`

    @extend_schema(responses={200: ShownOnceOut, 201: BundleOut})
    def post(self, request: Request, pk: UUID) -> Response:
        found = _visible(request, pk)
        checked(Nothing, request)
        return bundle_answer(requests.claim(found, by=actor(request), once=once(request)), status.HTTP_201_CREATED)

    def still_seen(self, request: Request, **kwargs: Any) -> None:
        _visible(request, kwargs["pk"])
