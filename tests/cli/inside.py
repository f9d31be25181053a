"""`keydesk` in this process: what it sends goes through Django's test client, so that a test costs little."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from django.test import Client
from requests.adapters import BaseAdapter

from keydesk import app

SERVER = "http://localhost"
OF_THE_SERVER = (" [info ", " [warning ", " [error ", "Bad Request:", "Not Found:", "Forbidden:", "Conflict:")


class Through(BaseAdapter):
    """The server, without a network. `away`: nobody is there; `answer`: says something else instead."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.answer: Any = None
        self.sent: list[requests.PreparedRequest] = []
        self.proxies: list[Any] = []  # that each was to go through

    def send(self, request: Any, **options: Any) -> Any:
        self.sent.append(request)
        self.proxies.append(options.get("proxies"))
        if self.away:
            raise requests.ConnectionError("away")
        response = requests.Response()
        response.url, response.request = request.url, request
        if self.answer:
            status, headers, content = self.answer(request)
        else:
            found = Client(raise_request_exception=False).generic(
                request.method, request.url.removeprefix(SERVER), data=request.body or b"",
                content_type="application/json", headers=dict(request.headers),
            )  # fmt: skip
            status, headers, content = found.status_code, found.headers, found.content
        response.status_code, response.raw = status, io.BytesIO(content)
        response.headers.update(headers)
        return response

    def close(self) -> None: ...


@dataclass
class Said:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


class Inside:
    """One person's machine."""

    def __init__(self, monkeypatch: Any, capsys: Any, home: Path) -> None:
        self.monkeypatch, self.capsys, self.home = monkeypatch, capsys, home
        self.server = Through()
        before = requests.Session.get_adapter
        monkeypatch.setattr(  # the portal itself speaks to its sandbox
            requests.Session, "get_adapter",
            lambda session, url: self.server if url.startswith(("http:", "https:")) else before(session, url),
        )  # fmt: skip
        monkeypatch.setattr("keydesk.desk.time.sleep", lambda _: None)
        for name in ("KEYDESK_TOKEN", "KEYDESK_TEAM", "KEYDESK_ROLE", "DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("KEYDESK_SERVER", SERVER)
        monkeypatch.setenv("KEYDESK_CONFIG_DIR", str(home / "config"))
        monkeypatch.setenv("KEYDESK_NO_KEYRING", "1")

    def __call__(self, *words: str, token: str = "", stdin: str = "") -> Said:
        if token:
            self.monkeypatch.setenv("KEYDESK_TOKEN", token)
        self.monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        self.capsys.readouterr()
        code = app.run(words)
        printed = self.capsys.readouterr()
        own = [line for line in printed.err.splitlines() if not any(mark in line for mark in OF_THE_SERVER)]
        return Said(int(code), printed.out, "\n".join(own))
