"""Requests over REST: who asks, who decides, and the key that the holder claims. Nothing is wider than on the pages."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
import time_machine
from django.utils import timezone

from keys.models import KeyRequest, Lease
from keys.services import requests
from keys.services.requests import asking
from portal.models import AuditEvent
from teams.models import Membership, User
from teams.roles import Scope
from teams.services import make_token
from tests.api.answers import code, names
from tests.threads import together

pytestmark = pytest.mark.django_db(transaction=True)

WISH = {"team": "search", "role": "coding", "purpose": "to try retrieval"}


@pytest.fixture
def asked(sandbox, call, alice, bob, make_role):
    """Alice asks for a key that bob must decide about; answers the request."""
    make_role(approval="team")

    def ask(*, by: User | None = None, **more: object):
        answer = call("post", "requests/", WISH | more, by=by or alice)
        assert answer.status_code == 201, answer.content
        return answer.json()

    return ask


@pytest.fixture
def raised(sandbox, call, make_role, make_key, alice, bob):
    """Alice asks for a bigger budget of a live key, which bob must decide about."""
    lease = make_key(role=make_role(excess="team")).lease

    def ask(**more: object):
        wish = {"lease": str(lease.pk), "lasts": "7d", "max_budget": "80", "purpose": "a launch"} | more
        return call("post", "requests/", wish, by=alice)

    return ask


def test_a_key_is_asked_for_approved_and_claimed(sandbox, call, asked, alice, bob):
    found = asked(ttl="60h", name="ranker")
    assert (found["kind"], found["state"], found["decider"], found["granted"]) == ("key", "pending", "team", None)
    assert (found["team"], found["role"], found["gateway"]) == ("search", "coding", "sandbox")
    assert (found["holder"], found["asked_by"]) == (alice.email, alice.email)
    assert (found["asked"]["ttl"], found["asked"]["models"]) == (216000, ["gpt-4o-mini", "gpt-4o"])
    one = f"requests/{found['id']}/"
    assert found["links"]["self"].endswith(f"/api/v1/{one}")

    done = call("post", f"{one}approve/", {"ttl": "24h", "models": ["gpt-4o"], "max_budget": "5"}, by=bob)
    assert (done.status_code, done.json()["state"], done.json()["decided_by"]) == (200, "approved", bob.email)
    granted = done.json()["granted"]
    assert (granted["ttl"], granted["models"], granted["max_budget"]) == (86400, ["gpt-4o"], "5.0000")

    issued = call("post", f"{one}claim/", by=alice)
    assert (issued.status_code, issued["Cache-Control"]) == (201, "no-store")
    assert sandbox.status_of(issued.json()["key"]) == 200
    assert (issued.json()["lease"]["models"], issued.json()["lease"]["max_budget"]) == (["gpt-4o"], "5.0000")
    after = call("get", one, by=alice).json()
    assert (after["state"], after["lease"]) == ("fulfilled", issued.json()["lease"]["id"])
    assert [entry["act"] for entry in after["thread"]] == ["asked", "approved", "claimed"]
    assert issued.json()["key"] not in str(after)
    assert code(call("post", f"{one}claim/", by=alice)) == (409, "already_issued")


def test_a_rise_of_a_live_key_is_in_force_once_it_is_approved(call, raised, bob):
    found = raised().json()
    assert (found["kind"], found["asked"]["ttl"], found["asked"]["max_budget"]) == ("rise", 604800, "80.0000")
    done = call("post", f"requests/{found['id']}/approve/", {"max_budget": "70", "ttl": "1d"}, by=bob).json()
    assert (done["state"], done["granted"]["max_budget"], done["lease"]) == ("fulfilled", "70.0000", found["lease"])
    assert done["reverts_at"]
    assert call("get", f"keys/{found['lease']}/", by=bob).json()["max_budget"] == "70.0000"


def test_what_the_key_role_gives_at_once_is_not_asked_for(sandbox, call, alice, make_role):
    make_role()
    assert code(call("post", "requests/", WISH, by=alice)) == (409, "nothing_to_decide")


def test_what_was_denied_is_asked_again_in_the_same_thread(call, asked, alice, bob):
    first = asked()
    denied = call("post", f"requests/{first['id']}/deny/", {"reason": "too long"}, by=bob).json()
    assert (denied["state"], denied["reason"]) == ("denied", "too long")
    again = asked(ttl="1d", again=first["id"])
    thread = call("get", f"requests/{again['id']}/", by=bob).json()["thread"]
    assert [entry["act"] for entry in thread] == ["asked", "denied", "asked"]


def test_whoever_decides_sees_what_the_page_shows_them_and_others_do_not(call, asked, alice, bob, team):
    team.max_budget = 500
    team.save()
    found = asked()
    seen = call("get", f"requests/{found['id']}/", by=bob).json()
    assert seen["acts"] == ["approve", "deny", "say"]
    assert (seen["stake"]["total"], seen["beside"]["history"]["asked"]) == ("100.000000", 1)
    assert seen["beside"]["team_budget"]["limit"] == "500.000000"
    own = call("get", f"requests/{found['id']}/", by=alice).json()
    assert (own["acts"], own["waits_for"], own["beside"]) == (["say", "cancel"], [bob.email], None)


def test_words_go_into_the_thread_and_the_asker_takes_it_back(call, asked, alice, bob):
    one = f"requests/{asked()['id']}/"
    assert call("post", f"{one}say/", {"text": "for how long?"}, by=bob).status_code == 200
    assert call("get", one, by=alice).json()["thread"][-1] | {"at": 0} == {
        "at": 0, "who": bob.email, "act": "said", "text": "for how long?", "terms": None,
    }  # fmt: skip
    assert call("post", f"{one}cancel/", by=alice).json()["state"] == "cancelled"
    assert code(call("post", f"{one}approve/", by=bob)) == (409, "request_closed")


def test_the_list_is_narrowed_newest_first(call, asked, bob):
    denied = asked()
    requests.deny(KeyRequest.objects.get(pk=denied["id"]), by=bob, reason="no")
    last = asked()

    def rows(query: str) -> list[str]:
        return [row["id"] for row in call("get", f"requests/?{query}", by=bob).json()["results"]]

    both = [last["id"], denied["id"]]
    for query in ("", "kind=key", "team=search", "role=coding", "gateway=sandbox", "mine=false", "page_size=2"):
        assert rows(query) == both, query
    for query in ("state=pending", "waiting=true", "waiting=true&state=pending&team=search", "page_size=1"):
        assert rows(query) == both[:1], query
    for query in ("state=denied", "waiting=false"):
        assert rows(query) == both[1:], query
    for query in ("state=x", "kind=rise", "team=mobile", "mine=true", "waiting=perhaps", "state=%00", "waiting=%00"):
        assert rows(query) == [], query
    assert code(call("get", "requests/?wating=true", by=bob)) == (422, "invalid")


# --- attacked ---


def test_others_requests_are_not_there(call, asked, mallory, person, team):
    carol = person("carol")
    Membership.objects.create(team=team, user=carol)
    one = f"requests/{asked()['id']}/"
    for who in (mallory, carol):
        assert call("get", "requests/", by=who).json()["results"] == []
        assert call("get", one, by=who).status_code == 404
        for act, body in {
            "approve": {},
            "deny": {"reason": "x"},
            "cancel": {},
            "say": {"text": "x"},
            "claim": {},
        }.items():
            assert code(call("post", f"{one}{act}/", body, by=who)) == (404, "not_found")
    assert KeyRequest.objects.get().state == "pending"


def test_nobody_decides_their_own_whatever_their_role(call, asked, alice, bob):
    one = f"requests/{asked()['id']}/"
    assert code(call("post", f"{one}approve/", by=alice)) == (403, "not_allowed")
    own = asked(by=bob)
    assert code(call("post", f"requests/{own['id']}/approve/", by=bob)) == (403, "not_allowed")
    assert "approve" not in call("get", f"requests/{own['id']}/", by=bob).json()["acts"]


def test_who_made_a_machines_token_does_not_decide_what_it_asks(call, asked, team, ines, bob):
    """Else a team admin asks as the machine, and approves as themselves."""
    robot = User.objects.create_service_account("nightly", team)
    asked()  # makes the role
    own = asked(by=robot)
    make_token(robot, name="ci", scopes=["read", "keys:issue"], by=ines)
    one = f"requests/{own['id']}/"
    assert own["holder_id"] == own["asked_by_id"] == str(robot.pk)
    assert code(call("post", f"{one}approve/", by=ines)) == (403, "not_allowed")
    assert own["id"] not in [row["id"] for row in call("get", "requests/?waiting=true", by=ines).json()["results"]]
    assert call("get", one, by=ines).json()["waits_for"] == [bob.email]
    assert call("post", f"{one}approve/", by=bob).status_code == 200
    assert call("post", f"{one}claim/", by=robot).status_code == 201


def test_a_token_needs_the_scope_of_the_act(call, asked, alice, bob):
    """A token that may only read must take nothing back, and say nothing in its owner's name."""
    one = f"requests/{asked()['id']}/"
    for act, body, scope, by in (
        ("approve", {}, "team:manage", bob), ("deny", {"reason": "x"}, "team:manage", bob),
        ("say", {"text": "x"}, "keys:issue", alice), ("cancel", {}, "keys:issue", alice),
        ("claim", {}, "keys:issue", alice),
    ):  # fmt: skip
        others = [each for each in Scope if each != scope]
        refused = call("post", f"{one}{act}/", body, by=by, scopes=others)
        assert (refused.status_code, refused.json()["error"]["details"]["scope"]) == (403, scope)
    assert KeyRequest.objects.get().entries.count() == 1
    assert call("get", "requests/?waiting=true", by=bob, scopes=["read"]).json()["results"] == []


def test_no_more_is_approved_than_was_asked(call, raised, bob):
    one = f"requests/{raised().json()['id']}/approve/"
    refused = call("post", one, {"max_budget": "81", "ttl": "8d", "models": ["gpt-4o", "o3"]}, by=bob)
    assert (code(refused), sorted(names(refused))) == ((422, "wider_than_asked"), ["max_budget", "models", "ttl"])
    for body in (
        {"max_budget": "-1"},
        {"max_budget": "9" * 40},
        {"ttl": 10**30},
        {"ttl": "9" * 400 + "d"},
        {"ttl": True},
    ):
        assert code(call("post", one, body, by=bob)) == (422, "invalid"), body
    assert KeyRequest.objects.get().state == "pending"


def test_what_a_request_is_cannot_be_sent(call, asked, bob):
    names_ = ("state", "kind", "granted", "decider", "asked_by", "once", "decided_by", "reason", "thread", "id")
    refused = call("post", "requests/", WISH | dict.fromkeys(names_, "x"), by=bob)
    assert (code(refused), sorted(names(refused))) == ((422, "unknown_field"), sorted(names_))
    one = f"requests/{asked()['id']}/approve/"
    assert code(call("post", one, {"state": "approved", "decided_by": "x"}, by=bob)) == (422, "unknown_field")


WRONG = [
    ({}, 422, ["purpose"]), ({"purpose": "x"}, 422, ["role", "team"]),
    (WISH | {"lasts": "1d"}, 422, ["lasts"]), (WISH | {"lease": str(uuid4()), "lasts": "1d"}, 422, ["role", "team"]),
    ({"lease": str(uuid4()), "purpose": "x"}, 422, ["lasts"]), ({"lease": "x", "purpose": "x"}, 422, ["lease"]),
    ({"lease": str(uuid4()), "lasts": "1d", "purpose": "x"}, 404, ["lease"]),
    (WISH | {"again": str(uuid4())}, 404, ["again"]), (WISH | {"team": "mobile"}, 404, ["team"]),
    (WISH | {"role": "none"}, 404, ["role"]), (WISH | {"holder": "bob@example.com"}, 404, ["holder"]),
    (WISH | {"purpose": "a\0b"}, 422, ["purpose"]), (WISH | {"team": "a\0b"}, 422, ["team"]),
    (WISH | {"purpose": "half \ud800"}, 422, ["purpose"]), (WISH | {"purpose": "x" * 301}, 422, ["purpose"]),
    (WISH | {"purpose": "use sk-" + "aB3_" * 10}, 422, ["purpose"]),
    (WISH | {"max_budget": "NaN"}, 422, ["max_budget"]),
    (WISH | {"models": []}, 422, ["models"]),
]  # fmt: skip


def test_a_request_that_cannot_be_names_its_fields(sandbox, call, alice, bob, mallory, make_role):
    make_role(approval="team", excess="team")
    for body, status, fields in WRONG:
        refused = call("post", "requests/", body, by=alice)
        assert (refused.status_code, sorted(names(refused))) == (status, fields), (body, refused.content)
    assert not KeyRequest.objects.exists()


def test_of_two_decisions_at_once_one_counts(call, asked, bob, ines):
    one = f"requests/{asked()['id']}/"
    answers = together(
        lambda: call("post", f"{one}approve/", by=bob), lambda: call("post", f"{one}deny/", {"reason": "no"}, by=ines)
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    decided = AuditEvent.objects.filter(action__in=["request.approved", "request.denied"])
    assert decided.count() == 1


def test_a_key_that_is_claimed_twice_at_once_is_one_key(sandbox, call, asked, alice, bob, team):
    one = f"requests/{asked()['id']}/"
    call("post", f"{one}approve/", by=bob)
    answers = together(*[lambda: call("post", f"{one}claim/", by=alice)] * 2)
    assert sorted(answer.status_code for answer in answers) == [201, 409]
    assert Lease.objects.count() == 1
    assert sandbox.balances(team)


def test_a_call_that_is_sent_again_asks_once_and_claims_once(sandbox, client, bearer, asked, alice, bob, team):
    asked()  # makes the role

    def send(path: str, key: str, body: object = None):
        headers = bearer(alice) | {"Idempotency-Key": key}
        return client.post(f"/api/v1/requests/{path}", body or {}, content_type="application/json", headers=headers)

    first, second = (send("", "ask", WISH) for _ in range(2))
    assert (first.status_code, first.json()) == (second.status_code, second.json())
    assert KeyRequest.objects.count() == 2
    assert code(send("", "ask", WISH | {"purpose": "another"})) == (422, "idempotency_mismatch")
    pk = first.json()["id"]
    requests.approve(KeyRequest.objects.get(pk=pk), by=bob)
    issued, again = (send(f"{pk}/claim/", "claim") for _ in range(2))
    assert (issued.status_code, again.status_code) == (201, 200)
    assert (again.json()["key"], again.json()["secret"]) == (None, "shown_once")
    assert again.json()["lease"]["id"] == issued.json()["lease"]["id"]
    assert sandbox.balances(team)
    Membership.objects.filter(user=alice).delete()
    assert send(f"{pk}/claim/", "claim").status_code == 404


def test_a_script_that_runs_wild_writes_no_thousand_letters(call, asked, alice, bob, monkeypatch):
    monkeypatch.setattr(asking, "MOST_AN_HOUR", 2)
    one = f"requests/{asked()['id']}/"
    answers = [call("post", f"{one}say/", {"text": f"word {each}"}, by=bob) for each in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert 3590 < int(answers[-1]["Retry-After"]) <= 3601
    call("post", f"{one}cancel/", by=alice)
    call("post", f"requests/{asked()['id']}/cancel/", by=alice)
    assert code(call("post", "requests/", WISH, by=alice)) == (429, "too_many")
    with time_machine.travel(timezone.now() + timedelta(hours=1, seconds=1)):
        assert call("post", "requests/", WISH, by=alice).status_code == 201
