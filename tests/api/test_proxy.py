"""The proxy's models, credentials and users by REST: nobody needs the master key, and no secret comes out again."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from keys.models import Gateway
from keys.services import gateways
from keys.services.minting import new_secret
from keys.services.proxy import users
from portal.litellm import NotFound, faults, masking
from portal.models import AuditEvent
from teams.models import User

SECRET = "provider-value-0123456789"
HEADER = "header-value-0123456789"
WORD = "word-in-the-address"
PARAMS = {
    "model": "openai/gpt-4o-mini", "api_key": SECRET, "mock_response": "hi", "rpm": 60,
    "api_base": f"https://me:{WORD}@provider.example/v1?sig={WORD}", "extra_headers": {"x-tenant": HEADER},
}  # fmt: skip
MODEL = {"name": "house/small.v1", "params": PARAMS}
CREDENTIAL = {
    "name": "eu/open ai",
    "values": {"api_key": SECRET, "pin": HEADER},
    "info": {"custom_llm_provider": "openai"},
}


@pytest.fixture
def there(call, ruth, request):
    """Ask about what the proxy has, as a platform admin; answers status and body. What was made goes again.

    Of the real proxy too, in tests that ask for `proxy`.
    """
    gateway = request.getfixturevalue("proxy" if "proxy" in request.fixturenames else "sandbox").gateway
    made: list[tuple[str, str]] = []

    def send(method: str, path: str, body: object = None, *, by: User | None = None):
        answer = call(method, f"gateways/{gateway.name}/{path}", body, by=by or ruth)
        found = answer.json()
        if answer.status_code == 201:
            made.append((path, found.get("id") or found["name"]))
        return answer.status_code, found

    yield send
    for path, name in reversed(made):
        send("delete", f"{path}{name}/?force=true")


def code(answer: tuple[int, dict[str, Any]]) -> tuple[int, str]:
    return answer[0], answer[1]["error"]["code"]


def acts() -> list[str]:
    told = AuditEvent.objects.order_by("pk").values_list("action", flat=True)
    return [action for action in told if action.split(".")[0] not in {"key", "access"}]


def written() -> str:
    """Everything that the audit holds, as one text."""
    return json.dumps([[event.target, event.facts, event.before, event.after] for event in AuditEvent.objects.all()])


def test_a_model_is_added_found_changed_blocked_and_deleted(there, proxy):
    status, made = there("post", "models/", MODEL)
    assert (status, made["name"], made["upstream"]) == (201, "house/small.v1", "openai/gpt-4o-mini")
    assert (made["source"], made["blocked"], made["mode"]) == ("database", False, "chat")
    assert "house/small.v1" in Gateway.objects.get().models_seen
    assert there("get", f"models/{made['id']}/")[1] == there("get", "models/house/small.v1/")[1]
    changed = there("patch", f"models/{made['id']}/", {"params": {"mock_response": "ho"}, "name": "house/small.v2"})[1]
    assert (changed["params"]["mock_response"], changed["name"], changed["params"]["rpm"]) == (
        "ho",
        "house/small.v2",
        60,
    )
    assert there("patch", f"models/{made['id']}/", {"blocked": True})[1]["blocked"] is True
    assert there("patch", f"models/{made['id']}/", {"blocked": False})[1]["blocked"] is False
    assert there("delete", f"models/{made['id']}/")[0] == 200
    assert code(there("get", f"models/{made['id']}/")) == code(there("delete", "models/house/small.v2/"))
    assert "house/small.v2" not in Gateway.objects.get().models_seen
    assert acts()[1::2] == ["model.added", "model.changed", "model.blocked", "model.unblocked", "model.deleted"]
    assert set(acts()[::2]) == {"gateway.act_asked"}


def test_a_leased_key_calls_an_added_model_until_it_is_deleted(there, proxy, make_key, make_role):
    model = there("post", "models/", MODEL)[1]
    secret = make_key(role=make_role(models=["house/small.v1"])).secret
    client = proxy.client.with_key(secret)
    ask = {"model": "house/small.v1", "messages": [{"role": "user", "content": "hello"}]}
    assert client.chat.completions(**ask).text
    refused = there("delete", "models/house/small.v1/")
    assert code(refused) == (409, "in_use")
    assert refused[1]["error"]["details"] == {"roles": ["coding"], "keys": 1}
    assert code(there("patch", f"models/{model['id']}/", {"name": "other"})) == (409, "in_use")
    assert there("delete", "models/house/small.v1/?force=true")[0] == 200
    with pytest.raises(Exception, match=r"(?i)model"):
        client.chat.completions(**ask)


def test_no_secret_of_a_model_comes_out_or_is_written(there, proxy, caplog):
    made = there("post", "models/", MODEL)[1]
    there("patch", f"models/{made['id']}/", {"params": {"api_key": f"{SECRET}-2", "timeout": 5}})
    listed = there("get", "models/?search=house")[1]
    [row] = listed["results"]
    assert row["params"]["api_base"] == "https://provider.example/v1"
    assert row["params"]["extra_headers"] == {"x-tenant": "****"}
    for text in (json.dumps([made, listed]), written(), caplog.text):
        assert not any(secret in text for secret in (SECRET, HEADER, WORD))
    event = AuditEvent.objects.get(action="model.changed")
    assert (event.facts["fields"], (event.after or {})["api_key"]) == (["api_key", "timeout"], "****")


def test_a_model_without_a_price_is_warned_about(there, sandbox):
    priced = there("post", "models/", {"name": "a", "params": {"model": "openai/own-thing"}, "info": {"mode": "chat"}})[
        1
    ]
    assert "no price" in priced["warnings"][0]
    body = {"params": {"input_cost_per_token": 0.0000025}}
    changed = there("patch", "models/a/", body)[1]
    assert (changed["warnings"], changed["input_cost_per_token"]) == ([], "0.0000025")
    info = {"output_cost_per_token": 0.5}  # the proxy drops prices there
    second = there("post", "models/", {"name": "a", "params": {"model": "openai/own-thing"}, "info": info})[1]
    assert second["output_cost_per_token"] == "0.5"
    assert "1 more" in second["warnings"][0]
    assert code(there("get", "models/a/")) == (409, "several_of_that_name")


def deep(levels: int) -> object:
    return {"x": deep(levels - 1)} if levels else 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "a"}, "params"),
        ({"name": "a", "params": {}}, "params"),
        ({"name": "a", "params": {"model": 5}}, "params"),
        ({"name": "a", "params": []}, "params"),
        ({"name": "", "params": {"model": "x"}}, "name"),
        ({"name": "a b", "params": {"model": "x"}}, "name"),
        ({"name": "../a", "params": {"model": "x"}}, "name"),
        ({"name": "a/", "params": {"model": "x"}}, "name"),
        ({"name": "all-proxy-models", "params": {"model": "x"}}, "name"),
        ({"name": "a", "params": {"model": "x\0"}}, "params"),
        ({"name": "a", "params": {"model": "x", "litellm_credential_name": "none"}}, "params"),
        ({"name": "a", "params": {"model": "x", "api_key": "os.environ/LITELLM_MASTER_KEY"}}, "params"),
        ({"name": "a", "params": {"model": "x", "x": {"y": ["os.environ/DATABASE_URL"]}}}, "params"),
        ({"name": "a", "params": {"model": "x", "api_key": "os.environ/LITELLM_os.environ/MASTER_KEY"}}, "params"),
        ({"name": "a", "params": {"model": "x", "azure_ad_token": "oidc/env/LITELLM_SALT_KEY"}}, "params"),
        ({"name": "a", "params": {"model": "x", "x": deep(50)}}, "params"),
        ({"name": "a", "params": {"model": "x", "x": "y" * 70_000}}, "params"),
        ({"name": "a", "params": {"model": "x"}, "info": {"id": {"a": 1}}}, "info"),
        ({"name": "a", "params": {"model": "x"}, "model_info": {}}, "model_info"),
    ],
)
def test_a_model_that_cannot_be_is_refused_before_the_proxy_hears_of_it(there, sandbox, body, field):
    status, answer = there("post", "models/", body)
    assert (status, list(answer["error"]["details"])) == (422, [field])
    assert acts() == []


def test_an_order_that_is_sent_again_after_a_lost_answer_adds_no_second_model(client, ruth, bearer, sandbox):
    sandbox.faults.fail_next("/model/new", faults.lost(), after_effect=True)
    sent = {"headers": bearer(ruth) | {"Idempotency-Key": "one"}, "content_type": "application/json", "data": MODEL}
    assert client.post("/api/v1/gateways/sandbox/models/", **sent).status_code == 503
    Gateway.objects.update(next_try_at=None)
    assert client.post("/api/v1/gateways/sandbox/models/", **sent).status_code == 201
    assert sandbox.client.models.info_page(name="house/small.v1").total == 1


def test_what_stands_in_the_configuration_file_is_changed_there(there, proxy):
    assert there("get", "models/gpt-4o/")[1]["source"] == "config"
    assert code(there("delete", "models/gpt-4o/?force=true")) == (409, "in_config")
    assert code(there("patch", "models/gpt-4o/", {"blocked": True})) == (409, "in_config")
    assert code(there("patch", "models/gpt-4o/", {"params": {"rpm": None}})) == (422, "invalid")


def test_lists_come_in_pages_with_absolute_links(there, client, ruth, bearer, sandbox):
    first = there("get", "models/?page_size=3")[1]
    assert (len(first["results"]), first["previous"]) == (3, None)
    second = client.get(first["next"], headers=bearer(ruth)).json()
    assert (second["next"], len(second["results"])) == (None, 1)
    assert client.get(second["previous"], headers=bearer(ruth)).json()["results"] == first["results"]
    groups = there("get", "model-groups/?page_size=3")[1]
    assert [group["name"] for group in groups["results"]] == ["claude-sonnet", "gpt-4o", "gpt-4o-mini"]
    assert groups["results"][1]["input_cost_per_token"] == "0.0000025"
    assert groups["next"].endswith("/api/v1/gateways/sandbox/model-groups/?cursor=2&page_size=3")
    assert there("get", "models/?cursor=0")[0] == there("get", "models/?page_size=201")[0] == 422
    assert there("get", "models/?cursor=99")[1]["results"] == []


def test_a_credential_is_kept_masked_labelled_and_deleted(there, proxy, caplog):
    status, made = there("post", "credentials/", CREDENTIAL)
    assert (status, made["values"], made["label"]) == (201, {"api_key": "****", "pin": "****"}, "")
    assert code(there("post", "credentials/", CREDENTIAL)) == (409, "already_there")
    labelled = there("patch", "credentials/eu/open ai/", {"label": "Europe", "values": {"api_key": f"{SECRET}-2"}})[1]
    assert (labelled["label"], labelled["info"]) == ("Europe", {"custom_llm_provider": "openai"})
    assert there("patch", "credentials/eu/open ai/", {"label": None})[1]["label"] == ""
    params = {"model": "openai/gpt-4o", "litellm_credential_name": "eu/open ai", "mock_response": "hi"}
    user = there("post", "models/", {"name": "house/own", "params": params})[1]
    assert user["credential"] == "eu/open ai"
    assert there("get", "credentials/eu/open ai/")[1]["used_by"] == ["house/own"]
    refused = there("delete", "credentials/eu/open ai/")
    assert (code(refused), refused[1]["error"]["details"]) == ((409, "in_use"), {"models": ["house/own"]})
    assert there("delete", f"models/{user['id']}/")[0] == there("delete", "credentials/eu/open ai/")[0] == 200
    assert code(there("get", "credentials/eu/open ai/")) == (404, "not_found")
    assert not any(secret in text for secret in (SECRET, HEADER) for text in (written(), caplog.text))
    made_event = AuditEvent.objects.get(action="credential.made")
    assert made_event.facts == {"credential": "eu/open ai", "label": "", "fields": ["api_key", "pin"]}


def test_a_user_is_made_without_a_key_and_deleted(there, proxy):
    name = f"x|people/{new_secret()[-8:]}"
    body = {"id": name, "email": f"{name[-8:]}@people.example", "role": "internal_user_viewer", "max_budget": "5.50"}
    status, made = there("post", "users/", body)
    assert (status, made["keys"], made["max_budget"], made["role"]) == (201, None, "5.500000", "internal_user_viewer")
    assert code(there("post", "users/", body)) == (409, "already_there")
    assert (there("get", f"users/{name}/")[1]["keys"], there("get", f"users/{name}/")[1]["kept"]) == (0, "")
    assert [row["id"] for row in there("get", f"users/?email={name[-8:]}")[1]["results"]] == [name]
    proxy.client.keys.generate(user_id=name)
    refused = there("delete", f"users/{name}/")
    assert (code(refused), refused[1]["error"]["details"]) == ((409, "in_use"), {"keys": 1})
    assert there("delete", f"users/{name}/?force=true")[0] == 200
    with pytest.raises(NotFound):
        proxy.client.users.get(name)
    assert code(there("delete", f"users/{name}/")) == (404, "not_found")


def test_users_who_are_keydesks_or_hold_its_keys_are_never_deleted(there, proxy, make_key, alice):
    lease = make_key().lease
    ours, own = alice.litellm_id, f"x-{new_secret()[-8:]}"
    proxy.client.users.create(user_id=own)
    try:
        assert code(there("delete", "users/default_user_id/?force=true"))[0] in {404, 409}
        proxy.client.keys.update(lease.versions.get().token_hash, user_id=own)  # as somebody may have done over there
        refused = there("delete", f"users/{own}/?force=true")
        assert (code(refused), "leases" in refused[1]["error"]["message"]) == ((409, "kept_by_keydesk"), True)
        proxy.client.keys.update(lease.versions.get().token_hash, user_id=ours)
        if not proxy.client.users.list_page(1, 1, user_ids=ours).items:  # the proxy makes it when a budget needs it
            proxy.client.users.create(user_id=ours)
        row = there("get", f"users/{ours}/")[1]
        assert (row["holder"], bool(row["kept"])) == ("alice@example.com", True)
        assert code(there("delete", f"users/{ours}/?force=true")) == (409, "kept_by_keydesk")
        assert "proxy_user.deleted" not in acts()
    finally:
        proxy.client.keys.delete([lease.versions.get().token_hash])
        proxy.client.users.delete(own)
        proxy.client.users.delete(ours)


def test_the_user_whose_key_is_keydesks_own_is_never_deleted(ruth, sandbox):
    sandbox.client.users.create(user_id="operator", role="proxy_admin")
    key = sandbox.client.keys.generate(key=new_secret(), user_id="operator").key
    with gateways.calling(sandbox.gateway, by=ruth) as line:
        line.gateway.master_key = key
        found = users._kept_by_keys(line, list(line.client.keys.list(user_id="operator")))
    assert "Keydesk's own key" in found


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "email"),
        ({"email": "nobody"}, "email"),
        ({"id": "kd-2f1c9c1e-0000-4000-8000-000000000000"}, "id"),
        ({"id": "default_user_id"}, "id"),
        ({"id": "a/../b"}, "id"),
        ({"id": "a", "role": "king"}, "role"),
        ({"id": "a", "teams": ["kd-2f1c9c1e-0000-4000-8000-000000000000"]}, "teams"),
        ({"id": "a", "teams": ["none"]}, "teams"),
        ({"id": "a", "auto_create_key": True}, "auto_create_key"),
    ],
)
def test_a_user_that_cannot_be_is_refused(there, sandbox, body, field):
    status, answer = there("post", "users/", body)
    assert (status, list(answer["error"]["details"])) == (422, [field])
    assert acts() == []


def test_auditors_read_and_do_not_act(there, sandbox, audra, alice):
    for path in ("models/", "models/gpt-4o/", "model-groups/", "credentials/", "users/"):
        assert there("get", path, by=audra)[0] == 200
        assert code(there("get", path, by=alice)) == (403, "not_allowed")
    for method, path, body in (
        ("post", "models/", MODEL), ("patch", "models/gpt-4o/", {"blocked": True}), ("delete", "models/gpt-4o/", None),
        ("post", "credentials/", CREDENTIAL), ("post", "users/", {"id": "a"}), ("delete", "users/a/", None),
    ):  # fmt: skip
        assert code(there(method, path, body, by=audra)) == (403, "not_allowed")
    assert acts() == []


def test_nothing_is_deleted_while_the_gateway_is_held(there, sandbox):
    there("post", "models/", MODEL)
    Gateway.objects.update(held_since="2026-11-01T00:00:00Z")
    for path in ("models/house/small.v1/", "credentials/a/", "users/a/"):
        assert code(there("delete", f"{path}?force=true")) == (409, "gateway_held")
    assert code(there("patch", "models/house/small.v1/?force=true", {"name": "another"})) == (409, "gateway_held")
    Gateway.objects.update(held_since=None)


@pytest.mark.parametrize("after_effect", [False, True])
def test_what_became_of_an_act_is_written_whether_the_proxy_answered_or_not(there, sandbox, after_effect):
    fault = faults.lost() if after_effect else faults.refused()
    posts = lambda body: isinstance(body, dict) and "credential_values" in body  # noqa: E731
    sandbox.faults.fail_next(
        "/credentials", fault, after_effect=after_effect, match=posts, times=1 if after_effect else 3
    )
    assert code(there("post", "credentials/", CREDENTIAL)) == (503, "gateway_away")
    failed = AuditEvent.objects.get(action="gateway.act_failed")
    assert (failed.facts["act"], failed.facts["unclear"]) == ("credential.made", after_effect)
    assert SECRET not in written()


def test_a_proxy_that_repeats_a_secret_in_its_refusal_is_not_repeated(there, sandbox):
    said = {
        "error": {
            "message": f"cannot use {SECRET} at https://me:{WORD}@provider.example/v1 with {HEADER}",
            "code": "400",
        }
    }
    sandbox.faults.fail_next("/model/new", faults.Answer(400, said))
    status, answer = there("post", "models/", MODEL)
    assert (status, code((status, answer))[1]) == (422, "gateway_refused")
    assert not any(secret in json.dumps(answer) + written() for secret in (SECRET, HEADER, WORD))


@pytest.mark.parametrize(
    "rubbish",
    [
        "hello", [], {}, {"data": 5}, {"data": [5]}, {"data": [{"model_name": 5}]},
        {"data": [{"model_name": "a", "litellm_params": "x", "model_info": []}], "total_pages": "many"},
        {"users": [{"user_id": 5}]}, {"credentials": [{"credential_name": {}}]}, {"users": "x"},
    ],
)  # fmt: skip
def test_a_proxy_that_answers_rubbish_is_a_trouble_of_the_proxy(there, sandbox, rubbish):
    for path in ("models/", "models/x/", "model-groups/", "credentials/", "credentials/x/", "users/", "users/x/"):
        sandbox.faults.fail_next("*", faults.Answer(200, rubbish))
        status, answer = there("get", path)
        assert status in {200, 404, 409}, (path, status)
        if status == 409:
            assert answer["error"]["code"] == "gateway_refused"


def test_odd_words_of_a_proxy_are_told_as_words(there, sandbox):
    row = {
        "model_name": "a\0\ud800",
        "litellm_params": {"model": "x", "rpm": 1e999},
        "model_info": {"id": "1", "x": ["\0"]},
    }
    answer = json.dumps({"data": [row], "total_pages": 1}).replace("Infinity", "1e999")
    sandbox.faults.fail_next("*", faults.Answer(200, answer))
    status, found = there("get", "models/")
    assert (status, found["results"][0]["name"], found["results"][0]["info"]) == (200, "a?", {"x": [""]})


@pytest.mark.parametrize("body", ['{"name": "a", "params": {"model": "x", "rpm": 1e999}}', "[" * 5000, '{"a":' * 5000])
def test_numbers_and_nests_beyond_measure_are_refused(client, ruth, bearer, sandbox, body):
    sent = {"headers": bearer(ruth), "content_type": "application/json", "data": body}
    assert client.post("/api/v1/gateways/sandbox/models/", **sent).status_code in {400, 422}


def test_a_proxy_whose_answer_nests_beyond_measure_is_a_trouble_of_the_proxy(there, sandbox):
    for levels in (90, 400, 900, 5000):
        nest = '{"x":' * levels + "1" + "}" * levels
        row = f'{{"model_name": "a", "litellm_params": {nest}, "model_info": {nest}}}'
        sandbox.faults.fail_next("*", faults.Answer(200, f'{{"data": [{row}], "total_pages": 1}}'))
        assert there("get", "models/")[0] in {200, 409}
        info = f'{{"credential_name": "a", "credential_info": {nest}, "credential_values": {nest}}}'
        sandbox.faults.fail_next("*", faults.Answer(200, f'{{"credentials": [{info}]}}'))
        assert there("get", "credentials/")[0] in {200, 409}


def test_what_is_shown_and_what_is_hidden():
    told = {
        "model": "m", "max_tokens": 5, "input_cost_per_token": 0.1, "api_key": "k" * 9, "password": 123456,
        "aws_secret_access_key": "s" * 9, "vertex_credentials": {"private_key": "p" * 9, "type": "t"}, "odd": "o" * 9,
        "list": ["l" * 9], "api_base": "http://u:pw@h:1/p?q=1#f", "azure_ad_token": "os.environ/AZURE",
        "deep": {"deeper": {"odd": "d" * 9}},
    }  # fmt: skip
    assert masking.shown(told) == {
        "model": "m", "max_tokens": 5, "input_cost_per_token": 0.1, "api_key": "****", "aws_secret_access_key": "****",
        "vertex_credentials": "****", "password": "****", "odd": "****", "list": ["****"], "api_base": "http://h:1/p",
        "azure_ad_token": "os.environ/AZURE", "deep": {"deeper": {"odd": "****"}},
    }  # fmt: skip
    hidden = set(masking.hidden(told))
    assert {"k" * 9, "s" * 9, "p" * 9, "123456", "o" * 9, "l" * 9, "d" * 9, "pw"} <= hidden
    assert not re.search("os.environ", " ".join(hidden))
