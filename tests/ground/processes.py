"""Keydesk as it really runs: processes of its own, with an environment of their own, on free ports."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE = 180  # seconds; a slow machine is no failure
OWN = ("KEYDESK_", "LITELLM_", "DATABASE_", "CACHE_", "EMAIL_", "TRUSTED_", "HOST", "PORT", "WEB_")


def apart(data: Path, **more: str) -> dict[str, str]:
    """An environment without anything of the person who runs the tests, with its data under `data`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OWN)}
    return kept | {"KEYDESK_ENV_FILE": "", "KEYDESK_DATA_DIR": str(data), "PYTHONUNBUFFERED": "1"} | more


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def new_secrets() -> dict[str, str]:
    """What `make secrets` prints, as a mapping."""
    made = subprocess.check_output([sys.executable, "-m", "portal.newsecrets"], cwd=ROOT, text=True)
    return dict(line.split("=", 1) for line in made.splitlines())


def manage(*arguments: str, env: Mapping[str, str], code: int | None = 0) -> subprocess.CompletedProcess[str]:
    """Run `manage.py` to its end; `code` is what it must exit with (None: anything)."""
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert code is None or done.returncode == code, done.stdout + done.stderr
    return done


def eventually(look: Callable[[], Any], what: str, limit: float = PATIENCE) -> Any:
    """Look again and again until there is something to see. Fails after `limit` seconds."""
    ends = time.monotonic() + limit
    while not (seen := look()):
        assert time.monotonic() < ends, f"not within {limit} s: {what}"
        time.sleep(0.1)
    return seen


def ask(port: int, path: str = "/healthz") -> dict[str, Any] | None:
    """The JSON that the portal on `port` answers, None while it does not answer 200."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return dict(json.load(answer))
    except OSError:
        return None


class Process:
    """One process, its output in a file."""

    def __init__(self, arguments: Sequence[str], env: Mapping[str, str], output: Path) -> None:
        self.output = output
        with output.open("w") as file:
            self._process = subprocess.Popen(
                arguments,
                cwd=ROOT,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return self.output.read_text()

    @property
    def pid(self) -> int:
        return self._process.pid

    def running(self) -> bool:
        return self._process.poll() is None

    def wait(self, limit: float = PATIENCE) -> int:
        """Let it come to its own end; answers its exit status. Raises TimeoutExpired."""
        return self._process.wait(limit)

    def end(self, how: signal.Signals = signal.SIGTERM, limit: float = 20) -> int:
        """Tell it to end; answers its exit status. Fails when it has not ended within `limit` seconds."""
        if self.running():
            self._process.send_signal(how)
        try:
            return self._process.wait(limit)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            raise AssertionError(f"still running {limit} s after {how.name}:\n{self.said}") from None


@contextmanager
def running(arguments: Sequence[str], *, env: Mapping[str, str], output: Path) -> Iterator[Process]:
    process = Process(arguments, env, output)
    try:
        yield process
    finally:
        process.end(signal.SIGTERM)


@contextmanager
def portal(data: Path, **more: str) -> Iterator[tuple[Process, int, dict[str, str]]]:
    """`manage.py start` on a free port, answering: the process, its port and its environment."""
    port = free_port()
    env = apart(data, PORT=str(port), **more)
    data.mkdir(parents=True, exist_ok=True)
    with running([sys.executable, "manage.py", "start"], env=env, output=data / "portal.log") as process:
        eventually(lambda: ask(port) or not process.running(), "the portal answers")
        assert process.running(), process.said
        yield process, port, env


AN_OVERDUE_LEASE = """
from datetime import timedelta
from django.utils import timezone
from keys.models import KeyRole, Lease
from keys.services import gateways, leases, roles
from keys.services.terms import Ask
from teams.access import SYSTEM
from teams.models import Team
team = Team.objects.first()
holder = team.members.first()
role = KeyRole.objects.first() or roles.make(
    by=SYSTEM, name="any", gateway=gateways.default(), all_models=True, all_teams=True
)
issued = leases.issue(Ask(team=team, role=role), holder=holder, by=holder)
now = timezone.now()
Lease.objects.filter(pk=issued.lease.pk).update(
    issued_at=now - timedelta(hours=2), expires_at=now - timedelta(hours=1)
)
print(issued.lease.pk)
"""


def overdue_lease(env: Mapping[str, str]) -> str:
    """Issue a real key in that installation, make its lease overdue, and answer the lease's id."""
    return manage("shell", "--no-imports", "-c", AN_OVERDUE_LEASE, env=env).stdout.strip().splitlines()[-1]


def state_of(lease: str, env: Mapping[str, str]) -> str:
    code = f"from keys.models import Lease; print(Lease.objects.get(pk='{lease}').state)"
    return manage("shell", "--no-imports", "-c", code, env=env).stdout.strip()
