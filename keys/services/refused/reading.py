"""Read a pasted error: what it is about, and of which key. A pasted text may hold a secret: nothing here keeps one.

What comes out is our own words, numbers, and names that cannot be a secret; never a part of the text as it stood.
LiteLLM's shapes are read by portal/litellm/errors.py; the sentences told apart here were seen on 1.106.2.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from keys.models.role import MODEL_NAME
from keys.services.words import has_secret
from portal.litellm import LiteLLMError, hash_key
from portal.litellm import errors as litellm

LONGEST = 20_000  # characters that are looked at
MOST_KEYS = 20
MOST_STARTS = 50  # places where a body may begin


class Cause(StrEnum):
    """What a refusal is about."""

    BUDGET = "budget"
    MODEL = "model"
    RATES = "rates"
    EXPIRED = "expired"
    BLOCKED = "blocked"
    UNKNOWN_KEY = "unknown_key"  # the gateway does not know it
    NO_KEY = "no_key"  # none was sent, or nothing like one
    RIGHTS = "rights"  # an address that keys do not reach
    PROVIDER = "provider"  # the provider of the model said no, not the gateway
    SERVER = "server"  # the gateway has a trouble of its own
    AWAY = "away"  # there was no answer at all
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class Reading:
    """What was understood of a pasted text. `hashes`: of the secrets in it, and hashes that it names."""

    cause: Cause
    status: int | None = None
    kind: str = ""  # LiteLLM's `type`, where it is a word
    scope: str = ""  # whose limit the text names: key, holder, team
    most: Decimal | None = None  # the budget that the text names, USD
    model: str = ""
    endings: tuple[str, ...] = ()  # sk-...abcd
    hashes: tuple[str, ...] = ()
    held_secret: bool = False
    is_error: bool = True  # not: the text is no more than a key

    @property
    def names_a_key(self) -> bool:
        return bool(self.hashes or self.endings)


_SECRET = re.compile(r"sk-[A-Za-z0-9_-]{6,}")
_ENDING = re.compile(r"sk-(?:\.{2,3}|…)([A-Za-z0-9_-]{4})(?![A-Za-z0-9_-])")
_HASH = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_STATUS = re.compile(r"(?:error code|status(?:[ _]code)?|http(?:/[\d.]+)?|code)\W{0,4}([45]\d\d)\b", re.I)
_WORD = re.compile(r"[a-z][a-z_]{2,39}")
_TYPES = (
    "budget_exceeded", "throttling_error", "expired_key", "token_not_found_in_db", "key_model_access_denied",
    "team_model_access_denied", "user_model_access_denied", "auth_error",
)  # fmt: skip
_MODELS = (
    re.compile(r"requested model '([^']{1,200})'", re.I),
    re.compile(r"passed in model=(\S{1,200})", re.I),
    re.compile(r"tried to access (\S{1,200})", re.I),
)
_WHOSE = re.compile(r"exceeded\W+(key|user|team)=|rate limit exceeded for (\w+)", re.I)
_MOST = re.compile(r"max budget:? ?\$?([0-9]{1,12}(?:\.[0-9]{1,12})?)(?![0-9e])", re.I)
_SCOPES = {"key": "key", "api_key": "key", "user": "holder", "team": "team", "team_member": "holder"}
_PROVIDERS = r"(openai|azure|anthropic|bedrock|vertex\w*|gemini|mistral|cohere|groq)\w*(exception|error) -"
_NOBODY = r"connection (error|refused|reset)|timed out|timeout|name or service not known|max retries"
_SENTENCES: tuple[tuple[Cause, re.Pattern[str]], ...] = (
    (Cause.PROVIDER, re.compile(_PROVIDERS)),
    (Cause.BUDGET, re.compile(r"budget has been exceeded|exceededbudget|over budget")),
    (Cause.EXPIRED, re.compile(r"expired key")),
    (Cause.BLOCKED, re.compile(r"(key|team)\b.{0,60}\bis blocked")),
    (Cause.UNKNOWN_KEY, re.compile(r"invalid proxy server token|unable to find token")),
    (Cause.NO_KEY, re.compile(r"no api key passed|virtual key expected")),
    (Cause.MODEL, re.compile(r"requested model '|invalid model name|not allowed to access model")),
    (Cause.RATES, re.compile(r"rate limit exceeded|(rpm|tpm|max parallel request) limit")),
    (Cause.RIGHTS, re.compile(r"only proxy admin|not allowed to (call|access) this route|allowed routes")),
    (Cause.AWAY, re.compile(_NOBODY)),
)  # fmt: skip
_KINDS = {
    "budget_exceeded": Cause.BUDGET,
    "throttling_error": Cause.RATES,
    "expired_key": Cause.EXPIRED,
    "token_not_found_in_db": Cause.UNKNOWN_KEY,
    "key_model_access_denied": Cause.MODEL,
    "team_model_access_denied": Cause.MODEL,
    "user_model_access_denied": Cause.MODEL,
}
_CLASSES: tuple[tuple[type[LiteLLMError], Cause], ...] = (
    (litellm.BudgetExceeded, Cause.BUDGET),
    (litellm.RateLimited, Cause.RATES),
    (litellm.WrongRole, Cause.RIGHTS),
    (litellm.NoAnswer, Cause.AWAY),
    (litellm.ServerError, Cause.SERVER),
)


def read(text: str) -> Reading:
    """Read an error of LiteLLM: its JSON in any shape, as a client's exception prints it, or its sentence alone."""
    text = text[:LONGEST]
    body = _body(text)
    message, kind = litellm.said(text if body is None else body)
    kind = kind or next((each for each in _TYPES if each in text), "")
    status = _status(body, text)
    secrets = list(dict.fromkeys(_SECRET.findall(text)))[:MOST_KEYS]
    bare = _SECRET.sub("", _ENDING.sub("", _HASH.sub("", text)))
    return Reading(
        cause=_cause(status, message, kind, text if body is None else body),
        status=status,
        kind=kind if _WORD.fullmatch(kind) else "",
        scope=_scope(message),
        most=Decimal(found[1]) if (found := _MOST.search(message)) else None,
        model=_model(message),
        endings=tuple(dict.fromkeys(f"sk-...{end}" for end in _ENDING.findall(text)))[:MOST_KEYS],
        hashes=tuple(dict.fromkeys([*map(hash_key, secrets), *_HASH.findall(text)]))[:MOST_KEYS],
        held_secret=bool(secrets),
        is_error=any(char.isalpha() for char in bare),
    )


def _body(text: str) -> Any:
    """The error's body in the text: JSON, or what Python prints of it. None: there is none."""
    starts = [found.start() for found in re.finditer(r"\{", text)][:MOST_STARTS]
    for found in _decoded(text, starts):
        if isinstance(found, dict) and ({"error", "detail"} & found.keys() or {"message", "type"} <= found.keys()):
            return found
    return None


def _decoded(text: str, starts: Iterable[int]) -> Iterator[Any]:
    end = text.rfind("}") + 1
    for start in starts:
        try:
            yield json.JSONDecoder().raw_decode(text, start)[0]
        except (ValueError, RecursionError):
            try:
                yield ast.literal_eval(text[start:end])
            except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
                continue


def _status(body: Any, text: str) -> int | None:
    error = body.get("error") if isinstance(body, dict) else None
    code = error.get("code") if isinstance(error, dict) else None
    if str(code).isdecimal() and 400 <= int(str(code)) < 600:
        return int(str(code))
    found = _STATUS.search(text)
    return int(found[1]) if found else None


def _cause(status: int | None, message: str, kind: str, body: Any) -> Cause:
    """By the provider's name first, as its 429 is none of ours; then by LiteLLM's type, its sentence, its status."""
    said = " ".join(message.lower().split())
    sentence = next((cause for cause, words in _SENTENCES if words.search(said)), None)
    if sentence is Cause.PROVIDER:
        return sentence
    if known := _KINDS.get(kind) or sentence:
        return known
    if status is None:
        return Cause.SERVER if kind == "internal_server_error" else Cause.UNCLEAR
    error = litellm.refusal(status, body)
    return next((cause for found, cause in _CLASSES if isinstance(error, found)), Cause.UNCLEAR)


def _scope(message: str) -> str:
    found = _WHOSE.search(message)
    return _SCOPES.get((found[1] or found[2]).lower(), "") if found else ""


def _is_like_secret(name: str) -> bool:
    return "sk-" in name.lower() or has_secret(name)


def _model(message: str) -> str:
    """The model that was asked for, if it is called as models are, and not as a key is."""
    for words in _MODELS:
        if found := words.search(message):
            name = found[1].rstrip(".,;'\"")
            return name if MODEL_NAME.fullmatch(name) and not _is_like_secret(name) else ""
    return ""
