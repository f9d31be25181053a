"""Hold: a database that may be older than its gateway ends nothing before a platform admin has looked."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from keys.models import EndReason, Finding, Gateway, Intent, KeyVersion, Lease, State, UnmanagedKey
from keys.services import findings, intents, leases, reconcile, unmanaged
from keys.services.minting import new_secret
from keys.services.reconcile import CHECKING, GAP, probe
from keys.services.reconcile.holding import GatewayHeld, NotUnknown
from keys.services.terms import Ask
from portal.audit.chain import secret_hash
from portal.errors import NotAllowed
from portal.litellm import faults, hash_key
from portal.models import AuditEvent, Installation, Letter
from teams.models import Membership
from teams.roles import MemberRole
from tests.keys.test_crashes import Killed
from tests.keys.test_reconcile import forgotten, later, run

pytestmark = pytest.mark.django_db(transaction=True)
DAY = timedelta(days=1)


def lost(issued) -> str:
    """Make our database one that never heard of this lease, as a restored one; answers its hash."""
    token = issued.lease.current.token_hash
    Intent.objects.filter(version__lease=issued.lease).delete()
    KeyVersion.objects.filter(lease=issued.lease).delete()
    Lease.objects.filter(pk=issued.lease.pk).delete()
    return token


def held(proxy) -> str:
    proxy.gateway.refresh_from_db()
    assert bool(proxy.gateway.held_since) == bool(proxy.gateway.held_reason)
    return proxy.gateway.held_reason


def test_a_key_of_ours_that_our_database_never_heard_of_holds_the_gateway(proxy, team, ruth, make_key):
    known, gone = make_key(), make_key()
    forgotten(known)
    token = lost(gone)
    outcome = run(proxy)

    assert (outcome.unknown, outcome.revoked, outcome.listed) == ((token,), (), (hash_key(known.secret),))
    assert "not in its database: 1." in held(proxy)
    assert outcome.held == held(proxy)
    assert len(proxy.keys_there(team)) == 2  # nothing was ended, also not what would have been
    finding = Finding.objects.get(kind="orphan", subject=token)
    assert finding.facts["alias"] == gone.lease.alias
    assert "backup" in finding.cause
    assert Letter.objects.get().to == ["ruth@example.com"]
    assert AuditEvent.objects.get(action="gateway.held").facts["reason"] == held(proxy)
    run(proxy)
    assert Letter.objects.count() == 1


def test_a_hold_stops_expiry_and_a_release_lets_it_go(proxy, team, ruth, make_key):
    issued, gone = make_key(ttl=timedelta(hours=2)), make_key()
    token = lost(gone)
    run(proxy)
    with time_machine.travel(timezone.now() + timedelta(hours=3)):
        assert leases.expire_overdue() == 0
        assert leases.end_orphaned() == {"ended": 0, "blocked": 0}
        assert Lease.objects.get().state == State.ACTIVE
        preview = reconcile.preview(proxy.gateway, by=ruth)
        assert preview.expiring == (issued.lease,)
        assert [key.token for key in preview.unknown] == [token]

        reconcile.release(proxy.gateway, by=ruth)
        assert held(proxy) == ""
        assert leases.expire_overdue() == 1
    assert Lease.objects.get().state == State.EXPIRED
    assert proxy.status_of(issued.secret) == 401
    assert proxy.keys_there(team) == {token}  # what nobody knows is not ended by itself
    event = AuditEvent.objects.get(action="gateway.released")
    assert event.actor == "ruth@example.com"


def test_after_a_release_keys_that_were_listed_do_not_hold_again_but_new_ones_do(sandbox, ruth, make_key):
    lost(make_key())
    run(sandbox)
    reconcile.release(sandbox.gateway, by=ruth)
    run(sandbox)
    assert held(sandbox) == ""
    assert Finding.objects.get().state == "open"
    findings.ignore(Finding.objects.get(), by=ruth, reason="Of the test installation.")
    run(sandbox)
    assert held(sandbox) == ""

    lost(make_key())
    run(sandbox)
    assert held(sandbox)


def test_what_people_ask_for_works_while_it_is_held(proxy, alice, ines, make_key):
    issued, paused, gone = make_key(), make_key(), make_key()
    lost(gone)
    run(proxy)
    leases.revoke(issued.lease, by=alice)
    leases.pause(paused.lease, by=ines)
    assert proxy.status_of(issued.secret) == proxy.status_of(paused.secret) == 401
    assert held(proxy)


def test_an_abandoned_issue_is_not_cleaned_up_while_it_is_held(sandbox, team, alice, make_key, make_role):
    lost(make_key())
    run(sandbox)
    sandbox.faults.fail_next("/key/generate", Killed(), after_effect=True)
    with pytest.raises(Killed):
        leases.issue(Ask(team=team, role=make_role(name="other")), holder=alice, by=alice)
    with time_machine.travel(timezone.now() + timedelta(minutes=2)):
        assert intents.settle_due() == 0
    assert Lease.objects.get().state == State.ISSUING


def test_many_leases_that_end_later_there_hold_the_gateway(proxy, ruth, make_key):
    made = [make_key() for _ in range(5)]
    for issued in made[:4]:  # a backup from before four renewals
        Lease.objects.filter(pk=issued.lease.pk).update(expires_at=timezone.now() + DAY)
        KeyVersion.objects.filter(lease=issued.lease).update(dies_at=timezone.now() + DAY)
    run(proxy)
    assert "4 of 5 keys end later on the gateway" in held(proxy)
    preview = reconcile.preview(proxy.gateway, by=ruth)
    assert {drift.version.lease for drift in preview.later} == {issued.lease for issued in made[:4]}

    for finding in Finding.objects.filter(kind="expiry"):
        findings.adopt(finding, by=ruth)
    reconcile.release(proxy.gateway, by=ruth)
    run(proxy)
    assert held(proxy) == ""
    assert all(lease.expires_at > timezone.now() + 29 * DAY for lease in Lease.objects.all())


def test_a_few_that_end_later_or_many_that_end_sooner_hold_nothing(sandbox, make_key):
    made = [make_key() for _ in range(8)]
    for issued in made[:3]:
        sandbox.client.keys.update(issued.secret, duration="60d")
    for issued in made[3:]:
        sandbox.client.keys.update(issued.secret, duration="2d")
    run(sandbox)
    assert held(sandbox) == ""
    assert Finding.objects.filter(kind="expiry").count() == 8


def test_rotations_whose_old_keys_could_not_be_shortened_yet_are_no_sign_of_a_restore(sandbox, alice, make_key):
    made = [make_key() for _ in range(5)]
    sandbox.faults.fail_next("/key/update", faults.server_error(500), times=100)
    for issued in made:
        leases.rotate(issued.lease, by=alice)
    assert Intent.objects.filter(kind="shape").count() == 5
    run(sandbox)
    assert held(sandbox) == ""


def test_after_a_pause_nothing_is_ended_before_a_reconcile_has_seen_that_all_is_well(proxy, team, make_key):
    issued = make_key(ttl=timedelta(minutes=5))
    with time_machine.travel(timezone.now() + timedelta(hours=2), tick=True):
        reconcile.wake(timezone.now(), timezone.now() - timedelta(hours=2))
        assert held(proxy) == CHECKING
        assert leases.expire_overdue() == 0
        assert reconcile.run_due()["gateways"] == 1
        assert held(proxy) == ""
        assert leases.expire_overdue() == 1
        actions = ["gateway.held", "gateway.released"]
        assert list(AuditEvent.objects.filter(action__in=actions).order_by("pk").values_list("action", flat=True)) == (
            actions
        )
    assert proxy.status_of(issued.secret) == 401
    assert not Letter.objects.exists()  # nobody need do anything


def test_after_a_pause_a_sign_of_a_restore_makes_it_a_real_hold(proxy, ruth, make_key):
    make_key()
    lost(make_key())
    now = later()
    reconcile.wake(now, now - timedelta(hours=2))
    reconcile.run_due(now)
    assert held(proxy) not in {"", CHECKING}
    since = proxy.gateway.held_since
    assert since == now
    assert Letter.objects.get().to == ["ruth@example.com"]
    assert reconcile.run_due(now + timedelta(minutes=1))["gateways"] == 0  # seen; now it is somebody's to decide
    reconcile.wake(now + timedelta(hours=4), None)
    assert held(proxy) != CHECKING


def test_a_short_pause_holds_nothing(sandbox, make_key):
    make_key()
    now = timezone.now()
    reconcile.wake(now, now - GAP)
    assert held(sandbox) == ""


def test_a_database_whose_sweeps_never_ran_is_looked_at_if_it_has_leases(sandbox, make_key):
    reconcile.wake(timezone.now(), None)
    assert held(sandbox) == ""
    make_key()
    reconcile.wake(timezone.now(), None)
    assert held(sandbox) == CHECKING
    reconcile.wake(timezone.now(), None)
    assert AuditEvent.objects.filter(action="gateway.held").count() == 1


def test_a_suspicion_stays_while_the_gateway_is_away(sandbox, make_key):
    make_key()
    reconcile.wake(timezone.now(), None)
    sandbox.faults.fail_next("/key/list", faults.refused(), times=100)
    assert reconcile.run_due()["failed"] == 1
    assert held(sandbox) == CHECKING
    sandbox.faults.clear()
    Gateway.objects.update(next_try_at=None)
    assert reconcile.run_due()["gateways"] == 1
    assert held(sandbox) == ""


def test_an_approved_list_ends_nothing_while_the_gateway_is_held(sandbox, ruth, make_key):
    forgotten(make_key())
    lost(make_key())
    run(sandbox)
    with pytest.raises(GatewayHeld):
        reconcile.run(sandbox.gateway, by=ruth, approved=True, now=later())


def test_unknown_keys_are_revoked_only_by_name(proxy, team, ruth, make_key):
    first, second = lost(make_key()), lost(make_key())
    run(proxy)
    assert reconcile.revoke_unknown(proxy.gateway, [first], by=ruth) == 1
    assert proxy.keys_there(team) == {second}
    assert Finding.objects.get(subject=first).closed_by == "ruth@example.com"
    assert Finding.objects.get(subject=second).state == "open"
    assert AuditEvent.objects.get(action="gateway.unknown_key_doomed").secret_hash == secret_hash(first)
    assert reconcile.revoke_unknown(proxy.gateway, [first], by=ruth) == 1  # it is gone, once more


def test_an_unknown_key_can_be_taken_back_as_a_lease(proxy, team, alice, ruth, make_key):
    issued = make_key()
    token = lost(issued)
    run(proxy)
    key = UnmanagedKey(gateway=proxy.gateway, token_hash=token)
    lease = unmanaged.adopt_key(key, team=team, holder=alice, role=issued.lease.role, by=ruth)
    assert proxy.status_of(issued.secret) == 200
    assert (lease.current.alias, lease.expires_at) == (issued.lease.alias, proxy.client.keys.info(token).expires)
    reconcile.release(proxy.gateway, by=ruth)
    run(proxy)
    assert held(proxy) == ""
    assert not Finding.objects.filter(state="open").exists()


def test_what_is_not_unknown_is_not_revoked_as_such(proxy, team, ruth, make_key):
    known = make_key()
    mark = {"keydesk": {"instance": "another"}}
    theirs = proxy.client.keys.generate(key=new_secret(), team_id=team.litellm_id, metadata=mark).token
    for token in (hash_key(known.secret), theirs):
        with pytest.raises(NotUnknown):
            reconcile.revoke_unknown(proxy.gateway, [token], by=ruth)
    assert proxy.client.keys.info(theirs).status == "active"
    assert proxy.status_of(known.secret) == 200


def test_the_preview_tells_whose_ground_is_gone(sandbox, alice, ruth, team, make_key, make_role, person):
    carol = person("carol")
    Membership.objects.create(team=team, user=carol, role=MemberRole.MEMBER)
    stays = make_key(holder=carol)
    leaves, ended = make_key(), make_key(role=make_role(name="old"), holder=carol)
    Membership.objects.filter(user=alice).delete()
    type(ended.lease.role).objects.filter(pk=ended.lease.role_id).update(ended_at=timezone.now())
    missing = make_key(holder=carol)
    sandbox.client.keys.delete(missing.secret)
    Gateway.objects.update(held_since=timezone.now(), held_reason="A test.")
    with time_machine.travel(later()):
        preview = reconcile.preview(sandbox.gateway, by=ruth)
    assert set(preview.ending) == {(leaves.lease, EndReason.LEFT), (ended.lease, EndReason.ROLE)}
    assert preview.missing == (missing.lease.current,)
    assert not any([preview.expiring, preview.unknown, preview.later, preview.orphans])
    assert Lease.objects.filter(state=State.ACTIVE).count() == 4
    assert stays.lease.is_live


def test_only_platform_admins_look_and_release(sandbox, alice, ines, audra):
    reconcile.preview(sandbox.gateway, by=audra)
    for who in (alice, ines):
        with pytest.raises(NotAllowed):
            reconcile.preview(sandbox.gateway, by=who)
    for who in (alice, ines, audra):
        for act in (reconcile.release, reconcile.measure):
            with pytest.raises(NotAllowed):
                act(sandbox.gateway, by=who)
        with pytest.raises(NotAllowed):
            reconcile.revoke_unknown(sandbox.gateway, ["0" * 64], by=who)


def test_a_release_can_be_repeated(sandbox, ruth):
    reconcile.release(sandbox.gateway, by=ruth)
    assert not AuditEvent.objects.filter(action="gateway.released").exists()


# --- how long an ending takes ---------------------------------------------------------------------


class Clock:
    """No waiting: to sleep moves the clock."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    monkeypatch.setattr(probe, "time", Clock())


def test_an_ending_is_measured_with_a_key_of_our_own(proxy, ruth):
    before = {key.token for key in proxy.client.keys.list()} if proxy.gateway.is_sandbox else set()
    assert reconcile.measure(proxy.gateway, by=ruth) < 2
    proxy.gateway.refresh_from_db()
    assert proxy.gateway.effective_within < 2
    marks = [key.metadata.get("keydesk") or {} for key in proxy.client.keys.list()]
    assert not [mark for mark in marks if mark.get("probe") and mark["instance"] == Installation.current()]
    if proxy.gateway.is_sandbox:
        assert {key.token for key in proxy.client.keys.list()} == before
    assert AuditEvent.objects.filter(action="gateway.measured").count() == 1


def test_workers_that_still_answer_from_their_caches_are_waited_for(sandbox, ruth, clock):
    answered = faults.Answer(200, {"data": [], "object": "list"})
    sandbox.faults.fail_next("/v1/models", answered, times=16 + 20)  # the warm-up, and 20 rounds
    assert reconcile.measure(sandbox.gateway, by=ruth) == 20.0


def test_what_never_becomes_uniform_is_said_to_be_within_a_minute(sandbox, ruth, clock):
    answered = faults.Answer(200, {"data": [], "object": "list"})
    sandbox.faults.fail_next("/v1/models", answered, times=1000)
    assert reconcile.measure(sandbox.gateway, by=ruth) == 60.0
    assert not list(sandbox.client.keys.list())


def test_a_probe_of_a_process_that_died_lives_five_minutes_and_is_cleaned_up(sandbox, ruth):
    sandbox.faults.fail_next("/key/block", Killed())
    sandbox.faults.fail_next("/key/delete", Killed())
    with pytest.raises(Killed):
        reconcile.measure(sandbox.gateway, by=ruth)
    [left] = sandbox.client.keys.list()
    assert left.expires - timezone.now() < timedelta(minutes=5)
    run(sandbox)
    assert held(sandbox) == ""
    assert not list(sandbox.client.keys.list())
