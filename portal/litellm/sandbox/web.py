"""Requests, answers and routes of the sandbox: what a framework would give, in a page."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from .refusals import Refusal, invalid
from .store import Row, Store

if TYPE_CHECKING:
    from .auth import Caller
    from .models import Model


@dataclass(frozen=True)
class Rules:
    """How this sandbox was set up."""

    master_hash: str
    models: tuple[Model, ...]
    allow_chosen_keys: bool


@dataclass
class Request:
    """One HTTP request and what its handler needs to answer it."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    headers: dict[str, str]
    db: Store = field(repr=False)
    now: datetime
    rules: Rules = field(repr=False)
    caller: Caller = field(init=False, repr=False)
    route: Route = field(init=False, repr=False)

    def number(self, name: str, default: int, most: int | None = None) -> int:
        """A query parameter that counts from 1."""
        raw, loc = self.query.get(name, str(default)), ["query", name]
        try:
            value = int(raw)
        except ValueError:
            raise invalid(
                "int_parsing", loc, "Input should be a valid integer, unable to parse string as an integer"
            ) from None
        if value < 1:
            raise invalid("greater_than_equal", loc, "Input should be greater than or equal to 1")
        if most is not None and value > most:
            raise invalid("less_than_equal", loc, f"Input should be less than or equal to {most}")
        return value

    def flag(self, name: str) -> bool:
        try:
            return truth(self.query.get(name) or "no")
        except ValueError:
            text = "Input should be a valid boolean, unable to interpret input"
            raise invalid("bool_parsing", ["query", name], text) from None


@dataclass
class Answer:
    """What goes back; `stream` replaces the JSON body by an event stream."""

    body: Any = None
    status: int = 200
    stream: Iterable[bytes] | None = None
    headers: dict[str, str] = field(default_factory=dict)


Handler = Callable[..., Any]


@dataclass(frozen=True)
class Route:
    method: str
    pattern: re.Pattern[str]
    handler: Handler
    who: str  # anyone; llm: also keys for model calls; read and own: the handler looks closer; admin
    charged: bool  # refused when a budget is spent
    shape: dict[str, str] | None


ROUTES: list[Route] = []


def route(
    method: str, *paths: str, who: str = "admin", charged: bool = False, shape: dict[str, str] | None = None
) -> Callable[[Handler], Handler]:
    """Register a handler for paths; `{name}` in a path matches one part, `{name*}` any. `shape` validates the body."""

    def register(handler: Handler) -> Handler:
        for path in paths:
            named = re.sub(r"\{(\w+)\*\}", r"(?P<\1>.+?)", re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path))
            pattern = re.compile(named + "/?$")
            ROUTES.append(Route(method, pattern, handler, who, charged, shape))
        return handler

    return register


def find(method: str, path: str) -> tuple[Route, dict[str, str]]:
    """The route of a request; raises the proxy's 404 and 405, which come before any check of the key."""
    known = False
    for candidate in ROUTES:
        if match := candidate.pattern.match(path):
            if candidate.method == method:
                return candidate, match.groupdict()
            known = True
    raise Refusal(405, {"detail": "Method Not Allowed"}) if known else Refusal(404, {"detail": "Not Found"})


def parse(raw: bytes, llm: bool) -> Any:
    """The JSON body, None when there is none."""
    if not raw:
        return None
    try:
        return json.loads(raw)
    except ValueError:
        if llm:
            error = {
                "message": "Invalid JSON payload",
                "type": "invalid_request_error",
                "param": "request_body",
            }
            raise Refusal(400, {"error": error | {"code": "400"}}) from None
        raise invalid("json_invalid", ["body", 1], "JSON decode error") from None


def query_of(environ: Row) -> dict[str, str]:
    return dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))


# --- bodies ---------------------------------------------------------------------------------------

KINDS: dict[str, tuple[tuple[type, ...], str, str]] = {
    "text": ((str,), "string_type", "Input should be a valid string"),
    "list": ((list,), "list_type", "Input should be a valid list"),
    "dict": ((dict,), "dict_type", "Input should be a valid dictionary"),
    "flag": ((bool,), "bool_type", "Input should be a valid boolean"),
    "whole": ((int,), "int_type", "Input should be a valid integer"),
    "number": ((int, float), "float_type", "Input should be a valid number"),
}


def shape(**kinds: str) -> dict[str, str]:
    """The kind of each field, from the fields of each kind."""
    return {name: kind for kind, fields in kinds.items() for name in fields.split()}


def truth(text: str) -> bool:
    if text.lower() in {"1", "true", "yes", "on", "t", "y"}:
        return True
    if text.lower() in {"0", "false", "no", "off", "f", "n"}:
        return False
    raise ValueError(text)


PARSED: dict[str, tuple[str, str, Callable[[str], object]]] = {
    "whole": ("int_parsing", "Input should be a valid integer, unable to parse string as an integer", int),
    "number": ("float_parsing", "Input should be a valid number, unable to parse string as a number", float),
    "flag": ("bool_parsing", "Input should be a valid boolean, unable to interpret input", truth),
}


def validated(body: Any, shape: dict[str, str]) -> Row:
    """A body whose known fields have the right types; unknown ones are dropped in silence, as at the proxy.

    A kind ending in `!` must be there. Raises a 422.
    """
    if body is None:
        raise invalid("missing", ["body"], "Field required")
    if not isinstance(body, dict):
        # A list where an object belongs crashes the proxy (LiteLLM 1.106.2, seen).
        raise Refusal(500, {"error": {"message": "Internal server error", "type": "internal_server_error"}})
    problems: list[Row] = []
    clean: Row = {}
    for name, kind in shape.items():
        loc: list[str | int] = ["body", name]
        value = body.get(name)
        if value is None:
            if kind.endswith("!"):
                problems.append({"type": "missing", "loc": loc, "msg": "Field required"})
            elif name in body:
                clean[name] = None
            continue
        kind = kind.rstrip("!")
        if kind == "any":
            clean[name] = value
            continue
        types, code, message = KINDS[kind]
        if kind in PARSED and isinstance(value, str):
            code, message, convert = PARSED[kind]
            try:
                clean[name] = convert(value)
                continue
            except ValueError:
                pass
        elif isinstance(value, types) and (kind == "flag" or not isinstance(value, bool)):
            clean[name] = float(value) if kind == "number" and isinstance(value, int) else value
            continue
        problems.append({"type": code, "loc": loc, "msg": message})
    if problems:
        raise Refusal(422, {"detail": problems})
    return clean
