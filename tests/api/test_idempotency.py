"""Idempotency-Key: a call is done once, however often it is sent, by whom it was sent."""

from __future__ import annotations

import json
from datetime import timedelta
from uuid import uuid4

import pytest
import time_machine
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone

from keys.api.rest.shapes import LeaseOut
from keys.models import Lease, State
from keys.services.leases import issuing
from keys.services.prune import prune
from portal import repeats
from portal.litellm import faults, hash_key
from portal.models import AuditEvent, Repeat
from teams.models import Membership, Team, User
from tests.api.answers import code, names
from tests.threads import together

pytestmark = pytest.mark.django_db(transaction=True)
ORDER = {"team": "search", "role": "coding", "purpose": "nightly"}
DEAD = repeats.RUNS + timedelta(seconds=1)


class Killed(BaseException):
    """The process ends here: nothing after it runs, not even an `except Exception`."""


@pytest.fixture
def send(client, bearer):
    """POST with an Idempotency-Key, as somebody with a fresh token."""

    def post(path: str, body: object = None, *, by: User, key: str = "one", scopes: list[str] | None = None, **more):
        headers = bearer(by, scopes) | {"Idempotency-Key": key}
        return client.post(f"/api/v1/{path}", body or {}, "application/json", headers=headers, **more)

    return post


@pytest.fixture
def role(sandbox, make_role):
    return make_role()


@pytest.fixture
def dies(monkeypatch):
    """The process dies when it wants to keep its answer; so it never sent one."""

    def at(name: str) -> None:
        def killed(*_: object) -> None:
            monkeypatch.undo()
            raise Killed

        monkeypatch.setattr(repeats, name, killed)

    return at


def later(seconds: timedelta):
    return time_machine.travel(timezone.now() + seconds, tick=True)


def is_a_repeat_of(answer, lease: Lease) -> bool:
    said = answer.json()
    assert answer.status_code == 200, said
    assert answer["Idempotency-Replayed"] == "true"
    assert said["replace"] == f"http://testserver/api/v1/keys/{lease.pk}/rotate/"
    return (said["key"], said["secret"], said["lease"]["id"]) == (None, "shown_once", str(lease.pk))


# --- keys -----------------------------------------------------------------------------------------


def test_the_same_key_and_body_give_the_same_lease_and_nothing_new_on_record(send, sandbox, role, team, alice):
    first = send("keys/", ORDER, by=alice)
    assert first.status_code == 201
    assert "Idempotency-Replayed" not in first
    events = AuditEvent.objects.count()
    for _ in range(2):
        assert is_a_repeat_of(send("keys/", ORDER, by=alice), Lease.objects.get())
    assert AuditEvent.objects.count() == events
    assert len(sandbox.keys_there(team)) == 1
    assert sandbox.status_of(first.json()["key"]) == 200


def test_a_body_that_says_the_same_in_another_order_is_the_same(send, role, alice):
    send("keys/", ORDER, by=alice)
    again = send("keys/", json.dumps(dict(reversed(ORDER.items())), indent=3), by=alice)
    assert is_a_repeat_of(again, Lease.objects.get())


@pytest.mark.parametrize(
    ("path", "body"), [("keys/", ORDER | {"purpose": "other"}), ("teams/", ORDER), ("keys/revoke/", ORDER)]
)
def test_another_body_or_address_with_the_same_key_is_refused(send, role, alice, path, body):
    send("keys/", ORDER, by=alice)
    assert code(send(path, body, by=alice)) == (422, "idempotency_mismatch")
    assert Lease.objects.count() == 1


def test_two_people_may_choose_the_same_key(send, role, alice, bob):
    send("keys/", ORDER, by=alice)
    assert send("keys/", ORDER, by=bob).status_code == 201
    assert Lease.objects.count() == 2


def test_a_persons_tokens_and_their_browser_are_one_caller(send, client, role, alice):
    send("keys/", ORDER, by=alice)  # each call has a token of its own
    client.force_login(alice)
    again = client.post("/api/v1/keys/", ORDER, "application/json", headers={"Idempotency-Key": "one"})
    assert is_a_repeat_of(again, Lease.objects.get())


def test_a_trouble_is_not_kept_so_the_corrected_body_works_with_the_same_key(send, sandbox, role, alice):
    assert send("keys/", ORDER | {"role": "nothing"}, by=alice).status_code == 422
    sandbox.faults.fail_next("/key/generate", faults.refused(), times=9)
    assert code(send("keys/", ORDER, by=alice)) == (503, "gateway_away")
    sandbox.faults.clear()
    sandbox.gateway.refresh_from_db()
    sandbox.gateway.came_back()
    assert send("keys/", ORDER, by=alice).status_code == 201
    assert Lease.objects.filter(state=State.ACTIVE).count() == 1


def test_a_lease_that_is_out_of_sight_by_now_is_not_there(send, role, alice):
    send("keys/", ORDER, by=alice)
    Membership.objects.filter(user=alice).delete()
    assert code(send("keys/", ORDER, by=alice)) == (404, "not_found")


def test_a_day_later_the_key_means_a_new_call(send, role, alice):
    send("keys/", ORDER, by=alice)
    with later(Repeat.KEPT):
        assert send("keys/", ORDER, by=alice).status_code == 201
    assert Lease.objects.count() == 2
    with later(2 * Repeat.KEPT + timedelta(seconds=1)):
        assert prune()["repeats"] == 1
    assert not Repeat.objects.exists()


# --- a process that dies --------------------------------------------------------------------------


def test_a_process_that_dies_between_the_key_and_its_answer_leaves_one_lease(send, sandbox, role, team, alice, dies):
    dies("finish")
    with pytest.raises(Killed):
        send("keys/", ORDER, by=alice)
    running = send("keys/", ORDER, by=alice)
    assert code(running) == (409, "in_progress")
    assert running["Retry-After"] == "2"
    assert running.json()["error"]["retryable"] is True
    with later(DEAD):
        assert is_a_repeat_of(send("keys/", ORDER, by=alice), Lease.objects.get())
    assert len(sandbox.keys_there(team)) == 1


def test_a_process_that_dies_at_the_gateway_leaves_one_key_in_the_end(send, sandbox, role, team, alice, after_horizon):
    sandbox.faults.fail_next("/key/generate", Killed(), after_effect=True)
    with pytest.raises(Killed):
        send("keys/", ORDER, by=alice)
    with later(DEAD):
        assert code(send("keys/", ORDER, by=alice)) == (409, "in_progress")  # nobody has ended that attempt yet
    after_horizon()
    with later(DEAD):
        answer = send("keys/", ORDER, by=alice)
    assert answer.status_code == 201
    assert sandbox.balances(team)
    assert Lease.objects.filter(state=State.ACTIVE).count() == 1


def test_a_process_that_dies_before_it_began_is_taken_over(send, role, alice, monkeypatch):
    def killed(*_: object, **__: object) -> None:
        raise Killed

    monkeypatch.setattr(issuing, "begin", killed)
    with pytest.raises(Killed):
        send("keys/", ORDER, by=alice)
    monkeypatch.undo()
    with later(DEAD):
        assert send("keys/", ORDER, by=alice).status_code == 201
    assert Lease.objects.count() == 1


def test_what_cannot_be_told_is_not_done_twice(send, role, alice, make_key, dies):
    lease = make_key().lease
    dies("finish")
    with pytest.raises(Killed):
        send(f"keys/{lease.pk}/rotate/", {"grace": 0}, by=alice)
    with later(DEAD):
        for _ in range(2):
            assert code(send(f"keys/{lease.pk}/rotate/", {"grace": 0}, by=alice)) == (409, "outcome_unknown")
        assert lease.versions.count() == 2
        assert send(f"keys/{lease.pk}/rotate/", {"grace": 0}, by=alice, key="another").status_code == 200


def test_what_is_safe_to_repeat_is_done_again(send, role, alice, make_key, dies):
    lease = make_key().lease
    dies("finish")
    with pytest.raises(Killed):
        send(f"keys/{lease.pk}/revoke/", by=alice)
    with later(DEAD):
        assert send(f"keys/{lease.pk}/revoke/", by=alice).json()["state"] == "revoked"


def test_our_own_mistake_is_tried_again_at_once_and_issues_once(send, client, role, alice, monkeypatch):
    client.raise_request_exception = False
    monkeypatch.setattr(LeaseOut, "to_representation", lambda *_: 1 / 0)
    assert send("keys/", ORDER, by=alice).status_code == 500
    monkeypatch.undo()
    assert is_a_repeat_of(send("keys/", ORDER, by=alice), Lease.objects.get())


def test_a_database_that_cannot_keep_the_answer_keeps_nobody_from_their_key(send, sandbox, role, alice, monkeypatch):
    def away(*_: object) -> None:
        raise OperationalError("gone")

    monkeypatch.setattr(repeats, "_claimed", away)
    first = send("keys/", ORDER, by=alice)
    assert sandbox.status_of(first.json()["key"]) == 200
    monkeypatch.undo()
    with later(DEAD):
        assert is_a_repeat_of(send("keys/", ORDER, by=alice), Lease.objects.get())


# --- at once --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("proxy", "times"), [
    pytest.param("sandbox", 10, marks=pytest.mark.apart),
    pytest.param("live", 50, marks=[pytest.mark.live, pytest.mark.postgres]),
], indirect=["proxy"])  # fmt: skip
def test_many_at_once_make_one_lease_and_one_key_that_works(proxy, times, bearer, make_role, team, alice):
    make_role()
    headers = bearer(alice) | {"Idempotency-Key": "one"}

    def post():
        return Client().post("/api/v1/keys/", ORDER, "application/json", headers=headers)

    answers = together(*[post] * times)
    lease = Lease.objects.get()
    made = [each.json()["key"] for each in answers if each.status_code == 201]
    assert [proxy.status_of(secret) for secret in made] == [200]
    assert proxy.keys_there(team) == {hash_key(made[0])}
    others = [each for each in answers if each.status_code != 201]
    assert {code(each) for each in others if each.status_code == 409} <= {(409, "in_progress")}
    assert all(is_a_repeat_of(each, lease) for each in others if each.status_code != 409)
    assert is_a_repeat_of(post(), lease)
    assert AuditEvent.objects.filter(action="key.issued").count() == 1


@pytest.mark.parametrize("age", [DEAD, Repeat.KEPT])
def test_of_many_who_take_over_at_once_one_does(db, age):
    now, sent = timezone.now(), ("somebody", "one", repeats.told("/", {}))
    row, _ = repeats.begin(*sent, now=now)
    if age == Repeat.KEPT:
        repeats.finish(row, 200, {})
    came = together(*[lambda: repeats.begin(*sent, now=now + age)] * 8)
    won = [each for each in came if not isinstance(each, Exception)]
    assert [taken_over for _, taken_over in won] == [age == DEAD]
    assert {type(each) for each in came if isinstance(each, Exception)} == {repeats.InProgress}
    assert Repeat.objects.get().runs_until == now + age + repeats.RUNS


def test_whoever_was_taken_over_changes_nothing_any_more(db):
    now, sent = timezone.now(), ("somebody", "one", repeats.told("/", {}))
    slept, _ = repeats.begin(*sent, now=now)
    other, _ = repeats.begin(*sent, now=now + DEAD)
    repeats.forget(slept)
    repeats.finish(slept, 201, {"whose": "the sleeper's"})
    repeats.finish(other, 200, {"whose": "the other's"})
    assert json.loads(Repeat.objects.get().answer) == {"whose": "the other's"}


# --- what is kept ---------------------------------------------------------------------------------


def test_the_database_keeps_neither_secrets_nor_what_was_sent(send, sandbox, role, ruth, alice, make_key):
    secrets = [send("keys/", ORDER, by=alice, key="first").json()["key"]]
    lease = Lease.objects.get()
    secrets.append(send(f"keys/{lease.pk}/rotate/", {"grace": "1h"}, by=alice, key="second").json()["key"])
    secrets += [
        each["key"]
        for each in send("keys/rotate/", {"ids": [str(lease.pk)], "grace": 0}, by=alice, key="third").json()["results"]
    ]
    assert all(secrets)
    for row in Repeat.objects.all():
        assert not [secret for secret in secrets if secret in row.answer]
        assert '"versions"' not in row.answer  # a lease is read anew
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM portal_repeat")
        raw = str(cursor.fetchall())
    assert not [word for word in ("first", "nightly", "example.com", "alias") if word in raw]


def test_an_answer_without_a_secret_comes_again_as_it_was(send, ruth, bob, team):
    first = send("teams/", {"name": "Mobile"}, by=ruth)
    assert first.status_code == 201
    again = send("teams/", {"name": "Mobile"}, by=ruth)
    assert (again.status_code, again.json()) == (201, first.json())
    assert again["Idempotency-Replayed"] == "true"
    assert Team.objects.filter(name="Mobile").count() == 1


def test_a_repeat_shows_the_lease_as_it_is_now(send, role, alice, make_key):
    lease = make_key().lease
    assert send(f"keys/{lease.pk}/pause/", by=alice).json()["state"] == "paused"
    send(f"keys/{lease.pk}/resume/", by=alice, key="two")
    again = send(f"keys/{lease.pk}/pause/", by=alice)
    assert (again.json()["state"], again["Idempotency-Replayed"]) == ("active", "true")


def test_a_repeat_of_what_a_person_decides_tells_how_the_request_stands(send, sandbox, make_role, alice, bob):
    make_role(approval="team")
    first = send("keys/", ORDER, by=alice)
    assert (first.status_code, first.json()["request"]["state"]) == (202, "pending")
    pk = first.json()["request"]["id"]
    assert send(f"requests/{pk}/approve/", by=bob, key="two").json()["state"] == "approved"
    again = send("keys/", ORDER, by=alice)
    assert (again.status_code, again["Idempotency-Replayed"]) == (202, "true")
    assert (again.json()["request"]["id"], again.json()["request"]["state"]) == (pk, "approved")
    send(f"requests/{pk}/claim/", by=alice, key="three")
    assert send(f"requests/{pk}/approve/", by=bob, key="two").json()["state"] == "fulfilled"
    Membership.objects.filter(user=alice).delete()
    assert code(send("keys/", ORDER, by=alice)) == (404, "not_found")


def test_a_repeat_about_a_team_that_is_out_of_sight_is_not_there(send, ines, person):
    person("ada")
    body = {"email": "ada@example.com", "role": "member"}
    send("teams/search/members/", body, by=ines)
    Membership.objects.filter(user=ines).delete()
    assert code(send("teams/search/members/", body, by=ines)) == (404, "not_found")


def test_results_of_many_come_again_without_their_secrets(send, sandbox, role, alice, make_key):
    leases = [make_key().lease for _ in range(2)]
    body = {"ids": [str(each.pk) for each in leases]}
    first = send("keys/rotate/", body, by=alice).json()
    again = send("keys/rotate/", body, by=alice).json()
    assert [each["key"] for each in again["results"]] == [None, None]
    assert again["secret"] == "shown_once"
    assert [each["lease"]["id"] for each in again["results"]] == [each["lease"]["id"] for each in first["results"]]
    assert [each["done"] for each in again["results"]] == [True, True]


# --- the header -----------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["", "x" * 256, "two words", "ü"])
def test_a_key_is_1_to_255_visible_ascii_characters(send, role, alice, key):
    answer = send("keys/", ORDER, by=alice, key=key)
    assert (code(answer), names(answer)) == ((422, "invalid"), ["Idempotency-Key"])
    assert not Lease.objects.exists()


def test_other_methods_take_no_notice_of_it(client, bearer, ruth, team):
    headers = bearer(ruth) | {"Idempotency-Key": "one"}
    for budget in ("1.00", "2.00"):
        answer = client.patch("/api/v1/teams/search/", {"max_budget": budget}, "application/json", headers=headers)
        assert (answer.status_code, "Idempotency-Replayed" in answer) == (200, False)
    assert client.get("/api/v1/teams/", headers=headers).status_code == 200
    assert not Repeat.objects.exists()


def test_an_address_that_takes_no_post_says_so(send, alice):
    assert code(send(f"teams/{uuid4()}/spend/", by=alice))[0] == 405


def test_the_log_says_what_became_of_a_call(send, ruth, caplog):
    for name in ("Mobile", "Mobile", "Other"):
        send("teams/", {"name": name}, by=ruth)
    lines = [each.msg for each in caplog.records if isinstance(each.msg, dict)]
    ended = [each for each in lines if each["event"] == "request_finished"]
    assert [each.get("idempotency") for each in ended] == ["first", "replayed", "refused"]


def test_without_a_right_nothing_is_kept_and_nothing_comes_again(send, role, ruth, alice, sandbox):
    assert send("roles/", {"name": "x", "all_models": True}, by=alice).status_code == 403
    first = send("teams/", {"name": "Mobile"}, by=ruth)
    assert first.status_code == 201
    assert code(send("gateways/sandbox/reconcile/", by=ruth, key="two", scopes=["read"])) == (403, "not_allowed")
    assert Repeat.objects.count() == 1


def test_an_act_of_the_platform_does_not_come_again_for_somebody_who_left_it(send, sandbox, ruth):
    assert send("gateways/sandbox/reconcile/", by=ruth).status_code == 202
    User.objects.filter(pk=ruth.pk).update(platform_role="")
    assert code(send("gateways/sandbox/reconcile/", by=ruth)) == (403, "not_allowed")
