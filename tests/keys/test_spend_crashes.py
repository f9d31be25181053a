"""The spend sync cut at every step in every way, and two at once: the next makes it good, nothing counts twice."""

from __future__ import annotations

import contextlib
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from keys.models import Counter, Gateway, KeyVersion, Lease, SpendDay, State
from keys.services import leases, spend
from keys.services.spend import ledger as module
from keys.services.spend import rounds
from portal.litellm import faults, hash_key
from tests.keys.test_crashes import MARKS, WAYS, Killed, times
from tests.spending import CENT, EXACT, books_are_right, call, spent, wait_for

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_rotation_keeps_the_totals_and_one_budget_counts_both_secrets(proxy, alice, make_key):
    first = make_key()
    call(proxy, first.secret)
    wait_for(proxy, **{hash_key(first.secret): 1})
    second = leases.rotate(first.lease, by=alice)
    call(proxy, first.secret, "gpt-4o-mini", times=2)
    call(proxy, second.secret)
    wait_for(proxy, **{hash_key(first.secret): 3, hash_key(second.secret): 1})

    counts = spend.sync()
    assert counts["handed_on"] == 1
    assert books_are_right(proxy, first, second)
    old, new = KeyVersion.objects.order_by("number")
    whole = spent(proxy, old.token_hash, new.token_hash)
    there = proxy.client.keys.info(new.token_hash)
    assert abs(there.spend - whole) < EXACT  # its budget is used up by both
    assert abs(there.total_spend - spent(proxy, new.token_hash)) < EXACT
    assert (new.counter, old.handed_on) == (there.spend.quantize(Decimal("1E-9")), old.counter)
    assert abs(new.carried - old.counter) < EXACT
    lease = Lease.objects.get()
    assert abs(lease.spend - whole) < Decimal("0.000001")
    assert spend.figures(lease).differs < CENT

    assert spend.sync()["handed_on"] == 0
    assert proxy.client.keys.info(new.token_hash).spend == there.spend


# --- handing on, once -----------------------------------------------------------------------------


@pytest.fixture
def overlap(sandbox, alice, make_key):
    """Two secrets of one key, the old one used after the rotation; nothing of it is handed on yet."""
    first = make_key()
    call(sandbox, first.secret)
    spend.sync()
    second = leases.rotate(first.lease, by=alice)
    call(sandbox, first.secret, "gpt-4o-mini", times=3)
    return first, second


def spent_by(proxy, *issued):
    return spent(proxy, *(hash_key(each.secret) for each in issued))


def counter_of(proxy, issued):
    return proxy.client.keys.info(hash_key(issued.secret)).spend


@pytest.mark.parametrize("way", [pytest.param(way, marks=MARKS[way]) for way in WAYS])
def test_a_growth_is_never_added_twice_however_the_call_ends(sandbox, overlap, way):
    what, after_effect = WAYS[way]
    sandbox.faults.fail_next("/key/update", what(), after_effect=after_effect, times=times(way))
    with contextlib.suppress(Killed):
        spend.sync()
    assert sandbox.faults.pending == 0
    Gateway.objects.update(away_since=None, next_try_at=None)
    first, second = overlap
    spend.sync()
    spend.sync()
    whole, reached = spent_by(sandbox, first, second), counter_of(sandbox, second)
    assert reached <= whole + EXACT
    if after_effect or way == "refused":  # it arrived, or surely did not and was tried again
        assert abs(reached - whole) < EXACT
    call(sandbox, first.secret)
    spend.sync()
    growth = spent_by(sandbox, first, second) - whole
    assert abs(counter_of(sandbox, second) - reached - growth) < EXACT  # the next growth comes whole
    assert books_are_right(sandbox, first, second)


def test_two_syncs_at_once_add_a_growth_once(sandbox, overlap):
    first, second = overlap
    sandbox.faults.meanwhile("/key/info", spend.sync)  # in the middle of the look, another host does it all
    spend.sync()
    assert abs(counter_of(sandbox, second) - spent_by(sandbox, first, second)) < EXACT


def test_after_a_reset_of_the_old_counter_its_new_value_is_the_growth(sandbox, overlap):
    first, second = overlap
    spend.sync()
    before = counter_of(sandbox, second)
    sandbox.client.keys.reset_spend(hash_key(first.secret), to=0)
    call(sandbox, first.secret)
    grown = counter_of(sandbox, first)
    spend.sync()
    assert abs(counter_of(sandbox, second) - before - grown) < EXACT


def test_what_a_flush_wrote_between_look_and_call_is_added_again(sandbox, overlap):
    first, second = overlap
    sandbox.faults.meanwhile("/key/update", lambda: call(sandbox, second.secret))
    spend.sync()
    assert abs(counter_of(sandbox, second) - spent_by(sandbox, first, second)) < EXACT


def test_nothing_is_handed_on_while_the_gateway_is_held_or_to_a_key_that_is_gone(sandbox, overlap):
    Gateway.objects.update(held_since=timezone.now())
    assert spend.sync()["handed_on"] == 0
    Gateway.objects.update(held_since=None)
    sandbox.client.keys.delete(hash_key(overlap[1].secret))
    counts = spend.sync()
    assert (counts["handed_on"], counts["failed"]) == (0, 0)


# --- trouble --------------------------------------------------------------------------------------

STEPS = ["/user/daily/activity", "/v2/key/info", "/v2/team/list", "/global/spend"]


@pytest.mark.parametrize("way", [pytest.param(way, marks=MARKS[way]) for way in WAYS])
@pytest.mark.parametrize("step", STEPS)
def test_a_sync_cut_anywhere_is_made_good_by_the_next(sandbox, team, make_key, step, way):
    issued = make_key()
    call(sandbox, issued.secret)
    what, after_effect = WAYS[way]
    sandbox.faults.fail_next(step, what(), after_effect=after_effect, times=3)
    with contextlib.suppress(Killed):
        spend.sync()
    sandbox.faults.clear()
    Gateway.objects.update(away_since=None, next_try_at=None)
    spend.sync()
    assert books_are_right(sandbox, issued)
    assert Counter.objects.get(team=team).spend == KeyVersion.objects.get().counter


@pytest.mark.parametrize("step", STEPS[:3])
def test_a_sync_killed_on_the_real_proxy_is_made_good_by_the_next(live, make_key, step):
    issued = make_key()
    call(live, issued.secret)
    wait_for(live, **{hash_key(issued.secret): 1})
    live.faults.fail_next(step, Killed(), after_effect=True)
    with pytest.raises(Killed):
        spend.sync()
    spend.sync()
    assert books_are_right(live, issued)


def test_a_sync_killed_between_two_writes_is_made_good_by_the_next(sandbox, make_key, monkeypatch):
    issued = make_key()
    call(sandbox, issued.secret)

    def die(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(rounds.check, "compare", die)
        with pytest.raises(Killed):
            spend.sync()
    assert KeyVersion.objects.get().total is None
    assert spend.sync()["counters"] == 1
    assert books_are_right(sandbox, issued)


def test_one_gateways_trouble_never_stops_another(sandbox, team, alice, make_key):
    issued = make_key()
    call(sandbox, issued.secret)
    now = timezone.now()
    for n in (1, 2):
        away = Gateway.objects.create(
            pk=-n, name=f"away{n}", base_url=f"http://127.0.0.1:{n}", master_key="sk-example-1", timeout=1
        )
        lease = Lease.objects.create(
            alias=f"a{n}", team=team, holder=alice, role=issued.lease.role, gateway=away, state=State.ACTIVE,
            limits=issued.lease.limits, issued_at=now, expires_at=now, max_expires_at=now,
        )  # fmt: skip
        KeyVersion.objects.create(lease=lease, alias=f"a{n}", token_hash=f"{n}" * 64, issued_at=now)
    counts = spend.sync()
    assert (counts["failed"], counts["gateways"]) == (2, 1)
    assert books_are_right(sandbox, issued)
    assert Gateway.objects.get(name="away1").spend_synced_at is None


@pytest.mark.parametrize("body", ["[]", '{"results": [{"date": "x"}], "metadata": {}}', "<html>"])
def test_a_garbled_ledger_changes_nothing(sandbox, make_key, body):
    issued = make_key()
    call(sandbox, issued.secret)
    spend.sync()
    before = list(SpendDay.objects.values())
    call(sandbox, issued.secret)
    sandbox.faults.fail_next("/user/daily/activity", faults.Answer(200, body))
    assert spend.sync()["failed"] == 1
    assert list(SpendDay.objects.values()) == before
    assert spend.sync()["failed"] == 0
    assert books_are_right(sandbox, issued)


def test_a_proxy_that_does_not_tell_its_own_total_is_none_the_worse_for_it(sandbox, make_key):
    issued = make_key()
    call(sandbox, issued.secret)
    sandbox.faults.fail_next("/global/spend", faults.timed_out(), times=3)
    assert spend.sync()["failed"] == 0
    gateway = Gateway.objects.get()
    assert (gateway.spend, gateway.away_since) == (None, None)


def test_what_a_slow_worker_read_earlier_never_overwrites_what_was_read_later(sandbox, make_key, monkeypatch):
    issued = make_key()
    call(sandbox, issued.secret)
    read = module._read

    def read_and_sleep(*told: Any) -> Any:
        found = read(*told)
        monkeypatch.setattr(module, "_read", read)
        call(sandbox, issued.secret)
        spend.sync()  # another worker, which reads later and writes first
        return found

    monkeypatch.setattr(module, "_read", read_and_sleep)
    assert spend.sync()["rows"] == 0
    assert SpendDay.objects.get().requests == 2
    assert books_are_right(sandbox, issued)
