"""Text that no database keeps and numbers that no clock has: refused in words, never a 500."""

from __future__ import annotations

import json

import pytest
from django.test import Client

from portal.models import AuditEvent

pytestmark = pytest.mark.django_db
LONG, DEEP = "9" * 5000, "[" * 100_000


@pytest.fixture
def ruth_there(scene) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(scene.ruth)
    return client


@pytest.mark.parametrize("credential", [LONG, DEEP, '{"a":' * 50_000, "5", "null", "x", "{}", '{"a":"\\ud800"}'])
@pytest.mark.parametrize(
    "door", ["/accounts/login/passkey/", "/accounts/passkeys/add/", "/accounts/reauthenticate/passkey/"]
)
def test_a_passkey_that_cannot_be_read_is_none(ruth_there, door, credential):
    for client in (Client(raise_request_exception=False), ruth_there):
        assert client.post(door, {"name": "Key", "credential": credential}).status_code < 500


@pytest.mark.parametrize(
    ("where", "name"), [("/audit/", "team"), ("/", "q"), ("/operations/unmanaged/", "q"), ("/people/", "q")]
)
def test_a_page_never_sees_nul_of_its_address(ruth_there, where, name):
    answer = ruth_there.get(where, {name: ["a\0", "\0search"], "page": "\0"})
    assert answer.status_code == 200
    assert answer.wsgi_request.GET.getlist(name) == ["a", "search"]


def test_the_last_day_of_the_calendar_is_a_day_like_others(ruth_there):
    for query in ({"to": "9999-12-31"}, {"from": "0001-01-01"}, {"from": "9999-12-31", "to": "0001-01-01"}):
        assert ruth_there.get("/audit/", query).status_code == 200


@pytest.mark.parametrize("claims", ['{"groups": ["\\u0000"]}', '["\\ud800"]', '{"groups": ["a", "\\udc00"]}', LONG])
def test_claims_that_nobody_can_store_are_said_to_be_unreadable(ruth_there, claims):
    answer = ruth_there.post("/mappings/try/", {"claims": claims})
    assert answer.status_code == 200
    answer.content.decode()


@pytest.mark.parametrize("name", ["\ud800", "a\0b", "x\udfff" * 30])
def test_a_field_whose_name_is_no_text_is_refused_and_on_record(scene, name):
    client = Client(raise_request_exception=False)
    answer = client.patch(
        "/api/v1/teams/search/",
        json.dumps({name: 1}),
        content_type="application/json",
        headers=scene.bearer(scene.ines),
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "unknown_field")
    [event] = AuditEvent.objects.filter(action="access.refused")
    [field] = event.facts["fields"]
    assert field == field.encode("utf-8", "ignore").decode().replace("\0", "")
