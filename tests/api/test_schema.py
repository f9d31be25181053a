"""The OpenAPI schema, the page that draws it, and what each error means."""

from __future__ import annotations

import json
import re
from io import StringIO

import pytest
from django.core.management import call_command
from django.urls import reverse

from portal import reference
from portal.error_codes import CODES

pytestmark = pytest.mark.apart
HTML = {"HTTP_ACCEPT": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture(scope="module")
def schema():
    return reference.made()


def operations(schema):
    return [(path, method, each) for path, of in schema["paths"].items() for method, each in of.items()]


def test_the_schema_is_valid_and_without_warnings(capsys):
    call_command("spectacular", "--validate", "--fail-on-warn", stdout=StringIO())
    assert capsys.readouterr().err == ""


def test_every_operation_says_what_it_does_and_under_which_name(schema):
    nameless = [(path, method) for path, method, each in operations(schema) if not each["summary"]]
    ids = [each["operationId"] for *_, each in operations(schema)]
    assert (nameless, len(ids)) == ([], len(set(ids)))
    assert [each for each in ids if not re.fullmatch(r"[a-z]+(_[a-z]+)+|device|why", each)] == []
    assert {"keys_list", "keys_issue", "keys_get", "keys_renew", "keys_revoke_many", "teams_change"} <= set(ids)


def test_every_operation_tells_its_errors_in_one_shape(schema):
    errors = schema["components"]["responses"]
    assert {media["schema"]["$ref"] for each in errors.values() for media in each["content"].values()} == {
        "#/components/schemas/Error"
    }
    for path, method, each in operations(schema):
        answers = set(each["responses"])
        assert {"406", "422", "429", "503"} <= answers, (path, method)
        assert ({"401", "403"} <= answers) == ({} not in each["security"]), (path, method)
        assert ({"400", "409", "415"} <= answers) or method == "get", (path, method)
        named = [part["$ref"] for part in each.get("parameters", ()) if "$ref" in part]
        assert ("#/components/parameters/IdempotencyKey" in named) == (method == "post"), (path, method)


def test_the_schema_names_what_is_sent_and_answered(schema):
    shapes = schema["components"]["schemas"]
    lease, order = shapes["Lease"], shapes["KeyIn"]
    assert set(lease["required"]) == set(lease["properties"])
    assert order["additionalProperties"] is False
    assert {"team", "role"} <= set(order["required"])
    assert order["properties"]["ttl"]["oneOf"][1]["type"] == "string"
    assert lease["properties"]["expires_at"] == {"type": "string", "format": "date-time"}
    assert lease["properties"]["max_budget"] == {
        "type": "string", "format": "decimal", "pattern": r"^-?\d{0,8}(?:\.\d{0,4})?$", "nullable": True,
    }  # fmt: skip
    keys = schema["paths"]["/api/v1/keys/"]["get"]
    asked = {part["name"] for part in keys["parameters"]}
    assert {"team", "state", "role", "gateway", "holder", "q", "ordering", "cursor", "page_size"} <= asked
    assert keys["security"] == [{"token": []}, {"session": []}]
    assert "RateLimit-Remaining" in keys["responses"]["200"]["headers"]
    assert set(shapes["LeasePage"]["required"]) == {"results", "next", "previous"}


def test_anybody_reads_the_schema_as_json_or_yaml(client, db):
    at = "/api/v1/schema/"
    plain = client.get(at)
    assert (plain.status_code, plain["Content-Type"]) == (200, "application/json")
    asked = client.get(at, HTTP_ACCEPT="application/yaml")
    assert asked["Content-Type"] == "application/yaml"
    ids = re.findall(r"operationId: (\w+)", asked.content.decode())
    found = client.get(f"{at}?format=json").json()
    assert ids == [each["operationId"] for *_, each in operations(found)]
    assert (client.get(f"{at}?format=yaml").content, json.loads(plain.content)) == (asked.content, found)
    assert client.post(at).status_code == 405


def test_the_page_of_the_api_loads_nothing_from_elsewhere(client, alice):
    assert client.get("/api/v1/docs/").status_code == 302
    client.force_login(alice)
    page = client.get("/api/v1/docs/")
    body = page.content.decode()
    assert "swagger-ui-bundle.js" in body
    assert re.findall(r"https?://(?!www\.w3\.org)[^\"' ]+", body) == []
    assert [word for word in ("<script>", "style=") if word in body] == []
    assert "unsafe" not in page["Content-Security-Policy"]
    assert "/api/v1/docs/" in client.get("/tokens/").content.decode()


def test_every_code_has_a_page_for_people_and_an_answer_for_programs(client, db):
    for code in list(CODES)[::8]:
        page = client.get(reverse("reference:error", args=[code]), **HTML)
        assert (page.status_code, f"<h1>{code}</h1>" in page.content.decode()) == (200, True)
    found = client.get("/api/v1/errors/gateway_away/").json()
    assert (found["statuses"], found["retryable"]) == ([503], True)
    assert found["action"]
    every = client.get("/api/v1/errors/").json()
    assert [each["code"] for each in every["results"]] == list(CODES)
    assert [each["code"] for each in every["results"] if not (each["action"] and each["when"])] == []
    listed = client.get("/api/v1/errors/", **HTML).content.decode()
    assert [code for code in CODES if f"/api/v1/errors/{code}/" not in listed] == []


def test_a_code_that_does_not_exist_has_no_page(client, db):
    assert client.get("/api/v1/errors/no_such_code/").status_code == 404


def test_an_error_leads_to_its_page(client, bearer, alice):
    answer = client.get("/api/v1/teams/nowhere/", headers=bearer(alice))
    assert answer["Link"] == '</api/v1/errors/not_found/>; rel="help"'
    assert client.get("/api/v1/nowhere/")["Link"] == '</api/v1/errors/not_found/>; rel="help"'
