"""End or rotate many keys in one call: named one by one, or all of a team, a key role or a holder."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

import structlog
from django.db import DatabaseError
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from keys.api.fields import Grace
from keys.api.rest.common import Door, NotThere, actor, checked, named_person, named_team
from keys.api.rest.roles import Reached
from keys.api.rest.shapes import LeaseOut, ReachOut, trouble
from keys.models import KeyRole, Lease, State
from keys.models.lease import LeaseQuerySet
from keys.services import leases
from keys.services.leases import Ending, Rotation
from portal.schema import either
from teams.access import within
from teams.models import User
from teams.roles import Can

log = structlog.get_logger(__name__)

MOST = 1000  # keys of one call
MOST_ROTATED = 100  # that one call begins: each needs its gateway several times
ME = "me"
GONE = NotThere("ids", "There is no such key, or you may not see it.")


class ChosenIn(serializers.Serializer[Any]):
    """Exactly one of ids, team, role and holder says which keys; a gateway narrows a role."""

    ids = serializers.ListField(child=serializers.UUIDField(), max_length=MOST, required=False)
    team = serializers.CharField(max_length=60, required=False)
    role = serializers.CharField(max_length=60, required=False)
    gateway = serializers.CharField(max_length=60, required=False)
    holder = serializers.CharField(max_length=254, required=False)
    preview = serializers.BooleanField(default=False)

    def validate(self, data: dict[str, Any]) -> dict[str, Any]:
        chosen = [name for name in SELECT if name in data]
        if len(chosen) != 1:
            raise serializers.ValidationError(dict.fromkeys(chosen or SELECT, f"Exactly one of {', '.join(SELECT)}."))
        if "gateway" in data and "role" not in data:
            raise serializers.ValidationError({"gateway": "Only together with a role."})
        return data


class RevokeManyIn(ChosenIn):
    """Which keys to end: exactly one of ids, team, role and holder. With `preview` nothing ends."""

    reason = serializers.CharField(max_length=200, required=False)


class RotateManyIn(ChosenIn):
    """Which keys to rotate: exactly one of ids, team, role and holder. With `preview` nothing is rotated."""

    grace = Grace(required=False)


@extend_schema_field({"anyOf": [{"$ref": "#/components/schemas/Lease"}, {"type": "object", "required": ["id"]}]})
class SomeLease(serializers.Field[Any, Any, Any, Any]):
    """A lease; of one that is not yours to see no more than the `id` that was sent."""


class RevokedOut(serializers.Serializer[Any]):
    """What became of one key. `error`: as an error answer says it."""

    lease = SomeLease()
    done = serializers.BooleanField()
    error = serializers.DictField(allow_null=True)


class RotatedOut(RevokedOut):
    """What became of one key, and its next secret: shown once."""

    key = serializers.CharField(allow_null=True)


class RevokedManyOut(serializers.Serializer[Any]):
    """A result for each key. `more`: there are others of that team, role or holder; call again."""

    results = RevokedOut(many=True)
    more = serializers.BooleanField()


class RotatedManyOut(serializers.Serializer[Any]):
    """A result for each key that there was time for. `left`: ids of those still to do, as they were."""

    results = RotatedOut(many=True)
    left = serializers.ListField(child=serializers.UUIDField())


def _ids(by: User, fields: dict[str, Any]) -> LeaseQuerySet:
    return Lease.objects.visible_to(by).filter(pk__in=fields["ids"])


def _of_team(by: User, fields: dict[str, Any]) -> LeaseQuerySet:
    return Lease.objects.visible_to(by).live().filter(team=named_team(by, fields["team"]))


def _of_role(by: User, fields: dict[str, Any]) -> LeaseQuerySet:
    name, gateway = fields["role"].lower(), fields.get("gateway")
    found = Lease.objects.visible_to(by).filter(role__name=name)
    known = KeyRole.objects.visible_to(by).filter(name=name)
    if gateway is not None:
        found, known = found.filter(gateway__name=gateway), known.filter(gateway__name=gateway)
    if not known.exists() and not found.exists():
        raise NotThere("role", f"There is no key role {name!r} that you may see.")
    return found.live()


def _of_holder(by: User, fields: dict[str, Any]) -> LeaseQuerySet:
    holder = by if fields["holder"] == ME else named_person(by, fields["holder"])
    return Lease.objects.visible_to(by).live().filter(holder=holder)


SELECT: dict[str, Callable[[User, dict[str, Any]], LeaseQuerySet]] = {
    "ids": _ids, "team": _of_team, "role": _of_role, "holder": _of_holder,
}  # fmt: skip


def _chosen(by: User, fields: dict[str, Any]) -> LeaseQuerySet:
    return next(SELECT[name] for name in SELECT if name in fields)(by, fields)


class RevokeManyView(Door):
    """End these keys now, with a result for each; with `preview`, only count what that would break."""

    repeatable = True

    @extend_schema(
        operation_id="keys_revoke_many", request=RevokeManyIn, responses={200: either(RevokedManyOut, Reached)}
    )
    def post(self, request: Request) -> Response:
        fields, by = checked(RevokeManyIn, request), actor(request)
        chosen = _chosen(by, fields)
        if fields["preview"]:
            return Response({"reach": ReachOut(leases.reach(chosen, by=by)).data})
        some = list(chosen.rows().order_by("issued_at", "pk")[: MOST + 1])
        reason = {"reason": fields["reason"]} if "reason" in fields else {}
        endings = leases.revoke_many(some[:MOST], by=by, **reason)
        return Response({"results": _results(endings, fields.get("ids")), "more": len(some) > MOST})


class RotateManyView(Door):
    """The next secret of each of these keys, shown once, with a result for each; `left` are those still to do."""

    @extend_schema(
        operation_id="keys_rotate_many", request=RotateManyIn, responses={200: either(RotatedManyOut, Reached)}
    )
    def post(self, request: Request) -> Response:
        fields, by = checked(RotateManyIn, request), actor(request)
        chosen, ids = _chosen(by, fields), fields.get("ids")
        if fields["preview"]:
            return Response({"reach": ReachOut(leases.reach(chosen, by=by, can=Can.RENEW_KEY)).data})
        if ids is None:
            chosen = chosen.filter(within(by, Can.RENEW_KEY), state=State.ACTIVE)
        there = list(chosen.order_by("issued_at", "pk").values_list("pk", flat=True))
        order = there if ids is None else [pk for pk in dict.fromkeys(ids) if pk in set(there)]
        rows = chosen.rows().in_bulk(order[:MOST_ROTATED])
        grace = {"grace": fields["grace"]} if "grace" in fields else {}
        done = leases.rotate_many([rows[pk] for pk in order[:MOST_ROTATED] if pk in rows], by=by, **grace)
        left = order[len(done) :]
        tried = None if ids is None else [pk for pk in ids if pk not in set(left)]
        secrets = {str(each.lease.pk): each.issued.secret for each in done if each.issued}
        results = [{**each, "key": secrets.get(each["lease"]["id"])} for each in _results(done, tried)]
        return Response({"results": results, "left": left}, headers={"Cache-Control": "no-store"})


def _results(endings: Iterable[Ending | Rotation], ids: Iterable[UUID] | None) -> list[dict[str, Any]]:
    """One for each key, in the order of `ids` where they were given; of those not visible no more than that."""
    ended = {ending.lease.pk: ending for ending in endings}
    rows = _rows(ended)
    return [
        {"lease": rows.get(pk, {"id": str(pk)}), "done": ended[pk].trouble is None, "error": _why(ended[pk])}
        if pk in ended
        else {"lease": {"id": str(pk)}, "done": False, "error": trouble(GONE)}
        for pk in dict.fromkeys(ended if ids is None else ids)
    ]


def _rows(pks: Iterable[UUID]) -> dict[UUID, Any]:
    """The leases as they are now. Without a database their ids must do: what was done is told all the same."""
    try:
        return {lease.pk: LeaseOut(lease).data for lease in Lease.objects.filter(pk__in=pks).rows()}
    except DatabaseError:
        log.exception("leases_not_read")
        return {}


def _why(ending: Ending | Rotation) -> dict[str, Any] | None:
    return None if ending.trouble is None else trouble(ending.trouble)
