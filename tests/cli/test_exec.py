"""`keydesk exec`: the command has a key while it runs, and none afterwards, however it or keydesk ended."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from keydesk import run
from keydesk.errors import Away
from keydesk.leasing import Ask
from keys.models import Lease
from tests.cli.programs import Program

KEY = "sk-of-this-test"
WAITS = """
import signal
press = {signal.SIGINT}
signal.pthread_sigmask(signal.SIG_BLOCK, press)
print("ready", flush=True)
signal.sigwaitinfo(press)
print("twice" if signal.sigtimedwait(press, 0.3) else "once")
raise SystemExit(3)
"""


@pytest.fixture
def program(live_server, tmp_path, bearer, sandbox, alice, make_role) -> Program:
    """alice's machine; her team has one key role."""
    make_role()
    return Program(live_server.url, bearer(alice)["Authorization"].removeprefix("Bearer "), tmp_path)


def over(sandbox) -> bool:
    """Whether exactly one key was made, and works no more."""
    lease = Lease.objects.get()
    return lease.state == "revoked" and sandbox.keys_there(lease.team) == set()


def test_a_command_has_a_key_that_works_until_it_ends_and_its_exit_code_is_told(program, sandbox):
    program.env |= {"ANTHROPIC_API_KEY": "mine", "OPENAI_API_KEY": "mine"}
    done = program.run("exec", "--budget", "2", "--", "sh", "-c", "env; exit 7")
    assert done.returncode == 7, done.stderr
    lines = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    keys = {lines[name] for name in ("OPENAI_API_KEY", "ANTHROPIC_AUTH_TOKEN", "KEYDESK_KEY")}
    assert len(keys) == 1
    assert "mine" not in done.stdout  # what is one's own is not sent to this gateway
    lease = Lease.objects.get()
    assert lines["OPENAI_BASE_URL"] == f"{lease.gateway.url_for_holders}/v1"
    assert lease.max_budget == 2
    assert lease.expires_at - lease.issued_at < timedelta(hours=1, seconds=5)
    assert over(sandbox)
    assert sandbox.status_of(keys.pop()) == 401


def test_ctrl_c_reaches_the_command_once_and_its_key_is_revoked(program, sandbox):
    with program.on_terminal("exec", "--", sys.executable, "-c", WAITS) as terminal:
        terminal.until("ready\r\n")
        assert Lease.objects.get().state == "active"
        terminal.press("\x03")
        assert terminal.wait() == 3, terminal.seen
        assert "once" in terminal.seen  # a second one makes many programs stop at once
    assert over(sandbox)


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGHUP])
def test_who_ends_keydesk_ends_the_command_and_its_key(program, sandbox, ending):
    with program.on_terminal("exec", "--", "sh", "-c", "echo ready; exec sleep 60") as terminal:
        terminal.until("ready\r\n")
        if ending == signal.SIGHUP:
            terminal.hang_up()
            code = terminal.process.wait(30)
        else:
            terminal.process.send_signal(ending)
            code = terminal.wait()
    assert code == 128 + ending
    assert over(sandbox)


def test_a_command_that_is_not_there_costs_no_key(program):
    done = program.run("exec", "--", "no-such-command")
    assert (done.returncode, done.stdout) == (127, "")
    assert done.stderr == "keydesk: no-such-command: command not found\n"
    assert not Lease.objects.exists()


class Desk:
    """A server that remembers what it was asked; `on` meets a call before it is answered."""

    def __init__(self, life: float = 3600) -> None:
        self.asked: list[str] = []
        self.life = life
        self.on: dict[str, Callable[[], object]] = {}

    def pages(self, path: str, *_: object, **__: object) -> dict[str, Any]:
        role = {"name": "coding", "gateway": "prod", "ended_at": None, "all_teams": True, "ttl": 0, "max_ttl": 0}
        return {"results": [{"slug": "search", "auto_ttl": None, **role}]}

    def get(self, path: str, *_: object) -> dict[str, Any]:
        return self.pages(path)["results"][0]

    def post(self, path: str, body: object) -> dict[str, Any]:
        act = path.removesuffix("/").rpartition("/")[2]
        self.asked.append(act)
        self.on.get(act, lambda: None)()
        now = datetime.now(UTC)
        times = {"issued_at": now.isoformat(), "expires_at": (now + timedelta(seconds=self.life)).isoformat()}
        lease: dict[str, Any] = {"id": "1", "renewed_at": None, "versions": [], **times}
        return {"key": KEY, "lease": lease, "base_url": "https://llm.example.com"} if act == "keys" else lease


def tell_when(there: Path, number: signal.Signals) -> None:
    """Send this process a signal once the file is there."""

    def tell() -> None:
        end = time.monotonic() + 20
        while not there.exists() and time.monotonic() < end:
            time.sleep(0.02)
        os.kill(os.getpid(), number)

    threading.Thread(target=tell, daemon=True).start()


def execute(desk: Desk, *command: str) -> int:
    return run.execute(cast("Any", desk), Ask(), command, ())


@pytest.mark.parametrize(
    ("script", "code"),
    [("exit 0", 0), ("exit 42", 42), ("kill -9 $$", 137), ("kill -TERM $$", 143), ("nothing-here", 127)],
)
def test_however_the_command_ends_its_key_is_revoked(script, code):
    desk = Desk()
    assert execute(desk, "sh", "-c", script) == code
    assert desk.asked == ["keys", "revoke"]


def test_a_file_that_cannot_be_run_costs_no_key_that_stays(tmp_path, capfd):
    script = tmp_path / "broken"
    script.write_bytes(b"\x7fELF no program")
    assert execute(Desk(), str(script)) == 126
    script.chmod(0o755)
    desk = Desk()
    assert execute(desk, str(script)) == 126
    assert desk.asked == ["keys", "revoke"]


def test_when_keydesk_is_away_at_the_end_the_code_is_the_commands_and_the_rest_is_told(capfd):
    desk = Desk()

    def away() -> None:
        raise Away("https://keys.example.com cannot be reached.")

    desk.on["revoke"] = away
    assert execute(desk, "sh", "-c", "exit 5") == 5
    told = capfd.readouterr().err.splitlines()
    assert len(told) == 2
    assert "could not be revoked" in told[0]
    assert "It ends by itself at" in told[0]
    assert told[1] == "keydesk: Or end it with: keydesk keys revoke 1"
    assert KEY not in "".join(told)


def test_a_signal_while_the_key_is_being_issued_runs_nothing_and_leaves_no_key(tmp_path):
    desk = Desk()
    desk.on["keys"] = lambda: os.kill(os.getpid(), signal.SIGTERM)
    assert execute(desk, "touch", str(tmp_path / "ran")) == 143
    assert desk.asked == ["keys", "revoke"]
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(("told_already", "code"), [(True, 6), (False, 130)])
def test_an_interrupt_is_handed_on_unless_the_terminal_has_told_the_command(monkeypatch, tmp_path, told_already, code):
    go = tmp_path / "go"

    def foreground() -> bool:
        if told_already:
            go.touch()
        return told_already

    monkeypatch.setattr(run, "in_foreground", foreground)
    tell_when(tmp_path / "ready", signal.SIGINT)
    script = f"echo > {tmp_path / 'ready'}; while [ ! -e {go} ]; do sleep 0.05; done; exit 6"
    assert execute(Desk(), "sh", "-c", script) == code


def test_the_key_of_a_command_that_ignores_sigterm_ends_before_the_command(monkeypatch, tmp_path):
    """Who stops a service waits ten seconds, then kills; a key would live on."""
    monkeypatch.setattr(run, "GRACE", 0.1)
    desk, go = Desk(), tmp_path / "go"
    desk.on["revoke"] = go.touch  # the command ends once its key did
    script = f'trap "" TERM; echo ready > {tmp_path / "ready"}; while [ ! -e {go} ]; do sleep 0.05; done; exit 9'
    tell_when(tmp_path / "ready", signal.SIGTERM)
    assert execute(desk, "sh", "-c", script) == 9
    assert desk.asked == ["keys", "revoke"]


def test_the_key_is_renewed_while_the_command_runs(tmp_path):
    desk, go = Desk(life=0.3), tmp_path / "go"
    desk.on["renew"] = go.touch
    assert execute(desk, "sh", "-c", f"while [ ! -e {go} ]; do sleep 0.05; done") == 0
    assert (desk.asked[0], desk.asked[1], desk.asked[-1]) == ("keys", "renew", "revoke")
