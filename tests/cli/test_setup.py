"""`keydesk setup`: an agent's settings name a command that prints the key, and never hold the key."""

from __future__ import annotations

import json
import os
import shlex
import stat
import tomllib

import pytest

from keydesk.app import run
from keydesk.quick import cached
from tests.cli.programs import inside


@pytest.fixture
def home(monkeypatch, client, tmp_path, bearer, alice, sandbox, make_role):
    """alice's home, on a machine in this process."""
    make_role()
    for name in ("CLAUDE_CONFIG_DIR", "CODEX_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "home"
    home.mkdir()
    inside(monkeypatch, client, home, bearer(alice)["Authorization"].removeprefix("Bearer "))
    return home


def key_of(words: list[str]) -> str:
    """What the command in the settings prints, by the words after its program."""
    return cached(words[words.index("--server") :])


def holds_no_secret(home, *secrets: str) -> bool:
    """Whether only keydesk's own folder has one."""
    files = [path for path in home.rglob("*") if path.is_file() and "keydesk" not in path.relative_to(home).parts]
    assert files
    return not any(secret in path.read_text() for path in files for secret in secrets)


def test_claude_code_is_set_up_and_put_back(home, capsys, monkeypatch):
    file = home / ".claude" / "settings.json"
    file.parent.mkdir()
    file.write_text('{"theme": "dark", "env": {"ANTHROPIC_API_KEY": "mine"}}')
    file.chmod(0o640)
    before = file.read_text()
    assert run(["setup", "claude", "--print"]) == 0
    assert json.loads(capsys.readouterr().out)["theme"] == "dark"
    assert file.read_text() == before

    assert run(["setup", "claude", "--team", "search"]) == 0
    assert "ANTHROPIC_API_KEY is set" in capsys.readouterr().err  # and would win
    said = json.loads(file.read_text())
    key = key_of(shlex.split(said["apiKeyHelper"]))
    assert key.startswith("sk-")
    assert said["env"]["ANTHROPIC_BASE_URL"] == "http://localhost:8000/sandbox"
    assert holds_no_secret(home, key, os.environ["KEYDESK_TOKEN"])
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert run(["setup", "claude", "--team", "search"]) == 0  # twice is once

    assert run(["setup", "claude", "--undo"]) == 0
    assert json.loads(file.read_text()) == json.loads(before)
    assert [path.name for path in file.parent.iterdir()] == ["settings.json"]
    assert run(["setup", "claude", "--undo"]) == 1
    assert "nothing to take back" in capsys.readouterr().err


def test_codex_and_opencode_are_set_up_and_put_back(home, capsys):
    assert run(["setup", "codex", "--model", "gpt-4o"]) == 0
    codex = home / ".codex" / "config.toml"
    auth = tomllib.loads(codex.read_text())["model_providers"]["keydesk"]["auth"]
    key = key_of([auth["command"], *auth["args"]])
    assert run(["setup", "opencode"]) == 0
    opencode = home / ".config" / "opencode" / "opencode.json"
    assert set(json.loads(opencode.read_text())["providers"]["keydesk"]["models"]) == {"gpt-4o", "gpt-4o-mini"}
    assert stat.S_IMODE(opencode.stat().st_mode) == 0o600
    assert holds_no_secret(home, key)
    assert run(["setup", "codex", "--undo"]) == run(["setup", "opencode", "--undo"]) == 0
    assert not codex.exists()
    assert not opencode.exists()


def test_a_file_that_cannot_be_read_is_left_alone(home, capsys):
    file = home / ".claude" / "settings.json"
    file.parent.mkdir()
    file.write_text("// mine\n{}")
    assert run(["setup", "claude"]) == 1
    assert "was left as it is" in capsys.readouterr().err
    assert file.read_text() == "// mine\n{}"


def test_a_link_is_followed_not_replaced(home):
    file = home / ".claude" / "settings.json"
    file.parent.mkdir()
    kept = home / "dotfiles.json"
    kept.write_text("{}")
    file.symlink_to(kept)
    assert run(["setup", "claude"]) == 0
    assert file.is_symlink()
    assert "apiKeyHelper" in kept.read_text()


def test_a_shell_gets_lines_that_ask_for_the_key(home, capsys):
    assert run(["setup", "env"]) == 0
    said = capsys.readouterr().out
    assert "export OPENAI_BASE_URL=http://localhost:8000/sandbox/v1\n" in said
    assert 'export OPENAI_API_KEY="$(' in said
    assert "sk-" not in said
