"""Two things at once: issues, endings and sweeps that meet on one lease, and a proxy that goes and comes back."""

from __future__ import annotations

import contextlib
import threading
from datetime import timedelta
from uuid import uuid4

import pytest
import time_machine
from django.db import connection
from django.utils import timezone

from keys.models import Gateway, Intent, KeyRole, KeyVersion, Lease, State
from keys.services import gateways, intents, leases, roles
from keys.services.errors import AllowanceSpent, AlreadyIssued, EndedMeanwhile, GatewayAway, GatewayRefused
from keys.services.leases import ending, issuing
from keys.services.terms import Ask
from portal import audit
from portal.errors import PortalError
from portal.litellm import faults, hash_key
from portal.litellm.model_groups import ModelGroups
from teams import access
from teams.models import Membership
from teams.roles import MemberRole
from teams.services import put_member, remove_member
from tests.threads import together

pytestmark = pytest.mark.django_db(transaction=True)

HOW_500_LOOKS = [
    "This is an Enterprise feature. LITELLM_LICENSE",
    "400: no letter was sent",
    "Invalid duration in a hook",
]


# --- issuing --------------------------------------------------------------------------------------


def test_a_process_that_slept_past_the_horizon_leaves_no_key(sandbox, team, alice, make_role, after_horizon):
    sandbox.faults.meanwhile("/key/generate", after_horizon)  # frozen; the sweeps of another host run to their end
    with pytest.raises(EndedMeanwhile):
        leases.issue(Ask(team=team, role=make_role()), holder=alice, by=alice)

    after_horizon()
    assert sandbox.keys_there(team) == set()
    assert not Intent.objects.exists()


@pytest.mark.parametrize("words", HOW_500_LOOKS)
def test_a_500_is_never_proof_that_nothing_happened(sandbox, team, alice, make_role, after_horizon, words):
    answer = faults.Answer(500, {"error": {"message": words, "type": "x", "param": None, "code": "500"}})
    sandbox.faults.fail_next("/key/generate", answer, after_effect=True, times=2)
    with contextlib.suppress(PortalError):
        leases.issue(Ask(team=team, role=make_role()), holder=alice, by=alice)

    after_horizon()
    assert sandbox.balances(team)


def test_a_key_that_the_gateway_chose_and_that_lands_late_is_found_by_its_alias(
    sandbox, team, alice, make_role, after_horizon
):
    Gateway.objects.update(chosen_keys=False)
    sandbox.faults.hold_next("/key/generate")
    issued = leases.issue(Ask(team=team, role=make_role()), holder=alice, by=alice)
    landed: list[set[str]] = []

    def land() -> None:
        sandbox.faults.release()
        landed.append(sandbox.keys_there(team))

    after_horizon(between=land)
    assert len(landed[0]) == 2
    assert sandbox.keys_there(team) == {hash_key(issued.secret)}
    assert not Intent.objects.exists()


def test_a_role_that_is_closed_to_the_team_meanwhile_gives_no_key(sandbox, team, other_team, alice, ruth, make_role):
    role = make_role(all_teams=False, teams=[team])
    sandbox.faults.meanwhile("/key/generate", lambda: roles.change(KeyRole.objects.get(), by=ruth, teams=[other_team]))
    with pytest.raises(EndedMeanwhile):
        leases.issue(Ask(team=team, role=role), holder=alice, by=alice)
    assert sandbox.keys_there(team) == set()


def test_a_trial_that_breaks_does_not_lose_the_secret(sandbox, team, alice, make_role, monkeypatch):
    def broken(_: ModelGroups) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(ModelGroups, "info", broken)
    issued = leases.issue(Ask(team=team, role=make_role()), holder=alice, by=alice)
    assert sandbox.status_of(issued.secret) == 200
    assert issued.trial.ok is False


def test_a_slow_trial_does_not_close_the_desk(sandbox, team, make_key):
    sandbox.faults.fail_next("/model_group/info", faults.timed_out(), times=3)
    assert make_key().trial.ok is False
    assert Gateway.objects.get().away_since is None


@pytest.mark.postgres
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite locks the whole file: set DATABASE_URL")
def test_an_issue_and_a_change_of_members_never_wait_for_each_other(sandbox, team, ines, ruth, make_role, monkeypatch):
    both = threading.Barrier(2)
    role, real_attempt, real_record = make_role(), issuing.begin, audit.record

    def attempt(*given):
        made = real_attempt(*given)
        both.wait(10)  # its rows are locked
        return made

    def record(action, *given, **facts):
        event = real_record(action, *given, **facts)
        if action == "member.added":
            both.wait(10)
        return event

    monkeypatch.setattr(issuing, "begin", attempt)
    monkeypatch.setattr(audit, "record", record)
    issued, added = together(
        lambda: leases.issue(Ask(team=team, role=role), holder=ruth, by=ruth),
        lambda: put_member(team, email=ruth.email, role=MemberRole.MEMBER, by=ines),
    )
    assert isinstance(issued, leases.Issued)
    assert added[1] is True


# --- forms and allowances -------------------------------------------------------------------------


def test_a_form_whose_first_try_failed_can_be_sent_again(sandbox, team, alice, make_role):
    ask, once = Ask(team=team, role=make_role()), uuid4()
    sandbox.faults.fail_next("/key/generate", faults.server_error(), times=2)
    with pytest.raises(GatewayRefused):
        leases.issue(ask, holder=alice, by=alice, once=once)
    assert Lease.objects.get().state == State.FAILED

    issued = leases.issue(ask, holder=alice, by=alice, once=once)
    with pytest.raises(AlreadyIssued) as refused:
        leases.issue(ask, holder=alice, by=alice, once=once)
    assert refused.value.lease == issued.lease


def test_the_form_of_somebody_else_tells_nothing_about_their_key(sandbox, team, alice, bob, make_role):
    ask, once = Ask(team=team, role=make_role()), uuid4()
    hers = leases.issue(ask, holder=alice, by=alice, once=once)
    his = leases.issue(ask, holder=bob, by=bob, once=once)
    assert (hers.lease.holder, his.lease.holder) == (alice, bob)
    assert hers.secret != his.secret


def test_keys_that_are_still_being_revoked_count_for_the_allowance(sandbox, team, alice, make_role):
    ask = Ask(team=team, role=make_role(max_live_keys=1))
    sandbox.faults.fail_next("/key/delete", faults.server_error(), times=10)
    first = leases.issue(ask, holder=alice, by=alice)
    assert leases.revoke(first.lease, by=alice).state == State.REVOKING
    with pytest.raises(AllowanceSpent):
        leases.issue(ask, holder=alice, by=alice)
    assert sandbox.keys_there(team) == {hash_key(first.secret)}


# --- endings and sweeps ---------------------------------------------------------------------------


def test_sweeps_of_two_hosts_over_many_batches_do_not_break_each_other(sandbox, team, make_key, make_role, monkeypatch):
    monkeypatch.setattr(intents, "BATCH", 2)
    role = make_role(ttl=timedelta(minutes=5))
    for _ in range(5):
        make_key(role=role)
    start = timezone.now()

    def slow() -> None:
        with time_machine.travel(start + timedelta(minutes=8)):  # the first batch hangs, and its claim is over
            intents.settle_due()
        raise faults.timed_out()

    sandbox.faults.meanwhile("/key/delete", slow)
    with time_machine.travel(start + timedelta(minutes=6)):
        assert leases.expire_overdue() == 5
    assert set(Lease.objects.values_list("state", flat=True)) == {State.EXPIRED}
    assert not Intent.objects.exists()


def test_one_key_that_cannot_be_deleted_does_not_hold_up_the_others(sandbox, team, alice, make_key):
    issued = [make_key() for _ in range(5)]
    stubborn = hash_key(issued[2].secret)
    sandbox.gateway.went_away("a test", timezone.now())
    for each in issued:
        leases.revoke(each.lease, by=alice)
    sandbox.faults.fail_next(
        "/key/delete", faults.server_error(), times=1000, match=lambda body: stubborn in body["keys"]
    )
    with time_machine.travel(timezone.now() + timedelta(minutes=2)):
        assert intents.settle_due() == 4
    assert sandbox.keys_there(team) == {stubborn}
    assert list(Lease.objects.filter(state=State.REVOKING)) == [issued[2].lease]


@pytest.mark.parametrize("words", ["bad \u0000 text", "x" * 5000])
def test_no_words_of_the_gateway_stop_a_revocation(sandbox, team, alice, make_key, words):
    issued = make_key()
    answer = faults.Answer(500, {"error": {"message": words, "type": "x", "param": None, "code": "500"}})
    sandbox.faults.fail_next("/key/delete", answer, times=10)
    assert leases.revoke(issued.lease, by=alice).state == State.REVOKING
    assert "\0" not in Intent.objects.get().last_error


def test_whoever_says_expired_for_a_reason_still_revokes(sandbox, team, alice, make_key):
    assert leases.revoke(make_key().lease, by=alice, reason="expired").state == State.REVOKED


def test_removing_a_member_waits_ten_seconds_at_most(sandbox, team, alice, ines, make_key, patience):
    make_key()
    patience.clear()
    remove_member(Membership.objects.get(user=alice), by=ines)
    assert len(patience) == 1
    assert max(patience) <= 10


@pytest.fixture
def patience(monkeypatch) -> list[float]:
    """The seconds that each act was ready to wait for its gateway."""
    asked: list[float] = []
    real = gateways.calling

    def calling(gateway, *, by, seconds=gateways.PATIENCE):
        asked.append(seconds)
        return real(gateway, by=by, seconds=seconds)

    monkeypatch.setattr(gateways, "calling", calling)
    return asked


# --- a proxy that goes and comes back -------------------------------------------------------------


def test_the_breaker_stays_open_after_a_wait_that_was_longer_than_its_pause(sandbox, team, make_key):
    make_key()
    with time_machine.travel(timezone.now(), tick=False) as clock:

        def hang() -> None:
            clock.shift(10)
            raise faults.timed_out()

        for _ in range(3):
            sandbox.faults.meanwhile("/v2/team/list", hang)
        with pytest.raises(GatewayAway):
            make_key()
        gateway = Gateway.objects.get()
        assert gateway.away_since is not None
        assert gateway.next_try_at is not None
        assert gateway.next_try_at > timezone.now()


def test_a_revoked_key_dies_soon_after_the_proxy_is_back(sandbox, team, alice, make_key):
    issued = make_key()
    sandbox.faults.fail_next("/key/delete", faults.timed_out(), times=10_000)
    leases.revoke(issued.lease, by=alice)
    moment = timezone.now()
    for _ in range(9):  # about two hours
        moment = Intent.objects.get().due_at + timedelta(seconds=61)
        with time_machine.travel(moment, tick=False):
            intents.settle_due()
    sandbox.faults.clear()

    with time_machine.travel(moment + timedelta(minutes=1), tick=False):
        make_key()  # somebody else is served
        assert intents.settle_due() == 1
    issued.lease.refresh_from_db()
    assert issued.lease.state == State.REVOKED
    assert not KeyVersion.objects.filter(lease=issued.lease, ended_at=None).exists()


def test_an_intent_that_another_worker_forgets_at_this_moment_is_lost_and_no_error(sandbox, make_key, monkeypatch):
    ending._end(make_key().lease, by=access.SYSTEM, reason="asked")
    intent = Intent.objects.get()
    read = Intent.refresh_from_db

    def forgotten(self: Intent, *arguments: object, **more: object) -> None:
        Intent.objects.filter(pk=self.pk).delete()
        read(self)

    monkeypatch.setattr(Intent, "refresh_from_db", forgotten)
    assert intent.claim(timezone.now()) is False
