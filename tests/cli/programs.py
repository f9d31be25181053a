"""`keydesk` as a program: against this portal, as somebody, in a pipe or on a terminal of its own."""

from __future__ import annotations

import errno
import fcntl
import io
import os
import pty
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any

import requests
from django.test import Client
from requests.adapters import BaseAdapter

ROOT = Path(__file__).resolve().parents[2]
SERVER = "http://localhost:8000"
PATIENCE = 30  # seconds; a machine that runs other tests is slow


class Program:
    """The command line of one person on one machine."""

    def __init__(self, server: str, token: str, home: Path) -> None:
        self.env = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "HOME": str(home),
            "KEYDESK_CONFIG_DIR": str(home / "keydesk"),
            "KEYDESK_NO_KEYRING": "1",
            "KEYDESK_SERVER": server,
            "KEYDESK_TOKEN": token,
            "TERM": "dumb",
        }

    def start(self, *words: str, **options: Any) -> subprocess.Popen[Any]:
        command = [sys.executable, "-m", "keydesk", *words]
        pipes: dict[str, Any] = {
            "stdin": subprocess.PIPE,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "text": True,
        }
        return subprocess.Popen(command, env=self.env, **(pipes | options))

    def run(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        process = self.start(*words)
        out, err = process.communicate(stdin, timeout=PATIENCE)
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def on_terminal(self, *words: str) -> Terminal:
        return Terminal(self, *words)


class Terminal:
    """A pseudo-terminal whose session is one `keydesk`: what is pressed there, the kernel makes signals of."""

    def __init__(self, program: Program, *words: str) -> None:
        self.master, slave = pty.openpty()
        self.seen = ""
        self.process = program.start(
            *words, stdin=slave, stdout=slave, stderr=slave, text=False, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        os.close(slave)
        os.set_blocking(self.master, False)

    def press(self, text: str) -> None:
        os.write(self.master, text.encode())

    def read(self) -> str:
        try:
            self.seen += os.read(self.master, 65536).decode()
        except OSError as error:
            if error.errno not in {errno.EAGAIN, errno.EIO}:  # nothing there; nobody there any more
                raise
        return self.seen

    def until(self, text: str, times: int = 1) -> None:
        """Wait for it to appear so often. Raises AssertionError with what was seen instead."""
        end = time.monotonic() + PATIENCE
        while self.read().count(text) < times:
            assert time.monotonic() < end, self.seen
            time.sleep(0.02)

    def wait(self) -> int:
        end = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            self.read()  # else it waits for somebody who reads
            assert time.monotonic() < end, self.seen
            time.sleep(0.02)
        self.read()
        return self.process.returncode

    def hang_up(self) -> None:
        """Close the window."""
        os.close(self.master)
        self.master = -1

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.master >= 0:
            os.close(self.master)


class Inside(BaseAdapter):
    """Every call of the command line goes to Django's test client, in this process: cheap, and the clock can be moved.

    `away`: nothing can be reached. `calls`: what was asked, as `POST /api/v1/keys/`.
    """

    def __init__(self, client: Client) -> None:
        super().__init__()
        self.client, self.away = client, False
        self.calls: list[str] = []

    def send(self, request: Any, **_: object) -> requests.Response:
        self.calls.append(f"{request.method} {request.path_url}")
        if self.away:
            raise requests.ConnectionError("away")
        headers = {name: value for name, value in request.headers.items() if name.lower() != "content-length"}
        kind = headers.pop("Content-Type", "application/json")
        found = self.client.generic(request.method, request.path_url, request.body or b"", kind, headers=headers)
        response = requests.Response()
        response.status_code, response.url, response.request = found.status_code, request.url, request
        response.headers.update(found.headers)
        response.raw = io.BytesIO(found.getvalue())
        return response

    def close(self) -> None:
        """Nothing is open."""


def inside(monkeypatch, client: Client, home: Path, token: str) -> Inside:
    """`keydesk.app.run(words)` in this process, as whose token it is."""
    adapter, other = Inside(client), requests.Session.get_adapter  # the portal itself calls its gateway
    monkeypatch.setattr(
        requests.Session, "get_adapter", lambda self, url: adapter if url.startswith(SERVER) else other(self, url)
    )
    monkeypatch.setattr("keydesk.desk.BETWEEN", 0)
    monkeypatch.delenv("KEYDESK_TEAM", raising=False)
    for name, value in Program(SERVER, token, home).env.items():
        if name.startswith("KEYDESK_") or name == "HOME":
            monkeypatch.setenv(name, value)
    return adapter
