"""What was said: flags, then the environment, then the settings file. Imports little."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from keydesk import places
from keydesk.errors import CliError, Usage

HERE = frozenset({"localhost", "127.0.0.1", "::1"})
GLOBAL = ("server", "output")
OF_A_SERVER = ("team", "role", "gateway")
NAMES = GLOBAL + OF_A_SERVER
OUTPUTS = ("table", "json")


@dataclass
class Said:
    """The options that every command takes."""

    server: str = ""
    token: str = field(default="", repr=False)
    json: bool = False
    verbose: bool = False
    answered: bool = False  # JSON was printed: one answer is enough


said = Said()


def say(**options: Any) -> None:
    """Begin anew with these options: one command line, one set of them."""
    fresh = Said(**options)
    for name in vars(fresh):
        setattr(said, name, getattr(fresh, name))


def origin(text: str) -> str:
    """`https://keys.example.com` of what a person types or pastes. http only on this machine. Raises Usage."""
    whole = text.strip() if "://" in text else f"https://{text.strip()}"
    try:
        parts = urlsplit(whole)
        port, host = parts.port, (parts.hostname or "").lower()
    except ValueError:
        raise Usage(f"{text!r} is no address of a server.", "Write it like https://keys.example.com.") from None
    if parts.scheme not in {"https", "http"} or not host or parts.username is not None:
        raise Usage(f"{text!r} is no address of a server.", "Write it like https://keys.example.com.")
    if parts.scheme == "http" and host not in HERE:
        raise Usage(f"{host} was to be asked by http: a token would be read on the way.", f"Use https://{host}.")
    usual = {"https": 443, "http": 80}[parts.scheme]
    name = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{name}" + (f":{port}" if port and port != usual else "")


def file() -> Path:
    return places.folder() / "config.json"


def load() -> dict[str, Any]:
    """The settings file, {} without one. Raises CliError when it is none of ours."""
    try:
        found = json.loads(file().read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict):
        raise CliError(f"{file()} cannot be read.", "Put it right, or delete it.")
    return found


def save(name: str, value: str | None, server: str = "") -> None:
    """Set one setting, or (None) forget it. `server`: whose team or gateway it is."""
    with places.locked("config"):
        whole = load()
        place = whole.setdefault("servers", {}).setdefault(server, {}) if name in OF_A_SERVER else whole
        if value is None:
            place.pop(name, None)
        else:
            place[name] = value
        places.write(file(), json.dumps(whole, indent=2) + "\n")


def setting(name: str) -> str:
    """One setting by environment or file; a team and a gateway are those of the server in use. "" where unset."""
    if found := os.environ.get(f"KEYDESK_{name.upper()}"):
        return found
    whole = load()
    if name in GLOBAL:
        return str(whole.get(name) or "")
    known = server(missing_ok=True)
    return str(whole.get("servers", {}).get(known, {}).get(name) or "")


def server(*, missing_ok: bool = False) -> str:
    """The server in use: flag, KEYDESK_SERVER, or the settings file. Raises Usage."""
    text = said.server or setting("server")
    if text:
        return origin(text)
    if missing_ok:
        return ""
    raise Usage("No server is known.", "Run `keydesk login --server https://keys.example.com`, or set KEYDESK_SERVER.")


def token() -> str:
    """The API token of flag or environment, without the line's end that a file of secrets may add. Raises Usage."""
    found = (said.token or os.environ.get("KEYDESK_TOKEN", "")).strip()
    if not found.isascii() or not found.isprintable() or " " in found:
        raise Usage("What KEYDESK_TOKEN or --token says is no API token.", "They begin with kd_, and are one word.")
    return found


def wants_json() -> bool:
    """Whether answers are printed as the API gives them."""
    return said.json or setting("output") == "json"
