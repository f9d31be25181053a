"""Renew, rotate, pause, resume and revoke over HTTP: shapes, reasons, and what the gateway does then."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from keys.models import Lease, State
from keys.services import intents, roles
from portal.litellm import faults, hash_key
from teams.access import SYSTEM
from tests.api.answers import BUNDLE

pytestmark = pytest.mark.django_db(transaction=True)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ACTS = ("renew", "rotate", "pause", "resume", "revoke")


@pytest.fixture
def key(make_key, make_role):
    """Alice's, for an hour of the day that its role gives, and of the ten that renewals reach."""
    return make_key(role=make_role(ttl=DAY, max_ttl=10 * DAY), ttl=HOUR)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def code(answer) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def facts(lease: Lease) -> dict[str, object]:
    """The whole row, to see that nothing of it changed."""
    return dict(Lease.objects.filter(pk=lease.pk).values().get())


# --- the lease ------------------------------------------------------------------------------------


def test_a_lease_has_the_fields_that_are_documented(sandbox, call, alice, key):
    lease = call("get", f"keys/{key.lease.pk}/", by=alice).json()
    assert set(lease) == {
        "id", "alias", "name", "state", "effective", "team", "role", "gateway", "holder", "holder_id", "purpose",
        "issued_at", "expires_at", "max_expires_at", "renewed_at", "handed_over_at", "ended_at", "end_reason",
        "pause_reason", "renewable", "models", "all_models", "max_budget", "spend", "last_used_at", "base_url",
        "versions",
    }  # fmt: skip
    (version,) = lease["versions"]
    assert set(version) == {"number", "name", "state", "issued_at", "dies_at", "ended_at", "last_used_at"}
    assert (version["number"], version["state"]) == (1, "current")
    assert version["name"] == f"sk-...{key.secret[-4:]}"
    assert (lease["effective"], lease["holder_id"]) == (True, str(alice.pk))
    assert key.secret not in str(lease)
    assert hash_key(key.secret) not in str(lease)


def test_only_secrets_that_were_handed_over_are_versions(sandbox, call, alice, key):
    sandbox.faults.fail_next("/key/generate", faults.timed_out(), times=10)
    assert call("post", f"keys/{key.lease.pk}/rotate/", by=alice).status_code == 503
    assert key.lease.versions.count() > 1
    lease = call("get", f"keys/{key.lease.pk}/", by=alice).json()
    assert [version["number"] for version in lease["versions"]] == [1]
    assert lease["versions"][0]["state"] == "current"


def test_a_list_asks_as_often_for_nine_keys_as_for_one(sandbox, call, alice, make_key):
    def queries() -> int:
        with CaptureQueriesContext(connection) as asked:
            assert call("get", "keys/", by=alice).status_code == 200
        return len(asked)

    make_key()
    few = queries()
    for _ in range(8):
        issued = make_key()
        call("post", f"keys/{issued.lease.pk}/rotate/", {"grace": "1h"}, by=alice)
    assert queries() == few


def test_a_list_is_narrowed_by_team_state_role_holder_and_name(
    sandbox, call, team, alice, bob, ines, make_key, make_role
):
    mine = make_key(name="Notebook 100%").lease
    theirs = make_key(holder=bob, role=make_role(name="batch"), name="nightly run").lease
    call("post", f"keys/{theirs.pk}/pause/", by=bob)

    def found(query: str, by=ines) -> list[str]:
        return sorted(lease["id"] for lease in call("get", f"keys/?{query}", by=by).json()["results"])

    one, other = str(mine.pk), str(theirs.pk)
    assert found("team=search") == sorted([one, other])
    assert found("state=paused") == found("role=batch") == [other]
    assert found("holder=me", by=bob) == found("holder=bob@example.com") == found(f"holder={bob.pk}") == [other]
    assert found("holder=BOB@example.com&state=active") == found("holder=me") == found("holder=nobody") == []
    assert found("q=NIGHTLY") == [other]
    assert found("q=100%25") == found(f"q={mine.alias}") == [one]
    assert found("q=%00") == found("holder=%00") == found("role=%00") == found("team=mobile") == []
    assert found("holder=bob@example.com", by=alice) == []


# --- renew ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ttl", "life"), [("24h", DAY), (7200, 2 * HOUR), ("7200", 2 * HOUR), (None, DAY), (..., DAY)])
def test_a_renewal_counts_from_now(proxy, call, alice, key, ttl, life):
    before = timezone.now()
    answer = call("post", f"keys/{key.lease.pk}/renew/", {} if ttl is ... else {"ttl": ttl}, by=alice)
    assert answer.status_code == 200
    lease = answer.json()
    assert before + life <= moment(lease["expires_at"]) <= timezone.now() + life
    assert before <= moment(lease["renewed_at"]) <= timezone.now()
    assert lease["versions"][0]["dies_at"] == lease["expires_at"]
    assert (lease["state"], lease["renewable"]) == ("active", True)
    assert "key" not in lease


def test_a_renewal_answers_the_capped_rest_and_then_that_nothing_is_left(sandbox, call, alice, make_key, make_role):
    lease = make_key(role=make_role(ttl=DAY, max_ttl=DAY), ttl=HOUR).lease
    answer = call("post", f"keys/{lease.pk}/renew/", {"ttl": "24h"}, by=alice).json()
    assert answer["expires_at"] == answer["max_expires_at"]
    assert answer["renewable"] is False
    again = call("post", f"keys/{lease.pk}/renew/", by=alice)
    assert code(again) == (409, "nothing_left")
    assert "UTC" in again.json()["error"]["message"]


def test_a_renewal_past_what_the_role_gives_names_the_limit(sandbox, call, alice, key):
    answer = call("post", f"keys/{key.lease.pk}/renew/", {"ttl": "48h"}, by=alice)
    assert code(answer) == (422, "over_limit")
    assert "24h" in answer.json()["error"]["details"]["ttl"]


def test_a_renewal_says_that_the_role_ended(sandbox, call, alice, key):
    key.lease.role.teams.clear()
    type(key.lease.role).objects.update(all_teams=False)
    assert code(call("post", f"keys/{key.lease.pk}/renew/", by=alice)) == (409, "role_ended")


@pytest.mark.parametrize("act", ["renew", "rotate"])
def test_who_may_not_hold_keys_any_more_is_told_so(sandbox, call, alice, ruth, make_key, make_role, act):
    """A platform admin may renew what she holds; the team that the key is of must still be alive."""
    lease = make_key(holder=ruth, role=make_role(ttl=DAY), ttl=HOUR).lease
    type(lease.team).objects.update(ended_at=timezone.now())
    assert code(call("post", f"keys/{lease.pk}/{act}/", by=ruth)) == (409, "holder_left")


def test_a_key_over_its_time_is_not_renewed(sandbox, call, alice, key):
    with time_machine.travel(timezone.now() + 2 * HOUR):
        assert code(call("post", f"keys/{key.lease.pk}/renew/", by=alice)) == (409, "not_now")


# --- rotate ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("grace", "life"),
    [("1h", HOUR), (1800, HOUR / 2), ("1800", HOUR / 2), (..., HOUR), ("30m", HOUR / 2), ("date", HOUR / 2)],
)
def test_a_rotation_answers_in_the_shape_of_issuing_and_both_secrets_work(proxy, call, alice, key, grace, life):
    until = timezone.now() + life
    body = {} if grace is ... else {"grace": until.isoformat() if grace == "date" else grace}
    answer = call("post", f"keys/{key.lease.pk}/rotate/", body, by=alice)
    assert (answer.status_code, answer["Cache-Control"]) == (200, "no-store")
    issued = answer.json()
    assert set(issued) == BUNDLE
    old, new = issued["lease"]["versions"]
    assert (issued["lease"]["id"], issued["lease"]["alias"]) == (str(key.lease.pk), key.lease.alias)
    assert (old["state"], new["state"], new["number"]) == ("retiring", "current", 2)
    assert abs(moment(old["dies_at"]) - until) < timedelta(seconds=30)  # the default is a day: it dies with its lease
    assert proxy.status_of(key.secret) == proxy.status_of(issued["key"]) == 200

    with time_machine.travel(until + timedelta(seconds=30)):
        intents.settle_due()
        assert call("get", f"keys/{key.lease.pk}/", by=alice).json()["versions"][0]["state"] == "ended"
    assert (proxy.status_of(key.secret), proxy.status_of(issued["key"])) == (401, 200)


@pytest.mark.parametrize("now", [0, "0", "0s"])
def test_a_grace_of_0_ends_the_old_secret_at_once(proxy, call, alice, key, now):
    issued = call("post", f"keys/{key.lease.pk}/rotate/", {"grace": now}, by=alice).json()
    assert [version["state"] for version in issued["lease"]["versions"]] == ["ended", "current"]
    assert (proxy.status_of(key.secret), proxy.status_of(issued["key"])) == (401, 200)


def test_a_second_rotation_waits_for_the_first_but_a_lost_secret_is_replaced(proxy, call, alice, key):
    place = f"keys/{key.lease.pk}/rotate/"
    second = call("post", place, {"grace": "30m"}, by=alice).json()
    refused = call("post", place, {"grace": "10m"}, by=alice)
    assert code(refused) == (409, "rotation_in_overlap")
    assert "grace 0" in refused.json()["error"]["action"]
    assert "key" not in refused.json()
    third = call("post", place, {"grace": 0}, by=alice)
    assert third.status_code == 200
    assert [version["state"] for version in third.json()["lease"]["versions"]] == ["ended", "ended", "current"]
    assert proxy.status_of(second["key"]) == proxy.status_of(key.secret) == 401
    assert proxy.status_of(third.json()["key"]) == 200


def test_a_rotation_that_is_sent_again_rotates_once(sandbox, call, alice, key):
    """A job that lost the answer says which version it meant to replace."""
    body = {"grace": 0, "replaces": 1}
    assert call("post", f"keys/{key.lease.pk}/rotate/", body, by=alice).status_code == 200
    assert code(call("post", f"keys/{key.lease.pk}/rotate/", body, by=alice)) == (409, "already_rotated")
    assert call("post", f"keys/{key.lease.pk}/rotate/", {"grace": 0, "replaces": 2}, by=alice).status_code == 200
    for odd in (0, -1, "x", None, [1], 10**30, 1.5):
        answer = call("post", f"keys/{key.lease.pk}/rotate/", {"grace": 0, "replaces": odd}, by=alice)
        assert answer.status_code in {409, 422}
    assert key.lease.versions.count() == 3


@pytest.mark.parametrize(
    "grace",
    [
        "", "soon", "-1h", -1, 1.5, True, None, [], {"h": 1}, "1h30m", 10**30, "9" * 5000, "\u0000",
        "2020-01-01T00:00:00Z", "2099-13-01T00:00:00Z", "2099-12-01T25:00:00Z", "2099-12-01T00:00:00", "2099-12-01",
        "T", "0001-01-01T00:00:00+23:59",
    ],
)  # fmt: skip
def test_a_grace_that_is_none_is_refused_and_nothing_rotates(sandbox, call, alice, key, grace):
    answer = call("post", f"keys/{key.lease.pk}/rotate/", {"grace": grace}, by=alice)
    assert answer.status_code == 422
    assert list(answer.json()["error"]["details"]) == ["grace"]
    assert key.lease.versions.count() == 1


def test_a_date_at_the_end_of_time_is_a_grace_like_any_other(sandbox, call, alice, key):
    answer = call("post", f"keys/{key.lease.pk}/rotate/", {"grace": "9999-12-31T23:59:59.999999Z"}, by=alice)
    assert answer.json()["lease"]["versions"][0]["dies_at"] == key.lease.expires_at.isoformat().replace("+00:00", "Z")


# --- pause, resume, revoke ------------------------------------------------------------------------


def test_a_paused_key_does_not_answer_and_says_why(proxy, call, alice, key):
    paused = call("post", f"keys/{key.lease.pk}/pause/", {"reason": "a leak?"}, by=alice).json()
    assert (paused["state"], paused["effective"], paused["pause_reason"]) == ("paused", True, "a leak?")
    assert proxy.status_of(key.secret) == 401
    assert call("post", f"keys/{key.lease.pk}/pause/", by=alice).json()["state"] == "paused"
    assert code(call("post", f"keys/{key.lease.pk}/renew/", by=alice)) == (409, "not_now")
    assert code(call("post", f"keys/{key.lease.pk}/rotate/", by=alice)) == (409, "not_now")

    resumed = call("post", f"keys/{key.lease.pk}/resume/", by=alice).json()
    assert (resumed["state"], resumed["effective"], resumed["pause_reason"]) == ("active", True, "")
    assert proxy.status_of(key.secret) == 200


@pytest.mark.parametrize(
    ("act", "path", "state"), [("pause", "/key/block", "paused"), ("revoke", "/key/delete", "revoking")]
)
def test_an_act_that_the_gateway_has_not_confirmed_is_not_effective_yet(sandbox, call, alice, key, act, path, state):
    sandbox.faults.fail_next(path, faults.refused(), times=10)
    answer = call("post", f"keys/{key.lease.pk}/{act}/", by=alice)
    assert (answer.status_code, answer.json()["state"], answer.json()["effective"]) == (200, state, False)
    (row,) = call("get", "keys/", by=alice).json()["results"]
    assert row["effective"] is False


def test_a_revoked_key_is_ended_and_acts_on_it_are_refused_but_revoking_is_repeated(proxy, call, alice, key):
    ended = call("post", f"keys/{key.lease.pk}/revoke/", {"reason": "laptop gone"}, by=alice).json()
    assert (ended["state"], ended["end_reason"], ended["effective"]) == ("revoked", "laptop gone", True)
    assert [version["state"] for version in ended["versions"]] == ["ended"]
    assert call("post", f"keys/{key.lease.pk}/revoke/", by=alice).json()["end_reason"] == "laptop gone"
    for act in ("renew", "rotate", "pause", "resume"):
        assert code(call("post", f"keys/{key.lease.pk}/{act}/", by=alice)) == (409, "not_now")


# --- who, and with what ---------------------------------------------------------------------------


@pytest.mark.parametrize("act", ACTS)
def test_an_act_on_a_key_of_another_team_finds_no_key(sandbox, call, mallory, key, act):
    before = facts(key.lease)
    assert code(call("post", f"keys/{key.lease.pk}/{act}/", {"reason": "mine"}, by=mallory)) == (404, "not_found")
    assert code(call("post", f"keys/{mallory.pk}/{act}/", by=mallory)) == (404, "not_found")
    assert facts(key.lease) == before


@pytest.mark.parametrize(("act", "right"), [(act, "renew_key" if act[:2] in {"re", "ro"} else "") for act in ACTS[:2]])
def test_a_refusal_names_the_right_and_who_has_it(sandbox, call, ines, key, act, right):
    error = call("post", f"keys/{key.lease.pk}/{act}/", by=ines).json()["error"]
    assert (error["code"], error["details"]) == ("not_allowed", {"right": right, "who": ["Alice"]})


@pytest.mark.parametrize("act", ACTS)
def test_a_token_needs_the_scope_to_manage_keys(sandbox, call, alice, key, act):
    place = f"keys/{key.lease.pk}/{act}/"
    refused = call("post", place, by=alice, scopes=["read", "keys:issue", "team:manage"])
    assert refused.status_code == 403
    assert refused.json()["error"]["details"]["scope"] == "keys:manage"
    assert call("post", place, by=alice, scopes=["keys:manage"]).status_code == 404  # it sees no keys
    assert call("post", place, by=alice, scopes=["read", "keys:manage"]).status_code == 200


@pytest.mark.parametrize("act", ACTS)
def test_a_field_or_query_that_an_act_does_not_know_is_refused(sandbox, call, alice, key, act):
    before = facts(key.lease)
    assert list(
        call("post", f"keys/{key.lease.pk}/{act}/", {"tlt": "1h"}, by=alice).json()["error"]["details"]
    ) == ["tlt"]  # fmt: skip
    wrong = call("post", f"keys/{key.lease.pk}/{act}/?preview=true", by=alice)
    assert (wrong.status_code, list(wrong.json()["error"]["details"])) == (422, ["preview"])
    for body in ([], "x", 5, [{"ttl": 1}]):
        assert call("post", f"keys/{key.lease.pk}/{act}/", body, by=alice).status_code in {400, 422}
    assert facts(key.lease) == before


@pytest.mark.parametrize("reason", ["", "x" * 201, "a\u0000", "\ud800", None, ["x"], {"a": 1}])
@pytest.mark.parametrize("act", ["pause", "revoke"])
def test_a_reason_that_is_none_is_refused_and_the_key_lives(sandbox, call, alice, key, act, reason):
    answer = call("post", f"keys/{key.lease.pk}/{act}/", {"reason": reason}, by=alice)
    assert answer.status_code in {400, 422}
    assert Lease.objects.get().state == State.ACTIVE


# --- the gateway is away --------------------------------------------------------------------------


@pytest.mark.parametrize("act", ["renew", "rotate"])
def test_an_act_that_needs_the_gateway_says_that_it_is_away_and_nothing_changed(sandbox, call, alice, key, act):
    before = facts(key.lease)
    sandbox.faults.fail_next("*", faults.refused(), times=20)
    answer = call("post", f"keys/{key.lease.pk}/{act}/", by=alice)
    assert code(answer) == (503, "gateway_away")
    assert answer.json()["error"]["retryable"] is True
    assert facts(key.lease) == before
    assert "key" not in answer.json()
    sandbox.faults.clear()
    assert sandbox.status_of(key.secret) == 200


@pytest.mark.parametrize("act", ["renew", "rotate"])
def test_a_refusal_of_the_gateway_is_ours_and_the_key_is_as_it_was(sandbox, call, alice, key, act):
    before = facts(key.lease)
    sandbox.faults.fail_next("/key/update" if act == "renew" else "/key/generate", faults.server_error(500), times=20)
    answer = call("post", f"keys/{key.lease.pk}/{act}/", by=alice)
    assert answer.status_code in {409, 503}
    assert facts(key.lease) == before


def test_a_role_that_ended_takes_its_keys_along(sandbox, call, alice, key):
    roles.end(key.lease.role, by=SYSTEM)
    assert code(call("post", f"keys/{key.lease.pk}/renew/", by=alice)) == (409, "not_now")
    assert call("get", f"keys/{key.lease.pk}/", by=alice).json()["end_reason"] == "role ended"


def test_no_answer_but_issuing_and_rotating_holds_a_secret(sandbox, call, alice, key):
    for act in ("renew", "pause", "resume", "revoke"):
        assert key.secret not in call("post", f"keys/{key.lease.pk}/{act}/", by=alice).content.decode()
    assert "secret" in {field.name for field in dataclasses.fields(key)}
