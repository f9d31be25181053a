"""What platform admins watch: open intents, the sweeps, findings, and people whom a provider took out."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from keys.api.rest.common import Listed, Nothing, PlatformDoor, actor, asked, checked, exact, truth
from keys.models import Finding, Gateway, Intent, State
from keys.models.intent import IntentQuerySet
from keys.services import findings, intents, operations, reconcile
from keys.services.reconcile.holding import NotUnknown
from portal import sweeps
from portal.schema import holding, whole
from teams import departures
from teams.models import Departure, Team, User


class PromisedOut(serializers.Serializer[Any]):
    """The lease that a promise is about, and which of its secrets."""

    id = serializers.UUIDField()
    alias = serializers.CharField()
    state = serializers.ChoiceField(State.choices)
    version = serializers.IntegerField()


class IntentOut(serializers.ModelSerializer[Intent]):
    """A promise not yet kept: about a version of a key, or about a team."""

    gateway = serializers.SlugRelatedField[Gateway](slug_field="name", read_only=True)
    team = serializers.SlugRelatedField[Team](slug_field="slug", read_only=True)
    lease = serializers.SerializerMethodField()
    stuck = serializers.BooleanField(source="is_stuck", read_only=True)

    class Meta:
        model = Intent
        fields = [
            "id", "kind", "gateway", "lease", "team", "issuing", "created_at", "due_at", "attempts", "stuck",
            "last_error", "watching_since", "looks",
        ]  # fmt: skip

    @extend_schema_field(PromisedOut(allow_null=True))
    def get_lease(self, intent: Intent) -> dict[str, Any] | None:
        if intent.version is None:
            return None
        lease, version = intent.version.lease, intent.version.number
        return {"id": str(lease.pk), "alias": lease.alias, "state": lease.state, "version": version}


class FindingOut(serializers.ModelSerializer[Finding]):
    """A difference between a gateway and our books. `facts`: `{field: [ours, theirs]}` for drift.

    `acts`: what can be done about it.
    """

    gateway = serializers.SlugRelatedField[Gateway](slug_field="name", read_only=True)
    team = serializers.SlugRelatedField[Team](slug_field="slug", read_only=True)
    lease = serializers.SerializerMethodField()
    facts = serializers.DictField(read_only=True)
    acts = serializers.SerializerMethodField()

    class Meta:
        model = Finding
        fields = [
            "id", "gateway", "kind", "subject", "lease", "team", "message", "cause", "facts", "state",
            "first_seen_at", "seen_at", "closed_at", "closed_by", "reason", "acts",
        ]  # fmt: skip

    def get_acts(self, finding: Finding) -> list[str]:
        return sorted(operations.acts_on(finding))

    @extend_schema_field(serializers.UUIDField(allow_null=True))
    def get_lease(self, finding: Finding) -> str | None:
        return None if finding.version is None else str(finding.version.lease_id)


class DepartureOut(serializers.ModelSerializer[Departure]):
    """Somebody whom a provider took out of a team (null: of everything).

    `lowered`: they stay with `new_role`, which holds no keys; without a team that is their platform role.
    """

    person = serializers.CharField(source="user.audit_name", read_only=True)
    person_id = serializers.UUIDField(source="user_id", read_only=True)
    team = serializers.SlugRelatedField[Team](slug_field="slug", read_only=True)

    class Meta:
        model = Departure
        fields = [
            "id", "person", "person_id", "team", "role", "lowered", "new_role", "at", "due_at", "held", "closed_at",
            "outcome",
        ]  # fmt: skip


class SweepOut(serializers.Serializer[sweeps.SweepStatus]):
    """How a sweep is doing. `every`, `seconds`: seconds; `counts`: of the last run that ended well."""

    name = serializers.CharField()
    every = serializers.FloatField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    succeeded_at = serializers.DateTimeField(allow_null=True)
    seconds = serializers.FloatField(allow_null=True)
    counts = serializers.DictField(child=serializers.IntegerField())
    error = serializers.CharField()
    failures = serializers.IntegerField()
    running_since = serializers.DateTimeField(allow_null=True)
    late = serializers.BooleanField()
    due_at = serializers.DateTimeField()


class AllIn(serializers.Serializer[Any]):
    all = serializers.BooleanField(default=False)


class BecauseIn(serializers.Serializer[Any]):
    """Why; it is written down."""

    reason = serializers.CharField(max_length=200)


class DecideIn(serializers.Serializer[Any]):
    go_on = serializers.BooleanField()


Promised = holding("IntentThen", intent=IntentOut(allow_null=True))


class IntentsView(PlatformDoor, Listed[Intent]):
    """The promises that should be kept by now; with `all=true` also the nets, the watched and the coming ones."""

    serializer_class = IntentOut
    query = AllIn
    filters = {"gateway": exact("gateway__name"), "kind": exact("kind")}

    def get_queryset(self) -> QuerySet[Intent]:
        return _intents() if asked(AllIn, self.request)["all"] else _intents().open(timezone.now())


def _intents() -> IntentQuerySet:
    return Intent.objects.select_related("gateway", "team", "version__lease").defer("gateway__master_key")


class IntentAct(PlatformDoor):
    """One act on one promise; answers it as it is then, null: it is kept or forgotten."""

    shape: type[serializers.Serializer[Any]] = BecauseIn

    @extend_schema(responses=Promised)
    def post(self, request: Request, pk: int) -> Response:
        intent = get_object_or_404(_intents(), pk=pk)
        self.act(intent, actor(request), **checked(self.shape, request))
        left = _intents().filter(pk=pk).first()
        return Response({"intent": left and IntentOut(left).data})

    def act(self, intent: Intent, by: User, **fields: Any) -> None:
        raise NotImplementedError


class RetryView(IntentAct):
    """Try it now, whatever its back-off says."""

    shape = Nothing

    def act(self, intent: Intent, by: User, **fields: Any) -> None:
        intents.retry(intent, by=by)


class ForceView(IntentAct):
    """Close our books on an ending that the gateway does not confirm; it is still retried."""

    def act(self, intent: Intent, by: User, **fields: Any) -> None:
        intents.force(intent, by=by, **fields)


class ForgetView(IntentAct):
    """Drop the promise for good; what stays there without a lease is found again by reconcile."""

    def act(self, intent: Intent, by: User, **fields: Any) -> None:
        intents.forget(intent, by=by, **fields)


class SweepsView(PlatformDoor):
    """How each sweep is doing; `late`: no run has ended well for three intervals."""

    @extend_schema(responses=whole(SweepOut))
    def get(self, request: Request) -> Response:
        return Response({"results": [asdict(each) for each in sweeps.status()], "next": None, "previous": None})


class FindingsView(PlatformDoor, Listed[Finding]):
    """What is not on a gateway as our books say."""

    serializer_class = FindingOut
    filters = {"state": exact("state"), "kind": exact("kind"), "gateway": exact("gateway__name")}

    def get_queryset(self) -> QuerySet[Finding]:
        return _findings()


def _findings() -> QuerySet[Finding]:
    return Finding.objects.select_related("gateway", "team", "version").defer("gateway__master_key")


class FindingAct(PlatformDoor):
    """One answer to one finding; answers the finding."""

    shape: type[serializers.Serializer[Any]] = Nothing

    @extend_schema(responses=FindingOut)
    def post(self, request: Request, pk: int) -> Response:
        finding = get_object_or_404(_findings(), pk=pk)
        self.act(finding, actor(request), **checked(self.shape, request))
        return Response(FindingOut(_findings().get(pk=pk)).data)

    def act(self, finding: Finding, by: User, **fields: Any) -> None:
        raise NotImplementedError


class RestoreView(FindingAct):
    """Make the gateway follow our row again; it closes once it has."""

    def act(self, finding: Finding, by: User, **fields: Any) -> None:
        findings.restore(finding, by=by)


class AdoptFindingView(FindingAct):
    """Take over into our row what is on the gateway."""

    def act(self, finding: Finding, by: User, **fields: Any) -> None:
        findings.adopt(finding, by=by)


class IgnoreView(FindingAct):
    """Leave it as it is, with a reason; it opens again when its facts change."""

    shape = BecauseIn

    def act(self, finding: Finding, by: User, **fields: Any) -> None:
        findings.ignore(finding, by=by, **fields)


class RevokeUnknownView(FindingAct):
    """Delete the key on the gateway that this tells of: one of ours that our database does not know."""

    def act(self, finding: Finding, by: User, **fields: Any) -> None:
        if "revoke" not in operations.acts_on(finding):
            raise NotUnknown("This tells of no key that only the gateway knows.")
        reconcile.revoke_unknown(finding.gateway, [finding.subject], by=by)


class DeparturesView(PlatformDoor, Listed[Departure]):
    """People whom an identity provider took out."""

    serializer_class = DepartureOut
    filters = {"held": truth("held"), "open": truth("closed_at__isnull")}

    def get_queryset(self) -> QuerySet[Departure]:
        return Departure.objects.by_providers().select_related("user", "team")


class DecideView(PlatformDoor):
    """Let a held removal happen now, or dismiss it."""

    @extend_schema(request=DecideIn, responses=DepartureOut)
    def post(self, request: Request, pk: int) -> Response:
        departure = get_object_or_404(Departure.objects.select_related("user", "team"), pk=pk)
        departures.decide(departure, **checked(DecideIn, request), by=actor(request))
        return Response(DepartureOut(departure).data)
