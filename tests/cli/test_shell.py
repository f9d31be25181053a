"""`keydesk` alone on a terminal: a shell with groups as scopes."""

from __future__ import annotations

import pytest

from keydesk import app
from keydesk.app import run
from keydesk.shell import Shell
from tests.cli.programs import Program


@pytest.fixture(autouse=True)
def here(monkeypatch, tmp_path):
    monkeypatch.setenv("KEYDESK_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("KEYDESK_SERVER", "https://keys.example.com")


def test_on_a_terminal_it_greets_enters_groups_helps_and_quits(tmp_path):
    program = Program("https://keys.example.com", "kd_nobody", tmp_path)
    with program.on_terminal() as terminal:
        terminal.until("keydesk> ")
        assert "https://keys.example.com" in terminal.seen
        terminal.press("config\n")
        terminal.until("keydesk config> ")
        terminal.press("no-such-command\n")
        terminal.until("No such command")
        terminal.press("help\n")
        terminal.until("Usage: keydesk config")
        terminal.until("keydesk config> ", times=3)
        terminal.press("\x03")  # drops the line, and nothing else
        terminal.until("keydesk config> ", times=4)
        terminal.press("quit\n")
        assert terminal.wait() == 0, terminal.seen
    assert "Traceback" not in terminal.seen


def test_a_command_runs_in_its_scope_with_the_options_of_the_shell(monkeypatch):
    ran: list[list[str]] = []
    monkeypatch.setattr(app, "run", ran.append)
    shell = Shell()
    for line in ("keys", "list --team 'a b'", "clear", "..", "whoami", "", "setup", "help claude"):
        assert not shell.onecmd(line)
    assert ran == [["keys", "list", "--team", "a b"], ["whoami"], ["setup", "claude", "--help"]]
    assert (shell.prompt, shell.onecmd("exit"), shell.prompt) == ("keydesk setup> ", False, "keydesk> ")
    assert shell.onecmd("exit")
    assert shell.onecmd("EOF")


def test_names_are_completed_in_their_scope():
    shell = Shell()
    assert "token" in shell.completenames("to")
    shell.onecmd("keys")
    assert shell.completenames("im") == ["import"]
    assert shell.completenames("login") == []


def test_without_a_terminal_there_is_help_and_no_shell(capsys):
    run([])
    assert "Usage: keydesk" in capsys.readouterr().out
