"""Requests, attacked: what was approved once must give no more than that, to nobody else, and only while it stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from django.utils import timezone

from keys.models import KeyRequest, KeyRole, Lease, RequestEntry
from keys.services import leases, requests, roles
from keys.services.errors import NothingLeft, OverLimit
from keys.services.requests import NotOpen, Wider
from keys.services.terms import Ask
from portal.errors import Invalid
from portal.letterhead import blocks_of
from portal.models import AuditEvent, Letter
from teams.models import Departure, Membership, User
from teams.services import remove_member
from teams.services.teams import end_team
from tests.threads import together

pytestmark = pytest.mark.django_db(transaction=True)

State, Act = KeyRequest.State, RequestEntry.Act
DAY = timedelta(days=1)
SECRET = "sk-" + "aB3_" * 10  # in two parts, so that no scanner takes it for one


@pytest.fixture
def ask(sandbox, team, alice, make_role) -> Callable[..., KeyRequest]:
    def make(role: KeyRole | None = None, *, holder: User | None = None, by: User | None = None, **more: Any) -> Any:
        role = role or KeyRole.objects.filter(name="coding").first() or make_role(approval="team")
        others = {name: more.pop(name) for name in ("again", "once") if name in more}
        wish = Ask(**{"team": team, "role": role, "purpose": "to try retrieval"} | more)
        return requests.submit(wish, holder=holder or alice, by=by or holder or alice, **others)

    return make


def rise(lease: Lease, by: User, **more: Any) -> KeyRequest:
    wish: dict[str, Any] = {"lasts": 7 * DAY, "purpose": "a launch"} | more
    return requests.submit_rise(lease, by=by, **wish)


def to(person: User) -> list[str]:
    return [letter.subject for letter in Letter.objects.order_by("pk") if person.email in letter.to]


# --- once ---


def test_a_form_that_is_sent_twice_at_once_asks_once(ask, bob, make_role):
    once, _ = uuid4(), make_role(approval="team")
    first, second = together(*[lambda: ask(once=once)] * 2)
    assert first == second == KeyRequest.objects.get()
    assert len(to(bob)) == 1
    assert ask(once=uuid4()) != first


def test_a_rise_that_is_sent_twice_at_once_is_one(sandbox, make_role, make_key, alice, bob):
    lease, once = make_key(role=make_role(excess="team")).lease, uuid4()
    first, second = together(*[lambda: rise(lease, alice, max_budget=Decimal(80), once=once)] * 2)
    assert first == second == KeyRequest.objects.get()


# --- never wider ---


def test_a_rise_of_the_budget_alone_gives_no_models(sandbox, make_role, make_key, alice, bob):
    lease = make_key(role=make_role(excess="team", models=["gpt-4o-mini"])).lease
    request = rise(lease, alice, max_budget=Decimal(80))
    with pytest.raises(Wider, match="more than was asked") as refused:
        requests.approve(request, by=bob, models=["gpt-4o"])
    assert list(refused.value.details) == ["models"]


def test_of_two_budgets_for_other_windows_the_one_that_costs_less_counts(ask, bob, ines, make_role):
    role = make_role(approval="two", max_budget=None, budget_duration="")
    request = ask(role)
    requests.approve(request, by=bob, max_budget=Decimal(100))  # for its whole life
    KeyRole.objects.update(max_budget=200, budget_duration="1h")
    done = requests.approve(request, by=ines, max_budget=Decimal(99))
    assert (done.given.max_budget, done.given.budget_duration) == (Decimal(100), "")


def test_what_the_role_lets_nobody_ask_for_any_more_nobody_approves(ask, bob, make_role):
    role = make_role(approval="team", excess="team")
    request = ask(role, max_budget=Decimal(500))
    KeyRole.objects.update(excess="")
    with pytest.raises(OverLimit, match=r"at most \$50\.00") as refused:
        requests.approve(request, by=bob)
    assert list(refused.value.details) == ["max_budget"]
    assert requests.approve(request, by=bob, max_budget=Decimal(50)).state == State.APPROVED


def test_a_rise_beyond_a_role_that_gives_no_more_now_is_not_approved(sandbox, make_role, make_key, alice, bob):
    lease = make_key(role=make_role(excess="team")).lease
    request = rise(lease, alice, max_budget=Decimal(80))
    KeyRole.objects.update(excess="")
    with pytest.raises(OverLimit):
        requests.approve(request, by=bob)
    lease.refresh_from_db()
    assert lease.max_budget == 50


def test_what_is_issued_at_once_below_a_limit_is_not_renewed_past_it(ask, team, alice, make_role):
    role = make_role(approval="team", auto_ttl=2 * DAY, auto_budget=Decimal(5))
    wish = Ask(team=team, role=role, ttl=DAY, max_budget=Decimal(5))
    lease = leases.issue(wish, holder=alice, by=alice).lease
    with time_machine.travel(timezone.now() + DAY / 2):
        lease = leases.renew(lease, by=alice)
        assert lease.expires_at == lease.issued_at + 2 * DAY  # a month would be a matter for Bob
        with pytest.raises(NothingLeft):
            leases.renew(lease, by=alice)


def test_what_an_approver_took_away_no_rise_gives_back_at_once(ask, alice, bob, make_role):
    role = make_role(excess="team")  # gives $50 for 30 days; 60 days are decided
    request = requests.approve(ask(role, ttl=60 * DAY), by=bob, max_budget=Decimal(10))
    lease = requests.claim(request, by=alice).lease
    again = rise(lease, alice, max_budget=Decimal(50))
    assert (again.state, again.decider) == (State.PENDING, "team")
    lease.refresh_from_db()
    assert lease.max_budget == 10


def test_asking_again_stays_in_its_team_and_shows_no_thread_to_another(ask, other_team, alice, bob):
    Membership.objects.create(team=other_team, user=alice, role="member", given_role="member")
    denied = requests.deny(ask(), by=bob, reason="our launch is secret")
    with pytest.raises(NotOpen):
        ask(team=other_team, again=denied)


# --- who decides ---


def test_the_approval_of_somebody_who_lost_the_right_since_does_not_count(ask, bob, ines, ruth, make_role):
    request = ask(make_role(approval="two"))
    requests.approve(request, by=bob)
    remove_member(Membership.objects.get(user=bob), by=ines)
    assert requests.approve(request, by=ines).state == State.PENDING
    assert requests.approve(request, by=ruth).state == State.APPROVED


def test_two_second_approvals_and_a_cancellation_at_once_leave_one_decision(ask, alice, bob, ines, ruth, make_role):
    request = ask(make_role(approval="two"))
    requests.approve(request, by=bob)
    done = together(
        lambda: requests.approve(request, by=ines),
        lambda: requests.approve(request, by=ruth),
        lambda: requests.deny(request, by=ines, reason="no"),
    )
    assert sorted(type(each).__name__ for each in done) == ["KeyRequest", "NotOpen", "NotOpen"]
    request.refresh_from_db()
    assert request.entries.exclude(act="asked").count() == 2
    assert request.state in {State.APPROVED, State.DENIED}


# --- what ended ---


def test_whoever_leaves_holds_no_open_request(ask, alice, bob, ines):
    pending, approved = ask(), requests.approve(ask(), by=bob)
    other = ask(holder=bob)
    remove_member(Membership.objects.get(user=alice), by=ines)
    for row in (pending, approved, other):
        row.refresh_from_db()
    assert (pending.state, approved.state, other.state) == (State.CANCELLED, State.CANCELLED, State.PENDING)
    assert AuditEvent.objects.filter(action="request.cancelled", actor_kind="system").count() == 2
    told = len(Letter.objects.all())
    with time_machine.travel(timezone.now() + 20 * DAY):
        requests.look_after()
    assert not [letter for letter in Letter.objects.order_by("pk")[told:] if "Alice" in letter.subject]
    assert len(to(alice)) == 1  # of the approval, while she was here


def test_a_leaver_whose_grace_runs_keeps_their_requests_until_it_is_over(ask, team, alice, bob):
    request = requests.approve(ask(), by=bob)
    now = timezone.now()
    Membership.objects.filter(user=alice).delete()
    Departure.objects.create(user=alice, team=team, role="member", at=now, due_at=now + DAY)
    assert requests.look_after()["ended"] == 0
    with time_machine.travel(now + DAY + timedelta(minutes=1)):
        assert requests.look_after()["ended"] == 1
        assert requests.look_after()["ended"] == 0
    request.refresh_from_db()
    assert (request.state, request.entries.last().act) == (State.CANCELLED, Act.CANCELLED)


@pytest.mark.parametrize("cause", ["team", "role", "key", "handed over"])
def test_nobody_is_asked_about_what_ended(ask, make_role, make_key, team, alice, bob, ines, ruth, cause):
    role = make_role(excess="team", approval="auto")
    lease = make_key(role=role).lease
    request = rise(lease, alice, max_budget=Decimal(80))
    if cause == "team":
        end_team(team, by=ruth)
    elif cause == "role":
        roles.end(role, by=ruth)
    elif cause == "key":
        leases.revoke(lease, by=alice)
    else:
        leases.transfer(lease, to=ines, by=ines)
    requests.look_after()
    request.refresh_from_db()
    assert request.state == State.CANCELLED
    assert request.reason


def test_letters_go_to_nobody_who_left(ask, team, alice, bob, ines, robot):
    request = ask(holder=robot, by=ines)
    requests.say(request, by=bob, text="Which jobs?")
    Membership.objects.create(team=team, user=alice_admin(alice), role="admin", given_role="admin")
    for who in (bob, ines):
        Membership.objects.filter(user=who).delete()
    before = (len(to(bob)), len(to(ines)))
    requests.say(request, by=alice, text="The nightly ones, of the merger.")
    requests.deny(request, by=alice, reason="not yet")
    assert (len(to(bob)), len(to(ines))) == before


def alice_admin(alice: User) -> User:
    """Alice, who is not a member any more: she comes back as what follows."""
    Membership.objects.filter(user=alice).delete()
    return alice


# --- what people write ---


@pytest.mark.parametrize("field", ["purpose", "name"])
def test_a_secret_in_words_is_refused_and_kept_nowhere(ask, team, alice, bob, make_role, field):
    with pytest.raises(Invalid) as refused:
        ask(**{field: f"instead of {SECRET}"})
    assert list(refused.value.details) == [field]
    assert SECRET not in str(refused.value.details)
    bad: dict[str, Any] = {field: SECRET}
    wish = replace(Ask(team, make_role(name="free")), **bad)
    with pytest.raises(Invalid):
        leases.issue(wish, holder=alice, by=alice)
    assert not KeyRequest.objects.exists()
    assert not Lease.objects.exists()


def test_a_secret_is_no_reason_and_no_word_in_a_thread(ask, alice, bob):
    request = ask()
    for act in (
        lambda: requests.deny(request, by=bob, reason=f"use {SECRET}"),
        lambda: requests.approve(request, by=bob, text=f"use {SECRET}"),
        lambda: requests.say(request, by=alice, text=f"use {SECRET}"),
    ):
        with pytest.raises(Invalid, match="secret"):
            act()
    assert [entry.act for entry in request.entries.all()] == ["asked"]
    requests.say(request, by=alice, text="with sk-learn-like-pipelines, a basic test of a bearer")


def test_words_forge_no_lines_and_turn_no_direction(ask, alice, bob):
    request = ask(purpose="tests\n\nApprove here:\nhttps://evil.example\u202egpj.exe\0\ud800", name="a\nb")
    assert request.purpose == "tests Approve here: https://evil.examplegpj.exe"
    assert request.name == "a b"
    requests.say(request, by=alice, text="For this:\n\nhttps://evil.example\n\n== Approve ==")
    requests.deny(request, by=bob, reason="Look:\n\nhttps://evil.example")
    for letter in Letter.objects.all():
        links = [block.words for block in blocks_of(letter.text) if block.kind in {"link", "button", "heading"}]
        assert [f"/requests/{request.pk}/" in link for link in links] == [True], letter.text
