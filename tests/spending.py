"""Spend money at a gateway under test, and wait until its books have it."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from django.db.models import Sum

from keys.models import KeyVersion, SpendDay
from portal.litellm import hash_key

T = TypeVar("T")
FLUSH = 25.0  # seconds in which the real proxy writes spend to its tables; seen: 1 to 15
HELLO = [{"role": "user", "content": "hello"}]
UNIT = Decimal("1E-9")
EXACT = Decimal("1E-8")
CENT = Decimal("0.01")


def eventually(look: Callable[[], T], within: float = FLUSH) -> T:
    """What `look` returns once it is true; fails after `within` seconds."""
    end = time.monotonic() + within
    while not (found := look()):
        assert time.monotonic() < end, f"not within {within} s, last seen: {found!r}"
        time.sleep(0.2)
    return found


def call(proxy: Any, secret: str, model: str = "gpt-4o", times: int = 1) -> None:
    for _ in range(times):
        proxy.client.with_key(secret).chat.completions(model, HELLO)


def ledger(proxy: Any, token: str) -> dict[tuple[str, str], Decimal]:
    """What the gateway's ledger has of a key: spend by day and model, USD."""
    found: dict[tuple[str, str], Decimal] = {}
    today = datetime.now(UTC).date()
    for part in proxy.client.spend.daily_activity(today - timedelta(days=40), today + timedelta(days=1), api_key=token):
        for told in part.by_key_and_model():
            cell = (str(told.day), told.model)
            found[cell] = found.get(cell, Decimal(0)) + told.metrics.spend
    return {cell: spend.quantize(UNIT) for cell, spend in found.items()}


def spent(proxy: Any, *tokens: str | None) -> Decimal:
    """What the gateway's ledger has of these keys together, USD."""
    return sum((amount for token in tokens for amount in ledger(proxy, token or "").values()), Decimal(0))


def calls_of(proxy: Any, token: str) -> int:
    """How many calls of a key the gateway's ledger has."""
    today = datetime.now(UTC).date()
    parts = proxy.client.spend.daily_activity(today - timedelta(days=1), today + timedelta(days=1), api_key=token)
    return sum(told.metrics.api_requests for part in parts for told in part.by_key_and_model())


def settled(proxy: Any, token: str, calls: int) -> bool:
    """Whether ledger and counter of a key have all its calls."""
    apart = proxy.client.keys.info(token).total_spend - spent(proxy, token)
    return calls_of(proxy, token) >= calls and abs(apart) < UNIT * 1000


def wait_for(proxy: Any, **calls: int) -> None:
    """Wait until the gateway's books have these calls; `calls`: by hash."""
    eventually(lambda: all(settled(proxy, token, count) for token, count in calls.items()))


def today() -> date:
    return datetime.now(UTC).date()


def rows_of(token: str) -> dict[tuple[str, str], Decimal]:
    """Our rows of a key: spend by day and model."""
    found = SpendDay.objects.filter(version__token_hash=token)
    return {(str(row.day), row.model): row.spend for row in found}


def writes(queries: Any) -> list[str]:
    return [each["sql"] for each in queries if each["sql"].split(" ", 1)[0] in {"INSERT", "UPDATE", "DELETE"}]


def books_are_right(proxy: Any, *issued: Any) -> bool:
    """Rows are the proxy's ledger, sums and counters are what they stand for."""
    for each in issued:
        token = hash_key(each.secret)
        version = KeyVersion.objects.get(token_hash=token)
        there = ledger(proxy, token)
        assert rows_of(token) == there
        assert abs(version.total - sum(there.values())) < EXACT
        rows = SpendDay.objects.filter(version__lease=version.lease)
        assert abs(version.lease.spend - rows.aggregate(total=Sum("spend"))["total"]) < Decimal("0.000001")
    return True
