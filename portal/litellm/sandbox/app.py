"""The WSGI callable: from a request to a handler, and from what it says to bytes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

from . import auth, chat, credentials, health, keys, ledger, lookup, members, models, store, teams, totals, users
from .models import DEFAULT_MODELS, Model
from .refusals import Refusal, failure
from .web import Answer, Request, Rules, find, parse, query_of, validated

# Importing the rooms adds their routes.
ROOMS = (chat, credentials, health, keys, ledger, lookup, members, models, teams, totals, users)

Environ = dict[str, Any]
StartResponse = Callable[..., Any]


class Sandbox:
    """LiteLLM's management API and a mock of its model calls, over one SQLite file.

    Behaves like LiteLLM 1.106.2 where the contract suite looks (`tests/contract`). Safe with several threads
    and processes on one file. No secret is stored, only sha256 hashes. `clock` gives the time in UTC. Spend
    is visible at once, where the real proxy takes seconds; nor does a running call reserve what it could cost
    at most, for which the real proxy refuses a second one beside it when the budget is nearly that small.
    """

    def __init__(
        self,
        path: str | Path,
        master_key: str,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        models: Iterable[Model] = DEFAULT_MODELS,
        allow_chosen_keys: bool = True,
    ) -> None:
        self._path, self._clock = path, clock
        self._rules = Rules(auth.digest(master_key), tuple(models), allow_chosen_keys)
        store.create(path)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        try:
            answer = self._answer(environ)
        except Refusal as refusal:
            answer = Answer(refusal.body, refusal.status)
        except sqlite3.OperationalError as trouble:  # locked for too long, or the disk is full
            answer = Answer(failure(503, f"Database: {trouble}", "no_db_connection").body, 503)
        headers = list(answer.headers.items())
        line = f"{answer.status} {HTTPStatus(answer.status).phrase}"
        if answer.stream is not None:
            start_response(line, [("Content-Type", "text/event-stream; charset=utf-8"), *headers])
            return answer.stream
        body = json.dumps(answer.body).encode()
        sizes = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        start_response(line, [*sizes, *headers])
        return [body]

    def _answer(self, environ: Environ) -> Answer:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        route, parts = find(method, path)
        length = int(environ.get("CONTENT_LENGTH") or 0)
        raw = environ["wsgi.input"].read(length) if length else b""
        headers = {name[5:].replace("_", "-").lower(): v for name, v in environ.items() if name.startswith("HTTP_")}
        body = parse(raw, route.who == "llm")
        with store.opened(self._path) as db:
            now = self._clock().astimezone(UTC)
            request = Request(method, path, query_of(environ), body, headers, db, now, self._rules)
            request.route = route
            db.reset_budgets(now)
            if route.who != "anyone":
                self._admit(request)
            if route.shape is not None:
                request.body = validated(body, route.shape)
            said = route.handler(request, **parts)
        return said if isinstance(said, Answer) else Answer(said)

    def _admit(self, request: Request) -> None:
        """The checks before any handler, in the proxy's order."""
        try:
            request.caller = caller = auth.authenticate(request)
            if caller.key is not None:
                auth.check_life(caller.key, request.now)
        except Refusal:
            if request.method == "POST" and request.route.who == "llm":
                chat.turn_away(request)
            raise
        if caller.key is None:
            return
        auth.check_route(request)
        if request.route.charged:
            chat.check_budgets(request)
