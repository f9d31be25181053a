"""While a proxy is away or hangs: the desk goes on, says so, and nothing is lost."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
import time_machine
from django.conf import settings
from django.test import Client
from django.utils import timezone

from keys.models import Gateway, Lease, State
from keys.services import gateways, leases
from keys.services.errors import GatewayAway
from portal.litellm import faults
from tests.ground.processes import eventually
from tests.threads import together

pytestmark = pytest.mark.django_db(transaction=True)
ACTS = {
    "renew": lambda lease, by: leases.renew(lease, by=by),
    "rotate": lambda lease, by: leases.rotate(lease, by=by),
}


def cut_off(sandbox) -> None:
    sandbox.faults.fail_next("*", faults.refused(), times=10_000)


def signed_in(user) -> Client:
    browser = Client()
    browser.force_login(user)
    return browser


@pytest.mark.parametrize("act", ACTS)
def test_what_needs_the_proxy_answers_clearly_and_changes_nothing(sandbox, alice, make_key, act):
    lease = make_key(ttl=timedelta(hours=1)).lease
    cut_off(sandbox)
    with pytest.raises(GatewayAway) as told:
        ACTS[act](lease, alice)
    assert told.value.retryable
    after = Lease.objects.get()
    assert (after.state, after.expires_at) == (State.ACTIVE, lease.expires_at)
    assert after.versions.filter(ended_at=None).count() == 1


def test_pages_are_read_from_our_tables_while_the_proxy_is_away(sandbox, alice, ruth, make_key):
    lease = make_key().lease
    cut_off(sandbox)
    with pytest.raises(GatewayAway):
        leases.renew(lease, by=alice, ttl=timedelta(hours=1))
    sandbox.faults.calls.clear()
    for path in ("/", f"/keys/{lease.pk}/", f"/teams/{lease.team.slug}/"):
        assert signed_in(alice).get(path).status_code == 200
    assert signed_in(ruth).get("/gateways/").status_code == 200
    assert sandbox.faults.calls == []


def test_the_breaker_is_one_for_all_processes_and_closes_when_the_proxy_is_back(sandbox, alice, make_key):
    lease = make_key(ttl=timedelta(hours=1)).lease
    cut_off(sandbox)
    with pytest.raises(GatewayAway):
        leases.renew(lease, by=alice)
    sandbox.faults.calls.clear()
    gateways.forget_connections()  # another process
    with pytest.raises(GatewayAway, match="since"):
        leases.renew(lease, by=alice)
    assert sandbox.faults.calls == []  # the row says it: nobody waits again

    sandbox.faults.clear()
    with time_machine.travel(Gateway.objects.get().next_try_at + timedelta(seconds=1)):
        leases.renew(lease, by=alice)
    assert Gateway.objects.get().away_since is None


def test_while_a_proxy_hangs_threads_stay_free_for_pages(sandbox, alice, make_key, monkeypatch):
    """As many people press Renew as there are web threads; all but three of them wait for the proxy."""
    lease = make_key(ttl=timedelta(hours=1)).lease
    free, waiting, refused = threading.Event(), [], []
    monkeypatch.setattr(gateways, "GETTING_IN_LINE", 0.05)

    def hang() -> None:
        waiting.append(1)
        free.wait(60)

    for _ in range(settings.WEB_THREADS):
        sandbox.faults.meanwhile("/key/update", hang)

    def press() -> None:
        try:
            leases.renew(lease, by=alice)
        except GatewayAway as error:
            refused.append(error.message)

    def read() -> tuple[int, int, int]:
        try:
            eventually(lambda: len(waiting) + len(refused) == settings.WEB_THREADS, "everybody waits, or was told")
            return len(waiting), len(refused), signed_in(alice).get("/").status_code
        finally:
            free.set()

    *_, seen = together(*[press] * settings.WEB_THREADS, read)
    assert seen == (settings.WEB_THREADS - 3, 3, 200)
    assert all("Too many people" in message for message in refused[:3])


def test_revoking_pausing_and_expiring_never_wait_for_a_proxy_that_is_away(sandbox, alice, make_key, after_horizon):
    revoked, paused, expired = make_key(), make_key(), make_key(ttl=timedelta(minutes=1))
    cut_off(sandbox)
    assert leases.revoke(revoked.lease, by=alice).state == State.REVOKING
    assert leases.pause(paused.lease, by=alice).is_pending
    with time_machine.travel(timezone.now() + timedelta(minutes=2)):
        assert leases.expire_overdue() == 1
    assert [sandbox.status_of(each.secret) for each in (revoked, paused, expired)] == [200, 200, 200]

    sandbox.faults.clear()
    after_horizon()
    assert [sandbox.status_of(each.secret) for each in (revoked, paused, expired)] == [401, 401, 401]


def test_a_key_whose_expiry_moved_on_the_proxy_still_ends_by_our_clock(proxy, team, alice, make_key):
    issued = make_key(ttl=timedelta(minutes=1))
    proxy.client.keys.update(issued.lease.current.token_hash, duration=timedelta(days=30))  # as a rounding would
    with time_machine.travel(timezone.now() + timedelta(seconds=61)):
        leases.expire_overdue()
    assert proxy.status_of(issued.secret) == 401
    assert proxy.keys_there(team) == set()
