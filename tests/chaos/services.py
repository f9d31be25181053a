"""What the chaos test runs and kills: Keydesk's processes, Redis, and a LiteLLM proxy of its own."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.ground.processes import Process, apart, eventually

QUIET_PORTS = range(20_000, 32_000)  # below those that the system gives to clients, who might take it while it is free
REAPED, ENDED = 10, 60  # seconds


def quiet_port() -> int:
    """A free port that stays free while its server is dead."""
    for port in random.sample(QUIET_PORTS, 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port")


def answers(url: str) -> bool:
    """Whether a GET answers 200."""
    try:
        with urllib.request.urlopen(url, timeout=3) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def speaks(port: int) -> bool:
    """Whether a Redis on this port answers."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as line:
            line.sendall(b"PING\r\n")
            return line.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def send(pid: int, *, group: bool) -> bool:
    """kill -9; False: nobody was there any more."""
    try:
        (os.killpg if group else os.kill)(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def children(pid: int) -> list[int]:
    try:
        tasks = [task / "children" for task in Path(f"/proc/{pid}/task").iterdir()]
        return [int(child) for task in tasks for child in task.read_text().split()]
    except OSError:
        return []


class Service:
    """A process and its children. It does its work when it has `settled` for some seconds and `looks` well."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        env: Mapping[str, str],
        logs: Path,
        *,
        settled: float = 0,
        looks: Callable[[], bool] = lambda: True,
    ) -> None:
        self.name, self.command, self.env, self.logs = name, command, env, logs
        self._settled, self._looks = settled, looks
        self._process: Process | None = None
        self._started = 0.0
        self.lives = 0

    def start(self) -> None:
        self._sweep_up()
        self.lives += 1
        self._started = time.monotonic()
        self._process = Process(self.command, self.env, self.logs / f"{self.name}.{self.lives}.log")

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.running()

    @property
    def ready(self) -> bool:
        return self.running and time.monotonic() - self._started >= self._settled and self._looks()

    def kill(self, dice: random.Random, *, child: bool = False) -> int:
        """kill -9 of the whole group, or of one child alone. Answers the pid, 0 when nobody was there."""
        if self._process is None or not self.running:
            return 0
        if child:
            young = children(self._process.pid)
            pid = dice.choice(young) if young else 0
            return pid if pid and send(pid, group=False) else 0
        send(self._process.pid, group=True)
        return self._process.pid if self._process.wait(REAPED) == -signal.SIGKILL else 0

    def end(self) -> None:
        """As an administrator ends it; fails when it does not end."""
        if self._process is not None and self.running:
            self._process.end(limit=ENDED)
        self._sweep_up()

    def wipe(self) -> None:
        """End it at once, whatever state it is in."""
        self._sweep_up()

    def _sweep_up(self) -> None:
        """A dead parent may leave children in its group."""
        if self._process is not None:
            send(self._process.pid, group=True)
            self._process.wait(REAPED)

    def said(self) -> str:
        return "".join(path.read_text(errors="replace") for path in sorted(self.logs.glob(f"{self.name}.*.log")))


class Rig(Service):
    """A LiteLLM proxy with a database of its own, from the rig's scripts and an installation that is there already.

    Killed is the proxy; its database stays. `up` starts what is missing.
    """

    MASTER_KEY = "sk-chaos-master"
    FILES = ("package.json", "query-engine")

    def __init__(self, scripts: Path, installed: Path, logs: Path) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="keydesk-chaos-rig-"))
        self.home.chmod(0o755)  # the rig's PostgreSQL runs as another user
        self.port, database = quiet_port(), quiet_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.scripts = scripts.resolve()
        env = apart(
            self.home,
            RIG_HOME=str(self.home),
            RIG_PORT=str(self.port),
            RIG_PG_PORT=str(database),
            LITELLM_MASTER_KEY=self.MASTER_KEY,
        )
        super().__init__("proxy", [str(self.scripts / "up")], env, logs, looks=self._healthy)
        if (installed / "venv").exists():
            self._borrow(installed.resolve())

    def _borrow(self, installed: Path) -> None:
        """Use what is installed there. The engine's folder is our own: `up` copies into it."""
        engine = self.home / "engine"
        engine.mkdir()
        (self.home / "venv").symlink_to(installed / "venv")
        (engine / "node_modules").symlink_to(installed / "engine" / "node_modules")
        for name in self.FILES:
            shutil.copy(self.scripts / "engine" / name, engine)

    def start(self) -> None:
        if (log := self.home / "proxy.log").exists():  # `up` would empty it
            shutil.copy(log, self.logs / f"litellm.{self.lives}.log")
        super().start()

    @property
    def _pid(self) -> int:
        """The proxy's pid, 0 when it is dead."""
        try:
            pid = int((self.home / "proxy.pid").read_text())
            ours = b"litellm" in Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            return 0
        return pid if ours else 0

    @property
    def running(self) -> bool:
        return super().running or bool(self._pid)

    def _healthy(self) -> bool:
        return not super().running and answers(f"{self.url}/health/readiness")

    def kill(self, dice: random.Random, *, child: bool = False) -> int:
        pid = self._pid
        if not pid or not send(pid, group=False):
            return 0
        eventually(lambda: not self._pid, "the proxy is dead", REAPED)
        return pid

    def wipe(self) -> None:
        self._sweep_up()
        if pid := self._pid:
            send(pid, group=True)  # its query engine is in the same group
            eventually(lambda: not self._pid, "the proxy is dead", REAPED)
        down = [str(self.scripts / "down")]
        subprocess.run(down, env=dict(self.env), stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
        shutil.rmtree(self.home, ignore_errors=True)
