"""The keys that the command line gets, on a real LiteLLM proxy."""

from __future__ import annotations

import pytest

from keydesk.app import run
from tests.cli.programs import inside


@pytest.mark.live
def test_keys_of_token_chat_and_exec_work_there_and_that_of_exec_ends(
    live, monkeypatch, client, tmp_path, bearer, alice, make_role, capfd
):
    make_role()
    inside(monkeypatch, client, tmp_path, bearer(alice)["Authorization"].removeprefix("Bearer "))
    assert run(["token"]) == 0
    assert live.status_of(capfd.readouterr().out.strip()) == 200
    assert run(["chat", "gpt-4o", "How are you?"]) == 0
    assert len(capfd.readouterr().out) > 10
    assert run(["exec", "--", "sh", "-c", "echo $KEYDESK_KEY; exit 4"]) == 4
    assert live.status_of(capfd.readouterr().out.strip()) == 401
