"""`keydesk keys`, `request` and `requests`: what people do all day, in a terminal and in a pipe."""

from __future__ import annotations

import pytest
import requests

from keys.models import KeyRequest, Lease
from portal.litellm import faults

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def alices(machine, plain, alice, sandbox):
    """alice's machine."""
    machine.monkeypatch.setenv("KEYDESK_TOKEN", plain(alice))
    return machine


def states() -> set[str]:
    return {lease.state for lease in Lease.objects.all()}


def test_a_key_is_issued_alone_on_stdout_with_the_only_team_and_role(alices, make_role, sandbox):
    make_role(name="coding")
    done = alices("keys", "issue", "--ttl", "2h", "--name", "notebook", "--max-budget", "1.5", "--purpose", "a talk")
    assert done.code == 0, done.err
    lease = Lease.objects.get()
    assert len(done.lines) == 1
    assert sandbox.status_of(done.lines[0]) == 200
    assert (lease.name, lease.purpose, str(lease.max_budget)) == ("notebook", "a talk", "1.5000")
    for words in ("Key: notebook", "Role: coding", "Expires: ", "Models: gpt-4o", "shown this once"):
        assert words in done.err
    assert done.lines[0] not in done.err

    listed = alices("keys", "list")
    assert listed.lines[0].split()[:4] == ["KEY", "ID", "STATE", "TEAM"]
    assert all(word in listed.lines[1] for word in ("notebook", str(lease.pk), "active", "search", "$1.50"))
    shown = alices("keys", "show", "notebook").out
    assert f"Id              {lease.pk}" in shown
    assert alices("keys", "show", "notebook", "--json").json["id"] == str(lease.pk)


def test_a_key_has_every_life_that_a_page_gives_it(alices, make_role, sandbox):
    make_role(name="coding")
    secret = alices("keys", "issue", "--name", "nightly").lines[0]
    assert "lives until" in alices("keys", "renew", "nightly", "--ttl", "3h").out
    assert alices("keys", "pause", "nightly", "--reason", "perhaps leaked").out == "nightly: paused\n"
    assert sandbox.status_of(secret) == 401
    assert "perhaps leaked" in alices("keys", "show", "nightly").out
    assert alices("keys", "resume", "nightly").code == 0
    turned = alices("keys", "rotate", "nightly", "--grace", "0")
    assert len(turned.lines) == 1
    assert (sandbox.status_of(turned.lines[0]), sandbox.status_of(secret)) == (200, 401)
    assert alices("keys", "revoke", "nightly").out == "nightly: revoked\n"
    assert alices("keys", "list").out == ""
    assert "nightly" in alices("keys", "list", "--ended").out


def test_several_keys_at_once_have_a_result_each(alices, make_role, sandbox):
    make_role(name="coding")
    for name in ("one", "two", "three"):
        alices("keys", "issue", "--name", name)
    alices("keys", "revoke", "three")
    done = alices("keys", "pause", "one", "two", "three")
    assert done.code == 1
    assert "one: paused" in done.err
    assert "three: NOT done." in done.err
    assert "1 of 3 could not be done." in done.err
    alices("keys", "resume", "one", "two")
    turned = alices("keys", "rotate", "one", "two")
    assert [len(line.split("\t")) for line in turned.lines] == [2, 2]
    assert all(sandbox.status_of(line.split("\t")[1]) == 200 for line in turned.lines)


def test_all_keys_of_a_team_end_after_a_count_and_a_yes(alices, make_role, ines, plain):
    make_role(name="coding")
    for _ in range(3):
        alices("keys", "issue")
    counted = alices("keys", "revoke", "--team", "search", "--dry-run")
    assert counted.out == "3 keys of 1 holders end; 0 were used within the hour. Nothing was done.\n"
    asked = alices("keys", "revoke", "--team", "search")
    assert (asked.code, "--yes" in asked.err) == (2, True)
    assert states() == {"active"}
    done = alices("keys", "revoke", "--holder", "alice@example.com", "--yes", "--json", token=plain(ines))
    assert [row["done"] for row in done.json["results"]] == [True] * 3
    assert states() == {"revoked"}
    for words in (("revoke",), ("revoke", "x", "--team", "search"), ("pause",)):
        assert alices("keys", *words).code == 2


def test_what_is_not_clear_is_asked_and_what_is_not_there_is_said(alices, make_role, make_key, alice):
    make_role(name="coding")
    make_role(name="frontier")
    asked = alices("keys", "issue")
    assert (asked.code, "coding, frontier" in asked.err) == (2, True)
    assert alices("config", "set", "role", "coding").code == 0
    assert alices("keys", "issue", "--name", "same").code == 0
    assert alices("keys", "issue", "--name", "same").code == 0
    several = alices("keys", "show", "same")
    assert (several.code, "2 keys are called 'same'." in several.err) == (2, True)
    for wrong in ("nothing", "00000000-0000-4000-8000-000000000000"):
        gone = alices("keys", "show", wrong)
        assert (gone.code, len(gone.err.splitlines())) == (4, 2)


def test_a_lost_answer_is_repeated_and_makes_one_key(alices, make_role, sandbox, monkeypatch):
    make_role(name="coding")
    send, lost = alices.server.send, list[object]()

    def lose_the_first(request, **more):
        answer = send(request, **more)
        if request.method == "POST" and not lost:
            lost.append(answer)
            raise requests.ConnectionError("cut off")
        return answer

    monkeypatch.setattr(alices.server, "send", lose_the_first)
    done = alices("keys", "issue")
    assert Lease.objects.count() == 1
    pk = str(Lease.objects.get().pk)
    assert (done.code, done.out, f"keydesk keys rotate {pk} --grace 0" in done.err) == (1, "", True)
    again = alices("keys", "rotate", pk, "--grace", "0")
    assert sandbox.status_of(again.lines[0]) == 200


def test_a_secret_of_several_that_was_lost_on_its_way_is_not_told_as_done(alices, make_role, make_key, monkeypatch):
    make_role(name="coding")
    keys = [str(make_key().lease.pk) for _ in range(2)]
    send, lost = alices.server.send, list[object]()

    def lose_the_first(request, **more):
        answer = send(request, **more)
        if request.url.endswith("rotate/") and not lost:
            lost.append(answer)
            raise requests.ConnectionError("cut off")
        return answer

    monkeypatch.setattr(alices.server, "send", lose_the_first)
    done = alices("keys", "rotate", *keys, "--json")
    assert (done.code, [each["done"] for each in done.json["results"]]) == (1, [False, True])
    assert f"keydesk keys rotate {keys[0]} --grace 0" in done.json["results"][0]["error"]["action"]


def test_a_request_is_asked_decided_and_claimed(alices, make_role, plain, bob, alice, sandbox):
    make_role(name="frontier", approval="team")
    asked = alices("request", "a demo for customers", "--role", "frontier", "--ttl", "2h")
    request = KeyRequest.objects.get()
    assert (asked.code, asked.out) == (0, f"{request.pk}\n")
    assert "waits for bob@example.com" in asked.err
    assert f"keydesk requests claim {request.pk}" in asked.err

    bobs = {"token": plain(bob)}
    waiting = alices("requests", "list", "--waiting", **bobs)
    assert str(request.pk) in waiting.out
    shown = alices("requests", "show", str(request.pk), **bobs).out
    assert "a demo for customers" in shown
    assert "approve, deny" in shown
    assert alices("requests", "approve", str(request.pk), "--ttl", "1h", "--text", "fine", **bobs).out.endswith(
        "approved\n"
    )

    claimed = alices("requests", "claim", str(request.pk), token=plain(alice))
    assert sandbox.status_of(claimed.lines[0]) == 200
    assert alices("requests", "claim", str(request.pk)).code == 1


def test_a_request_can_be_waited_for(alices, make_role, bob, sandbox, monkeypatch):
    from keys.services import requests

    make_role(name="frontier", approval="team")
    monkeypatch.setattr(
        "keydesk.asking.time.sleep", lambda _: requests.approve(KeyRequest.objects.get(state="pending"), by=bob)
    )
    done = alices("keys", "issue", "--purpose", "a demo", "--wait")
    assert (done.code, sandbox.status_of(done.lines[0])) == (0, 200), done.err


def test_a_request_is_denied_cancelled_and_talked_about(alices, make_role, plain, bob, alice):
    make_role(name="frontier", approval="team")
    for _ in range(2):
        alices("request", "a demo", "--role", "frontier", "--ttl", f"{_ + 2}h")
    first, second = (str(row["id"]) for row in alices("requests", "list", "--mine", "--json").json["results"])
    assert alices("requests", "say", first, "which customers?").code == 0
    assert alices("requests", "cancel", first).out == f"{first}: cancelled\n"
    denied = alices("requests", "deny", second, "--reason", "use coding", token=plain(bob))
    assert denied.out == f"{second}: denied\n"
    assert "use coding" in alices("requests", "show", second, token=plain(alice)).out
    waited = alices("requests", "claim", second, "--wait")
    assert (waited.code, "is denied: use coding" in waited.err) == (1, True)


def test_what_others_may_not_is_said_with_who_may(alices, make_role, plain, alice, bob):
    make_role(name="frontier", approval="team")
    alices("request", "a demo", "--role", "frontier")
    own = alices("requests", "approve", str(KeyRequest.objects.get().pk))
    assert (own.code, len(own.err.splitlines())) == (5, 2)
    told = alices("gateways", "list", "--json")
    assert (told.code, told.json["error"]["code"]) == (5, "not_allowed")
    few = alices("keys", "issue", token=plain(alice, ["read"]))
    assert (few.code, "keys:issue" in few.err) == (5, True)


def test_a_gateway_that_is_away_is_a_matter_of_trying_again(alices, make_role, sandbox):
    make_role(name="coding")
    sandbox.faults.fail_next("*", faults.refused(), times=99)
    done = alices("keys", "issue")
    assert (done.code, len(done.err.splitlines())) == (75, 2), done.err
