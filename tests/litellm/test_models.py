from decimal import Decimal

import pytest

from portal.litellm import errors
from tests.litellm.servers import BASE, sent

# As LiteLLM 1.106.2 answers, shortened
DEPLOYMENT = {
    "model_name": "gpt-4o",
    "litellm_params": {"model": "openai/gpt-4o", "api_key": "provider-secret"},
    "model_info": {
        "id": "7194", "mode": "chat", "litellm_provider": "openai", "max_tokens": 16384,
        "input_cost_per_token": 5e-06, "output_cost_per_token": 1.5e-05, "supports_vision": True,
        "db_model": False, "key": "gpt-4o",
    },
}  # fmt: skip
STORED = {
    "model_id": "3b31",
    "model_name": "added",
    "litellm_params": {"api_key": "enc"},
    "model_info": {"id": "3b31"},
}


def test_models_of_a_key_are_listed(client, proxy):
    proxy.get(
        f"{BASE}/v1/models",
        json={"data": [{"id": "gpt-4o", "owned_by": "openai", "mode": "chat"}], "object": "list"},
    )
    assert [(model.id, model.mode) for model in client.models.list()] == [("gpt-4o", "chat")]


def test_a_deployment_is_read_with_its_price_and_hides_its_parameters(client, proxy):
    proxy.get(f"{BASE}/model/info", json={"data": [DEPLOYMENT]})
    model = client.models.info("7194")[0]
    assert proxy.calls[0].request.url == f"{BASE}/model/info?litellm_model_id=7194"
    assert (model.name, model.id, model.provider) == ("gpt-4o", "7194", "openai")
    assert model.input_cost_per_token == Decimal("0.000005")
    assert model.extra == {"key": "gpt-4o"}
    assert model.params["model"] == "openai/gpt-4o"
    assert "provider-secret" not in repr(model)


@pytest.mark.parametrize("which", [{"model_id": "7194"}, {"name": "gpt-4o"}])
def test_a_deployment_is_found_by_id_or_name(client, proxy, which):
    proxy.get(f"{BASE}/model/info", json={"data": [{**DEPLOYMENT, "model_name": "x", "model_info": {}}, DEPLOYMENT]})
    assert client.models.get(**which).id == "7194"


def test_a_missing_deployment_is_not_found(client, proxy):
    proxy.get(f"{BASE}/model/info", json={"data": [DEPLOYMENT]})
    with pytest.raises(errors.NotFound, match="gpt-5"):
        client.models.get(name="gpt-5")
    with pytest.raises(TypeError):
        client.models.get()


def test_an_update_puts_the_id_where_the_proxy_looks_for_it(client, proxy):
    proxy.post(f"{BASE}/model/update", json=STORED)
    assert client.models.update("3b31", {"model": "openai/gpt-4o"}, {"mode": "chat"}).id == "3b31"
    assert sent(proxy) == {
        "litellm_params": {"model": "openai/gpt-4o"},
        "model_info": {"id": "3b31", "mode": "chat"},
    }


def test_a_model_is_added_and_deleted(client, proxy):
    proxy.post(f"{BASE}/model/new", json=STORED)
    proxy.post(f"{BASE}/model/delete", json={"message": "Model: 3b31 deleted successfully"})
    made = client.models.new("added", {"model": "openai/gpt-4o", "api_key": "provider-secret"})
    assert (made.name, made.info) == ("added", {"id": "3b31"})
    assert "enc" not in repr(made)
    assert "deleted" in client.models.delete("3b31")


def test_deleting_a_model_that_is_not_there_says_so(client, proxy):
    told = {
        "error": {
            "message": "{'error': 'Model with id=3b31 not found in db'}",
            "type": "auth_error",
            "code": "400",
        }
    }
    proxy.post(f"{BASE}/model/delete", json=told, status=400)
    with pytest.raises(errors.NotFound):
        client.models.delete("3b31")


def test_model_groups_tell_mode_and_price(client, proxy):
    group = {
        "model_group": "gpt-4o",
        "providers": ["openai"],
        "mode": "chat",
        "max_input_tokens": 128000.0,
        "tpm": None,
    }
    proxy.get(f"{BASE}/model_group/info", json={"data": [{**group, "output_cost_per_token": 1.5e-05}]})
    found = client.model_groups.info("gpt-4o")[0]
    assert (found.name, found.max_input_tokens, found.output_cost_per_token) == (
        "gpt-4o",
        128000,
        Decimal("0.000015"),
    )
    assert proxy.calls[0].request.url == f"{BASE}/model_group/info?model_group=gpt-4o"


def test_credentials_are_kept_by_name_and_never_shown(client, proxy):
    stored = {
        "credential_name": "a b",
        "credential_values": {"api_key": "sk****ey"},
        "credential_info": {"p": "openai"},
    }
    proxy.post(f"{BASE}/credentials", json={"success": True})
    proxy.get(f"{BASE}/credentials", json={"success": True, "credentials": [stored]})
    proxy.get(f"{BASE}/credentials/by_name/a%20b", json=stored)
    proxy.patch(f"{BASE}/credentials/a%20b", json={"success": True})
    proxy.delete(f"{BASE}/credentials/a%20b", json={"success": True})
    client.credentials.create("a b", {"api_key": "secret"}, display_name="label")
    assert sent(proxy) == {
        "credential_name": "a b",
        "credential_values": {"api_key": "secret"},
        "credential_info": {},
        "display_name": "label",
    }
    assert client.credentials.list()[0].info == {"p": "openai"}
    assert "sk****ey" not in repr(client.credentials.get("a b"))
    client.credentials.update("a b", display_name=None)
    assert sent(proxy) == {"credential_name": "a b", "credential_info": {}, "display_name": None}
    client.credentials.delete("a b")


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_name_cannot_climb_out_of_its_path(client, name):
    with pytest.raises(ValueError, match="path"):
        client.credentials.delete(name)
