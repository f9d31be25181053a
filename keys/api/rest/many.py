"""End many keys in one call: named one by one, or all of a team, a key role or a holder."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from keys.api.rest.common import Door, NotThere, actor, checked, named_person, named_team
from keys.api.rest.shapes import LeaseOut, ReachOut, trouble
from keys.models import KeyRole, Lease
from keys.models.lease import LeaseQuerySet
from keys.services import leases
from keys.services.leases import Ending
from teams.models import User

MOST = 1000  # keys of one call
GONE = NotThere("ids", "There is no such key, or you may not see it.")


class RevokeManyIn(serializers.Serializer[Any]):
    """Exactly one of ids, team, role and holder says which keys; a gateway narrows a role."""

    ids = serializers.ListField(child=serializers.UUIDField(), max_length=MOST, required=False)
    team = serializers.CharField(max_length=60, required=False)
    role = serializers.CharField(max_length=60, required=False)
    gateway = serializers.CharField(max_length=60, required=False)
    holder = serializers.CharField(max_length=254, required=False)
    reason = serializers.CharField(max_length=200, required=False)
    preview = serializers.BooleanField(default=False)

    def validate(self, data: dict[str, Any]) -> dict[str, Any]:
        chosen = [name for name in SELECT if name in data]
        if len(chosen) != 1:
            raise serializers.ValidationError(dict.fromkeys(chosen or SELECT, f"Exactly one of {', '.join(SELECT)}."))
        if "gateway" in data and "role" not in data:
            raise serializers.ValidationError({"gateway": "Only together with a role."})
        return data


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
    return Lease.objects.visible_to(by).live().filter(holder=named_person(by, fields["holder"]))


SELECT: dict[str, Callable[[User, dict[str, Any]], LeaseQuerySet]] = {
    "ids": _ids, "team": _of_team, "role": _of_role, "holder": _of_holder,
}  # fmt: skip


class RevokeManyView(Door):
    """End these keys now, with a result for each; with `preview`, only count what that would break."""

    def post(self, request: Request) -> Response:
        fields, by = checked(RevokeManyIn, request), actor(request)
        chosen = next(SELECT[name] for name in SELECT if name in fields)(by, fields)
        if fields["preview"]:
            return Response({"reach": ReachOut(leases.reach(chosen, by=by)).data})
        some = list(chosen.rows().order_by("issued_at", "pk")[: MOST + 1])
        reason = {"reason": fields["reason"]} if "reason" in fields else {}
        endings = leases.revoke_many(some[:MOST], by=by, **reason)
        return Response({"results": _results(endings, fields.get("ids")), "more": len(some) > MOST})


def _results(endings: Iterable[Ending], ids: Iterable[UUID] | None) -> list[dict[str, Any]]:
    """One for each key, in the order of `ids` where they were given; of those not visible no more than that."""
    ended = {ending.lease.pk: ending for ending in endings}
    rows = {lease.pk: lease for lease in Lease.objects.filter(pk__in=ended).rows()}
    return [
        {"lease": LeaseOut(rows[pk]).data, "done": ended[pk].trouble is None, "error": _why(ended[pk])}
        if pk in ended
        else {"lease": {"id": str(pk)}, "done": False, "error": trouble(GONE)}
        for pk in dict.fromkeys(ended if ids is None else ids)
    ]


def _why(ending: Ending) -> dict[str, Any] | None:
    return None if ending.trouble is None else trouble(ending.trouble)
