"""The crash table of what comes after issuing: renew, rotate, pause, resume, expire; on both gateways.

Cut at every step in every way: afterwards the keys on the gateway are the live versions, and behave as their row says.
"""

from __future__ import annotations

import contextlib
from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from keys.models import Intent, Lease, State
from keys.services import intents, leases
from keys.services.terms import SLACK
from portal.errors import PortalError
from portal.litellm import faults, hash_key
from tests.keys.test_crashes import CASES, WAYS, Killed, settled, times

pytestmark = pytest.mark.django_db(transaction=True)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def cut(proxy, step: str, way: str) -> None:
    what, after_effect = WAYS[way]
    proxy.faults.fail_next(step, what(), after_effect=after_effect, times=times(way))


def at_rest(proxy, team) -> Lease:
    """The one lease, after every promise is old: nothing half-done, and the key there has the expiry of the row."""
    assert settled(proxy, team)
    lease = Lease.objects.get()
    assert lease.state in {State.ACTIVE, State.PAUSED, State.REVOKED, State.EXPIRED}
    for version in lease.versions.all():
        if version.is_live:
            there = proxy.client.keys.info(version.token_hash)
            assert there.blocked is (lease.state == State.PAUSED)
    return lease


@pytest.mark.parametrize(("proxy", "way"), CASES, indirect=["proxy"])
@pytest.mark.parametrize("step", ["/key/update", "/key/info"])
def test_a_renewal_cut_anywhere_ends_when_the_row_says(
    proxy, team, alice, make_key, make_role, after_horizon, step, way
):
    issued = make_key(role=make_role(ttl=DAY, max_ttl=30 * DAY), ttl=2 * HOUR)
    before = issued.lease.expires_at
    if step == "/key/info":  # the look that follows an update whose answer was lost
        proxy.faults.fail_next("/key/update", faults.timed_out(), after_effect=True)
    cut(proxy, step, way)
    renewed = None
    with contextlib.suppress(PortalError, Killed):
        renewed = leases.renew(issued.lease, by=alice)
    proxy.faults.clear()

    lease = Lease.objects.get()
    assert lease.state == State.ACTIVE
    assert lease.expires_at == (renewed.expires_at if renewed else before)
    assert proxy.status_of(issued.secret) == 200
    if renewed:
        there = proxy.client.keys.info(lease.current.token_hash)
        assert abs(there.expires - lease.expires_at) <= SLACK
    if proxy.gateway.is_sandbox:  # whose clock follows: in the end it has what our row says, whatever was lost
        after_horizon()
        assert not Intent.objects.exists()
        there = proxy.client.keys.info(lease.current.token_hash)
        assert abs(there.expires - lease.expires_at) <= SLACK
    with time_machine.travel(lease.expires_at + timedelta(seconds=1)):
        assert leases.expire_overdue() == 1  # whatever the proxy thinks, it ends when we said
    assert proxy.status_of(issued.secret) == 401
    assert proxy.keys_there(team) == set()


ROTATE_STEPS = ["/v2/team/list", "/key/info", "/key/generate", "/key/update", "/model_group/info"]


@pytest.mark.parametrize(("proxy", "way"), CASES, indirect=["proxy"])
@pytest.mark.parametrize("step", ROTATE_STEPS)
def test_a_rotation_cut_anywhere_leaves_the_old_secret_or_hands_over_the_new(
    proxy, team, alice, make_key, after_horizon, step, way
):
    first = make_key()
    cut(proxy, step, way)
    second = None
    with contextlib.suppress(PortalError, Killed):
        second = leases.rotate(first.lease, by=alice, grace=12 * HOUR)
    proxy.faults.clear()

    after_horizon()
    lease = Lease.objects.get()
    assert lease.state == State.ACTIVE
    assert proxy.balances(team)
    assert not Intent.objects.exclude(due_at__gt=timezone.now() + HOUR).exists()
    assert proxy.status_of(first.secret) == 200
    if second:
        assert proxy.status_of(second.secret) == 200
        assert proxy.keys_there(team) == {hash_key(first.secret), hash_key(second.secret)}
        old = proxy.client.keys.info(hash_key(first.secret))
        assert old.expires <= timezone.now() + 12 * HOUR + SLACK
    elif lease.current.number == 1:  # it came to nothing: the old one is as it was
        assert proxy.keys_there(team) == {hash_key(first.secret)}
        assert abs(proxy.client.keys.info(hash_key(first.secret)).expires - lease.expires_at) <= SLACK
    else:  # killed after the last commit: the holder sees it and replaces the secret
        third = leases.rotate(lease, by=alice, grace=leases.REPLACE)
        assert proxy.keys_there(team) == {hash_key(third.secret)}
    with time_machine.travel(timezone.now() + 13 * HOUR):
        intents.settle_due()
        assert proxy.balances(team)
        assert len(proxy.keys_there(team)) == 1
        assert not Intent.objects.exists()


@pytest.mark.parametrize(("proxy", "way"), CASES, indirect=["proxy"])
@pytest.mark.parametrize("step", ["/key/delete", "/key/info"])
def test_a_replacement_cut_anywhere_ends_the_old_secret(proxy, team, alice, make_key, after_horizon, step, way):
    first = make_key()
    what, after_effect = WAYS[way]

    def plan() -> None:
        proxy.faults.fail_next(step, what(), after_effect=after_effect, times=times(way))

    proxy.faults.meanwhile("/model_group/info", plan)  # after the last commit, before the old secret is ended
    with contextlib.suppress(Killed):
        leases.rotate(first.lease, by=alice, grace=leases.REPLACE)

    after_horizon()
    lease = at_rest(proxy, team)
    assert lease.current.number == 2
    assert proxy.status_of(first.secret) == 401
    assert proxy.keys_there(team) == {lease.current.token_hash}


@pytest.mark.parametrize(("proxy", "way"), CASES, indirect=["proxy"])
@pytest.mark.parametrize("step", ["/key/block", "/key/info"])
def test_a_pause_cut_anywhere_takes_effect(proxy, team, alice, make_key, after_horizon, step, way):
    issued = make_key()
    cut(proxy, step, way)
    with contextlib.suppress(Killed):
        leases.pause(issued.lease, by=alice)
    after_horizon()
    assert at_rest(proxy, team).state == State.PAUSED
    assert proxy.status_of(issued.secret) == 401


@pytest.mark.parametrize(("proxy", "way"), CASES, indirect=["proxy"])
@pytest.mark.parametrize("step", ["/key/unblock", "/key/info"])
def test_a_resumption_cut_anywhere_takes_effect(proxy, team, alice, make_key, after_horizon, step, way):
    issued = make_key()
    paused = leases.pause(issued.lease, by=alice)
    cut(proxy, step, way)
    with contextlib.suppress(Killed):
        leases.resume(paused, by=alice)
    after_horizon()
    assert at_rest(proxy, team).state == State.ACTIVE
    assert proxy.status_of(issued.secret) == 200


def test_a_block_that_lands_after_the_key_was_resumed_is_undone(proxy, team, alice, make_key, after_horizon):
    issued = make_key()
    proxy.faults.hold_next("/key/block")
    paused = leases.pause(issued.lease, by=alice)
    assert paused.is_pending
    leases.resume(paused, by=alice)
    assert proxy.status_of(issued.secret) == 200

    after_horizon(between=proxy.faults.release)
    assert at_rest(proxy, team).state == State.ACTIVE
    assert proxy.status_of(issued.secret) == 200


def test_a_pause_and_a_resumption_at_once_end_as_the_row_says(proxy, team, alice, ines, make_key, after_horizon):
    issued = make_key()
    proxy.faults.meanwhile("/key/block", lambda: leases.resume(Lease.objects.get(), by=ines))
    leases.pause(issued.lease, by=alice)
    after_horizon()
    lease = at_rest(proxy, team)
    assert proxy.status_of(issued.secret) == (401 if lease.state == State.PAUSED else 200)


@pytest.mark.parametrize(("proxy", "way"), CASES, indirect=["proxy"])
@pytest.mark.parametrize("step", ["/key/delete", "/key/info"])
def test_an_expiry_cut_anywhere_still_ends_the_key(proxy, team, alice, make_key, after_horizon, step, way):
    issued = make_key(ttl=timedelta(minutes=1))
    cut(proxy, step, way)
    with time_machine.travel(timezone.now() + timedelta(minutes=2)), contextlib.suppress(Killed):
        leases.expire_overdue()
    after_horizon()
    assert at_rest(proxy, team).state == State.EXPIRED
    assert proxy.status_of(issued.secret) == 401


def test_a_sweep_killed_at_any_call_leaves_the_rest_to_the_next(proxy, team, alice, make_role, make_key, after_horizon):
    role = make_role(ttl=timedelta(minutes=1))
    for _ in range(3):
        make_key(role=role)
    for step in ("/key/delete", "/key/info", "/key/info"):
        proxy.faults.fail_next(step, Killed())
        with time_machine.travel(timezone.now() + timedelta(minutes=2)), contextlib.suppress(Killed):
            leases.expire_overdue()
    proxy.faults.clear()
    after_horizon()
    assert settled(proxy, team)
    assert proxy.keys_there(team) == set()
    assert set(Lease.objects.values_list("state", flat=True)) == {State.EXPIRED}


def test_a_process_killed_in_a_rotation_leaves_the_lease_as_it_was_after_a_minute(proxy, team, alice, make_key):
    first = make_key()
    proxy.faults.fail_next("/key/generate", Killed(), after_effect=True)
    with pytest.raises(Killed):
        leases.rotate(first.lease, by=alice)
    assert Lease.objects.get().state == State.ROTATING
    assert len(proxy.keys_there(team)) == 2

    with time_machine.travel(timezone.now() + timedelta(seconds=61)):
        assert intents.settle_due() == 1
    assert Lease.objects.get().state == State.ACTIVE
    assert proxy.keys_there(team) == {hash_key(first.secret)}
