"""What a newcomer meets in the first hour: every message says what is wrong and what to do."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from keydesk import show
from keydesk.errors import CliError, Refused
from keydesk.keys import secret_of
from tests.cli.inside import SERVER
from tests.cli.programs import Program

pytestmark = pytest.mark.django_db(transaction=True)
LONG = "5a8c2b2f-2603-416d-8bd4-b4d01ba5dda0"
ROW = {"name": "one", "id": LONG, "team": "first-team", "holder": "ruth@example.com", "expires": "2026-11-23 05:44 UTC"}


@pytest.mark.parametrize(("words", "named"), [
    (("--ttl", "soon"), "ttl: 'soon' is not a lifetime."), (("--max-budget", "lots"), "max_budget: "),
    (("--role", "none"), "role: There is no key role 'none' open to search."),
])  # fmt: skip
def test_what_cannot_be_used_is_named(machine, plain, alice, team, sandbox, make_role, words, named):
    make_role()
    done = machine("keys", "issue", "--team", "search", *words, token=plain(alice))
    assert (done.code, len(done.err.splitlines())) == (1, 2)
    assert named in done.err


def test_without_a_key_role_one_is_told_who_makes_it(machine, plain, alice, team, sandbox):
    assert "A platform admin makes one" in machine("roles", token=plain(alice)).err
    done = machine("keys", "issue", "--team", "search")
    assert (done.code, done.err.splitlines()[0]) == (1, "keydesk: No key role is open to search.")


@pytest.mark.parametrize("words", [("token",), ("exec", "--", "true")], ids=" ".join)
def test_a_key_role_that_is_not_there_is_called_by_its_name(machine, plain, alice, team, sandbox, make_role, words):
    make_role()
    machine.monkeypatch.setenv("KEYDESK_ROLE", "none")
    done = machine(*words, token=plain(alice))
    assert (done.code, done.err) == (4, "keydesk: There is no key role 'none' for you.\nSee `keydesk roles`.")


@pytest.mark.parametrize(("words", "told"), [
    (("models",), "keydesk: Missing command.\nSee `keydesk models --help`."),
    (("teams",), "keydesk: Missing command.\nSee `keydesk teams --help`."),
    ((), "keydesk: Missing command.\nSee `keydesk --help`."),
    (("exec", "ls", "-l"), "keydesk: No such option: -l\nSee `keydesk exec --help`."),
], ids=str)  # fmt: skip
def test_a_wrong_command_line_leads_to_the_help_of_its_command(machine, words, told):
    done = machine(*words)
    assert (done.code, done.err) == (2, told)


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash")
def test_the_completion_script_is_one_that_the_shell_reads(machine):
    script = machine("completion", "bash").out
    read = subprocess.run(["bash", "-c", f"{script}\ncomplete -p keydesk"], capture_output=True, text=True, check=False)
    assert (read.returncode, read.stderr) == (0, "")
    assert "-" not in machine("completion", "zsh").out.splitlines()


def test_ctrl_c_at_a_question_is_130(tmp_path):
    program = Program("", "", tmp_path)
    with program.on_terminal("login") as terminal:
        terminal.until("Which Keydesk?")
        terminal.press("\x03")
        assert terminal.wait() == 130, terminal.seen


def test_setup_env_takes_print_like_the_others(machine):
    assert machine("setup", "env", "--print", "--help").code == 0


def test_a_table_that_a_terminal_has_no_room_for_breaks_no_id(monkeypatch, capsys):
    columns = [("KEY", "name"), ("ID", "id"), ("TEAM", "team"), ("HOLDER", "holder"), ("EXPIRES", "expires")]
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    show.show([ROW], columns)
    seen = capsys.readouterr().out
    assert (LONG in seen, "ruth@example.com" in seen) == (False, True)
    monkeypatch.setenv("COLUMNS", "40")
    show.show([ROW], columns)
    assert f"ID       {LONG}\n" in capsys.readouterr().out
    monkeypatch.setenv("COLUMNS", "140")
    show.show([ROW], columns)
    assert LONG in capsys.readouterr().out


def test_who_does_not_run_the_platform_is_not_sent_for_a_token_that_would_not_help(machine, plain, alice, team, ruth):
    done = machine("gateways", "list", token=plain(alice))
    assert done.code == 5
    assert "token" not in done.err
    assert "platform admin" in done.err


def test_a_key_that_was_claimed_before_is_not_called_lost():
    with pytest.raises(CliError) as told:
        secret_of({"key": None, "lease": {"id": LONG}})
    assert "lost" not in told.value.message
    assert told.value.action.startswith("Only if nobody has it")


@pytest.mark.parametrize("end", ["\n", " ", "\r\n"], ids=repr)
def test_a_token_of_the_environment_may_end_like_a_line(machine, plain, alice, team, end):
    assert machine("whoami", token=plain(alice) + end).code == 0


@pytest.mark.parametrize(("token", "code"), [("kd_a b", 2), ("kd_\x00ä", 2), ("kd_wrong", 3)])
def test_a_wrong_token_of_the_environment_is_not_mended_by_signing_in(machine, team, token, code):
    machine.monkeypatch.setattr("keydesk.settings.said.token", "")
    machine.monkeypatch.setattr("os.environ", {**os.environ, "KEYDESK_TOKEN": token})
    done = machine("whoami")
    assert (done.code, len(done.err.splitlines())) == (code, 2)
    assert "KEYDESK_TOKEN" in done.err
    assert "login" not in done.err


@pytest.mark.parametrize(("words", "code"), [
    (("keys", "show", "none"), "not_found"), (("keys", "show"), "usage"), (("gateways", "list"), "not_allowed"),
])  # fmt: skip
def test_every_trouble_is_json_too(machine, plain, alice, team, words, code):
    done = machine("--json", *words, token=plain(alice))
    assert done.json["error"]["code"] == code
    assert done.json["error"]["message"]


def test_the_way_on_is_an_option_of_the_command_line():
    assert Refused(409, {"code": "in_use", "action": "With force=true it goes all the same."}).action.startswith(
        "With -"
    )


def test_a_full_disk_is_two_lines_at_most(tmp_path):
    program = Program("", "", tmp_path)
    with Path("/dev/full").open("w") as full:
        process = program.start("--version", stdout=full)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, len(err.splitlines())) == (1, 1)
    assert "No space left" in err


def test_the_source_of_an_import_is_asked_with_its_own_key(machine, plain, ruth, team, sandbox):
    machine.server.answer = lambda _: (401, {}, b'{"error": {"message": "no"}}')
    machine.monkeypatch.setenv("SOURCE_API_KEY", "other")
    done = machine(
        "keys", "import", "--from", SERVER, "--team", "search", "--role", "coding", "--dry-run", token=plain(ruth)
    )
    assert "SOURCE_API_KEY" in done.err
