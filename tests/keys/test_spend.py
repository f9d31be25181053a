"""The ledger copied, the counters read: to the cent, repeatable, at the cost of what moved."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from keys.models import Counter, Gateway, KeyVersion, Lease, SpendDay, State
from keys.services import leases, spend
from portal.litellm import BudgetWindow, hash_key
from teams.models import User
from tests.spending import CENT, EXACT, books_are_right, call, wait_for, writes

pytestmark = pytest.mark.django_db(transaction=True)


def at(moment):
    return time_machine.travel(moment, tick=False)


# --- what is written ------------------------------------------------------------------------------


def test_rows_and_totals_are_the_proxys_ledger_key_by_model_by_day(proxy, team, alice, make_key):
    one, two = make_key(), make_key()
    call(proxy, one.secret, "gpt-4o", times=2)
    call(proxy, one.secret, "gpt-4o-mini")
    call(proxy, two.secret, "gpt-4o-mini")
    wait_for(proxy, **{hash_key(one.secret): 3, hash_key(two.secret): 1})

    counts = spend.sync()
    assert (counts["rows"], counts["leases"], counts["counters"], counts["failed"]) == (3, 2, 2, 0)
    assert books_are_right(proxy, one, two)
    row = SpendDay.objects.get(version__lease=one.lease, model="openai/gpt-4o")
    assert (row.requests, row.failed, row.team, row.holder) == (2, 0, team, alice)
    assert (row.team_name, row.holder_name, row.role_name) == ("Search Platform", "Alice", "coding")
    assert row.prompt_tokens > 0 < row.completion_tokens

    version = KeyVersion.objects.get(lease=one.lease)
    assert version.counter == version.total > 0
    assert version.resets_at == BudgetWindow.MONTH.next_reset(timezone.now())
    one.lease.refresh_from_db()
    assert one.lease.last_used_at == version.last_used_at is not None
    counter = Counter.objects.get(team=team, holder=None)
    assert abs(counter.spend - sum(version.counter or 0 for version in KeyVersion.objects.all())) < EXACT
    assert Gateway.objects.get().spend > 0


def test_a_second_sync_with_nothing_moved_writes_nothing_and_asks_for_the_ledger_alone(proxy, make_key):
    issued = make_key()
    call(proxy, issued.secret)
    wait_for(proxy, **{hash_key(issued.secret): 1})
    spend.sync()
    proxy.faults.clear()
    with CaptureQueriesContext(connection) as queries:
        counts = spend.sync()
    assert writes(queries) == []
    assert counts == {**dict.fromkeys(counts, 0), "gateways": 1}
    assert {path for _, path in proxy.faults.calls} == {"/user/daily/activity"}


def test_a_refused_call_is_a_row_without_spend(sandbox, make_key, make_role):
    issued = make_key(role=make_role(models=["gpt-4o-mini"]))
    call(sandbox, issued.secret, "gpt-4o-mini")
    with pytest.raises(Exception, match="gpt-4o"):
        call(sandbox, issued.secret, "gpt-4o")
    spend.sync()
    assert [(row.model, row.requests, row.failed) for row in SpendDay.objects.order_by("model")] == [
        ("openai/gpt-4o", 1, 1),
        ("openai/gpt-4o-mini", 1, 0),
    ]


def test_keys_of_others_are_not_our_business(sandbox, make_key):
    ours = make_key()
    foreign = sandbox.client.keys.generate(alias="by hand")
    for secret in (ours.secret, foreign.key):
        call(sandbox, secret)
    spend.sync()
    assert SpendDay.objects.values_list("version__lease", flat=True).get() == ours.lease.pk


def test_the_cost_is_proportional_to_what_moved(sandbox, team, alice, make_key, make_role):
    issued = [make_key() for _ in range(3)]
    lease = issued[0].lease
    others = []
    for n in range(497):
        made = sandbox.client.keys.generate(alias=f"other-{n}", team_id=team.litellm_id)
        other = Lease.objects.create(
            alias=f"other-{n}", team=team, holder=alice, role=lease.role, gateway=lease.gateway, limits=lease.limits,
            state=State.ACTIVE, issued_at=timezone.now(), expires_at=lease.expires_at, max_expires_at=lease.expires_at,
        )  # fmt: skip
        KeyVersion.objects.create(lease=other, token_hash=made.token, alias=other.alias, issued_at=timezone.now())
        others.append(made)
    for made in others:
        call(sandbox, made.key)
    counts = spend.sync()
    assert (counts["rows"], counts["counters"]) == (497, 497)

    for each in issued:
        call(sandbox, each.secret, times=2)
    sandbox.faults.clear()
    with CaptureQueriesContext(connection) as queries:
        counts = spend.sync()
    assert (counts["rows"], counts["leases"], counts["counters"]) == (3, 3, 3)
    seldom = "/global/spend"  # once an hour by the cache, which other tests may clear
    asked = [path for _, path in sandbox.faults.calls if path != seldom]
    assert asked == ["/user/daily/activity", "/v2/key/info", "/v2/team/list"]
    assert len(queries) < 60


# --- days and pages -------------------------------------------------------------------------------


def test_days_that_were_missed_are_read_later(sandbox, make_key):
    start = timezone.now().replace(hour=12, minute=0, second=0, microsecond=0)
    with at(start):
        issued = make_key()
        call(sandbox, issued.secret)
        spend.sync()
    for days in (1, 2, 3):
        with at(start + timedelta(days=days)):
            call(sandbox, issued.secret, times=days)
    with at(start + timedelta(days=6)):
        assert spend.sync()["rows"] == 3
        assert spend.sync()["rows"] == 0
    assert [row.requests for row in SpendDay.objects.order_by("day")] == [1, 1, 2, 3]
    with at(start + timedelta(days=6)):
        assert books_are_right(sandbox, issued)


def test_a_call_counted_after_midnight_for_the_day_before_is_not_lost(sandbox, make_key):
    noon = timezone.now().replace(hour=12, minute=0, second=0, microsecond=0)
    midnight = noon.replace(hour=0) + timedelta(days=1)
    with at(noon):
        issued = make_key()
    with at(midnight + timedelta(seconds=1)):
        spend.sync()
    with at(midnight - timedelta(seconds=1)):
        call(sandbox, issued.secret)
    with at(midnight + timedelta(seconds=30)):
        assert spend.sync()["rows"] == 1


def test_the_first_sync_reads_from_the_day_of_the_oldest_key(sandbox, make_key):
    start = timezone.now().replace(hour=12)
    with at(start):
        issued = make_key()
        call(sandbox, issued.secret)
    with at(start + timedelta(days=20)):
        assert spend.sync()["rows"] == 1


def test_many_pages_add_up_to_the_same(sandbox, make_key, monkeypatch):
    issued = [make_key() for _ in range(4)]
    for each in issued:
        call(sandbox, each.secret, "gpt-4o")
        call(sandbox, each.secret, "gpt-4o-mini")
    monkeypatch.setattr("portal.litellm.spend.LARGEST_PAGE", 3)
    assert spend.sync()["rows"] == 8
    assert [path for _, path in sandbox.faults.calls].count("/user/daily/activity") == 3
    assert books_are_right(sandbox, *issued)


def test_a_row_that_slips_over_to_the_next_page_is_not_counted_twice(sandbox, make_key, monkeypatch):
    start = timezone.now().replace(hour=12)
    with at(start - timedelta(days=1)):
        issued = [make_key() for _ in range(4)]
        for each in issued:
            call(sandbox, each.secret)
    monkeypatch.setattr("portal.litellm.spend.LARGEST_PAGE", 2)
    with at(start):
        # Newest first: a row of today, made between two pages, pushes one of yesterday over to the next.
        sandbox.faults.meanwhile("/user/daily/activity", lambda: None)
        sandbox.faults.meanwhile("/user/daily/activity", lambda: call(sandbox, issued[0].secret))
        spend.sync()
        assert set(SpendDay.objects.values_list("requests", flat=True)) == {1}
        spend.sync()
        assert books_are_right(sandbox, *issued)


def test_one_keys_whole_ledger_can_be_copied(sandbox, make_key):
    start = timezone.now().replace(hour=12)
    with at(start - timedelta(days=30)):
        issued = make_key()
        call(sandbox, issued.secret)
    with at(start - timedelta(days=20)):
        spend.sync()
    with at(start):
        SpendDay.objects.all().delete()
        version = issued.lease.versions.get()
        assert spend.history(version, (start - timedelta(days=40)).date(), timezone.now()) == 1
        assert spend.history(version, (start - timedelta(days=40)).date(), timezone.now()) == 0
        assert books_are_right(sandbox, issued)


# --- what must survive ----------------------------------------------------------------------------


def test_deletion_and_renaming_change_neither_sums_nor_the_names_in_rows(proxy, team, alice, make_key):
    issued = make_key()
    call(proxy, issued.secret)
    wait_for(proxy, **{hash_key(issued.secret): 1})
    spend.sync()
    before = vars(SpendDay.objects.get())
    spent = Lease.objects.get().spend

    type(team).objects.update(name="Renamed")
    User.objects.filter(pk=alice.pk).update(name="Alicia")
    issued.lease.role.__class__.objects.update(name="other")
    call(proxy, issued.secret)
    wait_for(proxy, **{hash_key(issued.secret): 2})
    leases.revoke(issued.lease, by=alice)
    spend.sync()
    after = vars(SpendDay.objects.get())
    names = ("team_name", "holder_name", "role_name", "key_alias", "team_id", "holder_id")
    assert [after[name] for name in names] == [before[name] for name in names]
    assert after["requests"] == 2
    lease = Lease.objects.get()
    assert abs(lease.spend - 2 * spent) < Decimal("0.00001")
    figures = spend.figures(lease)
    assert figures.counter.amount == figures.ledger.amount  # of an ended version the ledger is the figure
    assert figures.differs < CENT


# --- counters from elsewhere ----------------------------------------------------------------------


def test_a_walk_over_all_keys_refreshes_every_counter(proxy, team, make_key):
    used, idle = make_key(), make_key()
    call(proxy, used.secret)
    wait_for(proxy, **{hash_key(used.secret): 1})
    gateway = Gateway.objects.get()
    walked = list(proxy.client.keys.list(team_id=team.litellm_id))
    assert spend.read_counters(gateway, walked) == 2
    assert KeyVersion.objects.get(lease=used.lease).total > 0
    assert KeyVersion.objects.get(lease=idle.lease).total == 0

    asked = KeyVersion.objects.get(lease=used.lease)
    earlier = timezone.now() - timedelta(minutes=1)
    assert spend.read_counters(gateway, walked, earlier) == 0  # it was read later already
    asked.refresh_from_db()
    assert asked.total > 0


def test_a_key_that_does_not_tell_its_hash_is_known_by_our_mark_or_its_alias(sandbox, make_key):
    one, two = make_key(), make_key()
    for each in (one, two):
        call(sandbox, each.secret)
    sandbox.client.keys.update(hash_key(one.secret), alias="renamed there")
    sandbox.client.keys.update(hash_key(two.secret), metadata={"nothing": "left"})
    told = sandbox.client.keys.info_many([hash_key(one.secret), hash_key(two.secret)])
    assert spend.read_counters(Gateway.objects.get(), told) == 2
    assert not KeyVersion.objects.filter(total=None).exists()


# --- figures and totals ---------------------------------------------------------------------------


def test_three_figures_of_a_key_and_of_a_team_agree_and_say_when_they_were_read(proxy, team, make_key):
    issued = make_key()
    call(proxy, issued.secret)
    wait_for(proxy, **{hash_key(issued.secret): 1})
    assert spend.figures(issued.lease).counter.as_of is None
    spend.sync()
    gateway = Gateway.objects.get()
    for figures in (spend.figures(Lease.objects.get()), spend.team_figures(team, gateway)):
        assert figures.differs < CENT
        assert abs(figures.counter.amount - figures.ledger.amount) < EXACT
        assert abs(figures.window_counter.amount - figures.window_ledger.amount) < EXACT
        assert figures.ledger.amount > 0
        stamps = [figures.ledger.as_of, figures.counter.as_of]
        assert all(earlier <= later for earlier, later in pairwise(stamps))
        assert figures.ours.as_of


def test_a_counter_of_a_window_that_is_over_counts_nothing(sandbox, make_key):
    issued = make_key()
    call(sandbox, issued.secret)
    spend.sync()
    figures = spend.figures(Lease.objects.get(), timezone.now() + timedelta(days=40))
    assert [figures.window_counter.amount, figures.window_ledger.amount] == [Decimal(0)] * 2
    assert figures.counter.amount > 0


def test_totals_by_model_day_and_member(sandbox, team, alice, bob, make_key):
    start = timezone.now().replace(hour=12)
    with at(start - timedelta(days=1)):
        hers = make_key()
        call(sandbox, hers.secret, "gpt-4o")
    with at(start):
        his = make_key(holder=bob)
        call(sandbox, hers.secret, "gpt-4o-mini")
        call(sandbox, his.secret, "gpt-4o-mini", times=2)
        spend.sync()
    since, until = (start - timedelta(days=1)).date(), start.date()
    models = spend.by_model(team, since, until)
    assert [(each.name, each.requests) for each in models] == [("openai/gpt-4o", 1), ("openai/gpt-4o-mini", 3)]
    assert [(each.day, each.requests) for each in spend.by_day(team, since, until)] == [(since, 1), (until, 3)]
    assert [(each.name, each.requests) for each in spend.by_member(team, since, until)] == [("Alice", 2), ("Bob", 2)]
    assert [each.requests for each in spend.by_model(his.lease, since, until)] == [2]
    assert [each.requests for each in spend.by_day(Lease.objects.all(), until, until)] == [3]
    whole = sum(each.spend for each in spend.by_model(None, since, until))
    assert abs(whole - sum(lease.spend for lease in Lease.objects.all())) < Decimal("0.00001")
