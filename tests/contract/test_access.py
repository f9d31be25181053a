"""Who may reach what, and the three shapes of a refusal."""

from __future__ import annotations

import pytest

from portal.litellm import Forbidden, NoSuchRoute, Unauthorized, WrongRole, hash_key

MANAGEMENT = [
    ("POST", "/key/generate", {}),
    ("GET", "/key/info", None),
    ("GET", "/key/list", None),
    ("POST", "/key/update", {"key": "x", "max_budget": 1}),
    ("POST", "/key/delete", {"keys": ["x"]}),
    ("POST", "/key/block", {"key": "x"}),
    ("POST", "/key/health", {}),
    ("POST", "/v2/key/info", {"keys": ["x"]}),
    ("POST", "/team/new", {}),
    ("GET", "/team/list", None),
    ("GET", "/user/info", None),
    ("POST", "/user/new", {}),
    ("GET", "/spend/logs", None),
    ("GET", "/credentials", None),
    ("GET", "/health/license", None),
]
ADMINS_ONLY = [row for row in MANAGEMENT if row[0] == "POST" and row[1] not in {"/key/health", "/v2/key/info"}]


def test_a_key_for_model_calls_reaches_no_management_route(proxy):
    key = proxy.key(key_type="llm_api")
    assert key.allowed_routes == ("llm_api_routes",)
    for method, path, body in MANAGEMENT:
        answer = proxy.http(method, path, body, key=key.key)
        assert answer.status_code == 403, path
        assert answer.json()["detail"] == (
            "Virtual key is not allowed to call this route. Only allowed to call routes: "
            f"['llm_api_routes']. Tried to call route: {path}"
        )
    for path in ("/v1/models", "/models", "/v1/model/info", "/model_group/info"):
        assert proxy.http("GET", path, key=key.key).ok, path


def test_the_wrong_role_is_a_401_and_not_a_403(proxy):
    key = proxy.key()
    for method, path, body in ADMINS_ONLY:
        answer = proxy.http(method, path, body, key=key.key)
        assert answer.status_code == 401, path
        assert "Only proxy admin can be used" in answer.json()["error"]["message"]
        assert f"Route={path}" in answer.json()["error"]["message"]
    with pytest.raises(WrongRole):
        proxy.client.with_key(key.key).keys.generate()


def test_a_key_sees_itself(proxy):
    key = proxy.key(alias=proxy.name("self"))
    asked = proxy.client.with_key(key.key)
    assert asked.keys.info().alias == key.alias
    assert asked.keys.health().key == "healthy"


def test_a_key_without_a_user_may_not_list(proxy):
    with pytest.raises(Forbidden, match="No 'user_id' is associated"):
        proxy.client.with_key(proxy.key().key).keys.list_page()


def test_keys_made_for_management_or_reading_cannot_call_models(proxy):
    for kind, routes in (("management", "management_routes"), ("read_only", "info_routes")):
        key = proxy.key(key_type=kind)
        assert key.allowed_routes == (routes,)
        assert proxy.chat(key.key).status_code == 403
        assert proxy.http("GET", "/key/info", key=key.key).ok


def test_a_wrong_master_key_is_refused_in_the_proxys_words(proxy):
    with pytest.raises(Unauthorized):
        proxy.client.with_key("sk-not-the-master").keys.list_page()
    for key, said, kind in (
        ("sk-wrong", hash_key("sk-wrong"), "token_not_found_in_db"),
        ("wrong", "LiteLLM Virtual Key expected. Received=****", "auth_error"),
        ("", "No api key passed in", "auth_error"),
    ):
        answer = proxy.http("GET", "/key/list", key=key)
        error = answer.json()["error"]
        assert (answer.status_code, error["type"], error["code"]) == (401, kind, "401")
        assert said in error["message"]


@pytest.mark.parametrize("header", ["x-litellm-api-key", "x-api-key", "api-key"])
def test_the_key_may_come_in_other_headers(proxy, header):
    answer = proxy.session.get(proxy.base_url + "/v1/models", headers={header: proxy.key().key})
    assert answer.ok


def test_the_scheme_is_bearer(proxy):
    url, key = proxy.base_url + "/v1/models", proxy.key().key
    assert proxy.session.get(url, headers={"Authorization": f"bearer {key}"}).ok
    answer = proxy.session.get(url, headers={"Authorization": key})
    assert "Ensure Key has `Bearer ` prefix" in answer.json()["error"]["message"]


def test_unknown_addresses_and_methods(proxy):
    answer = proxy.http("GET", "/no/such/route")
    assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"})
    answer = proxy.http("GET", "/key/generate")
    assert (answer.status_code, answer.json()) == (405, {"detail": "Method Not Allowed"})
    with pytest.raises(NoSuchRoute):
        proxy.client.http.request("GET", "/no/such/route")


def test_refusals_come_in_three_shapes(proxy):
    error = proxy.http("POST", "/key/delete", {"keys": ["sk-nope"]})
    assert (error.status_code, error.json()) == (
        404,
        {
            "error": {
                "message": "{'error': 'No keys found'}",
                "type": "internal_server_error",
                "param": None,
                "code": "404",
            }
        },
    )
    detail = proxy.http("POST", "/team/delete", {"team_ids": ["x-nope"]})
    assert (detail.status_code, detail.json()) == (
        404,
        {"detail": {"error": "Team not found, passed team_id=x-nope"}},
    )
    invalid = proxy.http("POST", "/key/generate", {"models": "gpt-4o"})
    assert (invalid.status_code, invalid.json()) == (
        422,
        {"detail": [{"type": "list_type", "loc": ["body", "models"], "msg": "Input should be a valid list"}]},
    )


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"duration": 5}, "string_type"),
        ({"max_budget": "lot"}, "float_parsing"),
        ({"metadata": []}, "dict_type"),
        ({"rpm_limit": "x"}, "int_parsing"),
        ({"key_type": "odd"}, "enum"),
        ({"blocked": "maybe"}, "bool_parsing"),
    ],
)
def test_fields_have_types(proxy, body, kind):
    answer = proxy.http("POST", "/key/generate", body)
    assert answer.status_code == 422
    assert [(item["type"], item["loc"][0]) for item in answer.json()["detail"]] == [(kind, "body")]


def test_a_body_that_cannot_be_read(proxy):
    head = {"Content-Type": "application/json", "Authorization": f"Bearer {proxy.master_key}"}
    head |= {"Connection": "close"}
    for raw, status in (("{bad", 422), ("", 422), ("[]", 500)):
        answer = proxy.session.post(proxy.base_url + "/key/generate", data=raw, headers=head)
        assert answer.status_code == status, raw


def test_health_needs_no_key_and_the_licence_does(proxy):
    public = proxy.client.with_key(None)
    assert public.health.liveliness() == "I'm alive!"
    assert (public.health.readiness().status, public.health.readiness().db) == ("healthy", "connected")
    assert proxy.http("GET", "/health/license", key="").status_code == 401
    licence = proxy.client.health.licence()
    assert (licence.has_license, licence.license_type) == (False, "community")
    assert proxy.client.health.details().version.count(".") == 2
