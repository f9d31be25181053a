"""How requests look in answers: what is asked, what is granted, who decided, and the thread. Times are UTC."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.urls import reverse
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from keys.api.fields import Ttl, Usd
from keys.models import Bounds, KeyRequest, KeyRole, RequestEntry
from keys.models.request import KeyRequestQuerySet
from keys.services import beside, requests
from teams.models import Team

State = KeyRequest.State


def with_all(rows: KeyRequestQuerySet) -> KeyRequestQuerySet:
    """With what RequestOut shows, in the same query."""
    related = ("team", "role__gateway", "holder", "asked_by", "decided_by", "lease")
    return rows.select_related(*related).defer("role__gateway__master_key")


class BoundsOut(serializers.Serializer[Bounds]):
    """What is asked or granted; `ttl` in seconds, of a rise how long it lasts.

    `models` null: every model; of a rise: no others. `max_budget` null: none; of a rise: it stays. Rates null: as the
    key role has them.
    """

    ttl = Ttl(read_only=True)
    models = serializers.ListField(child=serializers.CharField(), allow_null=True, read_only=True)
    max_budget = serializers.DecimalField(max_digits=12, decimal_places=4, allow_null=True, read_only=True)
    budget_duration = serializers.CharField(read_only=True)
    tpm_limit = serializers.IntegerField(allow_null=True, read_only=True)
    rpm_limit = serializers.IntegerField(allow_null=True, read_only=True)
    max_parallel_requests = serializers.IntegerField(allow_null=True, read_only=True)


class LinksOut(serializers.Serializer[KeyRequest]):
    """Where it is: in this API, and the page where a person decides or claims it."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return {name: serializers.URLField(read_only=True) for name in ("self", "page")}


class RequestOut(serializers.ModelSerializer[KeyRequest]):
    """A request: somebody asks for more than a key role gives at once. Whoever sees it sees all of this.

    `lease`: the key that was claimed, or that a rise raises. `granted` is null until it is approved.
    """

    team = serializers.SlugRelatedField[Team](slug_field="slug", read_only=True)
    role = serializers.SlugRelatedField[KeyRole](slug_field="name", read_only=True)
    gateway = serializers.CharField(source="role.gateway.name", read_only=True)
    holder = serializers.CharField(source="holder.audit_name", read_only=True)
    holder_id = serializers.UUIDField(read_only=True)
    asked_by = serializers.CharField(source="asked_by.audit_name", read_only=True)
    asked_by_id = serializers.UUIDField(read_only=True)
    decided_by = serializers.CharField(source="decided_by.audit_name", read_only=True, allow_null=True)
    lease = serializers.SerializerMethodField()
    asked = BoundsOut(source="wanted", read_only=True)
    granted = BoundsOut(source="given", read_only=True, allow_null=True)
    links = serializers.SerializerMethodField()

    class Meta:
        model = KeyRequest
        fields = [
            "id", "kind", "state", "team", "role", "gateway", "holder", "holder_id", "asked_by", "asked_by_id", "lease",
            "name", "purpose", "asked", "granted", "decider", "approvals_needed", "submitted_at", "escalated_at",
            "lapses_at", "decided_at", "decided_by", "reason", "claim_until", "fulfilled_at", "reverts_at",
            "reverted_at", "again", "links",
        ]  # fmt: skip

    def get_lease(self, request: KeyRequest) -> str | None:
        """An attempt to issue that came to nothing is none."""
        there = request.is_rise or request.state == State.FULFILLED
        return str(request.lease_id) if there and request.lease_id else None

    @extend_schema_field(LinksOut)
    def get_links(self, request: KeyRequest) -> dict[str, str]:
        return {
            name: settings.URL + reverse(where, args=[request.pk])
            for name, where in (("self", "api:request"), ("page", "keys:request"))
        }


class EntryOut(serializers.ModelSerializer[RequestEntry]):
    """One line of a request's thread. `terms`: what was asked or approved then; two approvers may differ."""

    who = serializers.CharField(source="who_name", read_only=True)
    terms = serializers.SerializerMethodField()

    class Meta:
        model = RequestEntry
        fields = ["at", "who", "act", "text", "terms"]

    @extend_schema_field(BoundsOut(allow_null=True))
    def get_terms(self, entry: RequestEntry) -> dict[str, Any] | None:
        return None if entry.terms is None else dict(BoundsOut(Bounds.read(entry.terms)).data)


class StakeOut(serializers.Serializer[requests.Stake]):
    """The most that it can cost until then: `each` in each of so many budget windows. Null: no limit of its own."""

    total = Usd(allow_null=True)
    windows = serializers.IntegerField()
    each = Usd(allow_null=True)
    window = serializers.CharField()
    until = serializers.DateTimeField()


class HistoryOut(serializers.Serializer[requests.History]):
    """What its holder had in the team so far. `unused`: live keys not called for 30 days; `used`: 0.25 is a quarter."""

    live = serializers.IntegerField()
    unused = serializers.IntegerField()
    this_month = Usd()
    last_month = Usd()
    asked = serializers.IntegerField()
    approved = serializers.IntegerField()
    denied = serializers.IntegerField()
    used = serializers.DecimalField(max_digits=None, decimal_places=4, allow_null=True)


class SimilarOut(serializers.Serializer[requests.Similar]):
    """One that was approved of the same role in the same team: what it could cost, and what its key has spent."""

    request = serializers.UUIDField(source="request.pk")
    holder = serializers.CharField(source="request.holder.audit_name")
    granted = BoundsOut(source="request.given", allow_null=True)
    stake = Usd(source="stake.total", allow_null=True)
    spent = Usd(source="used")


class WeightOut(serializers.Serializer[beside.Weight]):
    """The team's budget on that gateway in its running window, and what this would add to it."""

    limit = Usd()
    spent = Usd()
    adds = Usd(allow_null=True)
    left = Usd(allow_null=True)
    over = Usd()
    ends_at = serializers.DateTimeField(source="ends", allow_null=True)
    as_of = serializers.DateTimeField(allow_null=True)


class BesideOut(serializers.Serializer[Any]):
    """What whoever decides looks at. `team_budget` null: the team has none."""

    history = HistoryOut()
    similar = SimilarOut(many=True)
    team_budget = WeightOut(allow_null=True)


class RequestInFullOut(RequestOut):
    """One request: `acts` are what the caller may do with it now, `waits_for` the people who are asked to decide it.

    `if_renewed`: the stake if its holder renews the key as far as it goes. `beside`: null for who does not decide it.
    """

    acts = serializers.SerializerMethodField()
    waits_for = serializers.SerializerMethodField()
    thread = serializers.SerializerMethodField()
    stake = serializers.SerializerMethodField()
    if_renewed = serializers.SerializerMethodField()
    beside = serializers.SerializerMethodField()

    class Meta(RequestOut.Meta):
        fields = [*RequestOut.Meta.fields, "acts", "waits_for", "thread", "stake", "if_renewed", "beside"]

    def get_acts(self, request: KeyRequest) -> list[str]:
        by = self.context["asker"]
        may = {
            "approve": requests.may_decide(request, by), "deny": requests.may_decide(request, by),
            "say": requests.may_say(request, by), "cancel": requests.may_cancel(request, by),
            "claim": requests.may_claim(request, by),
        }  # fmt: skip
        return [act for act, allowed in may.items() if allowed]

    def get_waits_for(self, request: KeyRequest) -> list[str]:
        pending = request.state == State.PENDING
        return [person.audit_name for person in requests.deciders(request)] if pending else []

    @extend_schema_field(EntryOut(many=True))
    def get_thread(self, request: KeyRequest) -> Any:
        return EntryOut(requests.thread(request), many=True).data

    @extend_schema_field(StakeOut)
    def get_stake(self, request: KeyRequest) -> Any:
        return StakeOut(requests.stake(request)).data

    @extend_schema_field(StakeOut(allow_null=True))
    def get_if_renewed(self, request: KeyRequest) -> Any:
        found = requests.if_renewed(request)
        return found and StakeOut(found).data

    @extend_schema_field(BesideOut(allow_null=True))
    def get_beside(self, request: KeyRequest) -> Any:
        if not requests.may_decide(request, self.context["asker"]):
            return None
        stake = requests.stake(request)
        weight = beside.weigh(request.team, request.role.gateway, stake.each, stake.until)
        told = {
            "history": requests.history_of(request.holder, request.team),
            "similar": requests.similar(request),
            "team_budget": weight,
        }
        return BesideOut(told).data
