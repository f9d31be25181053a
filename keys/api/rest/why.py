"""Why was I refused: an error or a key, the one limit that binds, and what helps.

What is sent is read once and forgotten: no log line and no row has any of it.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from keys.api.fields import Usd
from keys.api.rest.common import Door, actor, checked, visible_lease
from keys.services import refused
from keys.services.refused.places import Place
from keys.services.refused.reading import LONGEST, Cause
from keys.services.refused.walking import Answer, missing
from keys.services.refused.ways import Do


class WhyIn(serializers.Serializer[Any]):
    """An `error` as a program got it, or a `lease`, or both. A secret in the text helps to find its key."""

    error = serializers.CharField(max_length=LONGEST, required=False)
    lease = serializers.UUIDField(required=False)

    def validate(self, data: dict[str, Any]) -> dict[str, Any]:
        if not data:
            raise serializers.ValidationError(dict.fromkeys(("error", "lease"), "Send at least one of them."))
        return data


class StepOut(serializers.Serializer[Any]):
    """One place where a call can stop. `stops`: it is the one limit that binds."""

    place = serializers.ChoiceField(choices=list(Place))
    words = serializers.CharField()
    note = serializers.CharField()
    stops = serializers.BooleanField()
    limit = serializers.CharField()
    set_by = serializers.CharField()
    resets_at = serializers.DateTimeField(allow_null=True)


class WayOut(serializers.Serializer[Any]):
    """One thing that you can do about it, the fitting one first."""

    do = serializers.ChoiceField(choices=list(Do))
    title = serializers.CharField()
    second = serializers.CharField()


class WhyAnswerOut(serializers.Serializer[Any]):
    lease = serializers.UUIDField(source="lease.pk")
    headline = serializers.CharField()
    left = serializers.SerializerMethodField()
    steps = StepOut(many=True)
    ways = serializers.SerializerMethodField()

    def get_left(self, answer: Answer) -> str | None:
        left = missing(answer)
        return None if left is None else Usd().to_representation(left)

    def get_ways(self, answer: Answer) -> list[dict[str, str]]:
        return [dict(WayOut(way).data) for way in refused.ways(answer, self.context["by"])]


class WhyOut(serializers.Serializer[Any]):
    """`cause`: what the text is about. `answer` is null where it names none, or several, of the keys that you see."""

    cause = serializers.ChoiceField(choices=list(Cause), allow_null=True)
    held_secret = serializers.BooleanField(help_text="The text held a secret: whoever read it has the key.")
    leases = serializers.ListField(child=serializers.UUIDField())
    answer = WhyAnswerOut(allow_null=True)


class WhyView(Door):
    @extend_schema(request=WhyIn, responses={200: WhyOut})
    def post(self, request: Request) -> Response:
        """Why a call was refused: the one limit that binds, who set it, when it resets, and what helps.

        From Keydesk's own books: no gateway is asked, and nothing of the text is kept.
        """
        fields, by = checked(WhyIn, request), actor(request)
        chosen = visible_lease(request, fields["lease"]) if "lease" in fields else None
        reading = refused.read(fields["error"]) if "error" in fields else None
        named = {each.lease_id: each for each in reversed(refused.keys_meant(reading, by))} if reading else {}
        answer = None
        if chosen and (not named or chosen.pk in named):
            answer = refused.walk(chosen, reading, named.get(chosen.pk))
        elif len(named) == 1:
            (pk, version), *_ = named.items()
            answer = refused.walk(visible_lease(request, pk), reading, version)
        said = {
            "cause": reading.cause if reading and reading.is_error else None,
            "held_secret": bool(reading and reading.held_secret),
            "leases": [*named] or ([chosen.pk] if chosen else []),
            "answer": answer and WhyAnswerOut(answer, context={"by": by}).data,
        }
        return Response(said, headers={"Cache-Control": "no-store"})
