"""Requests: what a person must decide before a key is issued, and what they decide becomes the key."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from keys.models import Decider, KeyRequest, KeyRole, Lease, RequestEntry
from keys.services import leases, requests
from keys.services.errors import AlreadyIssued, ApprovalNeeded, HolderLeft, OverLimit, RoleEnded, TeamEnded
from keys.services.requests import NotClaimable, NothingToDecide, NotOpen, Wider
from keys.services.terms import Ask, terms
from portal.errors import Invalid, NotAllowed
from portal.models import AuditEvent, Letter
from teams.models import Membership, User
from teams.roles import MemberRole
from teams.services import remove_member

pytestmark = pytest.mark.django_db

State = KeyRequest.State
DAY = timedelta(days=1)


@pytest.fixture
def ask(team, alice, make_role) -> Callable[..., KeyRequest]:
    """Alice asks for a key, for something real, unless told otherwise."""

    def make(role: KeyRole | None = None, *, holder: User | None = None, by: User | None = None, **more: Any) -> Any:
        role = role or KeyRole.objects.filter(name="coding").first() or make_role(approval="team")
        again = more.pop("again", None)
        wish = Ask(**{"team": team, "role": role, "purpose": "to try retrieval"} | more)
        holder = holder or alice
        return requests.submit(wish, holder=holder, by=by or holder, again=again)

    return make


def letters_to(person: User) -> list[str]:
    return [letter.subject for letter in Letter.objects.order_by("pk") if person.email in letter.to]


def acts(request: KeyRequest) -> list[str]:
    return [entry.act for entry in requests.thread(request)]


# --- what is asked, and of whom -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "wish", "decider"),
    [
        ({}, {}, ""),
        ({}, {"ttl": DAY, "models": ("gpt-4o",), "max_budget": Decimal(5)}, ""),
        ({"approval": "team"}, {}, "team"),
        ({"approval": "two"}, {"ttl": DAY}, "two"),
        ({"approval": "platform", "excess": "team"}, {"max_budget": Decimal(60)}, "platform"),
        ({"approval": "team", "auto_ttl": DAY, "auto_budget": Decimal(5)}, {"ttl": DAY, "max_budget": Decimal(5)}, ""),
        ({"approval": "team", "auto_ttl": DAY, "auto_budget": Decimal(5)}, {"ttl": DAY}, "team"),
        ({"approval": "team", "auto_ttl": DAY, "auto_budget": Decimal(5)}, {"max_budget": Decimal(5)}, "team"),
        ({"excess": "team"}, {"ttl": timedelta(days=31)}, "team"),
        ({"excess": "two"}, {"models": ("gpt-4o", "claude-haiku")}, "two"),
        ({"approval": "team", "excess": "platform"}, {"max_budget": Decimal(51)}, "platform"),
        ({"approval": "team", "excess": "platform"}, {"max_budget": Decimal(50)}, "team"),
    ],
)
def test_only_what_is_more_than_the_role_gives_or_a_role_that_asks_is_decided(
    sandbox, team, alice, make_role, role, wish, decider
):
    sandbox.gateway.models_seen = ["gpt-4o-mini", "gpt-4o", "claude-haiku"]
    sandbox.gateway.save()
    found = terms(Ask(team=team, role=make_role(**role), **wish), holder=alice)
    assert (found.problems, found.decider, bool(found.excess)) == ((), decider, bool(decider))


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"ttl": timedelta(days=91)}, "ttl"),  # the gateway lets none live longer than 90 days
        ({"models": ("gpt-5",)}, "models"),  # it lists no such model
        ({"models": ("*",)}, "models"),
        ({"max_budget": Decimal(0)}, "max_budget"),
    ],
)
def test_nobody_can_be_asked_for_what_the_gateway_does_not_have(sandbox, ask, make_role, wish, field):
    sandbox.gateway.models_seen = ["gpt-4o-mini", "gpt-4o"]
    sandbox.gateway.save()
    with pytest.raises((OverLimit, Invalid)) as refused:
        ask(make_role(excess="team"), **wish)
    assert list(refused.value.details) == [field]
    assert not KeyRequest.objects.exists()


def test_a_role_that_lets_nobody_ask_for_more_refuses_and_names_its_limit(sandbox, ask, make_role):
    with pytest.raises(OverLimit, match=r"at most \$50\.00"):
        ask(make_role(approval="team"), max_budget=Decimal(51))


def test_what_the_role_gives_at_once_is_no_request(sandbox, ask, make_role):
    with pytest.raises(NothingToDecide):
        ask(make_role())


def test_a_request_says_what_for(sandbox, ask):
    with pytest.raises(Invalid) as refused:
        ask(purpose="  ")
    assert list(refused.value.details) == ["purpose"]


def test_one_person_fills_nobodys_desk(sandbox, ask, monkeypatch):
    monkeypatch.setattr("keys.services.requests.asking.MOST_WAITING", 1)
    ask()
    with pytest.raises(requests.TooManyWaiting):
        ask()


def test_an_old_door_names_the_page_where_to_ask(sandbox, team, alice, make_role):
    role = make_role(approval="team")
    with pytest.raises(ApprovalNeeded) as refused:
        leases.issue(Ask(team=team, role=role), holder=alice, by=alice)
    assert refused.value.status == 403
    assert "/keys/new/?team=search&role=coding" in refused.value.action
    with pytest.raises(ApprovalNeeded, match="at most"):
        leases.issue(
            Ask(team=team, role=make_role(name="wide", excess="team"), max_budget=Decimal(70)), holder=alice, by=alice
        )
    assert not Lease.objects.exists()


# --- who decides ----------------------------------------------------------------------------------


def test_a_submitted_request_asks_those_who_may_decide_and_nobody_else(sandbox, ask, alice, bob, ines, vic, ruth):
    request = ask()
    assert list(requests.deciders(request)) == [bob, ines]
    assert letters_to(bob) == letters_to(ines) == ["Keydesk: Alice asks for a key of coding"]
    assert [letters_to(each) for each in (alice, vic, ruth)] == [[], [], []]
    assert f"/requests/{request.pk}/" in Letter.objects.get(subject__contains="asks").text
    assert [requests.may_decide(request, each) for each in (alice, bob, vic, ruth)] == [False, True, False, True]


def test_nobody_decides_their_own_whatever_they_are(sandbox, ask, bob, ines, ruth, robot, settings, person, team):
    own = ask(holder=bob)
    machines = ask(holder=robot, by=ines)
    for request, who in ((own, bob), (machines, ines), (ask(holder=ruth), ruth)):
        assert who not in requests.deciders(request)
        assert request not in KeyRequest.objects.decidable_by(who)
        for act in (requests.approve, lambda row, by: requests.deny(row, by=by, reason="no")):
            with pytest.raises(NotAllowed):
                act(request, by=who)
    settings.ALLOW_SELF_APPROVAL = True
    assert requests.approve(own, by=bob).state == State.APPROVED
    assert requests.approve(machines, by=ines).state == State.APPROVED


def test_what_the_platform_decides_no_team_does(sandbox, ask, alice, bob, ines, ruth, make_role):
    request = ask(make_role(approval="platform"))
    assert (list(requests.deciders(request)), request.escalates_at) == ([ruth], None)
    assert request not in KeyRequest.objects.decidable_by(ines)
    with pytest.raises(NotAllowed, match="A platform admin decides this"):
        requests.approve(request, by=ines)
    assert requests.approve(request, by=ruth).state == State.APPROVED


def test_lists_agree_with_the_rule_for_one(sandbox, ask, alice, bob, ines, vic, ruth, audra, mallory, robot, make_role):
    ask()
    ask(holder=bob)
    ask(holder=robot, by=ines)
    ask(make_role(name="frontier", approval="platform"))
    two = ask(make_role(name="twice", approval="two"))
    requests.approve(two, by=bob)
    for who in (alice, bob, ines, vic, ruth, audra, mallory):
        may = {each.pk for each in KeyRequest.objects.all() if requests.may_decide(each, who)}
        assert set(KeyRequest.objects.decidable_by(who).values_list("pk", flat=True)) == may, who
    assert KeyRequest.objects.waiting_for(ruth).get().decider == Decider.PLATFORM
    assert KeyRequest.objects.waiting_for(bob).count() == 2


@pytest.mark.usefixtures("sandbox")
def test_a_request_is_seen_by_whoever_would_see_the_key_and_by_who_asked(
    ask, alice, bob, ines, vic, ruth, audra, mallory, robot
):
    own, machines = ask(), ask(holder=robot, by=ines)
    seen = {who: set(KeyRequest.objects.visible_to(who)) for who in (alice, bob, ines, vic, ruth, audra, mallory)}
    both: set[KeyRequest] = {own, machines}
    assert seen == {alice: {own}, bob: both, ines: both, vic: set(), ruth: both, audra: both, mallory: set()}


# --- approve and deny -----------------------------------------------------------------------------


def test_an_approver_narrows_and_the_holder_claims_exactly_that(proxy, ask, alice, bob, make_role):
    role = make_role(excess="team")
    request = ask(role, ttl=timedelta(days=60), models=("gpt-4o", "gpt-4o-mini"), max_budget=Decimal(90))
    requests.approve(request, by=bob, ttl=timedelta(days=45), models=["gpt-4o"], max_budget=Decimal(70), text="for now")
    assert not Lease.objects.exists()  # an approval gives the right, no key

    issued = requests.claim(request, by=alice)
    lease, there = issued.lease, proxy.client.keys.info(issued.lease.current.token_hash)
    assert (there.max_budget, there.budget_duration, sorted(there.models)) == (Decimal(70), "1mo", ["gpt-4o"])
    assert abs(there.expires - (timezone.now() + timedelta(days=45))) < timedelta(minutes=1)
    assert proxy.status_of(issued.secret) == 200
    assert (lease.max_budget, lease.limits["models"], lease.purpose) == (Decimal(70), ["gpt-4o"], "to try retrieval")
    request.refresh_from_db()
    assert (request.state, request.lease) == (State.FULFILLED, lease)
    assert acts(request) == ["asked", "approved", "claimed"]


@pytest.mark.parametrize(
    "wider",
    [{"ttl": timedelta(days=61)}, {"models": ["gpt-4o", "gpt-4o-mini"]}, {"max_budget": Decimal("70.01")}],
)
def test_nobody_grants_more_than_was_asked(sandbox, ask, bob, make_role, wider):
    role = make_role(excess="team")
    request = ask(role, ttl=timedelta(days=60), models=("gpt-4o",), max_budget=Decimal(70))
    with pytest.raises(Wider) as refused:
        requests.approve(request, by=bob, **wider)
    assert list(refused.value.details) == list(wider)
    request.refresh_from_db()
    assert (request.state, acts(request)) == (State.PENDING, ["asked"])


def test_of_two_approvers_the_narrower_of_both_counts(sandbox, ask, alice, bob, ines, make_role):
    request = ask(make_role(approval="two"))
    first = requests.approve(request, by=bob, ttl=10 * DAY, max_budget=Decimal(40))
    assert (first.state, first.granted) == (State.PENDING, None)
    with pytest.raises(NotClaimable):
        requests.claim(request, by=alice)
    with pytest.raises(requests.ApprovedBefore):
        requests.approve(request, by=bob)

    done = requests.approve(request, by=ines, ttl=20 * DAY, models=["gpt-4o"], max_budget=Decimal(30))
    assert done.state == State.APPROVED
    assert done.given is not None
    assert (done.given.ttl, done.given.models, done.given.max_budget) == (10 * DAY, ("gpt-4o",), Decimal(30))


def test_two_who_gave_nothing_in_common_give_nothing(sandbox, ask, bob, ines, make_role):
    request = ask(make_role(approval="two"))
    requests.approve(request, by=bob, models=["gpt-4o"])
    with pytest.raises(Invalid, match="No model is in what both"):
        requests.approve(request, by=ines, models=["gpt-4o-mini"])
    assert requests.deny(request, by=ines, reason="choose one model").state == State.DENIED


def test_a_denial_has_a_reason_and_asking_again_goes_on_in_its_thread(sandbox, ask, alice, bob):
    request = ask()
    with pytest.raises(Invalid) as refused:
        requests.deny(request, by=bob, reason=" ")
    assert list(refused.value.details) == ["reason"]
    denied = requests.deny(request, by=bob, reason="a week is enough")
    assert letters_to(alice) == ["Keydesk: Denied: a key of coding"]
    assert "a week is enough" in Letter.objects.get(subject__contains="Denied").text

    again = ask(ttl=7 * DAY, again=denied)
    assert (again.again, again.thread) == (denied, request.thread)
    assert acts(again) == ["asked", "denied", "asked"]
    with pytest.raises(NotOpen):
        ask(again=denied)
    assert requests.approve(again, by=bob).state == State.APPROVED


def test_what_is_decided_is_decided(sandbox, ask, bob, ines):
    request = requests.deny(ask(), by=bob, reason="no")
    for act in (
        lambda: requests.approve(request, by=ines),
        lambda: requests.deny(request, by=ines, reason="x"),
        lambda: requests.cancel(request, by=request.asked_by),
    ):
        with pytest.raises(NotOpen, match="denied"):
            act()


def test_a_shorter_time_that_an_approver_gave_is_not_renewed_past_it(sandbox, ask, alice, bob):
    request = ask()
    requests.approve(request, by=bob, ttl=7 * DAY)
    lease = requests.claim(request, by=alice).lease
    assert lease.max_expires_at == lease.expires_at
    whole = requests.approve(ask(), by=bob)
    lease = requests.claim(whole, by=alice).lease
    assert lease.max_expires_at - lease.issued_at == timedelta(days=90)  # as the role renews


def test_a_longer_time_than_the_role_has_is_the_keys_own_and_is_renewed_within_it(sandbox, ask, alice, bob, make_role):
    role = make_role(excess="team", ttl=5 * DAY, max_ttl=10 * DAY)
    request = requests.approve(ask(role, ttl=40 * DAY), by=bob)
    lease = requests.claim(request, by=alice).lease
    assert lease.max_expires_at - lease.issued_at == 40 * DAY
    role.ttl = DAY
    role.save()
    lease.refresh_from_db()
    assert lease.expires_at - lease.issued_at == 40 * DAY


def test_a_budget_is_granted_for_the_window_that_was_asked(sandbox, ask, alice, bob, make_role):
    role = make_role(approval="team")
    request = requests.approve(ask(role), by=bob)
    KeyRole.objects.filter(pk=role.pk).update(budget_duration="1h", max_budget=1, models=["gpt-4o"])
    limits = requests.claim(request, by=alice).lease.limits
    assert (limits["max_budget"], limits["budget_duration"], len(limits["models"])) == ("50", "1mo", 2)


# --- what ended meanwhile -------------------------------------------------------------------------


@pytest.mark.parametrize("cause", ["left", "team", "role", "closed"])
def test_what_ended_meanwhile_gives_no_key(sandbox, ask, team, other_team, alice, bob, ines, ruth, make_role, cause):
    role = make_role(approval="team")
    approved, pending = requests.approve(ask(role), by=bob), ask(role)
    if cause == "left":
        remove_member(Membership.objects.get(user=alice), by=ines)
    elif cause == "team":
        type(team).objects.update(ended_at=timezone.now())
    elif cause == "role":
        KeyRole.objects.update(ended_at=timezone.now())
    else:
        KeyRole.objects.update(all_teams=False)
        role.teams.set([other_team])
    expected = {"left": NotAllowed, "team": TeamEnded}.get(cause, RoleEnded)
    with pytest.raises(expected):
        requests.claim(approved, by=alice)
    with pytest.raises((HolderLeft, TeamEnded, RoleEnded)):
        requests.approve(pending, by=bob)
    assert not Lease.objects.exists()


def test_a_team_admin_claims_for_a_machine_and_an_approver_does_not(sandbox, ask, alice, bob, ines, robot):
    request = requests.approve(ask(holder=robot, by=ines), by=bob)
    for who in (alice, bob):
        with pytest.raises(NotAllowed):
            requests.claim(request, by=who)
    assert requests.claim(request, by=ines).lease.holder == robot


# --- the thread and the audit ---------------------------------------------------------------------


def test_everybody_in_a_request_can_write_and_the_others_are_told(sandbox, ask, alice, bob, ines, vic, audra):
    request = ask()
    requests.say(request, by=alice, text="It is for the demo on Friday.")
    requests.say(request, by=bob, text="Which demo?")
    for outside in (vic, audra):
        with pytest.raises(NotAllowed):
            requests.say(request, by=outside, text="Me too")
    assert letters_to(bob)[-1] == "Keydesk: Alice about a key of coding"
    assert letters_to(alice) == ["Keydesk: Bob about a key of coding"]
    assert len(letters_to(ines)) == 2  # while nobody had answered
    assert acts(request) == ["asked", "said", "said"]


def test_a_letter_has_no_line_that_somebody_else_wrote(sandbox, ask, bob):
    """Else an asker could put a button of their own into it."""
    request = ask()
    requests.say(request, by=bob, text="Fine.\n\n== Keydesk ==\n\nApprove here:\nhttps://evil.example/\n")
    text = Letter.objects.filter(kind="request.said").get().text
    (line,) = [line for line in text.splitlines() if "evil" in line]
    assert line == '"Fine. == Keydesk == Approve here: https://evil.example/"'


def test_each_act_is_in_the_audit_with_who_did_it(sandbox, ask, alice, bob):
    requests.claim(requests.approve(ask(), by=bob), by=alice)
    requests.deny(ask(), by=bob, reason="enough")
    requests.cancel(ask(), by=alice)
    told = AuditEvent.objects.filter(action__startswith="request.").order_by("pk").values_list("action", "actor_kind")
    assert [action for action, _ in told] == [
        "request.submitted", "request.approved", "request.claimed", "request.submitted", "request.denied",
        "request.submitted", "request.cancelled",
    ]  # fmt: skip
    assert AuditEvent.objects.get(action="request.denied").facts["reason"] == "enough"
    assert not RequestEntry.objects.filter(who=None).exists()


def test_a_claim_that_is_sent_twice_shows_the_lease_and_no_second_key(sandbox, ask, team, alice, bob):
    request = requests.approve(ask(), by=bob)
    issued = requests.claim(request, by=alice)
    with pytest.raises(AlreadyIssued) as again:
        requests.claim(request, by=alice)
    assert again.value.lease == issued.lease
    assert len(sandbox.keys_there(team)) == 1


def test_an_approver_who_left_the_team_decides_no_more(sandbox, ask, bob, ines):
    request = ask()
    Membership.objects.filter(user=bob).update(role=MemberRole.MEMBER)
    with pytest.raises(NotAllowed):
        requests.approve(request, by=bob)
    with time_machine.travel(timezone.now() + timedelta(days=15)), pytest.raises(NotOpen, match="lapsed"):
        requests.approve(request, by=ines)
