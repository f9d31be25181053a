"""Calls with a secret that goes to one place; those to the proxy itself do not pass through Keydesk."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import requests

from keydesk.errors import Away, CliError, Exit
from keydesk.settings import HERE

CONNECT, ANSWER = 10, 600  # seconds
DONE = "[DONE]"
SECRET = re.compile(r"\b(sk|kd)[-_][\w-]{12,}")


class Bearer(requests.auth.AuthBase):
    """A token or a key, in place of what a ~/.netrc might say."""

    def __init__(self, token: str) -> None:
        self.token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self.token:
            request.headers["Authorization"] = f"Bearer {self.token}"
        return request


def session(url: str, token: str) -> requests.Session:
    """For calls of one place. What needs no TLS because it stays on this machine goes through no HTTP_PROXY."""
    found = requests.Session()
    found.auth = Bearer(token)
    place = urlsplit(url)
    found.trust_env = place.scheme != "http" or place.hostname not in HERE
    return found


class KeyRefused(CliError):
    """The proxy does not take the key."""


class BrokeOff(CliError):
    """The answer broke off on its way."""


def completion(base_url: str, key: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """A whole answer of a model. Raises Away, KeyRefused, CliError."""
    with _sent("POST", base_url, "chat/completions", key, body) as response:
        found = _json(response.content)
    if not isinstance(found, dict):
        raise CliError("The proxy's answer is not JSON.", "Look at what answers at its address.")
    return found


def model_names(base_url: str, key: str) -> list[str]:
    """What the key may call. Raises Away, KeyRefused, CliError."""
    with _sent("GET", base_url, "models", key) as response:
        found = _json(response.content)
    rows = found.get("data") if isinstance(found, dict) else None
    return sorted(str(each.get("id")) for each in rows or [] if isinstance(each, dict))


def pieces(base_url: str, key: str, body: Mapping[str, Any]) -> Iterator[str]:
    """An answer of a model as it comes. Raises Away, KeyRefused, CliError, BrokeOff."""
    with _sent("POST", base_url, "chat/completions", key, {**body, "stream": True}) as response:
        try:
            for frame in frames(response.iter_lines(chunk_size=None)):
                choices = frame.get("choices") or [{}]
                if said := (choices[0].get("delta") or {}).get("content"):
                    yield str(said)
        except requests.RequestException:
            raise BrokeOff("The connection to the proxy broke off.", "Ask again.") from None


def frames(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """The events of a stream, up to its end mark. Raises BrokeOff for an error in it, or where the mark is missing.

    Source: server-sent events of the WHATWG HTML standard; `data: [DONE]` is OpenAI's.
    """
    data: list[str] = []
    for raw in lines:
        line = raw.decode("utf-8", "replace")
        if line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
        elif not line and data:
            text, data = "\n".join(data), []
            if text == DONE:
                return
            yield _frame(text)
    if "\n".join(data) != DONE:
        raise BrokeOff("The answer broke off before its end.", "Ask again; what came so far is above.")


def _frame(text: str) -> dict[str, Any]:
    found = _json(text)
    if not isinstance(found, dict):
        raise BrokeOff("A piece of the answer is not JSON.", "Ask again.")
    if error := found.get("error"):
        said = error.get("message") if isinstance(error, dict) else error
        raise BrokeOff(f"The answer broke off: {clean(str(said))}", "Ask again, or ask another model.")
    return found


def _sent(method: str, base_url: str, path: str, key: str, body: Mapping[str, Any] | None = None) -> requests.Response:
    try:
        response = session(base_url, key).request(
            method,
            f"{base_url.rstrip('/')}/v1/{path}",
            json=body,
            headers={"Accept-Encoding": "identity"},
            stream=True,
            timeout=(CONNECT, ANSWER),
            allow_redirects=False,  # the key goes to this address and no other
        )
    except requests.RequestException as error:
        raise Away(f"The proxy at {base_url} cannot be reached ({type(error).__name__}).") from None
    if response.status_code == requests.codes.ok:
        return response
    with response:
        raise refusal(response.status_code, response.content)


def refusal(status: int, content: bytes) -> CliError:
    """What the proxy's refusal means to the person, in its own words."""
    body = _json(content)
    error = body.get("error", body.get("detail", body)) if isinstance(body, dict) else None
    said = error.get("message") or error.get("error") if isinstance(error, dict) else error
    message = f"The proxy answered {status}: {clean(str(said))[:300]}" if said else f"The proxy answered {status}."
    if status == requests.codes.unauthorized:
        return KeyRefused(message, "Run `keydesk token --check`; if it prints a key, ask again.")
    if status == requests.codes.too_many_requests:
        return CliError(message, "Wait, or ask a team admin for a higher limit.", exit_code=Exit.LATER)
    if status >= requests.codes.server_error:
        return Away(message)
    return CliError(message, "Look at `keydesk models list` for what this key may call.")


def clean(text: str) -> str:
    """Without secrets, and in one line."""
    return " ".join(SECRET.sub(r"\1-…", text).split())


def _json(content: bytes | str) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None
