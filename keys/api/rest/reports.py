"""Spend over all keys that the caller sees, by team, key, model, day and more; in pages, or whole as CSV."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import Q
from django.http import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.pagination import LimitOffsetPagination
from rest_framework.request import Request
from rest_framework.response import Response

from keys.api.fields import Usd
from keys.api.rest.common import Door, actor, asked, whose
from keys.api.rest.files import CSV, WhatWeHave, a_file
from keys.api.rest.spend import PeriodIn
from keys.services.dashboards import report
from portal.api import Pages
from portal.downloads import sheet
from teams.models import User

ME = "me"
FURTHEST = 10_000_000  # rows that a cursor may skip
COUNTED = {"spend": "spent", "prompt_tokens": "prompts", "completion_tokens": "completions", "requests": "calls",
           "failed": "refused"}  # fmt: skip


class ReportIn(PeriodIn):
    """Which days, by what the rows are summed, and of what; what fits nothing finds nothing.

    `member`: `me`, an e-mail or an id; `key`: the id of a lease.
    """

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        texts = ("team", "member", "model", "gateway", "role", "cost_centre")
        return {
            **super().get_fields(),
            "by": serializers.ChoiceField(choices=list(report.BY), default="team"),
            "key": serializers.UUIDField(required=False),
            **{name: serializers.CharField(max_length=254, required=False) for name in texts},
        }

    def validate(self, data: dict[str, Any]) -> dict[str, Any]:
        return {**data, **super().validate(data)}


class ReportPageIn(ReportIn):
    """The same, in pages."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return {
            **super().get_fields(),
            "cursor": serializers.IntegerField(min_value=0, max_value=FURTHEST, required=False),
            "page_size": serializers.IntegerField(min_value=1, max_value=Pages.max_page_size, required=False),
        }


class SpentOut(serializers.Serializer[Any]):
    """Sums of the ledger. USD."""

    spend = Usd(source="spent")
    prompt_tokens = serializers.IntegerField(source="prompts")
    completion_tokens = serializers.IntegerField(source="completions")
    requests = serializers.IntegerField(source="calls")
    failed = serializers.IntegerField(source="refused")


class GroupOut(SpentOut):
    """What one team, key … spent: `id` is what the filter of that name takes, `name` what it is called now."""

    id = serializers.CharField(source="which")
    name = serializers.CharField(source="called")


class ReportOut(serializers.Serializer[Any]):
    """A page of it, the dearest first (days in their order), and the sum of all pages."""

    by = serializers.ChoiceField(choices=list(report.BY))
    total = SpentOut()
    results = GroupOut(many=True)
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return {**{name: serializers.DateField() for name in ("from", "to")}, **super().get_fields()}


class Stretches(LimitOffsetPagination):
    """Pages of sums, which no column of a row can point into."""

    default_limit, max_limit = 50, Pages.max_page_size
    limit_query_param, offset_query_param = "page_size", "cursor"


def _only(by: User, fields: Mapping[str, Any]) -> list[Q]:
    paths = {
        "team": "team__slug", "key": "version__lease", "model": "model", "gateway": "gateway__name",
        "role": "role_name", "cost_centre": "team__cost_centre",
    }  # fmt: skip
    found = [Q(**{path: fields[name]}) for name, path in paths.items() if name in fields]
    if who := fields.get("member"):
        found.append(Q(holder=by) if who == ME else whose(who, "holder__"))
    return found


class SpendView(Door):
    """What the keys that the caller sees have spent, by team, key, member, model, day, gateway, role or cost centre."""

    query = ReportPageIn

    @extend_schema(responses={200: ReportOut})
    def get(self, request: Request) -> Response:
        by, fields = actor(request), asked(ReportPageIn, request)
        rows = report.rows_of(by, fields["start"], fields["end"], *_only(by, fields))
        pages = Stretches()
        found = pages.paginate_queryset(report.grouped(rows, fields["by"]), request, self)
        told = {
            "from": fields["start"], "to": fields["end"], "by": fields["by"], "total": report.total(rows),
            "results": found, "next": pages.get_next_link(), "previous": pages.get_previous_link(),
        }  # fmt: skip
        return Response(ReportOut(told).data)


class SpendSheetView(Door):
    """The same, all of it, as CSV."""

    query = ReportIn
    content_negotiation_class = WhatWeHave

    @extend_schema(responses=a_file(CSV))
    def get(self, request: Request) -> HttpResponseBase:
        by, fields = actor(request), asked(ReportIn, request)
        start, end, what = fields["start"], fields["end"], fields["by"]
        found = report.grouped(report.rows_of(by, start, end, *_only(by, fields)), what)
        heads = [what, "name", "spend_usd", *list(COUNTED)[1:]]
        rows = ([row["which"], row["called"], *(row[name] for name in COUNTED.values())] for row in found)
        return sheet(f"keydesk-spend-by-{what}-{start}-{end}", heads, rows)
