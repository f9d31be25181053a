"""Faults on purpose: a requests adapter that loses, delays and garbles what goes through it.

It wraps any adapter, the sandbox's or a real one, so the same crash test runs against both.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import BaseAdapter
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.exceptions import (
    ConnectTimeoutError,
    MaxRetryError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
)

from .sandbox.adapter import respond

Match = Callable[[Any], bool]


@dataclass(frozen=True)
class Answer:
    """An answer made up instead of the real one. A dict or list is sent as JSON, a text as it is."""

    status: int
    body: Any = ""
    content_type: str = "application/json"


Fault = BaseException | type[BaseException] | Answer


POOL = HTTPConnectionPool("127.0.0.1")  # only to word the errors; never opened
URL = "/"


def refused() -> requests.ConnectionError:
    """Nobody listens: the request cannot have had an effect."""
    reason = NewConnectionError(HTTPConnection("127.0.0.1"), "Connection refused")
    return requests.ConnectionError(MaxRetryError(POOL, URL, reason))


def connect_timed_out() -> requests.ConnectTimeout:
    """Nobody answered the connection: no effect either."""
    reason = ConnectTimeoutError(POOL, "Connection timed out")
    return requests.ConnectTimeout(MaxRetryError(POOL, URL, reason))


def timed_out() -> requests.ReadTimeout:
    """No answer in time: with or without an effect, the caller cannot know."""
    return requests.ReadTimeout(ReadTimeoutError(POOL, URL, "Read timed out."))


def lost() -> requests.ConnectionError:
    """The connection broke while the answer was awaited; the caller cannot know the effect."""
    reset = ConnectionResetError(104, "Connection reset by peer")
    return requests.ConnectionError(ProtocolError("Connection aborted.", reset))


def server_error(status: int = 500) -> Answer:
    """An error of the proxy, in its usual shape."""
    error = {
        "message": "Internal server error",
        "type": "internal_server_error",
        "param": None,
        "code": str(status),
    }
    return Answer(status, {"error": error})


def broken_json(status: int = 200) -> Answer:
    """A success whose body was cut."""
    return Answer(status, '{"key": "sk-')


def not_the_proxy(status: int = 502) -> Answer:
    """The page of a load balancer in front of the proxy."""
    return Answer(status, "<html><body>Bad Gateway</body></html>", "text/html")


@dataclass
class _Plan:
    """What is to happen to the next matching requests."""

    path: str
    match: Match | None
    times: int
    act: Callable[[requests.PreparedRequest, dict[str, Any]], requests.Response]


@dataclass
class _Held:
    request: requests.PreparedRequest = field(repr=False)
    options: dict[str, Any]


class Faults(BaseAdapter):
    """Passes requests to `inner`, except the next ones that a fault was planned for.

    A path is the URL's path, and may be a pattern (`/key/*/reset_spend`). Plans for one path are used in the
    order they were made; `match` narrows a plan to requests whose JSON body it accepts. Safe with threads.
    """

    def __init__(self, inner: BaseAdapter, *, sleep: Callable[[float], None] = time.sleep) -> None:
        super().__init__()
        self._inner, self._sleep = inner, sleep
        self._lock = threading.Lock()
        self._plans: list[_Plan] = []
        self._held: list[_Held] = []
        self.calls: list[tuple[str, str]] = []  # (method, path) of every request seen, oldest first

    # --- planning ---------------------------------------------------------------------------------

    def fail_next(
        self,
        path: str,
        what: Fault,
        *,
        after_effect: bool = False,
        times: int = 1,
        match: Match | None = None,
    ) -> None:
        """Raise or answer `what` instead; with `after_effect` only once the request has done its work."""

        def act(request: requests.PreparedRequest, options: dict[str, Any]) -> requests.Response:
            if after_effect:
                self._inner.send(request, **options).close()
            return give(what, request, bool(options.get("stream")))

        self._plan(_Plan(path, match, times, act))

    def hold_next(self, path: str, *, times: int = 1, match: Match | None = None) -> None:
        """Let the caller time out now, and the request arrive when `release()` is called."""

        def act(request: requests.PreparedRequest, options: dict[str, Any]) -> requests.Response:
            with self._lock:
                self._held.append(_Held(request.copy(), options))
            return give(timed_out(), request, False)

        self._plan(_Plan(path, match, times, act))

    def slow_next(self, path: str, seconds: float, *, times: int = 1, match: Match | None = None) -> None:
        """Wait before passing the request on."""

        def act(request: requests.PreparedRequest, options: dict[str, Any]) -> requests.Response:
            self._sleep(seconds)
            return self._inner.send(request, **options)

        self._plan(_Plan(path, match, times, act))

    def meanwhile(self, path: str, what: Callable[[], object]) -> None:
        """Let `what` happen while the next request is on its way, then pass the request on."""

        def act(request: requests.PreparedRequest, options: dict[str, Any]) -> requests.Response:
            what()
            return self._inner.send(request, **options)

        self._plan(_Plan(path, None, 1, act))

    def release(self) -> list[requests.Response]:
        """Let every held request arrive; their answers go to nobody but the test."""
        with self._lock:
            held, self._held = self._held, []
        return [self._inner.send(one.request, **one.options) for one in held]

    def clear(self) -> None:
        """Forget plans, held requests and calls."""
        with self._lock:
            self._plans.clear()
            self._held.clear()
            self.calls.clear()

    @property
    def pending(self) -> int:
        """Faults planned and not met yet: a test that ends with some has not tested what it meant to."""
        with self._lock:
            return sum(plan.times for plan in self._plans)

    # --- passing ----------------------------------------------------------------------------------

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> requests.Response:
        options = {"stream": stream, "timeout": timeout, "verify": verify, "cert": cert, "proxies": proxies}
        plan = self._take(request)
        return plan.act(request, options) if plan else self._inner.send(request, **options)

    def close(self) -> None:
        self._inner.close()

    def _plan(self, plan: _Plan) -> None:
        with self._lock:
            self._plans.append(plan)

    def _take(self, request: requests.PreparedRequest) -> _Plan | None:
        path = urlsplit(request.url or "").path
        body = body_of(request)
        with self._lock:
            self.calls.append((request.method or "", path))
            for plan in self._plans:
                if fnmatchcase(path, plan.path) and (plan.match is None or plan.match(body)):
                    plan.times -= 1
                    if plan.times < 1:
                        self._plans.remove(plan)
                    return plan
        return None


def give(what: Fault, request: requests.PreparedRequest, stream: bool) -> requests.Response:
    """The fault as requests itself would raise or return it."""
    if isinstance(what, Answer):
        text = what.body if isinstance(what.body, str) else json.dumps(what.body)
        return respond(request, what.status, {"Content-Type": what.content_type}, [text.encode()], stream)
    problem = what() if isinstance(what, type) else what
    if isinstance(problem, requests.RequestException):
        problem.request = request
    raise problem.with_traceback(None)


def body_of(request: requests.PreparedRequest) -> Any:
    """The JSON body, None when there is none."""
    try:
        return json.loads(request.body) if isinstance(request.body, (str, bytes)) else None
    except ValueError:
        return None
