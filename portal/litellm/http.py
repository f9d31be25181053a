"""One HTTP call to the proxy: bounded in time and size, repeated only where that is safe, silent about
secrets.

Repeated, twice at most and within the deadline: anything that was refused a connection (surely not applied),
and reads that failed to connect, lost the connection, or got 502, 503, 504, or 429 with a time to wait. A
write that may have been applied is never repeated here: look first, then decide.
"""

from __future__ import annotations

import copy
import json as jsonlib
import random
import socket
import ssl
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from http.client import HTTPException
from typing import Any, NoReturn, Self, TypedDict, TypeVar, Unpack
from urllib.parse import quote

import requests
import urllib3.exceptions
from requests.utils import get_environ_proxies

from portal.litellm import errors
from portal.litellm.errors import LiteLLMError, redact, secrets_in

MIB = 1024 * 1024
LISTS = 64 * MIB  # what walks and lists may answer: 1,000 rows of daily activity are some 4 MiB
CONNECT_SECONDS = 3.0
REPEATS = 2
BACK_OFF_SECONDS = 0.2
LONGEST_LINE = 16 * MIB  # of a stream; images come as one line
_MISSING: Any = object()

T = TypeVar("T")


class Options(TypedDict, total=False):
    """`timeout` in seconds for the whole call, `limit` of the answer in bytes (None: none); `reads` marks a
    POST that changes nothing; `floats` is what JSON numbers with a point become.
    """

    json: Any
    params: Mapping[str, Any]
    headers: Mapping[str, str]
    timeout: float
    limit: int | None
    reads: bool
    floats: Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class PreparedCall:
    """A request as it would be sent. Its repr blanks the key and every secret in the body."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    json: Any = field(default=None, repr=False)

    def __repr__(self) -> str:
        secrets = {*secrets_in(self.json), *secrets_in(self.headers)}
        facts = f"{self.method} {self.url} {dict(self.headers)} {encode(self.json)}"
        return f"<PreparedCall {redact(facts, secrets)}>"


@dataclass(frozen=True, slots=True)
class Call:
    prepared: requests.PreparedRequest
    what: PreparedCall
    deadline: float
    limit: int | None
    reads: bool
    secrets: frozenset[str] = field(repr=False)

    def failure(self, error: LiteLLMError) -> LiteLLMError:
        """What to raise, and outside of every `except`: a requests exception in __context__ holds the key."""
        if self.reads:
            error.applied = False  # there was nothing to apply
        return error


class Http:
    """One proxy and one bearer key. Threads may share it; copies by `but` share its connections."""

    def __init__(
        self,
        session: requests.Session,
        base_url: str,
        api_key: str | None,
        *,
        timeout: float,
        verify: str | bool,
    ) -> None:
        self.session, self.base_url, self.timeout, self.verify = session, base_url, timeout, verify
        self.api_key = api_key
        self.changed_by: str | None = None
        self.sleep: Callable[[float], object] = time.sleep
        self.proxies = get_environ_proxies(base_url)

    def __repr__(self) -> str:
        return f"<Http {self.base_url}>"

    def but(self, **changes: Any) -> Self:
        other = copy.copy(self)
        for name, value in changes.items():
            setattr(other, name, value)
        return other

    def request(self, method: str, path: str, **options: Unpack[Options]) -> Any:
        """Send one request to a path below the base URL and return the decoded JSON, None for an empty
        answer.

        Raises every kind of LiteLLMError. Redirects are errors. An answer over 1 MiB is a BadAnswer.
        """
        call = self._call(method, path, options)
        return self._decoded(call, self._repeating(call, self._exchange), options.get("floats", Decimal))

    def fetch(self, read: Callable[[Any], T], method: str, path: str, **options: Unpack[Options]) -> T:
        """`request`, then `read` its answer; what `read` cannot read is a BadAnswer."""
        call = self._call(method, path, options)
        data = self._decoded(call, self._repeating(call, self._exchange), options.get("floats", Decimal))
        try:
            return read(data)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as trouble:
            problem = str(trouble) if isinstance(trouble, (TypeError, ValueError)) else type(trouble).__name__
        raise call.failure(errors.BadAnswer(f"The proxy's answer has another shape: {redact(problem, call.secrets)}"))

    def lines(self, method: str, path: str, **options: Unpack[Options]) -> Generator[str, None, None]:
        """The lines of a streamed answer as they come; closes the connection however it ends. Never repeated
        once the answer has begun."""
        call = self._call(method, path, {"limit": None, **options})
        response = self._repeating(call, self._open)
        try:
            rest = b""
            for chunk in self._chunks(call, response, 4096):
                *whole, rest = (rest + chunk).split(b"\n")
                for line in whole:
                    yield line.rstrip(b"\r").decode(errors="replace")
                if len(rest) > LONGEST_LINE:
                    raise call.failure(errors.BadAnswer("A line of the stream is too long."))
            if rest:
                yield rest.decode(errors="replace")
        finally:
            response.close()

    # One call, step by step.

    def _call(self, method: str, path: str, options: Options) -> Call:
        method = method.upper()
        if not path.startswith("/") or path.startswith("//"):
            raise errors.ConfigurationError("The path of a request starts with one slash and names no server.")
        body = options.get("json", _MISSING)
        headers = {"Accept": "application/json", "User-Agent": "keydesk"}
        if self.api_key:
            headers["Authorization"] = f"Bearer {self.api_key}"
        if self.changed_by:
            headers["LiteLLM-Changed-By"] = self.changed_by
        if body is not _MISSING:
            headers["Content-Type"] = "application/json"
        headers |= options.get("headers") or {}
        sent = encode(body).encode() if body is not _MISSING else None
        params = {name: _param(value) for name, value in (options.get("params") or {}).items() if value is not None}
        try:
            prepared = requests.Request(method, self.base_url + path, headers, data=sent, params=params).prepare()
        except (requests.RequestException, ValueError) as trouble:
            problem = type(trouble).__name__  # its text may quote a header
        else:
            what = PreparedCall(method, str(prepared.url), headers, body if sent is not None else None)
            secrets = {*secrets_in(what.json), *secrets_in(headers), *secrets_in(params)}
            secrets.update(filter(None, [self.api_key]))
            return Call(
                prepared,
                what,
                deadline=time.monotonic() + options.get("timeout", self.timeout),
                limit=options.get("limit", MIB),
                reads=options.get("reads", method in ("GET", "HEAD", "OPTIONS")),
                secrets=frozenset(secrets),
            )
        raise errors.ConfigurationError(f"The request cannot be built: {problem}.")

    def _repeating(self, call: Call, act: Callable[[Call], T]) -> T:
        for attempt in range(REPEATS):
            try:
                return act(call)
            except LiteLLMError as error:
                pause = _pause(error, call, attempt)
                if pause is None or time.monotonic() + pause >= call.deadline:
                    raise
            self.sleep(pause)
        return act(call)

    def _exchange(self, call: Call) -> bytes:
        response = self._open(call)
        with response:
            return b"".join(self._chunks(call, response, 65_536))

    def _open(self, call: Call) -> requests.Response:
        """Send, and return the answer if it is a 2xx, its body still unread."""
        left = call.deadline - time.monotonic()
        if left <= 0:
            error = errors.TimedOut("There was no time left to ask the proxy.")
            error.applied = False
            raise call.failure(error)
        trouble: LiteLLMError
        try:
            # The adapter itself: Session.send would follow cookies, .netrc and the body of a redirect.
            response = self.session.get_adapter(str(call.prepared.url)).send(
                call.prepared,
                stream=True,
                timeout=(min(CONNECT_SECONDS, left), left),
                verify=self.verify,
                proxies=self.proxies,
            )
        except (OSError, HTTPException, urllib3.exceptions.HTTPError) as broken:  # requests' own are OSErrors
            trouble = _network(broken)
        else:
            if 200 <= response.status_code < 300:
                return response
            with response:
                trouble = self._refused(call, response)
        raise call.failure(trouble)

    def _refused(self, call: Call, response: requests.Response) -> LiteLLMError:
        if response.status_code < 400:
            where = redact(response.headers.get("Location", "nowhere").split("?")[0], call.secrets)
            error: LiteLLMError = errors.Redirected(
                f"The proxy redirects to {where}.", status=response.status_code, original=where
            )
            if response.status_code not in (307, 308):
                error.applied = None  # "see other" may come after the act
            return error
        try:
            body = b"".join(self._chunks(call, response, 65_536))
        except LiteLLMError:
            body = b""  # the status alone tells enough
        try:
            data = jsonlib.loads(body)
        except (ValueError, RecursionError):
            data = None
        return errors.refusal(response.status_code, data, headers=response.headers, secrets=call.secrets)

    def _chunks(self, call: Call, response: requests.Response, size: int) -> Iterator[bytes]:
        """The body in pieces, watching time and size; raises what a broken body means."""
        trouble: LiteLLMError
        got = 0
        try:
            for chunk in response.iter_content(size):
                got += len(chunk)
                if call.limit is not None and got > call.limit:
                    trouble = errors.BadAnswer(f"The proxy's answer is larger than {call.limit:,} bytes.")
                    break
                if time.monotonic() > call.deadline:
                    trouble = errors.TimedOut("The proxy's answer did not end in time.")
                    break
                yield chunk
            else:
                return
        except (OSError, HTTPException, urllib3.exceptions.HTTPError) as broken:
            trouble = _network(broken, receiving=True)
        raise call.failure(trouble)

    def _decoded(self, call: Call, body: bytes, floats: Callable[[str], Any]) -> Any:
        if not body.strip():
            return None
        try:
            return jsonlib.loads(body, parse_float=floats, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            pass
        raise call.failure(errors.BadAnswer("The proxy's answer is not JSON."))


def _pause(error: LiteLLMError, call: Call, attempt: int) -> float | None:
    """Seconds to wait before the same request may be sent again, or None if it must not be."""
    jitter = random.uniform(0.5, 1.5)  # noqa: S311 - so that clients do not come back in step
    pause: float = BACK_OFF_SECONDS * 2**attempt * jitter
    if isinstance(error, errors.Unreachable):
        return pause if error.retryable else None
    if not call.reads:
        return None
    if isinstance(error, errors.NoAnswer) or (
        isinstance(error, errors.ServerError) and error.status in (502, 503, 504)
    ):
        return max(pause, error.retry_after or 0)
    if isinstance(error, errors.RateLimited) and error.retry_after is not None:
        return max(pause, error.retry_after)
    return None


def _network(broken: BaseException, *, receiving: bool = False) -> LiteLLMError:
    """What a transport exception means. Only its class is kept: its text may hold the request."""
    inside = list(_within(broken))
    name = type(inside[-1]).__name__

    def any_of(*kinds: type[BaseException]) -> bool:
        return any(isinstance(item, kinds) for item in inside)

    error: LiteLLMError
    if any_of(ssl.SSLCertVerificationError):
        error = errors.Unreachable("The proxy's TLS certificate is not trusted.", original=name)
        error.action = "Give the CA bundle that signed the proxy's certificate, or correct the base URL."
        error.retryable = False
    elif any_of(requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, requests.exceptions.InvalidHeader):
        error = errors.ConfigurationError("The base URL or a header cannot be used.", original=name)
    elif any_of(requests.exceptions.ContentDecodingError, urllib3.exceptions.DecodeError):
        error = errors.BadAnswer("The proxy's answer cannot be decompressed.", original=name)
    elif receiving:
        timed_out = any_of(TimeoutError, urllib3.exceptions.TimeoutError, requests.Timeout)
        error = (
            errors.TimedOut("The proxy's answer did not end in time.", original=name)
            if timed_out
            else errors.ConnectionLost("The connection broke while the proxy was answering.", original=name)
        )
    elif any_of(
        urllib3.exceptions.NewConnectionError,
        ConnectionRefusedError,
        socket.gaierror,
        requests.exceptions.ProxyError,
    ):
        error = errors.Unreachable("The proxy cannot be reached.", original=name)
    elif any_of(requests.ConnectTimeout, urllib3.exceptions.ConnectTimeoutError):
        error = errors.TimedOut("No connection to the proxy was made in time.", original=name)
        error.applied = False
    elif any_of(TimeoutError, urllib3.exceptions.TimeoutError, requests.Timeout):
        error = errors.TimedOut("The proxy did not answer in time.", original=name)
    else:
        error = errors.ConnectionLost("The connection to the proxy broke.", original=name)
    return error


def _within(broken: BaseException) -> Iterator[BaseException]:
    """The exception and those it wraps: requests and urllib3 keep them as arguments or as `reason`."""
    seen: list[BaseException] = [broken]
    for item in seen:
        yield item
        wrapped = [*item.args, getattr(item, "reason", None), item.__cause__]
        seen += [w for w in wrapped if isinstance(w, BaseException) and not any(w is s for s in seen)]


def encode(value: Any) -> str:
    return jsonlib.dumps(value, default=_encodable, allow_nan=False)


def _encodable(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, (set, frozenset, Mapping)):
        return dict(value) if isinstance(value, Mapping) else sorted(value)
    raise TypeError(f"{type(value).__name__} cannot be sent as JSON")


def _param(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, (datetime, date)) else value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)  # NaN and Infinity are not JSON


def segment(value: str) -> str:
    """A name or id as one part of a path."""
    if value in ("", ".", ".."):
        raise ValueError("this name cannot stand in a path")
    return quote(value, safe="")
