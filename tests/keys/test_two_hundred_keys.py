"""Two hundred keys on the real proxy: our totals are its ledger's, to the cent."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from keys.models import Counter, KeyVersion, Lease, SpendDay
from keys.services import spend
from keys.services.minting import new_secret
from keys.services.shape import wanted
from portal.litellm import hash_key
from teams.models import Membership
from tests.spending import CENT, EXACT, call, eventually, settled, today, writes

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.live]


def test_two_hundred_keys_on_the_real_proxy_agree_with_its_ledger_to_the_cent(live, other_team, alice, bob, make_key):
    """Per key, team, model and day; the calls of all go on side by side."""
    Membership.objects.create(team=other_team, user=bob, role="member")
    patterns = [make_key().lease, make_key(team=other_team, holder=bob).lease]
    secrets = [new_secret() for _ in range(200)]
    for n, secret in enumerate(secrets):
        fields = {f.attname: getattr(patterns[n % 2], f.attname) for f in Lease._meta.fields}
        lease = Lease.objects.create(**{**fields, "id": uuid4(), "alias": f"two-hundred-{n}-{uuid4().hex[:8]}"})
        KeyVersion.objects.create(
            lease=lease,
            alias=lease.alias,
            token_hash=hash_key(secret),
            issued_at=timezone.now(),
            dies_at=lease.expires_at,
        )
    versions = KeyVersion.objects.select_related("lease__team", "lease__holder", "lease__role")
    orders = [(secret, wanted(versions.get(token_hash=hash_key(secret)))) for secret in secrets]

    def make_and_use(n: int) -> int:
        """Make the key as an issue would, and call one model or two."""
        secret, order = orders[n]
        fields = {name: order[name] for name in ("alias", "models", "team_id", "user_id", "metadata")}
        live.client.keys.generate(key=secret, duration=3600, **fields)
        for model in ("gpt-4o", "gpt-4o-mini")[: 1 + (n % 8 == 0)]:
            call(live, secret, model)
        return 1 + (n % 8 == 0)

    with ThreadPoolExecutor(8) as pool:
        counts = list(pool.map(make_and_use, range(200)))
    calls = {hash_key(secret): count for secret, count in zip(secrets, counts, strict=True)}

    def flushed() -> dict[Any, Decimal]:
        """What the proxy's ledger has of our keys, once it has all their calls."""
        cells: dict[Any, Decimal] = {}
        seen = dict.fromkeys(calls, 0)
        span = (today() - timedelta(days=1), today() + timedelta(days=1))
        parts = [live.client.spend.daily_activity(*span, user_id=user.litellm_id) for user in (alice, bob)]
        for told in (told for pages in parts for part in pages for told in part.by_key_and_model()):
            cell = (told.token, told.day, told.model)
            cells[cell] = cells.get(cell, Decimal(0)) + told.metrics.spend
            seen[told.token] += told.metrics.api_requests
        return cells if seen == calls else {}

    there = eventually(flushed, within=40)
    eventually(lambda: settled(live, hash_key(secrets[-1]), counts[-1]))
    live.faults.clear()
    synced = spend.sync()
    assert (synced["rows"], synced["leases"], synced["failed"]) == (len(there), 200, 0)
    asked = [path for _, path in live.faults.calls]
    assert (asked.count("/v2/key/info"), asked.count("/v2/team/list")) == (2, 2)

    rows = SpendDay.objects.values_list("version__token_hash", "day", "model", "spend")
    ours = {(token, day, model): spent for token, day, model, spent in rows}
    assert set(ours) == set(there)
    assert all(abs(ours[cell] - there[cell]) < EXACT for cell in there)

    def summed(by) -> dict[Any, Decimal]:
        found: dict[Any, Decimal] = {}
        for cell, spent in there.items():
            found[by(cell)] = found.get(by(cell), Decimal(0)) + spent
        return found

    span = (today() - timedelta(days=1), today() + timedelta(days=1))
    keys = {version.token_hash: version.lease for version in KeyVersion.objects.select_related("lease")}
    for token, spent in summed(lambda cell: cell[0]).items():
        assert abs(keys[token].spend - spent) < Decimal("0.000001")
    for its, spent in summed(lambda cell: keys[cell[0]].team).items():
        assert abs(sum(each.spend for each in spend.by_model(its, *span)) - spent) < EXACT * 200
        assert abs(Counter.objects.get(team=its, holder=None).spend - spent) < CENT
    by_model = {each.name: each.spend for each in spend.by_model(None, *span)}
    assert {name: abs(by_model[name] - spent) < CENT for name, spent in summed(lambda cell: cell[2]).items()} == (
        dict.fromkeys(by_model, True)
    )
    by_day = {each.day: each.spend for each in spend.by_day(None, *span)}
    assert all(abs(by_day[day] - spent) < CENT for day, spent in summed(lambda cell: cell[1]).items())

    live.faults.clear()
    with CaptureQueriesContext(connection) as queries:
        synced = spend.sync()
    assert writes(queries) == []
    assert synced == {**dict.fromkeys(synced, 0), "gateways": 1}
    assert {path for _, path in live.faults.calls} == {"/user/daily/activity"}
