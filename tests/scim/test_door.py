"""Who may come in at SCIM's door, and how every trouble is told there."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
from django.test import Client

from teams.scim import views
from teams.services import directory
from tests.scim.conftest import TOKEN, USER, Scim

pytestmark = pytest.mark.django_db
ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"
PATHS = ["/ServiceProviderConfig", "/ResourceTypes", "/ResourceTypes/User", "/Schemas", f"/Schemas/{USER}", "/Users",
         "/Groups", "/Users/00000000-0000-4000-8000-000000000000", "/Me", "/"]  # fmt: skip


def is_error(scim: Scim, said: dict[str, Any], status: int) -> bool:
    assert scim.last.headers["Content-Type"] == "application/scim+json"
    return said["schemas"] == [ERROR] and said["status"] == str(status) and bool(said["detail"])


@pytest.mark.parametrize("path", PATHS)
def test_without_a_token_set_the_door_is_not_there(scim, settings, path):
    settings.SCIM_TOKEN = ""
    for token in (TOKEN, ""):
        scim.token = token
        status, said = scim("GET", path)
        assert status == 404
        assert is_error(scim, said, 404)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("token", ["", "wrong", TOKEN + "x", TOKEN[:-1], "ü"])
def test_a_missing_or_wrong_token_is_refused_everywhere(scim, path, token):
    scim.token = token
    status, said = scim("GET", path)
    assert status == 401
    assert is_error(scim, said, 401)
    assert scim.last.headers["WWW-Authenticate"].startswith("Bearer")


def test_nobody_comes_in_by_a_session_or_an_api_token(scim, ruth, bearer):
    browser = Client()
    browser.force_login(ruth)
    assert browser.get("/scim/v2/Users").status_code == 401
    assert browser.get("/scim/v2/Users", headers=bearer(ruth)).status_code == 401


def test_many_wrong_tokens_are_slowed_down_and_the_right_one_is_not(scim, settings):
    settings.WRONG_TOKENS = 3
    scim.token = "wrong"
    assert [scim("GET", "/Users")[0] for _ in range(5)] == [401, 401, 401, 429, 429]
    assert int(scim.last.headers["Retry-After"]) > 0
    scim.token = TOKEN
    assert scim("GET", "/Users")[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "kind"),
    [
        ("GET", "/Users/00000000-0000-4000-8000-000000000000", None, 404, None),
        ("GET", "/Users/nobody", None, 404, None),
        ("GET", "/Nothing", None, 404, None),
        ("DELETE", "/Users", None, 405, None),
        ("POST", "/ServiceProviderConfig", {}, 405, None),
        ("GET", "/Schemas?filter=id eq 1", None, 403, None),
        ("GET", "/Users?filter=userName", None, 400, "invalidFilter"),
        ("GET", "/Users?filter=shoeSize eq 1", None, 400, "invalidFilter"),
        ("POST", "/Users", {"schemas": [USER]}, 400, "invalidValue"),
        ("POST", "/Users", {"schemas": [USER], "userName": "no address"}, 400, "invalidValue"),
        ("POST", "/Users", {"schemas": [USER], "userName": "a@example.com", "displayName": "\0"}, 400, "invalidSyntax"),
        ("POST", "/Users", ["a list"], 400, "invalidSyntax"),
        ("POST", "/Groups", {"displayName": "x" * 300, "schemas": []}, 400, None),
    ],
)  # fmt: skip
def test_troubles_are_told_in_the_shape_of_scim(scim, method, path, body, status, kind):
    found, said = scim(method, path, body)
    assert (found, said.get("scimType") if kind else None) == (status, kind)
    assert is_error(scim, said, status)


def test_a_trouble_of_our_own_is_told_without_what_it_was(scim, monkeypatch):
    def breaks(*_):
        raise RuntimeError("a secret inside")

    monkeypatch.setattr(directory, "add_group", breaks)
    status, said = scim("POST", "/Groups", {"schemas": [views.Group.__schema__], "displayName": "x"})
    assert status == 500
    assert is_error(scim, said, 500)
    assert "secret" not in scim.last.content.decode()


def test_a_token_that_can_be_guessed_stops_the_start():
    env = os.environ | {"KEYDESK_SCIM_TOKEN": "short", "KEYDESK_ENV_FILE": os.devnull}
    done = subprocess.run([sys.executable, "-c", "import portal.settings"], env=env, capture_output=True, text=True)
    assert done.returncode == 1
    assert "KEYDESK_SCIM_TOKEN" in done.stderr
    assert "32" in done.stderr


def test_a_page_beyond_the_end_is_empty(scim):
    status, said = scim("GET", "/Users", startIndex=10**30, count=10**30)
    assert (status, said["Resources"]) == (200, [])


def test_broken_json_is_refused(scim):
    response = scim.client.post(
        "/scim/v2/Users", b"{", "application/scim+json", headers={"Authorization": f"Bearer {TOKEN}"}
    )
    assert response.status_code == 400
    assert response.json()["scimType"] == "invalidSyntax"


@pytest.mark.parametrize("path", [*PATHS, "/Users/.search", "/Groups/.search", "/.search"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_no_method_is_answered_before_the_token(scim, method, path):
    scim.token = ""
    assert scim(method, path, {})[0] == 401
