"""The crash table: issue and revoke, cut at every step in every way, on the sandbox and on the real proxy.

However it goes: afterwards the keys on the gateway are the live versions, and no intent is left after HORIZON.
"""

from __future__ import annotations

import contextlib
import itertools
from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from keys.models import Intent, KeyVersion, Lease, State
from keys.models.intent import HORIZON
from keys.services import intents, leases
from keys.services.errors import EndedMeanwhile
from keys.services.terms import Ask
from portal.errors import PortalError
from portal.litellm import faults, hash_key
from portal.models import AuditEvent

pytestmark = pytest.mark.django_db(transaction=True)


class Killed(BaseException):
    """The process ends here: nothing after it runs, not even an `except Exception`."""


WAYS = {
    "refused": (faults.refused, False),
    "timeout before the effect": (faults.timed_out, False),
    "timeout after the effect": (faults.timed_out, True),
    "connection lost after the effect": (faults.lost, True),
    "500 before the effect": (faults.server_error, False),
    "500 after the effect": (faults.server_error, True),
    "broken answer after the effect": (faults.broken_json, True),
    "a load balancer's page": (faults.not_the_proxy, False),
    "killed before the effect": (Killed, False),
    "killed after the effect": (Killed, True),
}
# On the real proxy those that it can tell apart; the others are the same to it, and ours to read.
ON_BOTH = ["timeout before the effect", "timeout after the effect", "killed after the effect"]
MARKS = {way: () if way in ON_BOTH else pytest.mark.apart for way in WAYS}
CASES = [
    *(pytest.param("sandbox", way, marks=pytest.mark.apart) for way in WAYS),
    *(pytest.param("live", way, marks=pytest.mark.live) for way in ON_BOTH),
]
ISSUE_STEPS = ["/v2/team/list", "/team/new", "/key/generate", "/model_group/info"]
REVOKE_STEPS = ["/key/delete", "/key/info"]


def times(way: str) -> int:
    return 3 if way == "refused" else 1  # the client itself repeats what surely never arrived


def settled(proxy, team) -> bool:
    return proxy.balances(team) and not Intent.objects.exists()


@pytest.mark.parametrize(("proxy", "way"), CASES, indirect=["proxy"])
@pytest.mark.parametrize("step", ISSUE_STEPS)
def test_an_issue_cut_anywhere_leaves_no_key_that_nobody_has(proxy, team, alice, make_role, after_horizon, step, way):
    ask = Ask(team=team, role=make_role())
    what, after_effect = WAYS[way]
    proxy.faults.fail_next(step, what(), after_effect=after_effect, times=times(way))
    secret = ""
    with contextlib.suppress(PortalError, Killed):
        secret = leases.issue(ask, holder=alice, by=alice).secret
    assert proxy.faults.pending == 0

    after_horizon()
    assert settled(proxy, team)
    assert Lease.objects.exclude(state__in=[State.ACTIVE, State.FAILED]).count() == 0
    if secret:
        assert proxy.keys_there(team) == {hash_key(secret)}
        assert proxy.status_of(secret) == 200
    elif step != "/model_group/info":  # the trial comes after the last commit: the holder sees the lease, and ends it
        assert proxy.keys_there(team) == set()


@pytest.mark.parametrize("lost", [1, 2, 3, 6])
@pytest.mark.parametrize("way", ["timeout after the effect", "500 after the effect", "timeout before the effect"])
def test_an_issue_whose_every_answer_is_lost_is_closed_and_cleaned(
    proxy, team, alice, make_role, after_horizon, way, lost
):
    what, after_effect = WAYS[way]
    for path in ("/key/generate", "/key/info"):
        proxy.faults.fail_next(path, what(), after_effect=after_effect, times=lost)
    try:
        secret = leases.issue(Ask(team=team, role=make_role()), holder=alice, by=alice).secret
    except PortalError:
        secret = ""
    proxy.faults.clear()

    after_horizon()
    assert settled(proxy, team)
    assert proxy.keys_there(team) == ({hash_key(secret)} if secret else set())


def test_a_generate_that_lands_after_the_clean_up_looked_is_found_and_deleted(
    proxy, team, alice, make_role, after_horizon
):
    proxy.faults.hold_next("/key/generate", times=2)
    with pytest.raises(PortalError):
        leases.issue(Ask(team=team, role=make_role()), holder=alice, by=alice)
    assert Lease.objects.get().state == State.FAILED  # the lease is closed at once
    landed = []

    def land() -> None:
        proxy.faults.release()
        landed.append(proxy.keys_there(team))

    after_horizon(between=land)
    assert len(landed[0]) == 1  # it did come alive after the first look
    assert settled(proxy, team)
    assert proxy.keys_there(team) == set()


def test_a_late_repeat_cannot_revive_a_key_that_was_revoked_meanwhile(proxy, team, alice, make_role, after_horizon):
    proxy.faults.hold_next("/key/generate")
    issued = leases.issue(Ask(team=team, role=make_role()), holder=alice, by=alice)
    leases.revoke(issued.lease, by=alice)
    assert issued.lease.state == State.REVOKED
    assert proxy.status_of(issued.secret) == 401

    after_horizon(between=proxy.faults.release)
    assert proxy.status_of(issued.secret) == 401
    assert settled(proxy, team)


def test_a_late_repeat_cannot_revive_a_key_that_was_rotated_and_then_revoked(
    proxy, team, alice, make_role, after_horizon
):
    """Its end was promised by the rotation already, for the end of the grace: the revocation must still watch it."""
    proxy.faults.hold_next("/key/generate")
    issued = leases.issue(Ask(team=team, role=make_role()), holder=alice, by=alice)
    leases.rotate(issued.lease, by=alice, grace=timedelta(hours=1))
    leases.revoke(issued.lease, by=alice)

    after_horizon(between=proxy.faults.release)
    assert proxy.status_of(issued.secret) == 401
    assert settled(proxy, team)


def test_a_process_killed_between_promise_and_answer_is_cleaned_up_after_a_minute(proxy, team, alice, make_role):
    proxy.faults.fail_next("/key/generate", Killed(), after_effect=True)
    with pytest.raises(Killed):
        leases.issue(Ask(team=team, role=make_role()), holder=alice, by=alice)
    assert len(proxy.keys_there(team)) == 1

    assert intents.settle_due() == 0  # somebody may still wait for the answer
    with time_machine.travel(timezone.now() + timedelta(seconds=61)):
        assert intents.settle_due() == 1
    assert proxy.keys_there(team) == set()
    assert Lease.objects.get().state == State.FAILED
    assert AuditEvent.objects.filter(action="key.issue_failed").count() == 1


def test_at_start_up_of_the_only_process_abandoned_issues_are_cleaned_at_once(proxy, team, alice, make_role):
    proxy.faults.fail_next("/key/generate", Killed(), after_effect=True)
    with pytest.raises(Killed):
        leases.issue(Ask(team=team, role=make_role()), holder=alice, by=alice)

    assert intents.abandon_all(timezone.now()) == 1
    assert intents.settle_due() == 1
    assert proxy.keys_there(team) == set()


def test_an_issue_that_is_revoked_while_it_runs_answers_no_secret(proxy, team, alice, ines, make_role):
    proxy.faults.meanwhile("/key/generate", lambda: leases.revoke(Lease.objects.get(), by=ines))
    with pytest.raises(EndedMeanwhile):
        leases.issue(Ask(team=team, role=make_role()), holder=alice, by=alice)

    assert proxy.keys_there(team) == set()
    assert Lease.objects.get().state == State.REVOKED


def test_a_holder_who_leaves_while_the_key_is_issued_gets_none(proxy, team, alice, make_role):
    proxy.faults.meanwhile("/key/generate", lambda: alice.memberships.all().delete())
    with pytest.raises(EndedMeanwhile):
        leases.issue(Ask(team=team, role=make_role()), holder=alice, by=alice)

    assert proxy.keys_there(team) == set()
    assert Lease.objects.get().state == State.FAILED


@pytest.mark.parametrize(("proxy", "way"), CASES, indirect=["proxy"])
@pytest.mark.parametrize("step", REVOKE_STEPS)
def test_a_revoke_cut_anywhere_still_ends_the_key(proxy, team, alice, make_key, after_horizon, step, way):
    issued = make_key()
    what, after_effect = WAYS[way]
    proxy.faults.fail_next(step, what(), after_effect=after_effect, times=times(way))
    try:
        leases.revoke(issued.lease, by=alice)
    except Killed:
        issued.lease.refresh_from_db()
    assert issued.lease.state in {State.REVOKING, State.REVOKED}

    after_horizon()
    issued.lease.refresh_from_db()
    assert issued.lease.state == State.REVOKED
    assert proxy.status_of(issued.secret) == 401
    assert settled(proxy, team)


def test_a_gateway_that_is_away_never_stops_a_revocation(sandbox, team, alice, make_key):
    issued = make_key()
    sandbox.faults.fail_next("/key/delete", faults.refused(), times=100)
    assert leases.revoke(issued.lease, by=alice).state == State.REVOKING
    waits = []
    moment = timezone.now()
    for _ in range(8):
        intent = Intent.objects.get()
        waits.append(intent.due_at - moment)
        moment = intent.due_at + timedelta(seconds=1)
        with time_machine.travel(moment, tick=False):
            intents.settle_due()

    assert Intent.objects.get().is_stuck
    assert all(later > earlier for earlier, later in itertools.pairwise(waits))
    assert max(waits) <= timedelta(hours=1, seconds=5)

    sandbox.faults.clear()
    with time_machine.travel(moment + timedelta(hours=2)):
        intents.settle_due()
        issued.lease.refresh_from_db()
    assert issued.lease.state == State.REVOKED
    assert not Intent.objects.exists()


@pytest.mark.apart
def test_two_hundred_leases_end_in_batches_of_a_hundred(sandbox, team, alice, make_role):
    role = make_role(ttl=timedelta(minutes=5))
    for _ in range(201):
        leases.issue(Ask(team=team, role=role), holder=alice, by=alice)
    sandbox.faults.clear()
    with time_machine.travel(timezone.now() + timedelta(minutes=6)):
        assert leases.expire_overdue() == 201

    assert [path for _, path in sandbox.faults.calls].count("/key/delete") == 3
    assert set(Lease.objects.values_list("state", flat=True)) == {State.EXPIRED}
    assert not KeyVersion.objects.filter(ended_at=None).exists()


REFUSED_BY_SETTING = {  # seen on LiteLLM 1.106.2 with disable_custom_api_keys
    "error": {
        "message": "{'error': 'Custom API key values are disabled by your administrator."
        " Keys must be auto-generated.'}",
        "type": "internal_server_error",
        "param": None,
        "code": "403",
    }
}


@pytest.fixture
def no_chosen_keys(proxy):
    """A gateway that makes every key itself. On the shared real proxy only this test may see the setting."""
    refusal = faults.Answer(403, REFUSED_BY_SETTING)
    proxy.faults.fail_next("/key/generate", refusal, times=1000, match=lambda body: "key" in body)
    return proxy


def test_a_gateway_that_refuses_chosen_keys_gets_the_same_protocol_by_alias(
    no_chosen_keys, team, alice, make_role, after_horizon
):
    proxy, ask = no_chosen_keys, Ask(team=team, role=make_role())
    issued = leases.issue(ask, holder=alice, by=alice)
    assert issued.lease.current.token_hash == hash_key(issued.secret)
    assert proxy.balances(team)
    proxy.gateway.refresh_from_db()
    assert proxy.gateway.chosen_keys is False

    proxy.faults.fail_next("/key/generate", faults.timed_out(), after_effect=True)
    second = leases.issue(ask, holder=alice, by=alice)  # the first answer is lost, a fresh alias is made
    assert second.lease.versions.count() == 2

    proxy.faults.fail_next("/key/generate", Killed(), after_effect=True)
    with pytest.raises(Killed):
        leases.issue(ask, holder=alice, by=alice)
    assert len(proxy.keys_there(team)) == 4

    after_horizon()
    assert settled(proxy, team)
    assert proxy.keys_there(team) == {hash_key(issued.secret), hash_key(second.secret)}


def test_horizon_is_longer_than_the_latest_landing_that_was_seen():
    assert timedelta(seconds=75) < HORIZON
