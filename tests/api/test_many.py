"""Many keys ended in one call, over HTTP: how they are chosen, what is counted before, and a result for each."""

from __future__ import annotations

import uuid

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from keys.api.rest import many
from keys.models import Lease, State
from portal.litellm import faults
from portal.models import AuditEvent
from teams.models import Membership

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def keys(make_key, make_role, alice, bob, robot):
    """Two of alice's, one of bob's from another role, one of the machine's."""
    coding, batch = make_role(), make_role(name="batch")
    return {
        "alice": make_key(role=coding, name="one").lease,
        "alice too": make_key(role=coding, name="two").lease,
        "bob": make_key(role=batch, holder=bob).lease,
        "robot": make_key(role=batch, holder=robot).lease,
    }


@pytest.fixture
def theirs(make_key, mallory, other_team):
    """A key of another team."""
    return make_key(holder=mallory, team=other_team).lease


def ended(*leases: Lease) -> bool:
    return set(Lease.objects.filter(state=State.REVOKED)) == set(leases)


def results(answer) -> dict[str, tuple[bool, str | None]]:
    assert answer.status_code == 200, answer.json()
    return {
        each["lease"]["id"]: (each["done"], each["error"] and each["error"]["code"])
        for each in answer.json()["results"]
    }


def test_keys_named_one_by_one_have_a_result_each_in_their_order(proxy, call, bob, keys, theirs):
    ids = [str(uuid.uuid4()), str(keys["bob"].pk), str(theirs.pk), str(keys["alice"].pk), str(keys["bob"].pk)]
    answer = call("post", "keys/revoke/", {"ids": ids, "reason": "an incident"}, by=bob)
    found = results(answer)
    assert list(found) == ids[:4]
    assert list(found.values()) == [(False, "not_found"), (True, None), (False, "not_found"), (True, None)]
    assert ended(keys["bob"], keys["alice"])
    one = answer.json()["results"][1]["lease"]
    assert (one["state"], one["effective"], one["end_reason"]) == ("revoked", True, "an incident")
    assert set(one) == set(call("get", f"keys/{one['id']}/", by=bob).json())
    assert answer.json()["more"] is False


def test_a_key_that_may_not_be_seen_looks_like_one_that_is_not_there(sandbox, call, alice, keys, theirs):
    answer = call("post", "keys/revoke/", {"ids": [str(theirs.pk), str(uuid.uuid4())]}, by=alice)
    one, other = (dict(each, lease=None) for each in answer.json()["results"])
    assert one == other
    assert [set(each["lease"]) for each in answer.json()["results"]] == [{"id"}, {"id"}]


def test_a_key_that_may_be_seen_and_not_ended_says_so(sandbox, call, audra, keys):
    answer = call("post", "keys/revoke/", {"ids": [str(keys["bob"].pk)]}, by=audra)
    assert results(answer) == {str(keys["bob"].pk): (False, "not_allowed")}
    assert answer.json()["results"][0]["error"]["details"] == {"right": "revoke_key", "who": ["Bob"]}
    assert answer.json()["results"][0]["lease"]["state"] == "active"
    assert ended()


@pytest.mark.parametrize(
    ("who", "selector", "whose"),
    [
        ("bob", {"team": "search"}, ["alice", "alice too", "bob", "robot"]),
        ("alice", {"team": "search"}, ["alice", "alice too"]),
        ("vic", {"team": "search"}, []),
        ("ines", {"role": "Batch"}, ["bob", "robot"]),
        ("ines", {"role": "batch", "gateway": "sandbox"}, ["bob", "robot"]),
        ("alice", {"role": "batch"}, []),
        ("ines", {"holder": "ALICE@example.com"}, ["alice", "alice too"]),
        ("alice", {"holder": "alice@example.com"}, ["alice", "alice too"]),
        ("alice", {"holder": "bob@example.com"}, []),
        ("ruth", {"holder": "bob@example.com"}, ["bob"]),
        ("bob", {"ids": []}, []),
    ],
)
def test_a_selector_reaches_the_live_keys_that_the_caller_sees(
    sandbox, call, request, vic, keys, theirs, who, selector, whose
):
    by = request.getfixturevalue(who)
    chosen = [keys[each] for each in whose]
    preview = call("post", "keys/revoke/", selector | {"preview": True}, by=by).json()["reach"]
    assert (preview["keys"], preview["refused"]) == (len(chosen), 0)
    assert ended()
    assert results(call("post", "keys/revoke/", selector, by=by)) == {str(each.pk): (True, None) for each in chosen}
    assert ended(*chosen)
    if "ids" not in selector:
        assert results(call("post", "keys/revoke/", selector, by=by)) == {}


def test_a_holder_is_also_known_by_id_and_when_gone_from_the_team(sandbox, call, ines, alice, robot, keys):
    assert len(results(call("post", "keys/revoke/", {"holder": str(robot.pk)}, by=ines))) == 1
    Membership.objects.filter(user=alice).delete()
    assert len(results(call("post", "keys/revoke/", {"holder": "alice@example.com"}, by=ines))) == 2


def test_the_reach_of_an_ending_says_whom_it_breaks(sandbox, call, bob, ines, keys):
    Lease.objects.filter(pk=keys["bob"].pk).update(last_used_at=timezone.now())
    found = call("post", "keys/revoke/", {"team": "search", "preview": True}, by=ines)
    assert found.json() == {
        "reach": {
            "keys": 4, "refused": 0, "holders": ["alice@example.com", "bob@example.com", "nightly"], "busy": 1,
            "spend": "0.000000",
        }
    }  # fmt: skip
    assert not AuditEvent.objects.filter(action="key.revocation_asked").exists()


@pytest.mark.parametrize(
    ("body", "field"),
    [({"team": "mobile"}, "team"), ({"team": "nowhere"}, "team"), ({"role": "secret"}, "role"),
     ({"role": "batch", "gateway": "nowhere"}, "role"), ({"holder": "mallory@example.com"}, "holder"),
     ({"holder": "nobody@example.com"}, "holder"), ({"holder": str(uuid.uuid4())}, "holder")],
)  # fmt: skip
@pytest.mark.parametrize("preview", [True, False])
def test_what_is_not_there_or_not_seen_is_404_with_the_field_named(
    sandbox, call, bob, mallory, other_team, make_role, keys, body, field, preview
):
    make_role(name="secret", all_teams=False, teams=[other_team])
    answer = call("post", "keys/revoke/", body | {"preview": preview}, by=bob)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    assert list(answer.json()["error"]["details"]) == [field]
    assert ended()


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"ids", "team", "role", "holder"}),
        ({"reason": "x"}, {"ids", "team", "role", "holder"}),
        ({"team": "search", "ids": []}, {"ids", "team"}),
        ({"team": "search", "holder": "alice@example.com"}, {"team", "holder"}),
        ({"team": "search", "gateway": "sandbox"}, {"gateway"}),
        ({"team": "search", "preveiw": True}, {"preveiw"}),
        ({"team": "search", "preview": "maybe"}, {"preview"}),
        ({"team": "search", "preview": None}, {"preview"}),
        ({"team": "search", "reason": "x" * 201}, {"reason"}),
        ({"team": "search", "reason": "a\u0000"}, {"reason"}),
        ({"team": None}, {"team"}),
        ({"team": ""}, {"team"}),
        ({"team": ["search"]}, {"team"}),
        ({"team": "a\u0000"}, {"team"}),
        ({"role": "\ud800"}, {"role"}),
        ({"holder": {"id": 1}}, {"holder"}),
        ({"holder": "x" * 255}, {"holder"}),
        ({"ids": "all"}, {"ids"}),
        ({"ids": None}, {"ids"}),
        ({"ids": ["x"]}, {"ids"}),
        ({"ids": [["x"]]}, {"ids"}),
        ({"ids": [10**40]}, {"ids"}),
        ({"ids": [-1]}, {"ids"}),
        ({"ids": ["a\u0000"]}, {"ids"}),
        ({"ids": [str(uuid.uuid4())] * 1001}, {"ids"}),
    ],
)
def test_a_selector_that_is_none_ends_nothing(sandbox, call, ines, keys, body, fields):
    answer = call("post", "keys/revoke/", body, by=ines)
    assert answer.status_code == 422
    assert set(answer.json()["error"]["details"]) == fields
    assert ended()


def test_a_preview_asked_for_in_the_address_ends_nothing(sandbox, call, ines, keys):
    answer = call("post", "keys/revoke/?preview=true", {"team": "search"}, by=ines)
    assert (answer.status_code, list(answer.json()["error"]["details"])) == (422, ["preview"])
    assert ended()


def test_with_the_gateway_away_every_key_is_on_its_way_and_none_effective(sandbox, call, ines, keys):
    sandbox.faults.fail_next("/key/delete", faults.refused(), times=10)
    answer = call("post", "keys/revoke/", {"team": "search"}, by=ines).json()
    assert [each["done"] for each in answer["results"]] == [True] * 4
    assert {(each["lease"]["state"], each["lease"]["effective"]) for each in answer["results"]} == {("revoking", False)}


def test_more_keys_than_one_call_ends_are_ended_by_the_next(sandbox, call, ines, keys, monkeypatch):
    monkeypatch.setattr(many, "MOST", 3)
    first = call("post", "keys/revoke/", {"team": "search"}, by=ines).json()
    assert (len(first["results"]), first["more"]) == (3, True)
    second = call("post", "keys/revoke/", {"team": "search"}, by=ines).json()
    assert (len(second["results"]), second["more"]) == (1, False)
    assert ended(*keys.values())


def test_a_token_that_may_only_read_ends_nothing(sandbox, call, ines, keys):
    answer = call("post", "keys/revoke/", {"team": "search"}, by=ines, scopes=["read"])
    assert {code for _, code in results(answer).values()} == {"not_allowed"}
    assert answer.json()["results"][0]["error"]["details"]["scope"] == "keys:manage"
    blind = call("post", "keys/revoke/", {"ids": [str(keys["bob"].pk)]}, by=ines, scopes=["keys:manage"])
    assert results(blind) == {str(keys["bob"].pk): (False, "not_found")}
    assert ended()


def test_the_leases_of_an_answer_are_read_together(sandbox, call, ines, keys):
    """What each ending writes is the service's; drawing them adds nothing for each."""
    call("post", "keys/revoke/", {"team": "search"}, by=ines)

    def queries(ids: list[str]) -> int:
        with CaptureQueriesContext(connection) as asked:
            call("post", "keys/revoke/", {"ids": ids}, by=ines)
        return sum("keys_keyversion" in each["sql"] and each["sql"].startswith("SELECT") for each in asked)

    everyone = [str(lease.pk) for lease in keys.values()]
    assert queries(everyone) == queries(everyone[:1])
