"""Keys out of use, blocked, expired or deleted: what may still be done to them, and what their calls are told."""

from __future__ import annotations

from typing import Any

import pytest

from portal.litellm import Invalid, KeyNotFound, hash_key

from .conftest import eventually


def expired(proxy, **fields):
    key = proxy.key(duration="1s", **fields)
    eventually(lambda: proxy.client.keys.info(key.token).expires and not proxy.works(key.key, "gpt-4o-mini"), 5)
    return key


def refusal(proxy, key):
    answer = proxy.chat(key.key, "gpt-4o-mini")
    error = answer.json().get("error", {})
    return answer.status_code, error.get("type"), "blocked" in error.get("message", "")


BLOCKED = (401, "auth_error", True)


def test_what_is_deleted_or_never_was_cannot_be_changed_blocked_or_unblocked(proxy):
    deleted = proxy.key()
    proxy.client.keys.delete(deleted.token)
    keys = proxy.client.keys
    for token in (deleted.token, hash_key(proxy.secret())):
        for act in (
            keys.block,
            keys.unblock,
            lambda t: keys.update(t, duration="1h"),
            lambda t: keys.update(t, spend=1),
        ):
            with pytest.raises(KeyNotFound) as problem:
                act(token)
            assert (problem.value.status, problem.value.applied) == (404, False)
    assert keys.info(deleted.token).status == "deleted"


def test_a_block_names_a_key_or_a_hash(proxy):
    with pytest.raises(Invalid, match="Invalid key format"):
        proxy.client.http.request("POST", "/key/block", json={"key": "an-alias"})


def test_blocks_and_their_end_can_be_repeated(proxy):
    key = proxy.key()
    for act, blocked, status in (
        (proxy.client.keys.unblock, False, "active"),
        (proxy.client.keys.block, True, "revoked"),
    ):
        for _ in range(2):
            assert act(key.token).blocked is blocked
        assert proxy.client.keys.info(key.token).status == status
    assert refusal(proxy, key) == BLOCKED
    assert proxy.http("GET", "/v1/models", key=key.key).status_code == 401
    assert proxy.http("GET", "/key/info", key=key.key).status_code == 401


def test_an_update_blocks_too(proxy):
    key = proxy.key()
    for blocked in (True, False, True, None):
        assert proxy.client.keys.update(key.token, blocked=blocked).blocked is bool(blocked)
        assert proxy.works(key.key, "gpt-4o-mini") is (not blocked)


def test_an_update_of_anything_else_keeps_the_block(proxy):
    key = proxy.key(team_id=proxy.team().team_id, blocked=True)
    changes: list[dict[str, Any]] = [
        {"duration": "1h"},
        {"models": [], "max_budget": 3, "metadata": {"a": 1}},
        {"team_id": proxy.team().team_id},
    ]
    for change in changes:
        assert proxy.client.keys.update(key.token, **change).blocked
    assert refusal(proxy, key) == BLOCKED


def test_an_expired_key_can_be_blocked_and_says_so_first(proxy):
    key = expired(proxy)
    assert refusal(proxy, key) == (401, "expired_key", False)
    proxy.client.keys.block(key.token)
    assert refusal(proxy, key) == BLOCKED
    assert proxy.client.keys.info(key.token).status == "revoked"
    proxy.client.keys.update(key.token, duration="1h")
    assert refusal(proxy, key) == BLOCKED
    proxy.client.keys.unblock(key.token)
    assert proxy.works(key.key, "gpt-4o-mini")


def test_an_expired_key_stays_expired_when_it_is_unblocked(proxy):
    key = expired(proxy)
    proxy.client.keys.unblock(key.token)
    assert proxy.client.keys.info(key.token).status == "expired"
    assert refusal(proxy, key) == (401, "expired_key", False)


def test_a_key_is_made_blocked_with_a_carried_spend_and_wakes_up_with_it(proxy):
    secret = proxy.secret()
    proxy.client.keys.generate(key=secret, blocked=True, spend=1.25, duration="1h", max_budget=5)
    seen = proxy.client.keys.info(hash_key(secret))
    assert (seen.status, seen.spend, seen.max_budget) == ("revoked", 1.25, 5)
    assert not proxy.works(secret)
    proxy.client.keys.unblock(hash_key(secret))
    assert proxy.works(secret, "gpt-4o-mini")
    assert proxy.client.keys.info(hash_key(secret)).spend >= 1.25


def test_a_key_whose_team_is_missing_can_be_blocked_and_not_changed(proxy):
    key = proxy.key(team_id=proxy.name("nowhere"))
    assert proxy.client.keys.block(key.token).blocked
    assert not proxy.client.keys.unblock(key.token).blocked
    changes: list[dict[str, Any]] = [{"metadata": {}}, {"blocked": True}, {"team_id": None}]
    for change in changes:
        answer = proxy.http("POST", "/key/update", {"key": key.token} | change)
        assert answer.status_code == 404
        assert "Team doesn't exist in db" in answer.json()["error"]["message"]
    team = proxy.team()
    assert proxy.client.keys.update(key.token, team_id=team.team_id).team_id == team.team_id


def test_a_list_without_filters_shows_blocked_and_expired_keys_of_every_team(proxy):
    part = proxy.name("all")
    team, late = proxy.team(), expired(proxy, alias=f"{part}-late")
    active = proxy.key(alias=f"{part}-active", team_id=team.team_id, metadata={"m": 1}, tpm_limit=9000)
    blocked = proxy.key(alias=f"{part}-blocked", blocked=True)
    found = {row.token: row for row in proxy.client.keys.list() if (row.alias or "").startswith(part)}
    assert {token: row.status for token, row in found.items()} == {
        late.token: "expired", active.token: "active", blocked.token: "revoked",
    }  # fmt: skip
    row = found[active.token]
    assert (row.team_id, dict(row.metadata), row.tpm_limit, row.spend, row.total_spend) == (
        team.team_id, {"m": 1}, 9000, 0, 0,
    )  # fmt: skip
    ways = {"status": "active"}, {"status": "revoked"}, {"status": "expired"}, {"expires": "active"}
    listed = [{key.token for key in proxy.client.keys.list(search=part, **way)} for way in ways]
    assert listed == [{active.token}, {blocked.token}, {late.token}, {active.token, blocked.token}]


def test_a_list_and_a_look_at_many_tell_the_same(proxy):
    key = proxy.key(
        team_id=proxy.team().team_id, user_id=proxy.name("u"), models=["gpt-4o"], rpm_limit=7, duration="1h"
    )
    [listed] = proxy.client.keys.list(key_hash=key.token)
    [looked] = proxy.client.keys.info_many([key.token])
    seen = proxy.client.keys.info(key.token)
    fields = ("alias", "team_id", "user_id", "models", "rpm_limit", "expires", "spend", "total_spend", "blocked",
              "metadata", "last_active", "status", "created_at", "budget_reset_at")  # fmt: skip
    for name in fields:
        assert getattr(listed, name) == getattr(looked, name) == getattr(seen, name), name
