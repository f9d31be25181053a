"""`keydesk http`: any call as it stands, to Keydesk or to the proxy, and to nowhere else."""

from __future__ import annotations

import json

import pytest

from keydesk.app import run
from keys.models import Lease
from tests.cli.programs import inside


@pytest.fixture
def desk(monkeypatch, client, tmp_path, bearer, alice, sandbox, make_role):
    """alice's machine, in this process."""
    make_role()
    return inside(monkeypatch, client, tmp_path, bearer(alice)["Authorization"].removeprefix("Bearer "))


def test_a_call_with_body_query_and_headers_is_sent_as_it_stands(desk, capsys, tmp_path, monkeypatch):
    body = tmp_path / "body.json"
    body.write_text('{"team": "search", "role": "coding"}')
    assert run(["http", "post", "keys/", "-d", f"@{body}", "-H", "Idempotency-Key: mine"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["lease"]["team"] == "search"
    assert run(["http", "post", "keys/", "-d", body.read_text(), "-H", "Idempotency-Key: mine"]) == 0
    assert json.loads(capsys.readouterr().out)["key"] is None  # said once
    assert run(["http", "GET", "/api/v1/keys/", "-q", "state=active", "-q", "page_size=1"]) == 0
    assert [each["id"] for each in json.loads(capsys.readouterr().out)["results"]] == [made["lease"]["id"]]
    assert desk.calls[-1] == "GET /api/v1/keys/?state=active&page_size=1"


def test_the_proxy_is_called_with_the_leased_key(desk, capsys):
    assert run(["http", "--proxy", "GET", "/v1/models"]) == 0
    assert {each["id"] for each in json.loads(capsys.readouterr().out)["data"]} == set(
        Lease.objects.get().limits["models"]
    )


@pytest.mark.parametrize("words", [["http", "--proxy", "GET", "/v1/models"], ["chat", "gpt-4o", "Hello"]])
def test_a_netrc_does_not_take_the_keys_place(desk, capsys, tmp_path, monkeypatch, words):
    (tmp_path / "netrc").write_text("default login eve password secret")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert run(words) == 0, capsys.readouterr().err


def test_a_request_is_shown_without_being_sent_or_telling_a_secret(desk, capsys, monkeypatch):
    assert run(["http", "PATCH", "teams/search/", "-d", '{"name": "x"}', "-q", "a=1", "-q", "a=2", "--dry-run"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["url"] == "http://localhost:8000/api/v1/teams/search/?a=1&a=2"
    assert (shown["method"], shown["json"], shown["headers"]) == ("PATCH", {"name": "x"}, {"Authorization": "Bearer …"})
    assert desk.calls == []


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["GET", "teams/nothing/"], 4, "answered 404"),
        (["GET", "intents/"], 5, "answered 403"),
        (["POST", "keys/", "-d", "{"], 2, "not JSON"),
        (["GET", "keys/", "-H", "Authorization: Bearer x"], 2, "no header that can be set"),
        (["GET", "https://evil.example.com/api/v1/keys/"], 2, "its token does not go there"),
        (["--proxy", "GET", "https://evil.example.com/v1/models"], 2, "its key does not go there"),
        (["FETCH", "keys/"], 2, "is no method"),
        (["GET", "keys/", "-q", "state"], 2, "is no query"),
    ],
)
def test_what_cannot_be_done_has_its_exit_code_and_goes_nowhere(desk, capsys, words, code, told):
    assert run(["http", *words]) == code
    assert told in capsys.readouterr().err
    assert not any("evil" in call for call in desk.calls)
