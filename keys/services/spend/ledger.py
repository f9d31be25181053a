"""Copy the proxy's ledger: what each of our keys spent with each model on each UTC day. Repeatable, written at once.

The source is its daily activity. The proxy only ever adds to a day, so what it says now replaces what it said
before; rows that say the same are not written.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import TypeVar
from uuid import UUID

from django.db import transaction
from django.db.models import Min, Q, QuerySet, Sum

from keys.models import Gateway, KeyVersion, Lease, SpendDay
from keys.services import gateways
from portal.litellm import DailyActivity, Metrics
from teams.access import SYSTEM

PATIENCE = 240.0  # seconds for all pages; some 0.5 s for each thousand rows (tried)
NOTED_EVERY = timedelta(minutes=1)  # where nothing moved, the time of the read is written no oftener than this
CHUNK = 500  # rows or hashes in one statement
MOST_ASKED_AGAIN = 50  # keys whose row may have been told twice
UNIT = Decimal("1E-9")  # what the columns keep; the proxy counts in floats
CENT = Decimal("0.01")
COUNTED = ("spend", "prompt_tokens", "completion_tokens", "requests", "failed")

Cell = tuple[str, date, str]  # hash, day, model
Row = tuple[int, date, str]  # pk of the version, day, model
Values = tuple[Decimal, int, int, int, int]  # in the order of COUNTED
T = TypeVar("T")


@dataclass(slots=True)
class Spent:
    """What one key did with one model on one day."""

    spend: Decimal = Decimal(0)
    prompt_tokens: int = 0
    completion_tokens: int = 0
    requests: int = 0
    failed: int = 0
    parts: int = 0  # pages it was told on

    def add(self, told: Metrics) -> None:
        self.spend += told.spend
        self.prompt_tokens += told.prompt_tokens
        self.completion_tokens += told.completion_tokens
        self.requests += told.api_requests
        self.failed += told.failed_requests
        self.parts += 1

    def values(self) -> Values:
        """As the columns hold them."""
        return units(self.spend), self.prompt_tokens, self.completion_tokens, self.requests, self.failed


@dataclass(slots=True)
class Copied:
    """What a copy changed: rows written, and leases whose sum is another."""

    rows: int = 0
    leases: set[UUID] = field(default_factory=set)
    models: set[str] = field(default_factory=set)


def units(amount: Decimal) -> Decimal:
    """USD as the columns keep it, to a billionth."""
    return amount.quantize(UNIT)


def first_day(gateway: Gateway, today: date) -> date:
    """The first day that may have changed since the last whole read: yesterday, or the day before that read.

    A flush after midnight still writes to the day before. Never read: the day of the oldest key.
    """
    if gateway.spend_synced_at is None:
        oldest = KeyVersion.objects.filter(lease__gateway=gateway).aggregate(first=Min("issued_at"))["first"]
        return min(today, oldest.astimezone(UTC).date()) - timedelta(days=1) if oldest else today - timedelta(days=1)
    return min(today, gateway.spend_synced_at.astimezone(UTC).date()) - timedelta(days=1)


def copy(gateway: Gateway, now: datetime) -> Copied:
    """Read the days that may have changed and write what did. Raises GatewayAway, GatewayRefused."""
    today = now.astimezone(UTC).date()
    start = first_day(gateway, today)
    with gateways.calling(gateway, by=SYSTEM, seconds=PATIENCE) as line:
        sums = _read(line, line.client.spend.daily_activity(start, today))
        versions = _known(gateway, {token for token, _, _ in sums})
        stored = _stored(SpendDay.objects.filter(gateway=gateway, day__gte=start, day__lte=today))
        changed = _changed(sums, versions, stored)
        # A row that is new since the first page pushes another over to the next page, where it is told again: two
        # pages with the same cell are asked for anew, by key, where that is one page. Unmoved ones are not.
        doubtful = sorted({cell[0] for cell in changed if sums[cell].parts > 1})[:MOST_ASKED_AGAIN]
        for token in doubtful:
            alone = _read(line, line.client.spend.daily_activity(start, today, api_key=token))
            sums = {cell: told for cell, told in sums.items() if cell[0] != token} | alone
        if doubtful:
            changed = _changed(sums, versions, stored)
    return _write(gateway, changed, versions, now)


def history(version: KeyVersion, since: date, now: datetime) -> int:
    """Copy all that the ledger has of one key since a day, as for a key that was not ours before; answers rows
    written. Raises GatewayAway, GatewayRefused.
    """
    token, gateway = version.token_hash or "", version.lease.gateway
    with gateways.calling(gateway, by=SYSTEM, seconds=PATIENCE) as line:
        sums = _read(line, line.client.spend.daily_activity(since, now.astimezone(UTC).date(), api_key=token))
    versions = {token: version.pk}
    sums = {cell: told for cell, told in sums.items() if cell[0] == token}
    changed = _changed(sums, versions, _stored(version.spend_days.all()))
    return _write(gateway, changed, versions, now, whole=False).rows


def chunks(items: Iterable[T], size: int = CHUNK) -> Iterator[list[T]]:
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some


def _read(line: gateways.Line, pages: Iterable[DailyActivity]) -> dict[Cell, Spent]:
    """Add up the parts of each cell. Raises LiteLLMError, and GatewayAway when the time is over."""
    sums: dict[Cell, Spent] = {}
    for part in pages:
        cells: dict[Cell, list[Metrics]] = {}
        for told in part.by_key_and_model():
            # One cell may have two names of a model that a column cannot tell apart.
            model = told.model.replace("\0", "")[:200]
            cells.setdefault((told.token, told.day, model), []).append(told.metrics)
        for cell, metrics in cells.items():
            found = sums.setdefault(cell, Spent())
            for each in metrics:
                found.add(each)
            found.parts -= len(metrics) - 1
        _ = line.client  # raises when the time is over
    return sums


def _known(gateway: Gateway, tokens: Collection[str]) -> dict[str, int]:
    """The pks of our versions on this gateway, by hash."""
    found: dict[str, int] = {}
    ours = KeyVersion.objects.filter(lease__gateway=gateway)
    for some in chunks(tokens):
        found |= {token or "": pk for token, pk in ours.filter(token_hash__in=some).values_list("token_hash", "pk")}
    return found


def _stored(rows: QuerySet[SpendDay]) -> dict[Row, Values]:
    found = rows.order_by().values_list("version_id", "day", "model", *COUNTED)
    return {
        (pk, day, model): (units(spend), prompt, completion, requests, failed)
        for pk, day, model, spend, prompt, completion, requests, failed in found.iterator()
    }


def _changed(
    sums: Mapping[Cell, Spent], versions: Mapping[str, int], stored: Mapping[Row, Values]
) -> dict[Cell, Values]:
    """What differs from our rows, of our keys. What the ledger has no longer stays as it was."""
    return {
        cell: told.values()
        for cell, told in sums.items()
        if (pk := versions.get(cell[0])) and stored.get((pk, cell[1], cell[2])) != told.values()
    }


def _write(
    gateway: Gateway,
    changed: Mapping[Cell, Values],
    versions: Mapping[str, int],
    now: datetime,
    *,
    whole: bool = True,
) -> Copied:
    """Write changed rows, each with the sums of their leases; `whole`: the days of every key were read."""
    noted = gateway.spend_synced_at
    if not changed and (not whole or (noted and noted > now - NOTED_EVERY)):
        return Copied()
    copied = Copied()
    for some in chunks(changed.items()):  # short transactions: a first copy may have many rows
        if not _write_some(gateway, dict(some), versions, now, copied, whole=whole):
            return copied  # another worker began to read later, and has written already
    if whole:
        read_before = Q(spend_synced_at=None) | Q(spend_synced_at__lt=now)
        Gateway.objects.filter(read_before, pk=gateway.pk).update(spend_synced_at=now)
    return copied


def _write_some(
    gateway: Gateway,
    changed: Mapping[Cell, Values],
    versions: Mapping[str, int],
    now: datetime,
    copied: Copied,
    *,
    whole: bool,
) -> bool:
    with transaction.atomic():
        row = Gateway.objects.select_for_update(no_key=True).only("spend_synced_at").get(pk=gateway.pk)
        if whole and row.spend_synced_at and row.spend_synced_at > now:
            return False
        of = _versions({versions[token] for token, _, _ in changed})
        rows = [_row(gateway, of[versions[token]], day, model, now, values)
                for (token, day, model), values in changed.items()]  # fmt: skip
        SpendDay.objects.bulk_create(
            rows,
            batch_size=CHUNK,
            update_conflicts=True,
            unique_fields=["version", "day", "model"],
            update_fields=[*COUNTED, "written_at"],  # names, team and holder stay as the first row had them
        )
        leases = {version.lease_id for version in of.values()}
        _sum_up(leases)
    copied.rows += len(changed)
    copied.leases |= leases
    copied.models |= {model for _, _, model in changed}
    return True


def _versions(pks: Collection[int]) -> dict[int, KeyVersion]:
    found: dict[int, KeyVersion] = {}
    rows = KeyVersion.objects.select_related("lease__team", "lease__holder", "lease__role")
    for some in chunks(pks):
        found |= rows.in_bulk(some)
    return found


def _row(gateway: Gateway, version: KeyVersion, day: date, model: str, now: datetime, values: Values) -> SpendDay:
    lease = version.lease
    return SpendDay(
        gateway=gateway,
        version=version,
        day=day,
        model=model,
        team=lease.team,
        holder=lease.holder,
        key_alias=version.alias,
        team_name=lease.team.name,
        holder_name=str(lease.holder)[:254],
        role_name=lease.role.name,
        written_at=now,
        **dict(zip(COUNTED, values, strict=True)),
    )


def _sum_up(leases: Collection[UUID]) -> None:
    """The only writer of Lease.spend: the sum of its rows."""
    for some in chunks(leases):
        sums = SpendDay.objects.filter(version__lease__in=some).order_by().values_list("version__lease")
        totals = dict(sums.annotate(total=Sum("spend")))
        moved = []
        for lease in Lease.objects.filter(pk__in=some).only("spend"):
            total = totals[lease.pk].quantize(Decimal("1E-6"))
            if lease.spend != total:
                lease.spend = total
                moved.append(lease)
        Lease.objects.bulk_update(moved, ["spend"])
