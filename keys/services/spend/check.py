"""Lay counter and ledger side by side, and tell what does not agree for longer than a flush takes.

The proxy writes a call into the key's counters and into the ledger in one of its flushes, some seconds after the
call. So a ledger that was read well after a counter must have all that is in it, and a counter that was read well
after the ledger's last row must have all of that. Whatever was read too soon for either says nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

from django.db.models import Max, Sum
from django.utils import timezone

from keys.models import Finding, Gateway, KeyVersion, SpendDay
from keys.services import findings
from keys.services.budgets.windows import window_of
from keys.services.spend.counters import live
from keys.services.spend.ledger import CENT, chunks

# Between a counter and its row in the ledger 15 s were seen at most; two minutes are less than a sync's interval.
FLUSH = timedelta(minutes=2)
LATE_RESET = timedelta(minutes=15)  # the proxy zeroes a counter up to 10 minutes after its window
RECENT = timedelta(hours=1)  # who moved since is compared at each sync; all others once a day
PRICED_WITHIN = timedelta(days=30)
Kind = Finding.Kind


@dataclass(frozen=True, slots=True)
class _Pair:
    """A live version with its ledger: all of its rows, and those of its lease in the counter's window (USD)."""

    version: KeyVersion
    spent: Decimal
    written: datetime | None  # the last row
    window: tuple[datetime, datetime] | None  # UTC; None: one for ever
    in_window: Decimal | None  # None: rows of days cannot tell


@dataclass(frozen=True, slots=True)
class _Doubt:
    counter: Decimal  # USD
    ledger: Decimal
    cause: str

    @property
    def difference(self) -> Decimal:
        return self.counter - self.ledger


def compare(now: datetime | None = None, *, gateway: Gateway | None = None, recent: bool = False) -> int:
    """Write down differences over a cent on live keys, and models without a price; what is gone closes itself.

    `recent`: only keys that moved within the hour, and those with an open finding. Answers how many differ.
    For ended versions the ledger is the figure, so they never differ.
    """
    now, count = now or timezone.now(), 0
    for each in [gateway] if gateway else Gateway.objects.defer("master_key"):
        count += _compare(each, now, recent=recent)
        if not recent:
            prices(each, now)
    return count


def doubtful(gateway: Gateway, now: datetime) -> set[int]:
    """Versions whose counter was read too soon after the ledger moved to tell why they differ: read it once more."""
    found = set()
    for pair in _pairs(gateway, _recent(gateway, now)):
        version, written = pair.version, pair.written
        apart = abs((version.total or Decimal(0)) - pair.spent) > CENT
        if apart and written and version.counter_at and version.counter_at < written + FLUSH <= now:
            found.add(version.pk)
    return found


def prices(gateway: Gateway, now: datetime, models: Collection[str] | None = None) -> None:
    """Name the models that were used in the last 30 days and cost nothing; of all, or of these and the open ones."""
    since = now.date() - PRICED_WITHIN
    rows = SpendDay.objects.filter(gateway=gateway, day__gte=since).order_by()
    known = gateway.findings.filter(kind=Kind.PRICE).exclude(state=Finding.State.CLOSED)
    if models is not None:
        rows = rows.filter(model__in={*models, *known.values_list("subject", flat=True)})
    used = rows.values_list("model").annotate(
        spent=Sum("spend"), prompt=Sum("prompt_tokens"), completion=Sum("completion_tokens")
    )
    for model, spent, prompt, completion in used:
        if not spent and prompt + completion:
            findings.note(
                gateway, Kind.PRICE, model, message=f"{model} is used and costs nothing.",
                cause="The proxy has no price for it, so no budget stops it.", facts={"price": "none"}, now=now,
            )  # fmt: skip
    if known.filter(seen_at__lt=now).exists():
        findings.close_unseen(gateway, [Kind.PRICE], now, now)


def _compare(gateway: Gateway, now: datetime, *, recent: bool) -> int:
    known = gateway.findings.filter(kind=Kind.SPEND).exclude(state=Finding.State.CLOSED)
    open_already = set(known.values_list("subject", flat=True))
    wanted = _recent(gateway, now) | set(known.values_list("version", flat=True)) if recent else None
    count = 0
    for pair in _pairs(gateway, wanted):
        version, token = pair.version, pair.version.token_hash or ""
        sure = token in open_already
        doubt = _of_life(gateway, pair, sure=sure) or _of_window(gateway, pair, now, sure=sure)
        if doubt is None:
            continue
        count += 1
        findings.note(
            gateway,
            Kind.SPEND,
            token,
            message=f"{version}: the counter says ${doubt.counter:,.2f}, the ledger ${doubt.ledger:,.2f}.",
            cause=doubt.cause,
            facts={"difference": str(doubt.difference.quantize(CENT))},
            version=version,
            now=now,
        )
    if known.filter(seen_at__lt=now).exists():
        findings.close_unseen(gateway, [Kind.SPEND], now, now)
    return count


def _recent(gateway: Gateway, now: datetime) -> set[int]:
    return set(live(gateway).filter(counter_at__gte=now - RECENT).values_list("pk", flat=True))


def _pairs(gateway: Gateway, wanted: Collection[int | None] | None) -> Iterator[_Pair]:
    """Live versions whose counters were read, with their ledger: these, or for None all of them."""
    read = live(gateway).filter(total__isnull=False, counter__isnull=False, counter_at__isnull=False)
    pks = read.order_by("pk").values_list("pk", flat=True)
    for some in chunks(pks if wanted is None else pks.filter(pk__in=[pk for pk in wanted if pk])):
        rows = SpendDay.objects.filter(version__in=some).order_by().values_list("version")
        sums = {pk: (spent, at) for pk, spent, at in rows.annotate(spent=Sum("spend"), at=Max("written_at"))}
        versions = list(read.filter(pk__in=some).select_related("lease").prefetch_related("lease__versions"))
        windows = {version.pk: _window(version) for version in versions}
        starts = {window[0].date() if window else date.min for window in windows.values()}
        leases = [version.lease_id for version in versions]
        since = {start: _by_lease(leases, start) for start in starts}
        for version in versions:
            window = windows[version.pk]
            known = None
            if window is None or window[0].time() == time.min:
                known = since[window[0].date() if window else date.min].get(version.lease_id, Decimal(0))
            spent, written = sums.get(version.pk, (Decimal(0), None))
            yield _Pair(version, spent, written, window, known)


def _window(version: KeyVersion) -> tuple[datetime, datetime] | None:
    assert version.counter_at is not None  # noqa: S101  (asked for in _pairs)
    return window_of(version.lease.limits.get("budget_duration"), version.counter_at)


def _by_lease(leases: Collection[UUID], since: date) -> dict[UUID, Decimal]:
    rows = SpendDay.objects.filter(version__lease__in=leases, day__gte=since).order_by()
    return dict(rows.values_list("version__lease").annotate(spent=Sum("spend")))


def _of_life(gateway: Gateway, pair: _Pair, *, sure: bool) -> _Doubt | None:
    """All that the key ever spent: the total that the proxy counts never resets, so both must be the same.

    `sure`: it was found before, and stays until it is gone, whatever was read too soon meanwhile.
    """
    total = pair.version.total or Decimal(0)
    if total - pair.spent > CENT and (sure or _ledger_is_later(gateway, pair)):
        used, read = pair.version.last_used_at, gateway.spend_synced_at
        fresh = used and read and used > read - RECENT
        said = "Calls are not in the ledger yet." if fresh else "The proxy never wrote these calls into its ledger."
        return _Doubt(total, pair.spent, said)
    if pair.spent - total > CENT and (sure or _counter_is_later(pair)):
        return _Doubt(total, pair.spent, "The ledger has more: the counter lost its last seconds.")
    return None


def _of_window(gateway: Gateway, pair: _Pair, now: datetime, *, sure: bool) -> _Doubt | None:
    """What stops the key: the counter of the running window, against the rows of all its lease's versions there."""
    version, window = pair.version, pair.window
    counter, expected = version.counter or Decimal(0), pair.in_window
    if expected is None or version != version.lease.current or version.lease.previous:
        return None
    if window and (version.resets_at != window[1] or window[1] <= now or not _after_reset(version, window[0])):
        return None  # it resets in another time zone, or its reset is not done or not read yet
    if expected - counter > CENT and (sure or _counter_is_later(pair)):
        return _Doubt(counter, expected, "Somebody reset the counter on the gateway.")
    if counter - expected > CENT and (sure or _ledger_is_later(gateway, pair)):
        return _Doubt(counter, expected, "Spend was carried over or set on the gateway: the budget ends sooner.")
    return None


def _after_reset(version: KeyVersion, start: datetime) -> bool:
    return version.counter_at is not None and version.counter_at >= start + LATE_RESET


def _ledger_is_later(gateway: Gateway, pair: _Pair) -> bool:
    at, read = gateway.spend_synced_at, pair.version.counter_at
    return bool(at and read and at >= read + FLUSH)


def _counter_is_later(pair: _Pair) -> bool:
    read = pair.version.counter_at
    return bool(read and (pair.written is None or read >= pair.written + FLUSH))
