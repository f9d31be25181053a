"""Close the books of a month: a statement for each team, frozen, and what changes afterwards on the next one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, Max, OuterRef, Q, QuerySet, Sum
from django.db.models.functions import TruncMonth
from django.utils import timezone

from keys.models import Lease, SpendDay, Statement, StatementLine
from keys.services.spend.ledger import units
from portal import audit
from teams.access import SYSTEM, require
from teams.models import Team, User
from teams.roles import Can
from teams.services import trail

LONGEST_WAIT = timedelta(days=14)  # after a month, for a gateway that is away; what it tells later is a correction
COUNTED = ("prompt_tokens", "completion_tokens", "requests", "failed")
NAMES = ("holder_name", "role_name")
HEADS = (
    "statement", "team", "cost_centre", "kind", "month", "noted_on", "holder", "key", "key_id", "key_role", "gateway",
    "model", "spend_usd", "requests", "failed", "prompt_tokens", "completion_tokens",
)  # fmt: skip
Cell = tuple[date, UUID, UUID, int, str]  # month, lease, holder, gateway, model


@dataclass(frozen=True, slots=True)
class Sums:
    """What stands under one cell: USD, then COUNTED. `names` as in the rows; `changed_at`: when a row last changed."""

    spend: Decimal
    counts: tuple[int, ...]
    names: tuple[str, ...]
    alias: str
    changed_at: datetime | None = None

    def less(self, other: Sums | None) -> Sums:
        """How much more than `other` this is."""
        if other is None:
            return self
        counts = tuple(mine - said for mine, said in zip(self.counts, other.counts, strict=True))
        return Sums(self.spend - other.spend, counts, self.names, self.alias, self.changed_at)

    def __bool__(self) -> bool:
        return bool(self.spend or any(self.counts))


def month_after(month: date) -> date:
    return (month.replace(day=1) + timedelta(days=31)).replace(day=1)


def month_before(month: date) -> date:
    return (month.replace(day=1) - timedelta(days=1)).replace(day=1)


def last_settled(now: datetime) -> date:
    """First day of the last month that may be closed: over, and since then KEYDESK_STATEMENT_DAYS have passed (UTC)."""
    return month_before((now - settings.STATEMENT_AFTER).date())


def close_due(now: datetime | None = None) -> int:
    """Close every month that has settled, of each team with something to state; answers how many. Safe to repeat.

    A team waits while the ledger of a gateway where it had keys was not read since the month's end, two weeks at most.
    """
    now = now or timezone.now()
    last = last_settled(now)
    stated = Statement.objects.filter(team=OuterRef("pk"), month=last)
    spent = SpendDay.objects.filter(team=OuterRef("pk"), day__lt=month_after(last))
    due = Team.objects.filter(Exists(spent), ~Exists(stated))
    end = datetime.combine(month_after(last), time.min, UTC)
    if now < end + LONGEST_WAIT:
        due = due.exclude(Exists(_unread(last, end)))
    return sum(_close_all(team, last, now) for team in due)


def _unread(month: date, end: datetime) -> QuerySet[Lease]:
    """Of a team, keys that lived in the month, of gateways whose ledger may miss some of it."""
    lived = Q(ended_at=None) | Q(ended_at__gte=datetime.combine(month, time.min, UTC))
    return Lease.objects.filter(lived, team=OuterRef("pk"), issued_at__lt=end, gateway__spend_synced_at__lt=end)


def _close_all(team: Team, last: date, now: datetime) -> int:
    """The team's months up to `last` that are not stated yet, the oldest first, so that corrections follow them."""
    newest = team.statements.aggregate(month=Max("month"))["month"]
    rows = SpendDay.objects.filter(team=team, day__lt=month_after(last)).order_by()
    if newest:
        rows = rows.filter(day__gte=month_after(newest))
    months = set(rows.annotate(month=TruncMonth("day")).values_list("month", flat=True).distinct())
    return sum(_close(team, month, now) for month in sorted({*months, last}))


def _close(team: Team, month: date, now: datetime) -> bool:
    """Whether there was something to state; another worker may have been quicker."""
    with transaction.atomic():
        team = Team.objects.select_for_update(no_key=True).get(pk=team.pk)
        if team.statements.filter(month__gte=month).exists():
            return False
        lines = [*_usage(team, month), *corrections(team, month, now)]
        if not lines:
            return False
        statement = Statement(
            team=team,
            month=month,
            team_name=team.name,
            cost_centre=team.cost_centre,
            total=sum((line.spend for line in lines), Decimal(0)),
            closed_at=now,
        )
        for line in lines:
            line.statement_id = statement.pk
        StatementLine.objects.bulk_create(lines, batch_size=500)  # before it: afterwards it takes none
        statement.save(force_insert=True)
        corrected = sum(line.is_correction for line in lines)
        audit.record(
            "statement.closed", statement, by=SYSTEM, total=statement.total, lines=len(lines), corrections=corrected
        )
    return True


def corrections(team: Team, month: date, now: datetime) -> list[StatementLine]:
    """By how much the ledger of the months before differs from what was stated of them; unsaved lines."""
    told = _ledger(team, SpendDay.objects.filter(day__lt=month))
    said = _stated(team, month)
    gone = {cell: Sums(Decimal(0), (0,) * len(COUNTED), old.names, old.alias) for cell, old in said.items()}
    return [
        _line(cell, differs, noted_on=(sums.changed_at or now).date())
        for cell, sums in {**gone, **told}.items()
        if (differs := sums.less(said.get(cell)))
    ]


def pending(team: Team, now: datetime | None = None) -> Decimal:
    """What the next statement corrects of those before, as it looks now; USD, 0 before the first one."""
    newest = team.statements.aggregate(month=Max("month"))["month"]
    if newest is None:
        return Decimal(0)
    found = corrections(team, month_after(newest), now or timezone.now())
    return sum((line.spend for line in found), Decimal(0))


def seen_by(user: User) -> QuerySet[Statement]:
    """The statements of the teams whose reports they may see. Raises NotAllowed for whom there are none at all."""
    trail.require_look(user)
    return Statement.objects.filter(team__in=trail.audited_teams(user)).select_related("team")


def export(statements: Iterable[Statement], *, kind: str, by: User) -> Iterator[StatementLine]:
    """The lines of these statements, once the export of each is on record. Raises NotAllowed."""
    found = list(statements)
    if not found:
        require(by, Can.SEE_TEAM_AUDIT)
    for statement in found:
        require(by, Can.SEE_TEAM_AUDIT, statement.team)
    with transaction.atomic():
        for statement in found:
            audit.record("statement.exported", statement, by=by, kind=kind)
    return _lines(found)


def _lines(statements: list[Statement]) -> Iterator[StatementLine]:
    rows = StatementLine.objects.filter(statement__in=[each.pk for each in statements])
    found = rows.select_related("statement__team", "gateway").defer("gateway__master_key")
    return found.order_by("statement__team_name", "statement__month", "of_month", "holder_name", "key_alias", "model",
                          "pk").iterator(chunk_size=1000)  # fmt: skip


def rows(lines: Iterable[StatementLine]) -> Iterator[list[object]]:
    """The lines for a file, in the order of HEADS."""
    return (_row(line) for line in lines)


def _row(line: StatementLine) -> list[object]:
    statement = line.statement
    return [
        statement.number, statement.team_name, statement.cost_centre, "correction" if line.is_correction else "usage",
        f"{line.of_month:%Y-%m}", line.noted_on, line.holder_name, line.key_alias, line.lease_id, line.role_name,
        line.gateway.name, line.model, line.spend, line.requests, line.failed, line.prompt_tokens,
        line.completion_tokens,
    ]  # fmt: skip


def _usage(team: Team, month: date) -> list[StatementLine]:
    rows = SpendDay.objects.filter(day__gte=month, day__lt=month_after(month))
    return [_line(cell, sums) for cell, sums in _ledger(team, rows).items()]


def _line(cell: Cell, sums: Sums, noted_on: date | None = None) -> StatementLine:
    of_month, lease, holder, gateway, model = cell
    return StatementLine(
        of_month=of_month,
        noted_on=noted_on,
        lease_id=lease,
        holder_id=holder,
        gateway_id=gateway,
        model=model,
        key_alias=sums.alias,
        spend=sums.spend,
        **dict(zip(NAMES, sums.names, strict=True)),
        **dict(zip(COUNTED, sums.counts, strict=True)),
    )


def _ledger(team: Team, rows: QuerySet[SpendDay]) -> dict[Cell, Sums]:
    """The ledger's rows of a team, added up by cell."""
    by_month = rows.filter(team=team).order_by().annotate(of_month=TruncMonth("day"))
    keys = ("of_month", "version__lease", "holder", "gateway", "model")
    found = by_month.values(*keys).annotate(
        alias=Max("version__lease__alias"), changed_at=Max("written_at"), **_summed()
    )
    return {tuple(row[key] for key in keys): _sums(row, row["changed_at"]) for row in found}


def _stated(team: Team, before: date) -> dict[Cell, Sums]:
    """What the statements of a team say of the months before that day, corrections and all."""
    rows = StatementLine.objects.filter(statement__team=team, of_month__lt=before).order_by()
    keys = ("of_month", "lease", "holder", "gateway", "model")
    found = rows.values(*keys).annotate(alias=Max("key_alias"), **_summed())
    return {tuple(row[key] for key in keys): _sums(row) for row in found}


def _summed() -> dict[str, Any]:
    counts = {f"{name}_": Sum(name) for name in COUNTED}
    return {"spend_": Sum("spend"), **counts, **{f"{name}_": Max(name) for name in NAMES}}


def _sums(row: dict[str, Any], changed_at: datetime | None = None) -> Sums:
    counts = tuple(row[f"{name}_"] for name in COUNTED)
    return Sums(units(row["spend_"]), counts, tuple(row[f"{name}_"] for name in NAMES), row["alias"], changed_at)
