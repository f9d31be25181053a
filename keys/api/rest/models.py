"""Models: what the caller may have keys for, with what they can do and cost."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from keys.api.rest.bundle_shapes import OffersOut
from keys.api.rest.common import Door, actor, asked, visible_team
from keys.models import KeyRole
from keys.services import bundle


class ModelsQuery(serializers.Serializer[Any]):
    """Of which team's key roles, of which role by name, on which gateway by name."""

    team = serializers.CharField(required=False, max_length=60)
    role = serializers.CharField(required=False, max_length=60)
    gateway = serializers.CharField(required=False, max_length=60)


class ModelsView(Door):
    """The models of the key roles that are open to the caller's teams."""

    query = ModelsQuery

    @extend_schema(responses={200: OffersOut})
    def get(self, request: Request) -> Response:
        """The models that the caller may have keys for.

        Each with the key roles that give it; for the platform those of every role. A team that the caller does not see
        is 404; a role or a gateway that is not there gives none.
        """
        query = asked(ModelsQuery, request)
        roles = KeyRole.objects.visible_to(actor(request)).filter(ended_at=None)
        if team := query.get("team"):
            roles = roles.filter(pk__in=KeyRole.objects.open_to(visible_team(request, team)))
        for name, path in (("role", "name"), ("gateway", "gateway__name")):
            if name in query:
                roles = roles.filter(**{path: query[name]})
        return Response(OffersOut(bundle.of_roles(roles.with_gateway().order_by("gateway__name", "name"))).data)
