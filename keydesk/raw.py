"""`keydesk http`: any call to Keydesk's API, or with --proxy to the gateway, as it stands."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode, urlsplit

import requests
import typer

from keydesk import calls
from keydesk.desk import desk
from keydesk.errors import Away, Usage, exit_code
from keydesk.quick import place
from keydesk.show import data, note
from keydesk.token import Gateway, Role, Team, Ttl, held_key

METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
Query = dict[str, list[str]]
OURS = frozenset({"authorization", "host", "content-length", "cookie"})  # headers that nobody sets here


def http(
    method: Annotated[str, typer.Argument(help="GET, POST, PUT, PATCH, DELETE, HEAD or OPTIONS.")],
    path: Annotated[str, typer.Argument(help="Like keys/ or /api/v1/keys/; with --proxy, like /v1/models.")],
    body: Annotated[str, typer.Option("--data", "-d", help="JSON, @FILE, or - for what stdin has.")] = "",
    header: Annotated[list[str] | None, typer.Option("--header", "-H", help="'Name: value'.")] = None,
    query: Annotated[list[str] | None, typer.Option("--query", "-q", help="name=value.")] = None,
    proxy: Annotated[bool, typer.Option("--proxy", help="To the gateway, with the key of keydesk token.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the request, and send nothing.")] = False,
    team: Team = "",
    role: Role = "",
    gateway: Gateway = "",
    ttl: Ttl = "",
) -> None:
    """Send a request as it stands, and print what is answered. Paths without a slash in front are below /api/v1/."""
    method = method.upper()
    if method not in METHODS:
        raise Usage(f"{method} is no method.", f"Use one of these: {', '.join(sorted(METHODS))}.")
    headers, asked, sent = _headers(header or []), _query(query or []), _body(body)
    if proxy:
        held = held_key(place(team=team, role=role, gateway=gateway, ttl=ttl))
        send: _Proxy | _Desk = _Proxy(held.key, _at_proxy(held.base_url, path))
    else:
        send = _Desk(path)
    if dry_run:
        shown = {**headers, "Authorization": "Bearer …"}
        address = f"{send.url}{f'?{urlencode(asked, doseq=True)}' if asked else ''}"
        return data({"method": method, "url": address, "headers": shown, "json": sent})
    response = send(method, asked, headers, sent)
    _print(response)
    if response.is_redirect or not response.ok:
        note(f"keydesk: {send.url} answered {response.status_code}.")
        raise typer.Exit(exit_code(response.status_code))
    return None


class _Desk:
    """Keydesk's REST API, with the login."""

    def __init__(self, path: str) -> None:
        self.desk = desk()
        self.url = self.desk.url(path)

    def __call__(self, method: str, query: Query, headers: dict[str, str], body: Any) -> requests.Response:
        return self.desk.answer(method, self.url, params=query, body=body, headers=headers)


class _Proxy:
    """The gateway, with a leased key. Nothing is followed elsewhere."""

    def __init__(self, key: str, url: str) -> None:
        self.key, self.url = key, url

    def __call__(self, method: str, query: Query, headers: dict[str, str], body: Any) -> requests.Response:
        limits = (calls.CONNECT, calls.ANSWER)
        try:
            return calls.session(self.url, self.key).request(
                method, self.url, params=query, json=body, headers=headers, timeout=limits, allow_redirects=False
            )
        except requests.RequestException as error:
            raise Away(f"{self.url} cannot be reached ({type(error).__name__}).") from None


def _at_proxy(base_url: str, path: str) -> str:
    if "://" not in path:
        return f"{base_url.rstrip('/')}/{path.lstrip('/')}"
    if urlsplit(path)[:2] != urlsplit(base_url)[:2]:
        raise Usage(f"{path} is not at {base_url}: its key does not go there.", "Say the path alone.")
    return path


def _headers(said: list[str]) -> dict[str, str]:
    found = {}
    for each in said:
        name, colon, value = each.partition(":")
        if not colon or not name.strip() or name.strip().lower() in OURS:
            raise Usage(f"{name.strip()!r} is no header that can be set.", "Write it like 'Accept-Language: de'.")
        found[name.strip()] = value.strip()
    return found


def _query(said: list[str]) -> Query:
    found: Query = {}
    for each in said:
        name, equals, value = each.partition("=")
        if not equals:
            raise Usage(f"{each!r} is no query.", "Write it like -q state=active.")
        found.setdefault(name, []).append(value)
    return found


def _body(said: str) -> Any:
    """Raises Usage."""
    if not said:
        return None
    try:
        text = sys.stdin.read() if said == "-" else Path(said[1:]).read_text() if said.startswith("@") else said
        return json.loads(text)
    except OSError as error:
        raise Usage(f"{said[1:]} cannot be read: {error.strerror}.", "Name another file after the @.") from None
    except ValueError as error:
        raise Usage(f"The body is not JSON: {error}.", """Write it like -d '{"team": "search"}'.""") from None


def _print(response: requests.Response) -> None:
    """JSON in its shape, text as it is, other bytes untouched."""
    try:
        return data(response.json())
    except ValueError:
        pass
    if response.encoding or "text" in response.headers.get("Content-Type", ""):
        sys.stdout.write(response.text)
    else:
        sys.stdout.buffer.write(response.content)
    return None
