"""What the commands about a gateway's proxy share: which gateway, and fields with their secrets from elsewhere."""

from __future__ import annotations

import getpass
import json
import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from keydesk.desk import Desk
from keydesk.errors import CliError, Refused, Usage
from keydesk.settings import setting
from keydesk.show import note

Gateway = Annotated[str, typer.Option("--gateway", help="Which gateway; the default one unless said.")]
Limit = Annotated[int, typer.Option("--limit", help="How many at most; 0: all.", min=0)]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Force = Annotated[bool, typer.Option("--force", help="Though something hangs on it.")]

LONGEST = 1_000_000  # characters of a file
OPEN = frozenset({  # fields that say where and how, not by which right: these may stand in a command line
    "model", "api_base", "base_url", "api_version", "api_type", "organization", "region_name", "aws_region_name",
    "vertex_project", "vertex_location", "custom_llm_provider", "tenant_id",
})  # fmt: skip
SECRET = re.compile(r"key|secret|token$|password|credentials?$|authorization|headers?$", re.I)
REFERENCE = "os.environ/"  # the proxy reads the rest from its own environment


def path(desk: Desk, gateway: str, *parts: str) -> str:
    """The path of something of the proxy: `gateways/prod/models/openai%2Fgpt-4o/`. Raises CliError."""
    if odd := [each for each in parts if each in {"", ".", ".."}]:
        raise Usage(f"{odd[0]!r} is no name.")
    name = gateway or setting("gateway") or _default(desk)
    return "/".join(["gateways", *(quote(each, safe="") for each in (name, *parts))]) + "/"


def _default(desk: Desk) -> str:
    rows = desk.pages("gateways/")["results"]
    found = next((row["name"] for row in rows if row.get("is_default")), None)
    if found is None:
        raise CliError("There is no default gateway.", "Say which with --gateway.")
    return str(found)


def not_for_them(error: Refused) -> bool:
    """Whether the server keeps this to the people of the platform."""
    return error.status == 403 and error.code == "not_allowed"


def fields(given: Iterable[str], option: str, *, secret: bool = False) -> dict[str, Any]:
    """`NAME=VALUE` as a table. `@FILE`, `-` (stdin, or asked for) and `env:NAME` are read from there, as text.

    Another value is JSON where it is a number, true, false or an object, else text. `secret`: every field but those
    that are known to be none is a secret, which must not stand in a command line. Raises Usage, CliError.
    """
    found: dict[str, Any] = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals or not name:
            raise Usage(f"{option} takes NAME=VALUE.", f"For example {option} api_base=https://api.example.com.")
        if name in found:
            raise Usage(f"{option} {name} is there twice.")
        read = _read(name, value)
        if read is not None:
            found[name] = read
        elif value.startswith(REFERENCE) or name in OPEN or not (secret or _is_secret(name)):
            found[name] = value if secret else _json(value)
        else:
            raise Usage(
                "A secret in a command line stands in the shell's history, and every user of this machine can read it.",
                f"Say {option} {name}=@FILE, {name}=env:NAME, or {name}=- to type it or pipe it in.",
            )
    return found


def _is_secret(name: str) -> bool:
    return bool(SECRET.search(name)) and "cost_per" not in name


def _read(name: str, value: str) -> str | None:
    """A value that stands elsewhere; None: it stands here."""
    if value == "-":
        text = getpass.getpass(f"{name}: ") if sys.stdin.isatty() else sys.stdin.read(LONGEST)
    elif value.startswith("@"):
        text = content(value[1:])
    elif value.startswith("env:"):
        text = os.environ.get(value[4:], "")
    else:
        return None
    if not text.strip():
        raise Usage(f"There is nothing for {name} in {'what was typed or piped in' if value == '-' else value}.")
    return text.rstrip("\r\n")


def content(place: str) -> str:
    """A file as text. Raises CliError."""
    try:
        with Path(place).expanduser().open(encoding="utf-8") as file:
            text = file.read(LONGEST + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise CliError(f"{place} cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}.") from None
    if len(text) > LONGEST:
        raise CliError(f"{place} is longer than {LONGEST:,} characters.")
    return text


def _json(value: str) -> Any:
    try:
        found = json.loads(value)
    except ValueError:
        return value
    return value if found is None or isinstance(found, str) else found


def warn(answer: Any) -> Any:
    """Say on stderr what the server warns of; answers the answer."""
    for warning in answer.get("warnings") or []:
        note(f"Note: {warning}")
    return answer


def per_million(name: str) -> Any:
    """A column: a price a token as dollars a million."""

    def shown(row: Any) -> str | None:
        cost = row.get(name)
        return None if cost is None else f"{float(cost) * 1_000_000:g}"

    return shown
