"""The audit trail: what of it the caller may see, newest first, and an export that is itself on record."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from keys.api.rest.common import Door, Listed, actor, asked, checked
from keys.api.rest.files import CSV, JSON_LINES, FileDoor, a_file
from portal.downloads import download
from portal.models import AuditEvent
from teams.models import User
from teams.services import trail
from teams.services.trail import Wanted

HASH = r"^[0-9a-f]{64}$"


class AuditIn(serializers.Serializer[Any]):
    """What to look for. `action`: one act like `key.issued`, or `key.` for all about keys.

    `actor`: an id, or part of a name or an address; `target`: an id, or part of a name; `token`: the id of an API
    token; `secret`: the keyed hash of a secret, as `POST audit/find/` answers it. Days are UTC days, both included.
    """

    action = serializers.CharField(max_length=60, required=False)
    actor = serializers.CharField(max_length=254, required=False)
    target = serializers.CharField(max_length=254, required=False)
    team = serializers.CharField(max_length=60, required=False)
    ip = serializers.IPAddressField(required=False)
    token = serializers.UUIDField(required=False)
    secret = serializers.RegexField(HASH, required=False)

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        days = {name: serializers.DateField(required=False) for name in ("from", "to")}  # `from` is Python's own
        return {**super().get_fields(), **days}


class AuditExportIn(AuditIn):
    """What to export: all of it that fits, as JSON Lines or CSV."""

    kind = serializers.ChoiceField(choices=list(trail.KINDS), default="jsonl")


class FindIn(serializers.Serializer[Any]):
    """A virtual key, its hash on LiteLLM, or an API token. It is hashed at once, and kept nowhere."""

    secret = serializers.CharField(max_length=200)


class FoundOut(serializers.Serializer[Any]):
    """How the secret stands in the trail: what to look for with `secret=`."""

    secret_hash = serializers.CharField()


class ActOut(serializers.ModelSerializer[AuditEvent]):
    """One act: who did what to what, from where, when. `secret_hash` finds the acts of a secret, and tells no more."""

    class Meta:
        model = AuditEvent
        fields = [
            "id", "at", "action", "actor_id", "actor", "actor_kind", "on_behalf_of", "target_type", "target_id",
            "target", "team_id", "ip", "token_id", "request_id", "secret_hash", "before", "after", "facts",
        ]  # fmt: skip


class ChainOut(serializers.Serializer[trail.Sealed]):
    """How far the trail is sealed: so many acts, the last one then, and so many wait. `audit_verify` proves it."""

    sealed = serializers.IntegerField(source="count")
    sealed_at = serializers.DateTimeField(source="at", allow_null=True)
    waiting = serializers.IntegerField()


def _wanted(by: User, fields: dict[str, Any]) -> Wanted:
    """What to look for. Raises Http404 for a team whose trail is not theirs."""
    fields = {{"from": "start", "to": "end"}.get(name, name): value for name, value in fields.items()}
    if "team" in fields:
        fields["team"] = get_object_or_404(trail.audited_teams(by), slug=fields["team"])
    if "token" in fields:
        fields["token"] = str(fields["token"])
    return Wanted(**fields)


class AuditView(Listed[AuditEvent]):
    """The acts that the caller may see, newest first: team admins those of their teams, the platform's people all."""

    serializer_class = ActOut
    query = AuditIn

    def get_queryset(self) -> QuerySet[AuditEvent]:
        by = actor(self.request)
        return trail.trail(by, _wanted(by, asked(AuditIn, self.request)))


class ActView(Door):
    """One act."""

    @extend_schema(responses={200: ActOut})
    def get(self, request: Request, pk: int) -> Response:
        return Response(ActOut(get_object_or_404(trail.trail(actor(request), Wanted()), pk=pk)).data)


class AuditExportView(FileDoor):
    """All acts that fit, as a file; the export itself is on record before its first line."""

    @extend_schema(request=AuditExportIn, responses=a_file(JSON_LINES, CSV))
    def post(self, request: Request) -> HttpResponseBase:
        fields, by = checked(AuditExportIn, request), actor(request)
        kind = fields.pop("kind")
        events = trail.export(_wanted(by, fields), kind=kind, by=by)
        name = f"keydesk-audit-{timezone.now():%Y-%m-%d-%H%M}.{kind}"
        return download(name, trail.lines(events, kind), trail.KINDS[kind])


class FindSecretView(Door):
    """How a secret that somebody found stands in the trail. In a body, so that no address and no log has it."""

    shape = FindIn

    @extend_schema(responses={200: FoundOut})
    def post(self, request: Request) -> Response:
        trail.require_look(actor(request))
        return Response(FoundOut({"secret_hash": trail.hash_of(checked(FindIn, request)["secret"])}).data)


class ChainView(Door):
    """How far the trail is sealed, for whoever may see any of it."""

    @extend_schema(responses={200: ChainOut})
    def get(self, request: Request) -> Response:
        trail.require_look(actor(request))
        return Response(ChainOut(trail.sealed()).data)
