"""Figures that do not agree, and models without a price: found when sure, named with a cause, closed when gone."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
import time_machine
from django.utils import timezone

from keys.models import Finding, Gateway, KeyVersion, SpendDay
from keys.services import findings, leases, spend
from portal.litellm import hash_key
from tests.spending import call

pytestmark = pytest.mark.django_db(transaction=True)

FIVE = timedelta(minutes=5)
ALOT = Decimal("0.5")


@pytest.fixture
def clock():
    """Noon of a day in the middle of a window, and a clock that only `pass_` moves."""
    noon = timezone.now().replace(day=14, hour=12, minute=0, second=0, microsecond=0)
    with time_machine.travel(noon, tick=False) as traveller:

        def pass_(time: timedelta = FIVE) -> None:
            traveller.shift(time)

        yield pass_


@pytest.fixture
def issued(sandbox, clock, make_key):
    made = make_key()
    call(sandbox, made.secret)
    return made


def found():
    return [(each.state, each.cause) for each in Finding.objects.filter(kind="spend")]


def cause():
    return Finding.objects.get(kind="spend", state="open").cause


def write_there(sandbox, issued, **fields):
    """Change a key's counters on the gateway behind everybody's back."""
    from keys.services import gateways
    from portal.litellm.sandbox.store import opened

    with opened(gateways._sandbox_of(sandbox.gateway)._path) as db, db.write():
        row = db.get("keys", hash_key(issued.secret)) or {}
        db.put("keys", row["token"], row | {name: row[name] + float(more) for name, more in fields.items()})


def test_figures_that_agree_are_no_finding(sandbox, clock, issued):
    for _ in range(4):
        spend.sync()
        clock()
    assert spend.compare() == 0
    assert found() == []


def test_calls_that_are_missing_in_the_ledger_are_found_at_the_next_sync_and_not_before(sandbox, clock, issued):
    write_there(sandbox, issued, spend=ALOT, total_spend=ALOT)
    spend.sync()
    assert found() == []  # the ledger comes a little later
    clock(timedelta(seconds=90))
    spend.sync()
    assert found() == []
    clock(FIVE)
    spend.sync()
    assert cause() == "Calls are not in the ledger yet."
    finding = Finding.objects.get()
    assert (finding.facts, finding.version) == ({"difference": "0.50"}, KeyVersion.objects.get())
    assert "$0.50" in finding.message

    clock(timedelta(hours=2))
    spend.sync()
    assert cause() == "The proxy never wrote these calls into its ledger."
    assert Finding.objects.get().first_seen_at < Finding.objects.get().seen_at

    write_there(sandbox, issued, spend=-ALOT, total_spend=-ALOT)
    call(sandbox, issued.secret)
    for _ in range(2):
        clock()
        spend.sync()
    assert found() == [("closed", "The proxy never wrote these calls into its ledger.")]


def test_a_counter_that_lost_its_last_seconds_is_found_once_it_was_read_well_after_the_ledger(sandbox, clock, issued):
    write_there(sandbox, issued, spend=-ALOT, total_spend=-ALOT)
    for _ in range(2):
        spend.sync()
        assert found() == []
        clock()
    spend.sync()
    assert cause() == "The ledger has more: the counter lost its last seconds."


def test_a_counter_that_somebody_reset_is_found(sandbox, clock, issued):
    spend.sync()
    SpendDay.objects.update(spend=ALOT)
    KeyVersion.objects.update(total=ALOT, counter=ALOT)
    sandbox.client.keys.update(hash_key(issued.secret), spend=0)
    write_there(sandbox, issued, total_spend=ALOT - sandbox.client.keys.info(hash_key(issued.secret)).total_spend)
    clock()
    walked = list(sandbox.client.keys.list())
    spend.read_counters(Gateway.objects.get(), walked)
    assert spend.compare() == 1
    assert cause() == "Somebody reset the counter on the gateway."


def test_spend_that_was_carried_over_is_found(sandbox, clock, issued):
    sandbox.client.keys.update(hash_key(issued.secret), spend=3)
    spend.sync()
    clock()
    spend.sync()
    assert cause() == "Spend was carried over or set on the gateway: the budget ends sooner."


def test_a_rotation_is_no_difference(sandbox, clock, alice, issued):
    spend.sync()
    second = leases.rotate(issued.lease, by=alice)
    for secret in (issued.secret, second.secret, issued.secret, issued.secret):
        call(sandbox, secret, times=50)
        for _ in range(3):
            clock()
            spend.sync()
    clock(timedelta(days=2))
    for _ in range(3):
        clock()
        spend.sync()
    assert found() == []
    assert spend.compare() == 0


def test_an_ended_key_never_differs(sandbox, clock, alice, issued):
    write_there(sandbox, issued, spend=ALOT, total_spend=ALOT)
    for _ in range(2):
        spend.sync()
        clock()
    assert cause()
    leases.revoke(issued.lease, by=alice)
    spend.sync()
    assert [state for state, _ in found()] == ["closed"]


def test_a_counter_of_the_window_before_is_no_reset(sandbox, make_key, make_role):
    midnight = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    with time_machine.travel(midnight - timedelta(minutes=30), tick=False) as clock:
        issued = make_key(role=make_role(budget_duration="1d"))
        call(sandbox, issued.secret, times=60)
        for _ in range(12):
            spend.sync()
            clock.shift(FIVE)
        call(sandbox, issued.secret, times=60)
        for _ in range(4):
            spend.sync()
            clock.shift(FIVE)
    assert found() == []


def test_a_counter_that_the_proxy_has_not_reset_yet_is_no_difference(sandbox, clock, make_key, make_role):
    make_key(role=make_role(budget_duration="1d"))
    clock(timedelta(hours=12, minutes=3))  # its job runs up to ten minutes late
    midnight = timezone.now().replace(hour=0, minute=0)
    KeyVersion.objects.update(counter=ALOT, total=0, counter_at=timezone.now(), resets_at=midnight)
    clock()
    spend.sync()
    assert spend.compare() == 0


def test_a_difference_that_was_ignored_stays_so_while_it_is_the_same(sandbox, clock, ruth, issued):
    write_there(sandbox, issued, spend=ALOT, total_spend=ALOT)
    for _ in range(2):
        spend.sync()
        clock()
    findings.ignore(Finding.objects.get(), by=ruth, reason="known")
    call(sandbox, issued.secret)  # both figures move, their difference does not
    for _ in range(3):
        spend.sync()
        clock()
    assert Finding.objects.get().state == "ignored"


def test_a_doubtful_counter_is_read_once_more_and_no_oftener(sandbox, clock, issued):
    write_there(sandbox, issued, spend=ALOT, total_spend=ALOT)
    read = []
    for _ in range(5):
        sandbox.faults.clear()
        spend.sync()
        read.append([path for _, path in sandbox.faults.calls].count("/v2/key/info"))
        clock()
    assert read == [1, 1, 0, 0, 0]


def test_a_model_that_costs_nothing_is_named_until_it_has_a_price(sandbox, clock, make_key, make_role):
    sandbox.client.models.new(
        "house-model", {"model": "openai/house", "input_cost_per_token": 0, "output_cost_per_token": 0}
    )
    issued = make_key(role=make_role(name="house", models=["house-model"]))
    call(sandbox, issued.secret, "house-model")
    spend.sync()
    finding = Finding.objects.get(kind="price")
    assert (finding.state, finding.subject) == ("open", "openai/house")
    assert finding.cause == "The proxy has no price for it, so no budget stops it."

    row = SpendDay.objects.get()
    SpendDay.objects.create(**{
        **{f.attname: getattr(row, f.attname) for f in row._meta.fields if f.name != "id"},
        "day": row.day - timedelta(days=1), "spend": 1,
    })  # fmt: skip
    clock()
    spend.compare()
    finding.refresh_from_db()
    assert finding.state == "closed"
