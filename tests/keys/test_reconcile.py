"""Reconcile: both sides of a gateway, compared. What is ours to end ends, what is not is told, what is not ours stays.

On the real proxy there are keys of other people: these tests look only at their own.
"""

from __future__ import annotations

import contextlib
import dataclasses
from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from keys.models import EndReason, Finding, Gateway, KeyVersion, Lease, State, UnmanagedKey
from keys.models.intent import HORIZON
from keys.services import leases, reconcile
from keys.services.minting import new_secret
from keys.services.reconcile import listing, running
from keys.services.terms import Ask
from portal.errors import NotAllowed
from portal.litellm import KeyNotFound, faults, hash_key
from portal.models import AuditEvent, Installation, Letter
from teams.access import SYSTEM
from tests.keys.test_crashes import Killed, settled

pytestmark = pytest.mark.django_db(transaction=True)
Kind = Finding.Kind


def later():
    """When all that was made until now is old enough to be acted on."""
    return timezone.now() + HORIZON + timedelta(minutes=1)


def run(proxy, **how):
    return reconcile.run(proxy.gateway, by=SYSTEM, now=later(), **how)


def forgotten(issued) -> str:
    """End a lease in our books alone, as if its promise had been lost; answers the hash of the key that is left."""
    version = issued.lease.current
    Lease.objects.filter(pk=issued.lease.pk).update(state=State.REVOKED, ended_at=timezone.now())
    KeyVersion.objects.filter(pk=version.pk).update(ended_at=timezone.now())
    return version.token_hash


@pytest.fixture
def foreign(proxy):
    """Make a key that is not ours; it is taken away again."""
    made = []

    def make(**fields) -> str:
        token = hash_key(proxy.client.keys.generate(key=new_secret(), **fields).key)
        made.append(token)
        return token

    yield make
    with contextlib.suppress(KeyNotFound):
        proxy.client.keys.delete(made)


def test_a_key_whose_lease_has_ended_is_revoked(proxy, team, make_key):
    issued, kept = make_key(), make_key()
    token = forgotten(issued)
    outcome = run(proxy)

    assert outcome.revoked == (token,)
    assert proxy.status_of(issued.secret) == 401
    assert proxy.status_of(kept.secret) == 200
    assert settled(proxy, team)
    assert AuditEvent.objects.filter(action="key.orphan_doomed", target_id=str(issued.lease.pk)).count() == 1
    assert not run(proxy).revoked


def test_a_key_that_is_younger_than_the_horizon_is_left_to_its_intent(proxy, make_key):
    issued = make_key()
    forgotten(issued)
    assert not reconcile.run(proxy.gateway, by=SYSTEM).revoked
    assert proxy.status_of(issued.secret) == 200


def test_a_key_that_is_being_issued_or_ended_is_left_to_its_intent(proxy, team, make_key, make_role, alice):
    proxy.faults.fail_next("/key/generate", Killed(), after_effect=True)
    with pytest.raises(Killed):
        leases.issue(Ask(team=team, role=make_role()), holder=alice, by=alice)
    ending = make_key()
    proxy.faults.fail_next("/key/delete", Killed())
    with pytest.raises(Killed):
        leases.revoke(ending.lease, by=alice)

    outcome = run(proxy)
    assert (outcome.revoked, outcome.unknown, outcome.held) == ((), (), "")
    assert len(proxy.keys_there(team)) == 2


def test_a_key_that_was_known_by_its_alias_alone_is_revoked(proxy, team, make_key):
    issued = make_key()
    token = forgotten(issued)
    KeyVersion.objects.update(token_hash=None)
    assert run(proxy).revoked == (token,)
    assert proxy.status_of(issued.secret) == 401
    assert not Finding.objects.exists()


def test_a_lease_whose_key_was_deleted_on_the_gateway_is_closed_and_its_holder_told(proxy, team, make_key):
    issued, kept = make_key(), make_key()
    proxy.client.keys.delete(issued.secret)
    outcome = run(proxy)

    assert outcome.closed == (hash_key(issued.secret),)
    lease = Lease.objects.get(pk=issued.lease.pk)
    assert (lease.state, lease.end_reason) == (State.REVOKED, EndReason.VANISHED)
    assert lease.current.ended_at == lease.ended_at
    assert AuditEvent.objects.filter(action="key.revoked", target_id=str(lease.pk)).count() == 1
    letter = Letter.objects.get()
    assert letter.to == ["alice@example.com"]
    assert issued.lease.current.key_name in letter.text
    assert Lease.objects.get(pk=kept.lease.pk).state == State.ACTIVE
    assert settled(proxy, team)
    assert not run(proxy).closed


def test_an_old_secret_that_vanished_in_an_overlap_does_not_close_its_lease(proxy, team, alice, make_key):
    issued = make_key()
    new = leases.rotate(issued.lease, by=alice)
    proxy.client.keys.delete(issued.secret)
    run(proxy)

    lease = Lease.objects.get()
    assert lease.state == State.ACTIVE
    assert [version.ended_at is None for version in lease.versions.all()] == [False, True]
    assert proxy.status_of(new.secret) == 200
    assert "newer secret works on" in Letter.objects.get().text


def test_the_current_secret_that_vanished_in_an_overlap_leaves_the_lease_to_the_old_one(proxy, alice, make_key):
    issued = make_key()
    new = leases.rotate(issued.lease, by=alice)
    proxy.client.keys.delete(new.secret)
    run(proxy)
    assert Lease.objects.get().state == State.ACTIVE
    assert proxy.status_of(issued.secret) == 200


def test_a_walk_that_skips_a_row_closes_no_live_lease(proxy, make_key):
    issued, other = make_key(), make_key()
    page = {"keys": [], "total_count": 0, "current_page": 1, "total_pages": 1}
    proxy.faults.fail_next("/key/list", faults.Answer(200, page))
    outcome = run(proxy)
    assert proxy.faults.pending == 0
    assert (outcome.live, outcome.closed, outcome.listed, outcome.drifted) == (2, (), (), 0)
    assert proxy.status_of(issued.secret) == proxy.status_of(other.secret) == 200


def test_a_key_that_is_issued_while_the_gateway_is_read_is_nobodys_orphan(proxy, team, alice, make_key, make_role):
    make_key()
    role = make_role(name="second")
    proxy.faults.meanwhile("/key/list", lambda: make_key(role=role))
    outcome = run(proxy)
    assert (outcome.revoked, outcome.closed, outcome.unknown, outcome.live) == ((), (), (), 2)
    assert len(proxy.keys_there(team)) == 2


def test_eleven_of_twenty_are_listed_and_ended_only_when_an_admin_has_seen_the_list(
    sandbox, team, ruth, make_key, make_role
):
    role = make_role()
    made = [make_key(role=role) for _ in range(20)]
    sandbox.client.keys.delete([issued.secret for issued in made[:6]])
    for issued in made[6:11]:
        forgotten(issued)

    outcome = run(sandbox)
    assert (outcome.revoked, outcome.closed, len(outcome.listed)) == ((), (), 11)
    assert "11 keys" in outcome.stopped
    assert Lease.objects.filter(state=State.ACTIVE).count() == 15
    found = Finding.objects.filter(state="open")
    assert (found.filter(kind=Kind.MISSING).count(), found.filter(kind=Kind.ORPHAN).count()) == (6, 5)
    assert Letter.objects.get().to == ["ruth@example.com"]
    run(sandbox)
    assert Letter.objects.count() == 1  # the same list is no news

    outcome = reconcile.run(sandbox.gateway, by=ruth, approved=True, now=later())
    assert (len(outcome.revoked), len(outcome.closed), outcome.listed) == (5, 6, ())
    assert settled(sandbox, team)
    assert not Finding.objects.exclude(state="closed").exists()


def test_ten_of_twenty_are_ended_by_itself(sandbox, team, make_key, make_role):
    role = make_role()
    made = [make_key(role=role) for _ in range(20)]
    sandbox.client.keys.delete([issued.secret for issued in made[:10]])
    assert len(run(sandbox).closed) == 10
    assert settled(sandbox, team)


def test_what_vanished_after_the_list_was_made_is_not_approved_with_it(sandbox, team, ruth, make_key, make_role):
    role = make_role()
    made = [make_key(role=role) for _ in range(30)]
    sandbox.client.keys.delete([issued.secret for issued in made[:11]])
    run(sandbox)
    sandbox.client.keys.delete([issued.secret for issued in made[11:23]])

    outcome = reconcile.run(sandbox.gateway, by=ruth, approved=True, now=later())
    assert set(outcome.closed) == {hash_key(issued.secret) for issued in made[:11]}
    assert set(outcome.listed) == {hash_key(issued.secret) for issued in made[11:23]}
    assert "12 keys" in outcome.stopped


def test_only_a_platform_admin_runs_it(sandbox, alice, ines, audra):
    for who in (alice, ines, audra):
        with pytest.raises(NotAllowed):
            reconcile.run(sandbox.gateway, by=who)
        with pytest.raises(NotAllowed):
            reconcile.run(sandbox.gateway, by=who, approved=True)


def test_foreign_keys_are_counted_shown_and_never_touched(proxy, team, make_key, foreign):
    ours = make_key()
    token = foreign(alias=f"byhand-{new_secret()[3:9]}", models=["gpt-4o"], max_budget=7.5, metadata={"x": 1})
    odd = foreign(metadata={"keydesk": "not an object"})
    before = [proxy.client.keys.info(each) for each in (token, odd)]
    outcome = run(proxy)

    assert outcome.foreign >= 2
    proxy.gateway.refresh_from_db()
    assert proxy.gateway.foreign_keys == outcome.foreign
    assert proxy.gateway.reconciled_at is not None
    row = UnmanagedKey.objects.get(token_hash=token)
    assert (row.models, row.max_budget, row.instance) == (["gpt-4o"], Decimal("7.5"), "")
    assert not UnmanagedKey.objects.filter(token_hash=hash_key(ours.secret)).exists()
    assert [proxy.client.keys.info(each) for each in (token, odd)] == before

    proxy.client.keys.delete(token)
    run(proxy)
    assert not UnmanagedKey.objects.filter(token_hash=token).exists()


def test_a_key_of_another_installation_is_foreign_even_where_we_know_its_hash(proxy, make_key, foreign):
    theirs = foreign(metadata={"keydesk": {"instance": "another", "lease": "x", "version": 1}})
    issued = make_key()
    token = forgotten(issued)
    proxy.client.keys.update(token, metadata={"keydesk": {"instance": "another"}})
    before = [proxy.client.keys.info(each) for each in (theirs, token)]
    outcome = run(proxy)

    assert (outcome.revoked, outcome.unknown, outcome.held) == ((), (), "")
    assert [proxy.client.keys.info(each) for each in (theirs, token)] == before
    assert set(UnmanagedKey.objects.exclude(instance="").values_list("instance", flat=True)) >= {"another"}


def test_what_does_not_fit_our_columns_breaks_no_run(sandbox):
    odd = {"alias": "x" * 500, "max_budget": 1e15, "models": ["m" * 300], "user_id": "u" * 300}
    token = sandbox.client.keys.generate(**odd).token
    run(sandbox)
    row = UnmanagedKey.objects.get(token_hash=token)
    assert len(row.alias) == 200
    assert row.max_budget < 10**9


def test_more_foreign_keys_than_are_kept_are_still_counted(sandbox, monkeypatch):
    monkeypatch.setattr(listing, "KEPT", 5)
    for _ in range(8):
        sandbox.client.keys.generate()
    assert run(sandbox).foreign == 8
    sandbox.gateway.refresh_from_db()
    assert (sandbox.gateway.foreign_keys, UnmanagedKey.objects.count()) == (8, 5)


def test_keys_of_litellms_own_pages_are_not_counted(sandbox):
    sandbox.client.teams.new(team_id="litellm-dashboard", alias="pages")
    sandbox.client.keys.generate(team_id="litellm-dashboard")
    assert run(sandbox).foreign == 0


def test_a_probe_that_was_left_behind_is_deleted(proxy, team):
    mark = {"keydesk": {"instance": Installation.current(), "probe": True}}
    secret = proxy.client.keys.generate(key=new_secret(), metadata=mark, duration="5m").key
    outcome = run(proxy)
    assert (outcome.unknown, outcome.held) == ((), "")
    assert proxy.status_of(secret) == 401


def test_the_counters_are_read_on_the_way(proxy, make_key):
    issued = make_key()
    run(proxy)
    version = issued.lease.current
    version.refresh_from_db()
    assert version.counter_at is not None


def test_a_gateway_that_is_away_stops_no_other_and_is_tried_again(sandbox, make_key):
    Gateway.objects.create(name="away", base_url="http://127.0.0.1:9", master_key=new_secret())
    issued = make_key()
    forgotten(issued)
    assert reconcile.run_due(later()) == {"gateways": 1, "ended": 1, "failed": 1}
    assert reconcile.run_due(later()) == {"gateways": 0, "ended": 0, "failed": 1}
    Gateway.objects.filter(name="away").delete()
    assert reconcile.run_due(later() + timedelta(hours=23)) == {"gateways": 0, "ended": 0, "failed": 0}
    assert reconcile.run_due(later() + timedelta(hours=25))["gateways"] == 1


def test_a_run_that_broke_is_not_repeated_every_minute(sandbox, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError

    monkeypatch.setattr(running, "read", broken)
    assert reconcile.run_due()["failed"] == 1
    assert reconcile.run_due() == {"gateways": 0, "ended": 0, "failed": 0}


def test_an_older_run_never_overwrites_what_a_newer_one_wrote_down(sandbox, make_key):
    issued = make_key()
    sandbox.client.keys.update(issued.secret, rpm_limit=5)
    now = later()
    reconcile.run(sandbox.gateway, by=SYSTEM, now=now)
    sandbox.client.keys.update(issued.secret, rpm_limit=None)
    reconcile.run(sandbox.gateway, by=SYSTEM, now=now - timedelta(seconds=5))
    assert Finding.objects.get().state == "open"


def test_what_the_outcome_says_holds_no_secret(sandbox, make_key):
    issued = make_key()
    forgotten(issued)
    assert issued.secret not in repr(dataclasses.asdict(run(sandbox)))
