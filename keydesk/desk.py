"""The server: calls with the login's token, repeated where that is safe, and its troubles as our errors."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import requests

from keydesk import settings, store
from keydesk.calls import Bearer, session
from keydesk.errors import Away, CliError, NotSignedIn, Refused, Usage
from keydesk.settings import origin, said, server
from keydesk.show import note
from keydesk.store import Login

API = "/api/v1/"
CONNECT, READ = 5, 60  # seconds; a gateway may take its time
REFRESH = 10  # seconds for a new secret: every try is over before the minute in which the old one is good
TRIES = 4
LONGEST_WAIT = 60  # seconds that a command waits by itself when the server says when to come back
BETWEEN = 1.0  # seconds before the first repetition where the server does not say
AGAIN = frozenset({429, 502, 503, 504})


def our_version() -> str:
    """The version of this command line."""
    try:
        return version("keydesk")
    except PackageNotFoundError:  # run from a checkout
        return "dev"


class Desk:
    """One server, as one login sees it. Nothing is followed to another place: a token stays at its server."""

    def __init__(self, at: str, token: str = "", login: Login | None = None, *, read: float = READ) -> None:
        self.server, self.login, self.read = origin(at), login, read
        self.session = session(self.server, token)
        self.session.headers["User-Agent"] = f"keydesk/{our_version()}"
        self.session.headers["Accept"] = "application/json"
        self.last: requests.Response | None = None  # the last answer, for its headers

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        return self.call("GET", path, params=params)

    def post(self, path: str, body: Any = None, *, once: str = "") -> Any:
        """`once`: the Idempotency-Key, one of our own unless said. So a POST is repeated as safely as a GET."""
        return self.call("POST", path, body={} if body is None else body, once=once)

    def patch(self, path: str, body: Any) -> Any:
        return self.call("PATCH", path, body=body)

    def put(self, path: str, body: Any) -> Any:
        return self.call("PUT", path, body=body)

    def delete(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        return self.call("DELETE", path, params=params)

    def pages(
        self,
        path: str,
        params: Mapping[str, Any] | None = None,
        *,
        most: int = 0,
        only: Callable[[Any], bool] | None = None,
    ) -> dict[str, Any]:
        """A list as the API gives it, all of its pages in one. `most`: stop there (0: never); `only`: these rows."""
        answer = self.get(path, {name: value for name, value in (params or {}).items() if value not in (None, "")})
        first, following = answer, ""
        found: list[Any] = []
        while True:
            found += filter(only, _rows(answer))
            following = answer.get("next") or "" if isinstance(answer, dict) else ""
            if not following or (most and len(found) >= most):
                break
            parts = urlsplit(following)  # asked here, by whatever name the server knows itself
            answer = self.get(f"{parts.path}?{parts.query}")
        cut = found[:most] if most else found
        more = following if len(cut) == len(found) else following or True
        return {**(first if isinstance(first, dict) else {}), "results": cut, "next": more or None, "previous": None}

    def text(self, method: str, path: str, *, body: Any = None) -> str:
        """An answer that is a file. Raises what call() raises."""
        response = self.answer(method, path, body=body, headers={"Accept": "*/*"})
        if not response.ok:
            raise self._trouble(response)
        return response.text

    def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
        once: str | None = "",
    ) -> Any:
        """The answer, parsed; None for an empty one. Raises Refused, Away, NotSignedIn, CliError."""
        response = self.answer(method, path, params=params, body=body, once=once)
        if response.is_redirect:
            raise CliError(
                f"{self.server} leads elsewhere: {origin_of(response.headers.get('Location', ''))}.",
                "Use that address with --server, if it is the right one.",
            )
        if response.ok:
            return self._read(response) if response.content else None
        raise self._trouble(response)

    def answer(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
        once: str | None = "",
        headers: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """What came back, whatever it is. Repeats what the server asks to repeat. Raises Away, NotSignedIn.

        `once`: None for a POST without an Idempotency-Key, which is never repeated.
        """
        sent = dict(headers or {})
        if method == "POST" and once is not None:
            sent.setdefault("Idempotency-Key", once or str(uuid4()))
        repeatable = method in {"GET", "HEAD", "PUT", "DELETE"} or "Idempotency-Key" in sent
        url, tried = self.url(path), 0
        while True:
            self._refresh_if_due(path)  # each time: another process may have replaced the secret while this one waited
            tried += 1
            try:
                response = self.session.request(
                    method,
                    url,
                    params=params,
                    json=body,
                    headers=sent,
                    timeout=(CONNECT, self.read),
                    allow_redirects=False,
                )
            except requests.RequestException as error:
                if not repeatable or tried >= TRIES or isinstance(error, requests.exceptions.SSLError):
                    raise _away(self.server, error) from None
                time.sleep(BETWEEN * tried)
                continue
            self.last = response
            if said.verbose:
                note(f"{method} {url} -> {response.status_code} in {response.elapsed.total_seconds():.2f} s")
            wait = _retry_after(response)
            later = response.status_code in AGAIN or (response.status_code == 409 and wait)
            if not later or not repeatable or tried >= TRIES or (wait or 0) > LONGEST_WAIT:
                return response
            time.sleep(wait if wait is not None else BETWEEN * tried)

    def url(self, path: str) -> str:
        """The whole address of a path: `keys/` is of the API. Raises Usage for another server's."""
        if "://" in path:
            if origin(path) != self.server:
                raise Usage(f"{origin(path)} is not {self.server}: its token does not go there.", "Use --server.")
            return path
        return f"{self.server}{path}" if path.startswith("/") else f"{self.server}{API}{path}"

    def _refresh_if_due(self, path: str) -> None:
        """Replace the secret of a login that is used; parallel processes do so once. Offline it stays as it is."""
        if self.login is None or not self.login.is_due() or path.startswith("tokens/current/"):
            return
        with store.replacing(self.server) as now:
            if now is None:
                raise NotSignedIn(f"The login at {self.server} was ended meanwhile.")
            login = now
            if now.is_due() and now.kind == "login":
                try:
                    answer = Desk(self.server, now.token, read=REFRESH)._refreshed()
                    login = store.keep(replace(now, **fresh(answer)))
                except Away:
                    return
                except Refused as trouble:
                    if trouble.status in {401, 404, 429} or trouble.status >= 500:
                        return  # the call itself says what is wrong
                    raise
        self.login, self.session.auth = login, Bearer(login.token)

    def _refreshed(self) -> Any:
        """A new secret. Without a key: an answer that was kept would not have it. The old one is good for a minute."""
        for _ in range(TRIES - 1):
            try:
                return self.call("POST", "tokens/current/refresh/", body={}, once=None)
            except Away:
                time.sleep(BETWEEN)
        return self.call("POST", "tokens/current/refresh/", body={}, once=None)

    def _read(self, response: requests.Response) -> Any:
        try:
            return response.json()
        except ValueError:
            raise CliError(
                f"{self.server} does not answer as Keydesk does.", "Check the address; is a proxy in between?"
            ) from None

    def _trouble(self, response: requests.Response) -> CliError:
        try:
            said_so = response.json()["error"]
        except (ValueError, KeyError, TypeError):
            said_so = None
        if not isinstance(said_so, dict):
            away = response.status_code >= 500
            words = f"{self.server} answered {response.status_code}, not as Keydesk does."
            return Away(words) if away else CliError(words, "Check the address with `keydesk config list`.")
        if response.status_code == 401:
            words = str(said_so.get("message") or "You are not signed in.")
            if settings.token():  # to sign in would not help
                return NotSignedIn(words, f"Make another token on {self.server}/tokens/, or unset KEYDESK_TOKEN.")
            return NotSignedIn(words)
        return Refused(response.status_code, said_so, _retry_after(response))


def desk(at: str = "") -> Desk:
    """The server in use, with the token of flag, environment or store. Raises NotSignedIn, Usage."""
    where = origin(at) if at else server()
    if token := settings.token():
        return Desk(where, token)
    login = store.find(where)
    if login is None:
        raise NotSignedIn(f"You are not signed in at {where}.", f"Run `keydesk login --server {where}`.")
    return Desk(where, login.token, login)


def fresh(answer: Mapping[str, Any]) -> dict[str, str]:
    """What a login or a refresh answers, as fields of a Login."""
    return {
        "token": str(answer["token"]),
        "expires_at": str(answer.get("expires_at") or ""),
        "refresh_at": str(answer.get("refresh_at") or ""),
    }


def origin_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else parts.path


def _rows(answer: Any) -> list[Any]:
    if isinstance(answer, list):
        return answer
    found = answer.get("results") if isinstance(answer, dict) else None
    if not isinstance(found, list):
        raise CliError("The server's answer is not a list.", "Is it a Keydesk of another version?")
    return found


def _retry_after(response: requests.Response) -> int | None:
    text = response.headers.get("Retry-After", "")
    return int(text) if text.isdecimal() else None


def _away(at: str, error: requests.RequestException) -> CliError:
    if isinstance(error, requests.exceptions.SSLError):
        return CliError(
            f"The certificate of {at} is not trusted.",
            "If your company has its own authority, set REQUESTS_CA_BUNDLE to its file.",
        )
    if isinstance(error, requests.Timeout):
        return Away(f"{at} did not answer in time.")
    if isinstance(error, requests.ConnectionError):
        return Away(f"{at} cannot be reached.", "Check the network and the address, then try again.")
    return CliError(f"{at} does not answer as Keydesk does.", "Check the address; is a proxy in between?")
