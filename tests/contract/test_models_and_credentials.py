"""Models that are added over HTTP, and provider credentials, which come back masked."""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import quote

import pytest

from portal.litellm import AlreadyExists, Invalid, NotFound

from .conftest import HELLO, eventually


@pytest.fixture
def added(proxy):
    """A model that was not in the configuration."""
    model = proxy.client.models.new(proxy.name("model"), {"model": "openai/gpt-4o", "mock_response": "hi"})
    yield model
    with suppress(NotFound, Invalid):
        proxy.client.models.delete(model.id)


def test_a_configured_model_has_prices_and_no_secret(proxy):
    model = proxy.client.models.get(name="gpt-4o")
    assert (model.mode, model.provider, model.db_model) == ("chat", "openai", False)
    assert model.input_cost_per_token
    assert model.output_cost_per_token > model.input_cost_per_token
    assert model.supports_function_calling
    assert model.supports_vision
    assert "api_key" not in proxy.http("GET", "/model/info").text


def test_groups_tell_modes_and_costs(proxy):
    groups = {group.name: group for group in proxy.client.model_groups.info()}
    assert groups["gpt-4o"].mode == "chat"
    assert groups["gpt-4o"].providers == ("openai",)
    assert groups["claude-sonnet"].providers == ("anthropic",)
    assert groups["text-embedding-3-small"].mode == "embedding"
    assert groups["gpt-4o"].input_cost_per_token
    assert proxy.client.model_groups.info("no-such-model") == ()


@pytest.mark.parametrize(
    "listed", [["gpt-4o-mini"], [], ["text-embedding-3-small"], ["gpt-4o", "nobody-knows-it"], ["gpt-*"]], ids=str
)
def test_a_key_hears_of_the_same_models_by_either_way(proxy, listed):
    """`/v1/models` and `/model_group/info`, asked with the key; a pattern lists nothing that it opens."""
    own = proxy.client.with_key(proxy.key(models=listed, key_type="llm_api").key)
    groups = {group.name: group for group in own.model_groups.info()}
    assert set(groups) == {model.id for model in own.models.list()}
    assert set(groups) >= {name for name in listed if "*" not in name}
    assert set(groups) >= ({"gpt-4o", "claude-sonnet"} if not listed else set())
    if "gpt-*" in listed:
        assert groups == {}
        assert own.chat.completions("gpt-4o", HELLO)
    for unknown in groups.keys() - {model.name for model in proxy.client.models.info()}:
        assert (groups[unknown].providers, groups[unknown].mode) == ((), "chat")
        assert groups[unknown].max_input_tokens is groups[unknown].input_cost_per_token is None


def test_a_key_of_a_team_hears_of_the_teams_models(proxy):
    team = proxy.team(models=["gpt-4o", "text-embedding-3-small"])
    for listed in ([], ["all-team-models"]):
        own = proxy.client.with_key(proxy.key(models=listed, team_id=team.team_id).key)
        assert {group.name for group in own.model_groups.info()} == {"gpt-4o", "text-embedding-3-small"}
        assert {model.id for model in own.models.list()} == {"gpt-4o", "text-embedding-3-small"}


def test_an_added_model_answers_and_goes(proxy, added):
    assert added.info["id"] == added.id
    assert added.params["model"] != "openai/gpt-4o"  # encrypted
    [seen] = proxy.client.models.info(added.id)
    assert (seen.name, seen.db_model) == (added.name, True)
    eventually(lambda: proxy.works(proxy.master_key, added.name))
    proxy.client.models.delete(added.id)
    with pytest.raises((NotFound, Invalid)):
        proxy.client.models.delete(added.id)


def test_only_added_models_can_be_changed(proxy, added):
    changed = proxy.client.models.update(added.id, params={"mock_response": "ho"})
    assert changed.id == added.id
    configured = proxy.client.models.get(name="gpt-4o")
    answer = proxy.http("POST", "/model/update", {"model_info": {"id": configured.id}, "litellm_params": {}})
    assert answer.status_code == 400
    assert "Can't edit model. Model in config" in answer.json()["error"]["message"]
    answer = proxy.http("POST", "/model/delete", {"id": configured.id})
    assert answer.status_code == 400


def test_deployments_come_in_pages_by_name(proxy, added):
    pages = [proxy.client.models.info_page(number, 2) for number in (1, 2)]
    names = [model.name for page in pages for model in page.items]
    assert names == sorted(names)
    assert (len(names), pages[0].pages) == (4, -(-pages[0].total // 2))
    assert proxy.client.models.info_page(99, 2).items == ()
    assert [model.id for model in proxy.client.models.info_page(model_id=added.id).items] == [added.id]
    assert [model.id for model in proxy.client.models.info_page(name=added.name).items] == [added.id]
    assert [model.id for model in proxy.client.models.info_page(search=added.name[3:]).items] == [added.id]
    assert [model.name for model in proxy.client.models.info_page(name="gpt-4o").items] == ["gpt-4o"]
    assert proxy.client.models.info_page(model_id="no-such-id").items == ()


def test_a_part_of_a_model_changes_and_no_value_goes_away(proxy, added):
    proxy.client.models.patch(added.id, {"rpm": 7, "mock_response": None}, {"notes": "n", "input_cost_per_token": 0.5})
    proxy.client.models.patch(added.id, name=added.name + "-b", info={"notes": None})
    [seen] = proxy.client.models.info_page(model_id=added.id).items
    assert (seen.name, seen.params["rpm"], seen.params["mock_response"]) == (added.name + "-b", 7, "hi")
    assert (seen.extra["notes"], float(seen.input_cost_per_token)) == ("n", 2.5e-06)  # prices in it are dropped
    with pytest.raises(Invalid):
        proxy.client.models.patch(added.id, {"litellm_credential_name": "no-such-credential"})
    with pytest.raises(NotFound):
        proxy.client.models.patch("no-such-id", {})
    with pytest.raises(Invalid):
        proxy.client.models.patch(proxy.client.models.get(name="gpt-4o").id, {})


def test_a_blocked_model_answers_nobody_until_it_is_unblocked(proxy, added):
    eventually(lambda: proxy.works(proxy.master_key, added.name))
    proxy.client.models.block(added.id)
    answer = proxy.chat(proxy.master_key, added.name)
    assert (answer.status_code, "Model is blocked" in answer.text) == (403, True)
    assert proxy.client.models.info_page(model_id=added.id).items[0].blocked
    proxy.client.models.unblock(added.id)
    assert proxy.works(proxy.master_key, added.name)
    with pytest.raises(NotFound):
        proxy.client.models.block("no-such-id")


def test_what_the_proxy_tells_of_a_deployments_secrets(proxy):
    """It leaves out what is called a secret. That is not all of them: see portal/litellm/masking.py."""
    params = {"model": "openai/x-unknown", "api_key": "example-value", "api_base": "http://me:word-1@p.example/v1?k=v"}
    made = proxy.client.models.new(proxy.name("model"), params)
    try:
        [seen] = proxy.client.models.info_page(model_id=made.id).items
        assert "api_key" not in seen.params
        assert seen.params["api_base"] == params["api_base"]
        assert seen.input_cost_per_token is None
    finally:
        proxy.client.models.delete(made.id)


def test_a_model_that_never_was(proxy):
    assert proxy.http("GET", "/v1/models/no-such-model").status_code == 404
    assert proxy.http("GET", "/model/info?litellm_model_id=no-such-id").status_code == 400
    answer = proxy.http("POST", "/v1/chat/completions", {"model": "no-such-model", "messages": HELLO})
    assert answer.status_code == 400


@pytest.fixture
def credential(proxy):
    name = proxy.name("creden/tial")
    values = {"api_key": "example-value", "api_base": "http://provider.example"}
    proxy.client.credentials.create(name, values, info={"custom_llm_provider": "openai"})
    yield name
    with suppress(NotFound):
        proxy.client.credentials.delete(name)


def test_a_credential_comes_back_masked(proxy, credential):
    seen = proxy.client.credentials.get(credential)
    assert dict(seen.values) == {"api_key": "ex****ue", "api_base": "http://provider.example"}
    assert dict(seen.info) == {"custom_llm_provider": "openai"}
    assert credential in {item.name for item in proxy.client.credentials.list()}
    for path in ("/credentials", f"/credentials/by_name/{quote(credential, safe='')}"):
        assert "example-value" not in proxy.http("GET", path).text


def test_a_credentials_name_is_unique_and_stays(proxy, credential):
    with pytest.raises(AlreadyExists):
        proxy.client.credentials.create(credential, {"api_key": "other-value"})
    answer = proxy.http(
        "PATCH", f"/credentials/{quote(credential, safe='')}", {"credential_info": {}, "credential_name": "x"}
    )
    assert answer.status_code == 400


def test_a_credential_changes_in_part(proxy, credential):
    body = {"credential_info": {"note": "new"}, "credential_values": {"api_key": "second-value"}}
    assert proxy.http("PATCH", f"/credentials/{quote(credential, safe='')}", body).ok
    seen = proxy.client.credentials.get(credential)
    assert dict(seen.info) == {"custom_llm_provider": "openai", "note": "new"}
    assert dict(seen.values) == {"api_key": "se****ue", "api_base": "http://provider.example"}


def test_a_deleted_credential_is_gone(proxy, credential):
    proxy.client.credentials.delete(credential)
    with pytest.raises(NotFound):
        proxy.client.credentials.get(credential)
    with pytest.raises(NotFound):
        proxy.client.credentials.delete(credential)
