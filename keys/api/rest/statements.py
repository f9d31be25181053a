"""Monthly statements, frozen: the list, one, its lines, and their files. For whoever sees a team's reports."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet, Sum, Value
from django.db.models.functions import Coalesce
from django.http import HttpResponseBase
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from keys.api.fields import Usd
from keys.api.rest.common import Door, Listed, actor, checked, exact
from keys.api.rest.files import CSV, FileDoor, a_file
from keys.models import Gateway, Statement, StatementLine
from keys.services import focus, statements
from portal.api import Pages
from portal.downloads import sheet
from teams.models import Team, User

KINDS = ("csv", "focus")


@extend_schema_field({"type": "string", "pattern": "^[0-9]{4}-(0[1-9]|1[0-2])$", "example": "2026-10"})
class MonthField(serializers.Field[date, Any, Any, Any]):
    """A month like `2026-10`; its first day."""

    def to_internal_value(self, data: Any) -> date:
        if not isinstance(data, str) or not re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", data) or data < "0001":
            raise serializers.ValidationError("A month is written like 2026-10.")
        return date.fromisoformat(f"{data}-01")

    def to_representation(self, value: date) -> str:
        return f"{value:%Y-%m}"


class StatementOut(serializers.ModelSerializer[Statement]):
    """What a team spent in a month, as the ledger said when it was closed. `corrected`: of months stated before."""

    team = serializers.SlugRelatedField[Team](slug_field="slug", read_only=True)
    month = serializers.CharField(source="number", read_only=True)
    total = Usd()
    spent = Usd()
    corrected = Usd()

    class Meta:
        model = Statement
        fields = ["id", "team", "month", "team_name", "cost_centre", "total", "spent", "corrected", "closed_at"]


class StatementLineOut(serializers.ModelSerializer[StatementLine]):
    """What one key of one holder spent with one model. With `noted_on` it corrects a month that was stated before."""

    of_month = MonthField(read_only=True)
    lease = serializers.UUIDField(source="lease_id", read_only=True)
    holder_id = serializers.UUIDField(read_only=True)
    holder = serializers.CharField(source="holder_name", read_only=True)
    role = serializers.CharField(source="role_name", read_only=True)
    gateway = serializers.SlugRelatedField[Gateway](slug_field="name", read_only=True)
    spend = Usd()

    class Meta:
        model = StatementLine
        fields = [
            "of_month", "noted_on", "lease", "key_alias", "holder", "holder_id", "role", "gateway", "model", "spend",
            "prompt_tokens", "completion_tokens", "requests", "failed",
        ]  # fmt: skip


class FileIn(serializers.Serializer[Any]):
    """`csv`: one line for each key, holder and model. `focus`: FOCUS 1.2, for a company's cost tools."""

    kind = serializers.ChoiceField(choices=KINDS, default="csv")


class MonthFileIn(FileIn):
    """All statements of a month that one sees, of one cost centre where it is given (empty: of none)."""

    month = MonthField()
    cost_centre = serializers.CharField(max_length=64, required=False, allow_blank=True)


def _of_month(rows: QuerySet[Statement], value: str, _: User) -> QuerySet[Statement]:
    try:
        return rows.filter(month=MonthField().to_internal_value(value))
    except serializers.ValidationError as error:
        raise serializers.ValidationError({"month": error.detail}) from None


def _summed(rows: QuerySet[Statement]) -> QuerySet[Statement]:
    usd = Statement._meta.get_field("total")
    nothing = Value(Decimal(0), output_field=usd)
    return rows.annotate(
        spent=Coalesce(Sum("lines__spend", filter=Q(lines__noted_on=None)), nothing),
        corrected=Coalesce(Sum("lines__spend", filter=Q(lines__noted_on__isnull=False)), nothing),
    )


class StatementsView(Listed[Statement]):
    """The statements of the teams whose reports the caller may see, the last month first."""

    serializer_class = StatementOut
    filters = {"month": _of_month, "team": exact("team__slug"), "cost_centre": exact("cost_centre")}
    orders = ("month",)

    class pagination_class(Pages):  # noqa: N801  (DRF's name)
        ordering = ("-month", "pk")

    def get_queryset(self) -> QuerySet[Statement]:
        return _summed(statements.seen_by(actor(self.request)))


class StatementView(Door):
    """One statement."""

    @extend_schema(responses={200: StatementOut})
    def get(self, request: Request, pk: UUID) -> Response:
        return Response(StatementOut(get_object_or_404(_summed(statements.seen_by(actor(request))), pk=pk)).data)


class StatementLinesView(Listed[StatementLine]):
    """The lines of a statement, corrections too."""

    serializer_class = StatementLineOut

    class pagination_class(Pages):  # noqa: N801
        ordering = ("of_month", "holder_name", "key_alias", "model", "pk")

    def get_queryset(self) -> QuerySet[StatementLine]:
        found = get_object_or_404(statements.seen_by(actor(self.request)), pk=self.kwargs["pk"])
        return found.lines.select_related("gateway").defer("gateway__master_key")


class StatementFileView(FileDoor):
    """One statement as a file; the export is on record."""

    @extend_schema(request=FileIn, responses=a_file(CSV))
    def post(self, request: Request, pk: UUID) -> HttpResponseBase:
        found = get_object_or_404(statements.seen_by(actor(request)), pk=pk)
        kind = checked(FileIn, request)["kind"]
        return _file([found], kind, f"{found.team.slug}-{found.number}", actor(request))


class StatementsFileView(FileDoor):
    """The statements of a month as one file; the export of each is on record."""

    @extend_schema(operation_id="statements_export_month", request=MonthFileIn, responses=a_file(CSV))
    def post(self, request: Request) -> HttpResponseBase:
        fields, by = checked(MonthFileIn, request), actor(request)
        found = statements.seen_by(by).filter(month=fields["month"])
        if "cost_centre" in fields:
            found = found.filter(cost_centre=fields["cost_centre"])
        return _file(list(found), fields["kind"], f"statements-{fields['month']:%Y-%m}", by)


def _file(found: Iterable[Statement], kind: str, name: str, by: User) -> HttpResponseBase:
    lines = statements.export(found, kind=kind, by=by)
    if kind == "focus":
        return sheet(f"keydesk-focus-{name}", focus.COLUMNS, focus.rows(lines))
    return sheet(f"keydesk-{name}", statements.HEADS, statements.rows(lines))
