"""Model calls: who may call what, until which limit, and how the answer streams."""

from __future__ import annotations

import pytest

from portal.litellm import BudgetExceeded, Forbidden, RateLimited, TeamNotFound, Unauthorized

from .conftest import HELLO, eventually


def refusal(answer):
    return answer.status_code, answer.json()["error"]["type"]


def test_a_key_answers(proxy):
    key = proxy.key(key_type="llm_api")
    answer = proxy.client.with_key(key.key).chat.completions("gpt-4o", HELLO)
    assert answer.text
    assert answer.usage["total_tokens"] == answer.usage["prompt_tokens"] + answer.usage["completion_tokens"]


def test_an_answer_streams_in_pieces(proxy):
    asked = proxy.client.with_key(proxy.key().key)
    pieces = list(asked.chat.stream("gpt-4o", HELLO))
    assert len(pieces) > 2
    raw = proxy.chat(proxy.key().key, stream=True)
    assert raw.headers["content-type"].startswith("text/event-stream")
    assert raw.text.rstrip().endswith("data: [DONE]")


def test_other_doors_answer_too(proxy):
    key = proxy.key().key
    claude = {"model": "claude-sonnet", "max_tokens": 9, "messages": HELLO}
    answer = proxy.http("POST", "/v1/messages", claude, key=key).json()
    assert (answer["type"], answer["role"], answer["content"][0]["type"]) == ("message", "assistant", "text")
    answer = proxy.http("POST", "/v1/responses", {"model": "gpt-4o", "input": "hello"}, key=key).json()
    assert (answer["object"], answer["status"]) == ("response", "completed")
    body = {"model": "text-embedding-3-small", "input": "hello"}
    answer = proxy.http("POST", "/v1/embeddings", body, key=key).json()
    assert answer["data"][0]["object"] == "embedding"
    assert proxy.http("POST", "/chat/completions", {"model": "gpt-4o", "messages": HELLO}, key=key).ok


def test_a_key_calls_its_models_only_and_is_shown_them(proxy):
    key = proxy.key(models=["gpt-4o"])
    asked = proxy.client.with_key(key.key)
    assert [model.id for model in asked.models.list()] == ["gpt-4o"]
    assert [group.name for group in asked.model_groups.info()] == ["gpt-4o"]
    assert {model.name for model in asked.models.info()} == {"gpt-4o"}
    with pytest.raises(Forbidden):
        asked.chat.completions("claude-sonnet", HELLO)
    assert refusal(proxy.chat(key.key, "claude-sonnet")) == (403, "key_model_access_denied")


def test_no_models_means_all_and_a_name_for_none_means_none(proxy):
    everything, nothing = proxy.key(), proxy.key(models=["no-default-models"])
    shown = {model.id for model in proxy.client.with_key(everything.key).models.list()}
    assert shown == {model.id for model in proxy.client.models.list()}
    assert {"gpt-4o", "gpt-4o-mini", "claude-sonnet", "text-embedding-3-small"} <= shown
    assert proxy.client.with_key(nothing.key).models.list() == ()
    assert refusal(proxy.chat(nothing.key)) == (403, "key_model_access_denied")


def test_a_pattern_allows_what_it_matches(proxy):
    key = proxy.key(models=["gpt-*"]).key
    assert proxy.works(key, "gpt-4o-mini")
    assert not proxy.works(key, "claude-sonnet")


def test_an_unknown_model_is_no_matter_of_rights(proxy):
    answer = proxy.chat(proxy.key().key, "no-such-model")
    assert refusal(answer) == (400, "invalid_request_error")
    assert "Invalid model name" in answer.json()["error"]["message"]


def test_a_key_may_have_names_of_its_own_for_models(proxy):
    assert proxy.chat(proxy.key(aliases={"best": "gpt-4o"}).key, "best").ok


def test_a_budget_of_zero_blocks_the_first_call(proxy):
    key = proxy.key(max_budget=0)
    assert refusal(proxy.chat(key.key)) == (422, "budget_exceeded")
    with pytest.raises(BudgetExceeded):
        proxy.client.with_key(key.key).chat.completions("gpt-4o", HELLO)
    assert proxy.client.keys.info(key.token).status == "active"


def test_one_call_may_overshoot_a_budget_and_the_next_is_refused(proxy):
    key = proxy.key(max_budget=0.01, models=["pricey"])
    assert proxy.works(key.key, "pricey")
    assert refusal(proxy.chat(key.key, "pricey")) == (422, "budget_exceeded")
    eventually(lambda: proxy.client.keys.info(key.token).spend > 1)
    proxy.client.keys.update(key.token, max_budget=100)
    assert proxy.works(key.key, "pricey")


def test_requests_per_minute_are_counted(proxy):
    key = proxy.key(rpm_limit=1)
    assert proxy.works(key.key)
    answer = [proxy.chat(key.key) for _ in range(4)][-1]  # a minute may begin between two calls
    assert refusal(answer) == (429, "throttling_error")
    assert f"api_key: {key.token}. Limit type: requests" in answer.json()["error"]["message"]
    with pytest.raises(RateLimited):
        proxy.client.with_key(key.key).with_timeout(2).chat.completions("gpt-4o", HELLO)


@pytest.mark.parametrize("limit", [{"tpm_limit": 1}, {"max_parallel_requests": 0}])
def test_other_limits_refuse_in_the_same_way(proxy, limit):
    assert refusal(proxy.chat(proxy.key(**limit).key)) == (429, "throttling_error")


def test_a_key_of_a_missing_team_is_made_and_dead_at_call_time(proxy):
    key = proxy.key(team_id=proxy.name("nowhere"))
    answer = proxy.chat(key.key)
    assert answer.status_code == 404
    assert "Team doesn't exist in db" in answer.json()["error"]["message"]
    with pytest.raises(TeamNotFound):
        proxy.client.with_key(key.key).models.list()
    assert proxy.client.keys.info(key.token).status == "active"


def test_a_teams_models_bound_its_keys(proxy):
    team = proxy.team(models=["gpt-4o"])
    key, wider = proxy.key(team_id=team.team_id), proxy.key(team_id=team.team_id, models=["gpt-4o-mini"])
    assert [model.id for model in proxy.client.with_key(key.key).models.list()] == ["gpt-4o"]
    assert proxy.works(key.key)
    for secret in (key.key, wider.key):
        assert refusal(proxy.chat(secret, "gpt-4o-mini")) == (403, "team_model_access_denied")


def test_a_teams_budget_binds_all_its_keys(proxy):
    team = proxy.team(max_budget=0.5)
    first, second = proxy.key(team_id=team.team_id), proxy.key(team_id=team.team_id)
    assert proxy.works(first.key, "pricey")
    answer = proxy.chat(second.key, "gpt-4o")
    assert refusal(answer) == (422, "budget_exceeded")
    assert f"Team={team.team_id}" in answer.json()["error"]["message"]
    eventually(lambda: proxy.client.teams.info(team.team_id).team.spend > 1)


def test_a_members_budget_in_a_team_binds(proxy):
    team, user = proxy.team(), proxy.user_id()
    proxy.client.teams.member_add(team.team_id, user_id=user, max_budget_in_team=0)
    answer = proxy.chat(proxy.key(team_id=team.team_id, user_id=user).key)
    assert refusal(answer) == (422, "budget_exceeded")
    assert f"User={user} in Team={team.team_id}" in answer.json()["error"]["message"]


def test_a_users_budget_and_models_bind_personal_keys(proxy):
    poor, narrow = proxy.user_id(), proxy.user_id()
    proxy.client.users.create(user_id=poor, max_budget=0)
    proxy.client.users.create(user_id=narrow, models=["gpt-4o-mini"])
    assert refusal(proxy.chat(proxy.key(user_id=poor).key)) == (422, "budget_exceeded")
    assert refusal(proxy.chat(proxy.key(user_id=narrow).key)) == (403, "user_model_access_denied")


def test_a_blocked_team_refuses_its_keys(proxy):
    team = proxy.team()
    assert proxy.client.teams.block(team.team_id).blocked
    # The key comes after the block: one in use may go on for a minute, as the real proxy caches teams.
    answer = proxy.chat(proxy.key(team_id=team.team_id).key)
    assert refusal(answer) == (401, "auth_error")
    assert f"Team={team.team_id} is blocked" in answer.json()["error"]["message"]
    assert not proxy.client.teams.unblock(team.team_id).blocked


def test_a_call_needs_a_key_that_is_known(proxy):
    for secret in ("sk-wrong", "wrong", ""):
        assert proxy.chat(secret).status_code == 401
    with pytest.raises(Unauthorized):
        proxy.client.with_key("sk-wrong").chat.completions("gpt-4o", HELLO)


@pytest.mark.parametrize("body", [{"model": "gpt-4o"}, {}])
def test_a_call_without_messages_is_refused(proxy, body):
    answer = proxy.http("POST", "/v1/chat/completions", body)
    assert answer.status_code == 400
    assert "Missing required parameter: 'messages'" in answer.json()["error"]["message"]
