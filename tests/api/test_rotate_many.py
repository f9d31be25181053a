"""Many keys rotated in one call: a result and a secret for each, and no secret is ever lost on the way."""

from __future__ import annotations

import uuid
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.db import DatabaseError
from django.utils import timezone

from keys.api.rest import many as door
from keys.models import KeyVersion, Lease
from keys.services.leases import many
from portal.litellm import faults
from tests.api.answers import code, names

pytestmark = pytest.mark.django_db(transaction=True)
URL = "keys/rotate/"


@pytest.fixture
def keys(make_key, make_role, bob) -> list[Lease]:
    """Three of alice's, and one of bob's."""
    role = make_role()
    return [*(make_key(role=role).lease for _ in range(3)), make_key(role=role, holder=bob).lease]


def ids(leases) -> list[str]:
    return [str(each.pk) for each in leases]


def found(answer) -> list[tuple[str, bool, str | None]]:
    assert answer.status_code == 200, answer.json()
    assert answer["Cache-Control"] == "no-store"
    return [
        (each["lease"]["id"], bool(each["key"]), each["error"] and each["error"]["code"])
        for each in answer.json()["results"]
    ]


def secrets(answer) -> list[str]:
    return [each["key"] for each in answer.json()["results"] if each["key"]]


def test_each_key_has_a_result_with_its_secret_in_the_order_that_was_sent(proxy, call, alice, team, keys):
    sent = [str(uuid.uuid4()), *ids(keys[1::-1]), str(keys[3].pk)]
    answer = call("post", URL, {"ids": sent, "grace": 0}, by=alice)
    assert found(answer) == [
        (sent[0], False, "not_found"), (sent[1], True, None), (sent[2], True, None), (sent[3], False, "not_found"),
    ]  # fmt: skip
    assert answer.json()["left"] == []
    assert [proxy.status_of(secret) for secret in secrets(answer)] == [200, 200]
    assert proxy.balances(team)


@pytest.mark.parametrize(
    "chosen", [{"team": "search"}, {"role": "coding"}, {"holder": "alice@example.com"}, {"holder": "me"}]
)
def test_a_selection_reaches_the_active_keys_that_one_may_rotate(sandbox, call, alice, keys, chosen):
    call("post", f"keys/{keys[2].pk}/pause/", by=alice)
    preview = call("post", URL, chosen | {"preview": True}, by=alice)
    assert preview.json()["reach"]["keys"] == 3  # live
    assert KeyVersion.objects.count() == 4
    assert found(call("post", URL, chosen, by=alice)) == [(pk, True, None) for pk in ids(keys[:2])]


def test_who_may_not_rotate_a_key_that_they_see_is_told_so(sandbox, call, ines, keys):
    assert found(call("post", URL, {"ids": ids(keys[:1])}, by=ines)) == [(str(keys[0].pk), False, "not_allowed")]
    assert found(call("post", URL, {"team": "search"}, by=ines)) == []
    reach = call("post", URL, {"team": "search", "preview": True}, by=ines).json()["reach"]
    assert (reach["keys"], reach["refused"]) == (0, 4)


def test_a_gateway_that_goes_away_in_the_middle_takes_no_secret_with_it(sandbox, call, alice, keys, monkeypatch):
    real = many.rotate
    done: list[Lease] = []

    def rotate(lease, **how):
        if done:
            sandbox.faults.fail_next("*", faults.refused(), times=1000)
        done.append(lease)
        return real(lease, **how)

    monkeypatch.setattr(many, "rotate", rotate)
    answer = call("post", URL, {"ids": ids(keys[:3]), "grace": 0}, by=alice)
    assert [error for _, _, error in found(answer)] == [None, "gateway_away", "gateway_away"]
    sandbox.faults.clear()
    assert sandbox.status_of(*secrets(answer)) == 200


def test_what_there_is_no_time_for_is_left_and_named(sandbox, call, alice, keys, monkeypatch):
    monkeypatch.setattr(many, "time", SimpleNamespace(monotonic=iter(range(0, 100, 3)).__next__))
    answer = call("post", URL, {"ids": ids(keys[:3])}, by=alice)
    assert len(secrets(answer)) == len(found(answer)) == 2
    assert answer.json()["left"] == ids(keys[2:3])


def test_one_call_begins_no_more_than_its_limit(sandbox, call, alice, keys, monkeypatch):
    monkeypatch.setattr(door, "MOST_ROTATED", 2)
    answer = call("post", URL, {"team": "search"}, by=alice)
    assert [pk for pk, _, _ in found(answer)] == ids(keys[:2])
    assert answer.json()["left"] == ids(keys[2:3])
    again = call("post", URL, {"ids": answer.json()["left"]}, by=alice)
    assert (len(secrets(again)), again.json()["left"]) == (1, [])


def test_our_own_mistake_at_one_key_and_at_the_end_loses_no_secret(sandbox, call, alice, keys, monkeypatch):
    real = many.rotate

    def rotate(lease, **how):
        return 1 / 0 if lease.pk == keys[1].pk else real(lease, **how)

    def away(*_: object) -> None:
        raise DatabaseError("gone")

    monkeypatch.setattr(many, "rotate", rotate)
    monkeypatch.setattr(door.LeaseOut, "to_representation", away)
    answer = call("post", URL, {"ids": ids(keys[:3])}, by=alice)
    assert [(has, error) for _, has, error in found(answer)] == [(True, None), (False, "error"), (True, None)]
    assert [sandbox.status_of(secret) for secret in secrets(answer)] == [200, 200]


def test_a_browser_signs_in_again_before_any_of_them(sandbox, client, alice, keys, settings):
    settings.REAUTH_AFTER = timedelta(0)
    client.force_login(alice)
    session = client.session
    session["account_authentication_methods"] = [{"method": "password", "at": timezone.now().timestamp() - 60}]
    session.save()
    answer = client.post("/api/v1/keys/rotate/", {"ids": ids(keys[:1])}, "application/json")
    assert code(answer) == (403, "sign_in_again")
    assert KeyVersion.objects.count() == 4


@pytest.mark.parametrize(
    ("body", "fields"),
    [({}, {"ids", "team", "role", "holder"}), ({"ids": [], "reason": "x"}, {"reason"}),
     ({"ids": [], "grace": "soon"}, {"grace"}), ({"ids": [str(uuid.uuid4())] * 1001}, {"ids"})],
)  # fmt: skip
def test_a_body_that_cannot_be_used_is_refused(sandbox, call, alice, body, fields):
    answer = call("post", URL, body, by=alice)
    assert answer.status_code == 422
    assert set(names(answer)) == fields
