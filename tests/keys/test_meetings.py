"""Two verbs, a verb and a sweep, a verb and a broken row meeting in the middle; each was red once."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import cast

import pytest
import time_machine
from django.db import OperationalError
from django.utils import timezone

from keys import tasks
from keys.models import Finding, Gateway, Intent, KeyVersion, Lease, State
from keys.services import findings, gateways, intents, leases, reconcile, shape, teams
from keys.services.errors import GatewayAway, GatewayRefused, NothingToForce
from keys.services.leases import ending, renewing, rotating
from keys.services.reconcile import holding
from portal.errors import NotAllowed
from portal.litellm import KeyInfo
from portal.models import Sweep
from teams import departures, services
from teams.access import SYSTEM
from teams.models import Membership, Team

pytestmark = pytest.mark.django_db(transaction=True)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def fresh(lease: Lease) -> Lease:
    return Lease.objects.get(pk=lease.pk)


def there(proxy, version: KeyVersion) -> KeyInfo:
    return proxy.client.keys.info(version.token_hash)


def later(**by: int) -> time_machine.travel:
    return time_machine.travel(timezone.now() + timedelta(**by), tick=True)


def sweep(minutes: int = 20) -> None:
    for minute in range(0, minutes, 4):
        with later(minutes=minute):
            intents.settle_due()


def agrees(proxy, lease: Lease) -> bool:
    """Whether the current key ends there when our row says."""
    lease = fresh(lease)
    return abs(there(proxy, lease.current).expires - lease.expires_at) < timedelta(minutes=1)


def test_a_rotation_that_finishes_while_a_renewal_is_on_its_way(sandbox, make_key, alice, monkeypatch):
    lease = make_key(ttl=2 * HOUR).lease
    real = renewing._lengthen

    def slow(line, of, *rest):
        real(line, of, *rest)
        leases.rotate(fresh(of), by=alice, grace=HOUR)

    monkeypatch.setattr(renewing, "_lengthen", slow)
    leases.renew(fresh(lease), by=alice, ttl=20 * DAY)
    assert agrees(sandbox, lease)


def test_a_renewal_that_commits_while_a_rotation_is_on_its_way(sandbox, make_key, alice, monkeypatch):
    lease = make_key(ttl=2 * HOUR).lease
    seen, real = fresh(lease), rotating.verify_expiry

    def slow(*given):
        found = real(*given)
        leases.renew(seen, by=alice, ttl=20 * DAY)
        return found

    monkeypatch.setattr(rotating, "verify_expiry", slow)
    leases.rotate(fresh(lease), by=alice, grace=HOUR)
    assert agrees(sandbox, lease)


def test_a_renewal_keeps_what_was_promised_before(sandbox, make_key, alice):
    lease = make_key(ttl=2 * HOUR).lease
    sandbox.client.keys.update(lease.current.token_hash, max_budget=Decimal(9999))
    promise = {"gateway_id": sandbox.gateway.pk, "version": lease.current}
    Intent.objects.promise(Intent.Kind.SHAPE, timezone.now(), **promise)  # an admin restores; the gateway was away
    leases.renew(fresh(lease), by=alice, ttl=20 * DAY)
    intents.settle_due()
    assert there(sandbox, lease.current).max_budget == lease.max_budget


def test_a_renewal_that_lands_after_a_longer_one_is_put_right(sandbox, make_key, alice):
    lease = make_key(ttl=2 * HOUR).lease
    sandbox.faults.hold_next("/key/update", times=2)
    with pytest.raises(GatewayAway):
        leases.renew(fresh(lease), by=alice, ttl=DAY)
    Gateway.objects.update(away_since=None, next_try_at=None)
    leases.renew(fresh(lease), by=alice, ttl=20 * DAY)
    sandbox.faults.release()
    assert not agrees(sandbox, lease)
    sweep()
    assert agrees(sandbox, lease)


def test_a_promise_that_failed_for_weeks_holds_up_no_other(sandbox, make_key, monkeypatch):
    bad, good = make_key().lease.current, make_key().lease.current
    now, real = timezone.now(), shape.fit
    promises = [
        Intent.objects.promise(
            Intent.Kind.SHAPE, now - timedelta(seconds=age), gateway_id=sandbox.gateway.pk, version=version
        )
        for age, version in ((5, bad), (4, good))
    ]
    Intent.objects.filter(pk=promises[0].pk).update(attempts=500)

    def fit(client, version):
        if version.pk == bad.pk:
            raise GatewayRefused("It keeps its own.")
        real(client, version)

    monkeypatch.setattr(shape, "fit", fit)
    intents.settle_due()
    assert not Intent.objects.filter(version=good).exists()
    assert Intent.objects.get(version=bad).attempts == 501


@pytest.mark.parametrize("end", ["revoked", "expired", "left alone"])
def test_a_lease_whose_keys_were_all_deleted_elsewhere_ends(sandbox, make_key, alice, end):
    lease = make_key(ttl=3 * HOUR).lease
    leases.rotate(lease, by=alice, grace=HOUR)
    sandbox.client.keys.delete(lease.versions.get(number=2).token_hash)
    with later(minutes=20):
        reconcile.run(sandbox.gateway, by=SYSTEM)
    assert fresh(lease).state == State.ACTIVE  # the older secret works on
    with later(minutes=30):
        if end == "revoked":
            leases.revoke(fresh(lease), by=alice)
    with later(hours=4 if end == "expired" else 2):
        leases.expire_overdue()
        intents.settle_due()
    assert fresh(lease).state in {State.REVOKED, State.EXPIRED}


def test_a_lease_that_is_stuck_without_a_key_is_closed_by_the_sweep(sandbox, make_key):
    lease = make_key().lease
    lease.versions.update(ended_at=timezone.now())
    Lease.objects.update(state=State.REVOKING, end_reason="asked")
    intents.settle_due()
    assert fresh(lease).state == State.REVOKED


def test_a_leaver_of_a_held_gateway_is_blocked_and_not_revoked(sandbox, team, make_key, alice):
    lease = make_key().lease
    holding.hold(sandbox.gateway, holding.CHECKING, timezone.now())
    departures.lost_by_provider(alice, team)
    assert fresh(lease).state == State.PAUSED


def test_a_counter_whose_reset_is_late_is_not_carried_into_the_new_window(sandbox, make_key):
    info = SimpleNamespace(spend=Decimal(49), budget_reset_at=timezone.now() - timedelta(minutes=5))
    line = SimpleNamespace(client=SimpleNamespace(keys=SimpleNamespace(info=lambda _: info)))
    assert rotating._counter(cast(gateways.Line, line), make_key().lease.current) == 0


def test_a_pause_over_the_holders_own_is_not_the_holders_to_lift(sandbox, make_key, alice, bob):
    lease = make_key().lease
    leases.pause(lease, by=alice)
    leases.pause(fresh(lease), by=bob, reason="abuse")
    with pytest.raises(NotAllowed):
        leases.resume(fresh(lease), by=alice)
    assert fresh(lease).pause_reason == "abuse"


def test_a_block_that_an_admin_adopted_is_not_the_holders_to_lift(sandbox, make_key, alice, ruth):
    lease = make_key().lease
    sandbox.client.keys.block(lease.current.token_hash)
    with later(minutes=20):
        reconcile.run(sandbox.gateway, by=SYSTEM)
        findings.adopt(Finding.objects.get(kind="block"), by=ruth)
        assert fresh(lease).state == State.PAUSED
        with pytest.raises(NotAllowed):
            leases.resume(fresh(lease), by=alice)


def test_a_database_that_stumbles_after_the_last_commit_costs_no_secret(sandbox, make_key, alice, monkeypatch):
    lease, real = make_key().lease, intents._note_gone

    def stumble(*_):
        raise OperationalError("deadlock detected")

    monkeypatch.setattr(intents, "_note_gone", stumble)
    issued = leases.rotate(lease, by=alice, grace=leases.REPLACE)
    assert sandbox.status_of(issued.secret) == 200
    monkeypatch.setattr(intents, "_note_gone", real)
    with later(minutes=2):
        intents.settle_due()
    assert not Intent.objects.exists()


def test_a_look_that_fails_once_is_not_taken_for_one_that_was_made(sandbox, make_key, monkeypatch):
    make_key()
    long_ago = timezone.now() - 9 * HOUR
    Sweep.objects.create(name="settle_intents", finished_at=long_ago, succeeded_at=long_ago)
    real = reconcile.wake

    def stumble(*_):
        raise OperationalError("database is locked")

    monkeypatch.setattr(reconcile, "wake", stumble)
    with pytest.raises(OperationalError):
        tasks.settle_intents()
    monkeypatch.setattr(reconcile, "wake", real)
    tasks.expire_leases()
    assert Gateway.objects.get().held_since


@pytest.mark.parametrize("act", ["retry", "force", "forget"])
def test_a_secret_in_its_grace_is_not_ended_early_by_the_list_of_promises(sandbox, make_key, alice, ruth, act):
    first = make_key()
    leases.rotate(first.lease, by=alice, grace=DAY)
    reason = {} if act == "retry" else {"reason": "tidy"}
    with pytest.raises(NothingToForce):
        getattr(intents, act)(Intent.objects.get(kind="gone"), by=ruth, **reason)
    assert sandbox.status_of(first.secret) == 200


def test_a_budget_lowered_while_a_key_is_issued_is_the_one_that_stays(sandbox, make_key, ruth, team, monkeypatch):
    make_key()
    services.change_team(team, max_budget=Decimal(100), by=ruth)
    once: list[int] = []
    real = teams._look

    def look(*given, **more):
        if not once:
            once.append(1)
            services.change_team(Team.objects.get(), max_budget=Decimal(50), by=ruth)
        return real(*given, **more)

    monkeypatch.setattr(teams, "_look", look)
    make_key()
    intents.settle_due()
    placed = sandbox.client.teams.list_v2_page(1, 1, team_id=team.litellm_id).items[0]
    assert placed.max_budget == 50


def test_somebody_who_comes_back_while_the_sweep_runs_keeps_the_keys(sandbox, make_key, alice, team, monkeypatch):
    lease, real = make_key().lease, ending._some
    Membership.objects.filter(user=alice).delete()

    def some(rows):
        found = real(rows)
        Membership.objects.get_or_create(user=alice, team=team)
        return found

    monkeypatch.setattr(ending, "_some", some)
    assert leases.end_orphaned() == {"ended": 0, "blocked": 0}
    assert fresh(lease).state == State.ACTIVE


def test_a_key_that_is_renewed_while_the_sweep_runs_lives_on(sandbox, make_key, alice, monkeypatch):
    lease, real = make_key(ttl=HOUR).lease, ending._some
    monkeypatch.setattr(ending, "_some", lambda rows: [*real(rows), *leases_renewed(lease)])

    def leases_renewed(of: Lease) -> list[Lease]:
        Lease.objects.filter(pk=of.pk).update(expires_at=timezone.now() + DAY)
        return []

    with later(minutes=61):
        assert leases.expire_overdue() == 0
    assert fresh(lease).state == State.ACTIVE
