"""Models that are added over HTTP, and provider credentials, which come back masked."""

from __future__ import annotations

from contextlib import suppress

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


def test_a_model_that_never_was(proxy):
    assert proxy.http("GET", "/v1/models/no-such-model").status_code == 404
    assert proxy.http("GET", "/model/info?litellm_model_id=no-such-id").status_code == 400
    answer = proxy.http("POST", "/v1/chat/completions", {"model": "no-such-model", "messages": HELLO})
    assert answer.status_code == 400


@pytest.fixture
def credential(proxy):
    name = proxy.name("credential")
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
    for path in ("/credentials", f"/credentials/by_name/{credential}"):
        assert "example-value" not in proxy.http("GET", path).text


def test_a_credentials_name_is_unique_and_stays(proxy, credential):
    with pytest.raises(AlreadyExists):
        proxy.client.credentials.create(credential, {"api_key": "other-value"})
    answer = proxy.http("PATCH", f"/credentials/{credential}", {"credential_info": {}, "credential_name": "x"})
    assert answer.status_code == 400


def test_a_credential_changes_in_part(proxy, credential):
    body = {"credential_info": {"note": "new"}, "credential_values": {"api_key": "second-value"}}
    assert proxy.http("PATCH", f"/credentials/{credential}", body).ok
    seen = proxy.client.credentials.get(credential)
    assert dict(seen.info) == {"custom_llm_provider": "openai", "note": "new"}
    assert dict(seen.values) == {"api_key": "se****ue", "api_base": "http://provider.example"}


def test_a_deleted_credential_is_gone(proxy, credential):
    proxy.client.credentials.delete(credential)
    with pytest.raises(NotFound):
        proxy.client.credentials.get(credential)
    with pytest.raises(NotFound):
        proxy.client.credentials.delete(credential)
