"""Renew, rotate, pause, resume: what the lease says and what the proxy does, on the sandbox and on the real one."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
import time_machine
from django.utils import timezone

from keys.models import Intent, Lease, State
from keys.services import intents, leases
from keys.services.errors import (
    EndedMeanwhile,
    HolderLeft,
    NothingLeft,
    NotNow,
    OverLimit,
    RoleEnded,
    RotationInOverlap,
)
from keys.services.terms import SLACK
from portal.errors import Invalid, NotAllowed, PortalError
from portal.litellm import faults, hash_key
from portal.models import AuditEvent, Letter

pytestmark = pytest.mark.django_db(transaction=True)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def expiry_there(proxy, lease: Lease):
    return proxy.client.keys.info(lease.current.token_hash).expires


def events(action: str) -> int:
    return AuditEvent.objects.filter(action=action).count()


# Renew


def test_renewing_counts_from_now_and_the_proxy_follows(proxy, team, alice, make_key, make_role):
    lease = make_key(role=make_role(ttl=DAY, max_ttl=30 * DAY), ttl=HOUR).lease
    before = timezone.now()
    renewed = leases.renew(lease, by=alice)

    assert before + DAY <= renewed.expires_at <= timezone.now() + DAY
    assert renewed.current.dies_at == renewed.expires_at
    assert abs(expiry_there(proxy, renewed) - renewed.expires_at) <= SLACK
    assert events("key.renewed") == 1


def test_a_renewal_is_cut_to_what_the_max_ttl_leaves(proxy, alice, make_key, make_role):
    lease = make_key(role=make_role(ttl=DAY, max_ttl=DAY), ttl=HOUR).lease
    shown = leases.renewal(lease)
    assert shown.capped
    renewed = leases.renew(lease, by=alice)
    assert renewed.expires_at == lease.max_expires_at == shown.expires_at
    assert not renewed.renewable
    with pytest.raises(NothingLeft):
        leases.renew(renewed, by=alice)


def test_renewing_never_makes_a_lease_shorter(sandbox, alice, make_key, make_role):
    lease = make_key(role=make_role(ttl=DAY, max_ttl=9 * DAY)).lease
    assert leases.renew(lease, by=alice, ttl=HOUR).expires_at == lease.expires_at


def test_a_renewal_says_why_it_is_refused(sandbox, team, alice, ines, make_key, make_role):
    role = make_role(ttl=DAY, max_ttl=30 * DAY)
    lease = make_key(role=role, ttl=HOUR).lease
    with pytest.raises(NotAllowed):
        leases.renew(lease, by=ines)
    with pytest.raises(OverLimit):
        leases.renew(lease, by=alice, ttl=2 * DAY)
    with pytest.raises(Invalid):
        leases.renew(lease, by=alice, ttl=timedelta(seconds=1))
    with time_machine.travel(timezone.now() + 2 * HOUR), pytest.raises(NotNow, match="over its time"):
        leases.renew(lease, by=alice)
    role.all_teams = False
    role.save()
    with pytest.raises(RoleEnded):
        leases.renew(lease, by=alice)
    leases.pause(lease, by=alice)
    with pytest.raises(NotNow, match="paused"):
        leases.renew(lease, by=alice)


def test_a_lost_answer_of_a_renewal_is_settled_by_a_look(proxy, alice, make_key, make_role):
    lease = make_key(role=make_role(ttl=DAY, max_ttl=30 * DAY), ttl=HOUR).lease
    proxy.faults.fail_next("/key/update", faults.lost(), after_effect=True)
    renewed = leases.renew(lease, by=alice)
    assert renewed.expires_at > lease.issued_at + 20 * HOUR


def test_a_key_deleted_on_the_gateway_is_not_renewed_and_said_so(proxy, alice, make_key, make_role):
    lease = make_key(role=make_role(ttl=DAY, max_ttl=30 * DAY), ttl=HOUR).lease
    proxy.client.keys.delete(lease.current.token_hash)
    with pytest.raises(NotNow, match="does not have this key"):
        leases.renew(lease, by=alice)


def test_a_lease_revoked_while_it_is_renewed_stays_revoked(proxy, team, alice, ines, make_key, make_role):
    issued = make_key(role=make_role(ttl=DAY, max_ttl=30 * DAY), ttl=HOUR)
    proxy.faults.meanwhile("/key/update", lambda: leases.revoke(Lease.objects.get(), by=ines))
    with pytest.raises((EndedMeanwhile, NotNow)):
        leases.renew(issued.lease, by=alice)
    assert proxy.status_of(issued.secret) == 401
    assert proxy.balances(team)


# Rotate


def test_both_secrets_answer_until_the_grace_is_over_then_only_the_new_one(proxy, team, alice, make_key):
    first = make_key()
    second = leases.rotate(first.lease, by=alice, grace=HOUR)

    lease = second.lease
    assert (lease.pk, lease.alias) == (first.lease.pk, first.lease.alias)
    assert lease.state == State.ACTIVE
    assert [version.alias for version in lease.versions.all()] == [lease.alias, f"{lease.alias}.v2"]
    assert lease.current.token_hash == hash_key(second.secret)
    assert proxy.status_of(first.secret) == proxy.status_of(second.secret) == 200
    old_there = proxy.client.keys.info(hash_key(first.secret))
    assert abs(old_there.expires - (timezone.now() + HOUR)) <= SLACK

    with time_machine.travel(timezone.now() + HOUR + timedelta(seconds=5)):
        intents.settle_due()
    assert proxy.status_of(first.secret) == 401
    assert proxy.status_of(second.secret) == 200
    assert proxy.keys_there(team) == {hash_key(second.secret)}
    assert not Intent.objects.exists()
    assert events("key.rotated") == events("key.version_ended") == 1


def test_replacing_ends_the_old_secret_at_once_even_inside_an_overlap(proxy, team, alice, make_key):
    first = make_key()
    second = leases.rotate(first.lease, by=alice, grace=HOUR)
    with pytest.raises(RotationInOverlap):
        leases.rotate(second.lease, by=alice, grace=HOUR)
    third = leases.rotate(second.lease, by=alice, grace=leases.REPLACE)

    assert proxy.status_of(first.secret) == proxy.status_of(second.secret) == 401
    assert proxy.status_of(third.secret) == 200
    assert proxy.balances(team)
    assert not Intent.objects.exists()


def test_the_old_secret_never_lives_longer_than_it_would_have(proxy, alice, make_key):
    first = make_key(ttl=HOUR)
    second = leases.rotate(first.lease, by=alice, grace=DAY)
    old = second.lease.versions.get(number=1)
    assert old.dies_at == first.lease.expires_at
    assert abs(proxy.client.keys.info(old.token_hash).expires - first.lease.expires_at) <= SLACK


def test_the_spend_is_carried_over_so_the_budget_goes_on(proxy, alice, make_key):
    first = make_key()
    proxy.client.keys.update(first.lease.current.token_hash, spend=Decimal("12.5"))
    second = leases.rotate(first.lease, by=alice, grace=HOUR)
    there = proxy.client.keys.info(hash_key(second.secret))
    assert there.spend == Decimal("12.5")
    assert there.max_budget == Decimal("50")
    assert second.lease.current.carried == Decimal("12.5")


def test_revoking_in_an_overlap_ends_every_secret(proxy, team, alice, make_key):
    first = make_key()
    second = leases.rotate(first.lease, by=alice, grace=HOUR)
    assert leases.revoke(second.lease, by=alice).state == State.REVOKED
    assert proxy.status_of(first.secret) == proxy.status_of(second.secret) == 401
    assert proxy.keys_there(team) == set()
    assert not Intent.objects.exists()


def test_a_lease_revoked_while_it_is_rotated_leaves_no_secret(proxy, team, alice, ines, make_key):
    first = make_key()
    proxy.faults.meanwhile("/key/generate", lambda: leases.revoke(Lease.objects.get(), by=ines))
    with pytest.raises(EndedMeanwhile):
        leases.rotate(first.lease, by=alice)
    assert proxy.keys_there(team) == set()
    assert Lease.objects.get().state == State.REVOKED


def test_a_holder_who_left_gets_no_new_secret(sandbox, alice, make_key):
    lease = make_key().lease
    alice.memberships.all().delete()
    alice.platform_role = "auditor"  # may see it, may not hold it
    with pytest.raises((NotAllowed, HolderLeft)):
        leases.rotate(lease, by=alice)


def test_renewing_in_an_overlap_moves_only_the_current_secret(proxy, alice, make_key, make_role):
    first = make_key(role=make_role(ttl=DAY, max_ttl=30 * DAY), ttl=2 * HOUR)
    second = leases.rotate(first.lease, by=alice, grace=HOUR)
    renewed = leases.renew(second.lease, by=alice)
    assert renewed.expires_at > timezone.now() + 23 * HOUR
    old = proxy.client.keys.info(hash_key(first.secret))
    assert old.expires < timezone.now() + HOUR + SLACK


# Pause and resume


def test_a_paused_key_answers_401_and_a_resumed_one_answers_again(proxy, alice, make_key):
    issued = make_key()
    paused = leases.pause(issued.lease, by=alice)
    assert paused.state == State.PAUSED
    assert not paused.is_pending
    assert proxy.status_of(issued.secret) == 401

    resumed = leases.resume(paused, by=alice)
    assert resumed.state == State.ACTIVE
    assert proxy.status_of(issued.secret) == 200
    assert events("key.paused") == events("key.resumed") == 1
    assert not Intent.objects.exists()


def test_both_secrets_of_an_overlap_are_paused(proxy, alice, make_key):
    first = make_key()
    second = leases.rotate(first.lease, by=alice, grace=HOUR)
    leases.pause(second.lease, by=alice)
    assert proxy.status_of(first.secret) == proxy.status_of(second.secret) == 401


def test_a_pause_while_the_gateway_is_away_takes_effect_when_it_is_back(sandbox, alice, make_key, after_horizon):
    issued = make_key()
    sandbox.faults.fail_next("/key/block", faults.refused(), times=3)
    paused = leases.pause(issued.lease, by=alice)
    assert paused.state == State.PAUSED
    assert paused.is_pending
    assert sandbox.status_of(issued.secret) == 200

    after_horizon()
    assert sandbox.status_of(issued.secret) == 401
    paused.refresh_from_db()
    assert not paused.is_pending


def test_a_paused_key_is_revoked_and_expires_like_any_other(proxy, team, alice, make_key):
    issued = make_key(ttl=HOUR)
    leases.pause(issued.lease, by=alice)
    with time_machine.travel(timezone.now() + 2 * HOUR):
        assert leases.expire_overdue() == 1
    assert Lease.objects.get().state == State.EXPIRED
    assert proxy.keys_there(team) == set()


def test_an_ended_key_is_neither_paused_nor_resumed(sandbox, alice, make_key):
    lease = leases.revoke(make_key().lease, by=alice)
    for act in (leases.pause, leases.resume):
        with pytest.raises(NotNow):
            act(lease, by=alice)


def test_who_acts_on_another_persons_key_is_named_to_its_holder(sandbox, alice, ines, make_key):
    lease = make_key().lease
    leases.pause(lease, by=ines, reason="a leak")
    letter = Letter.objects.get()
    assert letter.to == [alice.email]
    assert "Ines" in letter.text
    assert "a leak" in letter.text


def test_a_holder_does_not_lift_a_pause_that_an_admin_set(sandbox, alice, bob, ines, make_key):
    issued = make_key()
    paused = leases.pause(issued.lease, by=ines, reason="a leak")
    with pytest.raises(NotAllowed, match="somebody else paused"):
        leases.resume(paused, by=alice)
    assert sandbox.status_of(issued.secret) == 401
    assert leases.resume(paused, by=bob).state == State.ACTIVE
    mine = leases.pause(paused, by=alice)
    assert leases.resume(mine, by=alice).state == State.ACTIVE


# Many


def test_many_are_revoked_with_a_result_for_each(proxy, team, alice, bob, vic, make_key):
    mine = [make_key().lease for _ in range(3)]
    theirs = make_key(holder=bob).lease
    found = leases.revoke_many([*mine, theirs], by=alice)
    assert [ending.lease.state for ending in found] == [State.REVOKED] * 3 + [State.ACTIVE]
    assert isinstance(found[-1].trouble, PortalError)
    assert proxy.keys_there(team) == {theirs.current.token_hash}


def test_the_reach_of_an_ending_is_counted_before_it(sandbox, team, alice, bob, make_key):
    make_key()
    busy = make_key(holder=bob).lease
    Lease.objects.filter(pk=busy.pk).update(last_used_at=timezone.now())
    shown = leases.reach(Lease.objects.filter(team=team), by=bob)
    assert (len(shown.leases), shown.refused, shown.busy) == (2, 0, 1)
    assert shown.holders == ("Alice", "Bob")
    assert leases.reach(Lease.objects.all(), by=alice).refused == 1
