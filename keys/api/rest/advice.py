"""Right-sizing: what keys and key roles have and do not need, what is proposed, and the answers to it."""

from __future__ import annotations

from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Any

from django.db.models import QuerySet, Value
from django.db.models.functions import Coalesce
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from keys.api.fields import Usd
from keys.api.rest.common import Door, Listed, Nothing, actor, checked, exact
from keys.models import Advice
from keys.services import advice
from portal.api import Pages
from teams.models import User

NOT_KNOWN = Decimal(-1)  # less than any saving


class AdviceOut(serializers.ModelSerializer[Advice]):
    """One thing that a key (`lease`) or a key role (`role`) has and does not need.

    `facts` says why; `proposed` what would change: limits with their new values, `{"lasts": days}` or `{"end": true}`,
    and nothing where only a person can know. `saves`: by how much less it can cost; null: not known.
    """

    lease = serializers.UUIDField(source="lease_id", read_only=True, allow_null=True)
    alias = serializers.CharField(source="lease.alias", read_only=True, allow_null=True)
    team = serializers.CharField(source="lease.team.slug", read_only=True, allow_null=True)
    holder = serializers.CharField(source="lease.holder.audit_name", read_only=True, allow_null=True)
    role = serializers.CharField(source="role.name", read_only=True, allow_null=True)
    gateway = serializers.SerializerMethodField()
    facts = serializers.DictField(read_only=True)
    proposed = serializers.DictField(read_only=True)
    saves = Usd(allow_null=True)

    class Meta:
        model = Advice
        fields = [
            "id", "kind", "state", "lease", "alias", "team", "holder", "role", "gateway", "facts", "proposed", "saves",
            "first_seen_at", "seen_at", "snoozed_until", "closed_at", "by", "reason",
        ]  # fmt: skip

    def get_gateway(self, found: Advice) -> str:
        return found.subject.gateway.name


class SnoozeIn(serializers.Serializer[Any]):
    """Until the beginning of that UTC day, at most 90 days from now; then it comes back, if it is still true."""

    until = serializers.DateField()
    reason = serializers.CharField(max_length=200)


class AdviceListView(Listed[Advice]):
    """What is proposed for the keys that the caller sees, and for the platform's people for key roles."""

    serializer_class = AdviceOut
    filters = {"state": exact("state"), "kind": exact("kind"), "team": exact("lease__team__slug")}

    class pagination_class(Pages):  # noqa: N801  (DRF's name)
        ordering = ("-worth", "-pk")

    def get_queryset(self) -> QuerySet[Advice]:
        return _visible(actor(self.request)).annotate(worth=Coalesce("saves", Value(NOT_KNOWN)))


def _visible(by: User) -> QuerySet[Advice]:
    return Advice.objects.visible_to(by).rows()


class AdviceView(Door):
    """One proposal."""

    @extend_schema(responses={200: AdviceOut})
    def get(self, request: Request, pk: int) -> Response:
        return Response(AdviceOut(get_object_or_404(_visible(actor(request)), pk=pk)).data)


class AdviceAct(Door):
    """One answer to one proposal, by whoever may end that key; answers it as it is then."""

    shape: type[serializers.Serializer[Any]] = Nothing

    @extend_schema(responses={200: AdviceOut})
    def post(self, request: Request, pk: int) -> Response:
        by = actor(request)
        found = get_object_or_404(_visible(by), pk=pk)
        self.act(found, by, **checked(self.shape, request))
        return Response(AdviceOut(found).data)

    def still_seen(self, request: Request, **kwargs: Any) -> None:
        get_object_or_404(_visible(actor(request)), pk=kwargs["pk"])

    def act(self, found: Advice, by: User, **fields: Any) -> None:
        raise NotImplementedError


class ApplyView(AdviceAct):
    """Do what is proposed: narrow or end the key, narrow the role. Never wider; 409 where the figures have changed."""

    def act(self, found: Advice, by: User, **fields: Any) -> None:
        advice.apply(found, by=by)


class SnoozeView(AdviceAct):
    """Put it off, with a reason."""

    shape = SnoozeIn

    def act(self, found: Advice, by: User, **fields: Any) -> None:
        until = datetime.combine(fields["until"], time.min, tzinfo=UTC)
        advice.snooze(found, by=by, until=until, reason=fields["reason"])


class WakeView(AdviceAct):
    """Bring back at once what was put off."""

    def act(self, found: Advice, by: User, **fields: Any) -> None:
        advice.wake(found, by=by)
