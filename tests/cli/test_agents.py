"""What `keydesk setup` writes for coding agents: merged with what is there, taken back whole, never with a secret."""

from __future__ import annotations

import json
import os
import subprocess
import tomllib

import pytest

from keydesk import agents

HELPER = ["/opt/my tools/keydesk", "--server", "https://keys.example.com", "token", "--team", "search"]
GATEWAY = agents.Gateway("https://llm.example.com/", HELPER, models=("gpt-4o",))
CODEX = """model = "o3"
model_provider = "openai"  # mine

[mcp_servers.docs]
command = "docs"

[model_providers.azure]
name = "Azure"
"""


def test_claude_code_asks_keydesk_for_its_key_and_keeps_its_other_settings():
    before = json.dumps({"env": {"EDITOR": "vi", "ANTHROPIC_BASE_URL": "https://old.example.com"}, "hooks": {"a": [1]}})
    after = agents.with_ours(before, agents.claude(GATEWAY))
    assert json.loads(after) == {
        "env": {
            "EDITOR": "vi",
            "ANTHROPIC_BASE_URL": "https://llm.example.com",  # Claude Code adds /v1
            "CLAUDE_CODE_API_KEY_HELPER_TTL_MS": "300000",
        },
        "hooks": {"a": [1]},
        "apiKeyHelper": "'/opt/my tools/keydesk' --server https://keys.example.com token --team search",
    }


def test_undoing_gives_back_what_was_there_and_keeps_what_was_changed_since():
    before = json.dumps({"env": {"ANTHROPIC_BASE_URL": "https://old.example.com"}})
    now = json.loads(agents.with_ours(before, agents.claude(GATEWAY))) | {"theme": "dark"}
    undone = agents.without_ours(json.dumps(now), before, agents.claude(GATEWAY))
    assert json.loads(undone) == json.loads(before) | {"theme": "dark"}
    assert agents.without_ours(agents.with_ours("", agents.claude(GATEWAY)), "", agents.claude(GATEWAY)) == ""


def test_codex_runs_keydesk_for_its_key_and_gets_its_own_file_back():
    after = agents.codex(CODEX, GATEWAY)
    said = tomllib.loads(after)
    assert (said["model"], said["model_provider"]) == ("o3", "keydesk")
    ours = said["model_providers"].pop("keydesk")
    assert (ours["base_url"], ours["wire_api"]) == ("https://llm.example.com/v1", "responses")
    assert [ours["auth"]["command"], *ours["auth"]["args"]] == HELPER
    assert said["model_providers"] == {"azure": {"name": "Azure"}}
    assert agents.codex(after, GATEWAY) == after  # twice is once
    assert agents.codex_without_ours(after) == CODEX
    assert agents.codex_without_ours(agents.codex("", GATEWAY)) == ""


@pytest.mark.parametrize(
    "text", ["model = ", '[model_providers.keydesk]\nname = "mine"\n', 'x = """\nmodel_provider = "a"\n"""\n']
)
def test_a_codex_file_that_would_not_come_out_right_is_left_alone(text):
    with pytest.raises(agents.CannotMerge):
        agents.codex(text, GATEWAY)


@pytest.mark.parametrize("text", ["// mine\n{}", "[]", '{"env": "EDITOR=vi"}'])
def test_settings_that_are_not_as_documented_are_left_alone(text):
    with pytest.raises(agents.CannotMerge):
        agents.with_ours(text, agents.claude(GATEWAY))


def test_opencode_reads_the_key_from_the_environment_in_the_words_of_its_version():
    second = json.loads(agents.with_ours("", agents.opencode(GATEWAY)))["providers"]["keydesk"]
    assert (second["env"], second["settings"]) == (["KEYDESK_KEY"], {"baseURL": "https://llm.example.com/v1"})
    first = json.loads(agents.with_ours("", agents.opencode(GATEWAY, first=True)))["provider"]["keydesk"]
    assert first["options"] == {"baseURL": "https://llm.example.com/v1", "apiKey": "{env:KEYDESK_KEY}"}
    assert list(first["models"]) == list(second["models"]) == ["gpt-4o"]


def test_the_exported_lines_ask_for_the_key_when_a_shell_reads_them(tmp_path):
    helper = tmp_path / "key desk"
    helper.write_text('#!/bin/sh\necho "the-key for $*"\n')
    helper.chmod(0o755)
    lines = agents.exports(agents.Gateway("https://llm.example.com", [str(helper), "token"]))
    said = subprocess.run(
        ["sh", "-c", f"{lines} env"], env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for name in ("OPENAI_API_KEY", "ANTHROPIC_AUTH_TOKEN", "KEYDESK_KEY"):
        assert f"{name}=the-key for token" in said
    assert "OPENAI_BASE_URL=https://llm.example.com/v1" in said
