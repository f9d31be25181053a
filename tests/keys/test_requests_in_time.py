"""Requests as time goes by, two people at once, and a claim that goes wrong on its way."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from keys import tasks
from keys.models import Decider, Intent, KeyRequest, KeyRole, Lease, RequestEntry
from keys.models import State as LeaseState
from keys.services import intents, requests
from keys.services.errors import AlreadyIssued, EndedMeanwhile, GatewayRefused
from keys.services.requests import NotClaimable, NotOpen
from keys.services.terms import Ask
from portal.errors import PortalError
from portal.litellm import faults
from portal.models import AuditEvent, Letter
from teams.models import User
from tests.threads import together

pytestmark = pytest.mark.django_db(transaction=True)

State = KeyRequest.State
NOTHING = {"ended": 0, "lapsed": 0, "escalated": 0, "reminded": 0, "warned": 0, "reverted": 0}


@pytest.fixture
def ask(sandbox, team, alice, make_role) -> Callable[..., KeyRequest]:
    def make(role: KeyRole | None = None, **more: Any) -> KeyRequest:
        role = role or KeyRole.objects.filter(name="coding").first() or make_role(approval="team")
        return requests.submit(Ask(team=team, role=role, purpose="a demo", **more), holder=alice, by=alice)

    return make


def after(time: timedelta) -> dict[str, int]:
    with time_machine.travel(timezone.now() + time):
        return requests.look_after()


def letters_to(person: User) -> list[str]:
    return [letter.subject for letter in Letter.objects.order_by("pk") if person.email in letter.to]


# --- waiting --------------------------------------------------------------------------------------


def test_who_decides_is_reminded_once_and_then_the_platform_is_asked_as_well(ask, bob, ines, ruth, settings):
    request = ask()
    half, whole = settings.ESCALATE_AFTER / 2, settings.ESCALATE_AFTER
    assert after(half - timedelta(minutes=1)) == NOTHING
    assert after(half + timedelta(minutes=1)) == NOTHING | {"reminded": 1}
    assert after(half + timedelta(minutes=2)) == NOTHING
    assert letters_to(bob)[-1].startswith("Keydesk: Still waiting")
    assert after(whole + timedelta(minutes=1)) == NOTHING | {"escalated": 1}
    assert after(whole + timedelta(minutes=2)) == NOTHING

    request.refresh_from_db()
    assert (request.decider, list(requests.deciders(request))) == (Decider.PLATFORM, [bob, ines, ruth])
    assert letters_to(ruth) == ["Keydesk: Escalated: Alice asks for a key of coding"]
    assert [entry.act for entry in request.entries.all()] == ["asked", "reminded", "escalated"]
    assert AuditEvent.objects.get(action="request.escalated").actor_kind == "system"
    assert requests.approve(request, by=ines).state == State.APPROVED  # who could before still can


def test_where_nobody_could_decide_the_platform_is_asked_at_once(ask, alice, ruth, settings):
    request = ask()
    assert list(requests.deciders(request)) == []
    assert tasks.look_after_requests() == NOTHING | {"escalated": 1}
    assert list(requests.deciders(KeyRequest.objects.get())) == [ruth]
    assert after(settings.ESCALATE_AFTER) == NOTHING | {"reminded": 1}


def test_two_stay_two_after_an_escalation(ask, bob, ruth, make_role):
    request = ask(make_role(approval="two"))
    after(timedelta(0))  # one approver is not two
    assert requests.approve(request, by=bob).state == State.PENDING
    assert requests.approve(request, by=ruth).state == State.APPROVED


def test_an_undecided_request_lapses_and_can_be_asked_again(ask, team, alice, bob, settings):
    request = ask()
    assert after(settings.REQUESTS_WAIT + timedelta(minutes=1))["lapsed"] == 1
    request.refresh_from_db()
    assert (request.state, letters_to(alice)) == (State.LAPSED, ["Keydesk: Lapsed: a key of coding"])
    wish = Ask(team=team, role=request.role, purpose="still a demo")
    assert requests.submit(wish, holder=alice, by=alice, again=request).thread == request.thread


def test_a_claim_is_remembered_and_lapses(ask, alice, bob, settings):
    request = requests.approve(ask(), by=bob)
    near = settings.CLAIM_WITHIN - timedelta(hours=20)
    assert after(near - timedelta(hours=10)) == NOTHING
    assert after(near)["warned"] == 1
    assert after(near + timedelta(hours=1)) == NOTHING
    assert letters_to(alice)[-1].startswith("Keydesk: Claim a key of coding by")
    with time_machine.travel(timezone.now() + settings.CLAIM_WITHIN + timedelta(minutes=1)):
        with pytest.raises(NotClaimable, match="is over"):
            requests.claim(request, by=alice)
        assert requests.look_after()["lapsed"] == 1
    request.refresh_from_db()
    assert request.state == State.LAPSED
    with pytest.raises(NotClaimable, match="lapsed"):
        requests.claim(request, by=alice)


def test_a_round_over_many_asks_no_more_questions_than_each_row_needs(ask, bob, django_assert_max_num_queries):
    ask()
    assert after(timedelta(0)) == NOTHING
    for _ in range(5):
        ask()
    with django_assert_max_num_queries(6):  # nothing is due: one question of each kind
        requests.look_after()


# --- at the same time -----------------------------------------------------------------------------


def test_two_who_decide_at_once_decide_once(ask, bob, ines):
    request = ask()
    done = together(
        lambda: requests.approve(request, by=bob),
        lambda: requests.deny(request, by=ines, reason="not now"),
    )
    assert sorted(type(each).__name__ for each in done) == ["KeyRequest", "NotOpen"]
    request.refresh_from_db()
    assert RequestEntry.objects.filter(act__in=["approved", "denied"]).get().act == request.state


def test_an_approval_and_a_cancellation_at_once_leave_one_of_them_last(ask, alice, bob):
    request = ask()
    approved, cancelled = together(
        lambda: requests.approve(request, by=bob), lambda: requests.cancel(request, by=alice)
    )
    request.refresh_from_db()
    assert request.state == State.CANCELLED  # what was approved first can be cancelled as well
    assert isinstance(cancelled, KeyRequest)
    assert isinstance(approved, KeyRequest | NotOpen)


def test_two_claims_at_once_give_one_key(ask, sandbox, team, alice, bob):
    request = requests.approve(ask(), by=bob)
    done = together(*[lambda: requests.claim(request, by=alice, once=uuid4())] * 3)
    assert len([each for each in done if not isinstance(each, Exception)]) == 1
    assert all(isinstance(each, NotClaimable | AlreadyIssued) for each in done if isinstance(each, Exception))
    assert len(sandbox.keys_there(team)) == 1


def test_a_cancellation_during_a_claim_leaves_no_key(ask, sandbox, team, alice, bob, after_horizon):
    request = requests.approve(ask(), by=bob)
    sandbox.faults.meanwhile("/key/generate", lambda: requests.cancel(request, by=alice))
    with pytest.raises(EndedMeanwhile):
        requests.claim(request, by=alice)
    after_horizon()
    assert (sandbox.keys_there(team), Intent.objects.count()) == (set(), 0)
    request.refresh_from_db()
    assert (request.state, request.lease.state) == (State.CANCELLED, LeaseState.FAILED)


def test_a_claim_that_began_in_time_does_not_lapse_under_it(ask, sandbox, alice, bob, settings):
    request = requests.approve(ask(), by=bob)
    late = timezone.now() + settings.CLAIM_WITHIN + timedelta(seconds=5)

    def lapse() -> None:
        with time_machine.travel(late):
            assert requests.look_after()["lapsed"] == 0
            with pytest.raises(NotClaimable):
                requests.claim(request, by=alice)

    sandbox.faults.meanwhile("/key/generate", lapse)
    assert requests.claim(request, by=alice).lease.state == LeaseState.ACTIVE


# --- a claim that goes wrong ----------------------------------------------------------------------


def test_a_claim_that_the_gateway_refused_can_be_repeated(ask, sandbox, team, alice, bob):
    request = requests.approve(ask(), by=bob)
    sandbox.faults.fail_next("/key/generate", faults.server_error(), times=2)
    with pytest.raises(GatewayRefused):
        requests.claim(request, by=alice)
    request.refresh_from_db()
    assert (request.state, KeyRequest.objects.claimable(timezone.now()).get()) == (State.APPROVED, request)
    issued = requests.claim(request, by=alice)
    assert (sandbox.status_of(issued.secret), Lease.objects.filter(state=LeaseState.ACTIVE).count()) == (200, 1)


def test_a_claim_whose_process_died_can_be_repeated_and_leaves_one_key(
    ask, sandbox, team, alice, bob, monkeypatch, after_horizon
):
    request = requests.approve(ask(), by=bob)

    class Killed(BaseException):
        """No `except Exception` sees it: the process is gone."""

    def die() -> None:
        raise Killed

    sandbox.faults.meanwhile("/key/generate", die)
    with pytest.raises(Killed):
        requests.claim(request, by=alice)
    with pytest.raises(NotClaimable, match="being issued at this moment"):
        requests.claim(request, by=alice)
    with time_machine.travel(timezone.now() + timedelta(seconds=61)):
        intents.settle_due()
        issued = requests.claim(request, by=alice)
    after_horizon()
    assert sandbox.balances(team)
    request.refresh_from_db()
    assert (request.state, request.lease) == (State.FULFILLED, issued.lease)


def test_a_key_that_was_issued_is_claimed_even_if_it_was_ended_since(ask, alice, bob):
    from keys.services import leases

    request = requests.approve(ask(), by=bob)
    leases.revoke(requests.claim(request, by=alice).lease, by=alice)
    with pytest.raises(AlreadyIssued):
        requests.claim(request, by=alice)


# --- what deciders look at ------------------------------------------------------------------------


def test_what_is_at_stake_is_what_the_key_can_cost_for_its_time(ask, make_role):
    with time_machine.travel("2026-11-20 12:00:00+00:00", tick=False):
        at = requests.stake(ask())  # $50 a month, for 30 days
        assert (at.total, at.windows, at.each) == (Decimal(100), 2, Decimal(50))
        free = make_role(name="free", approval="team", max_budget=None, budget_duration="")
        assert requests.stake(ask(free)).total is None


def test_the_history_of_a_holder_and_similar_requests(ask, team, alice, bob, make_role):
    for spent in ("10", "30"):
        issued = requests.claim(requests.approve(ask(), by=bob), by=alice)
        Lease.objects.filter(pk=issued.lease.pk).update(spend=Decimal(spent))
    requests.deny(ask(), by=bob, reason="enough")
    now = ask()
    found = requests.history_of(alice, team)
    assert (found.live, found.unused, found.asked, found.approved, found.denied) == (2, 0, 4, 2, 1)
    most = sum(requests.stake(each).total or 0 for each in KeyRequest.objects.filter(state=State.FULFILLED))
    assert found.used == Decimal(40) / most
    assert [(each.used, each.request.holder) for each in requests.similar(now)] == [
        (Decimal(30), alice), (Decimal(10), alice),
    ]  # fmt: skip
    assert requests.history_of(bob, team).used is None


def test_looking_costs_the_same_however_much_there_is(ask, team, alice, bob):
    def questions() -> int:
        with CaptureQueriesContext(connection) as asked:
            requests.history_of(alice, team)
            requests.similar(request)
            requests.stake(request)
            list(requests.thread(request))
        return len(asked)

    request = KeyRequest.objects.select_related("role", "lease").get(pk=ask().pk)
    requests.claim(requests.approve(ask(), by=bob), by=alice)
    few = questions()
    for _ in range(6):
        requests.claim(requests.approve(ask(), by=bob), by=alice)
        requests.say(request, by=bob, text="hm")
    assert questions() == few


def test_each_refusal_says_what_to_do(ask, alice, bob):
    request = requests.deny(ask(), by=bob, reason="no")
    with pytest.raises(PortalError) as refused:
        requests.claim(request, by=alice)
    assert "ask again" in refused.value.action
