"""What can go wrong between us and a LiteLLM proxy: one tree, and the one place that reads the proxy's
refusals.

Every error says whether anything may have happened over there: `applied` False means surely not, None means
unknown, so look before repeating. No error holds a secret, nor another exception that could hold one.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, ClassVar
from urllib.parse import quote

from portal.litellm.masking import hidden, is_secret_field

LONGEST_MESSAGE = 300
SHORTEST_SECRET = 6  # anything shorter is a word, and blanking words makes messages unreadable
_KEY_LIKE = re.compile(r"sk-[A-Za-z0-9_\-]{6,}")
_BEARER = re.compile(r"(?i)\bbearer\s+[^\s\"',}\]]+")
_HASH = re.compile(r"[0-9a-f]{64}")
_ADVERTISEMENT = re.compile(r"\s*(If you have a license|Get a 7 day trial|Pricing:).*", re.S)


class LiteLLMError(Exception):
    """A call to the proxy that did not work.

    `status` is the proxy's HTTP status, if it answered; `kind` its own word for the trouble (`type` in its
    body); `original` what it or the network said, redacted and longer than `message`; `retry_after` is in
    seconds.
    """

    code: ClassVar[str] = "litellm_error"
    action: str = "Try again; if it goes on, ask the administrator of the LiteLLM proxy."
    retryable: bool = False
    applied: bool | None = False

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        kind: str | None = None,
        original: str = "",
        action: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        self.message = shorten(redact(message))
        super().__init__(self.message)
        self.status, self.kind, self.retry_after = status, kind, retry_after
        self.original = shorten(redact(original), 2000) or self.message
        if action is not None:
            self.action = action


class ConfigurationError(LiteLLMError):
    code = "configuration"
    action = "Correct the settings of the client."


class NoAnswer(LiteLLMError):
    """The proxy did not answer, or not to the end."""

    code = "no_answer"
    retryable = True


class Unreachable(NoAnswer):
    """No connection was made, so nothing happened."""

    code = "unreachable"
    action = "Check that the proxy runs, its base URL and the network."


class TimedOut(NoAnswer):
    """No answer in time; `applied` is False if not even a connection was made in time."""

    code = "timed_out"
    action = "Try again later, or raise the timeout."
    applied: bool | None = None


class ConnectionLost(NoAnswer):
    code = "connection_lost"
    action = "Look whether the change was made, then try again."
    applied: bool | None = None


class StreamError(LiteLLMError):
    """A streamed answer ended in an error, or without its end mark."""

    code = "stream_error"
    action = "Ask again; what was received so far is not the whole answer."
    retryable = True
    applied: bool | None = None


class BadAnswer(LiteLLMError):
    """The proxy said yes, but not in a way that can be read."""

    code = "bad_answer"
    action = "Check that the base URL is a LiteLLM proxy of a supported version."
    applied: bool | None = None


class Redirected(LiteLLMError):
    """A redirect, never followed: it would carry the key to another address, or turn a POST into a GET."""

    code = "redirected"
    action = "Set the base URL to the address where the proxy itself answers (https, no trailing slash)."


class ServerError(LiteLLMError):
    code = "server_error"
    action = "The proxy has a problem of its own; try again later, or look at its log."
    retryable = True
    applied: bool | None = None


class Refused(LiteLLMError):
    """The proxy understood, said no, and changed nothing."""

    code = "refused"
    action = "Change what is asked."


class Unauthorized(Refused):
    code = "unauthorized"
    action = "Check the key that the client uses: it is missing, wrong, blocked or expired."


class WrongRole(Unauthorized):
    """The key is good, but not an administrator's (LiteLLM says 401)."""

    code = "wrong_role"
    action = "Use the proxy's master key, or a key of a proxy admin."


class Forbidden(Refused):
    code = "forbidden"
    action = "Ask the administrator of the proxy for the right to do this."


class ChosenKeysRefused(Forbidden):
    """The proxy sets `disable_custom_api_keys`."""

    code = "chosen_keys_refused"
    action = "Let the proxy make the key, or have it allow custom keys."


class LicenceNeeded(Refused):
    """A feature of LiteLLM Enterprise; comes as 400, 401, 403 or 500 and is known by its text."""

    code = "licence_needed"
    action = "Leave this feature out, or get a LiteLLM Enterprise licence for the proxy."


class NotFound(Refused):
    code = "not_found"
    action = "Check the name or id; it may have been deleted."


class KeyNotFound(NotFound):
    code = "key_not_found"


class TeamNotFound(NotFound):
    """The team is missing; also said of a key whose team is missing, which is there all the same."""

    code = "team_not_found"


class NoSuchRoute(Refused):
    """404 or 405 of the address itself. Not a `NotFound`: that is often good news, and this never is."""

    code = "no_such_route"
    action = "Check the base URL (a root path missing?) and the version of the proxy."


class AlreadyExists(Refused):
    code = "already_exists"
    action = "Choose another name, or use the one that exists."


class Invalid(Refused):
    code = "invalid"
    action = "Correct the value that is named."


class BudgetExceeded(Refused):
    code = "budget_exceeded"
    action = "Raise the budget, or wait until it resets."


class RateLimited(Refused):
    code = "rate_limited"
    action = "Wait a little, then try again."
    retryable = True


def shorten(text: str, longest: int = LONGEST_MESSAGE) -> str:
    text = " ".join(text.split())
    return text if len(text) <= longest else text[: longest - 1] + "…"


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Blank the given secrets, in every spelling that a server may echo, and all that looks like one."""
    for secret in secrets:
        for form in {secret, quote(secret, safe=""), json.dumps(secret)[1:-1], repr(secret)[1:-1]}:
            text = re.sub("".join(map(_escaped, form)), "…", text)
    return _BEARER.sub("Bearer …", _KEY_LIKE.sub("sk-…", text))


def _escaped(char: str) -> str:
    """One character as a pattern, however often it was escaped: JSON in a repr in JSON."""
    return r"\\+" if char == "\\" else rf"\\*{char}" if char in "\"'" else re.escape(char)


def secrets_in(value: Any, *, secret: bool = False) -> Iterator[str]:
    """The strings of a request body that stand in a field for secrets; hashes of keys are not secret."""
    if isinstance(value, str):
        if secret and len(value) >= SHORTEST_SECRET and not _HASH.fullmatch(value):
            yield value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            if name == "litellm_params" and isinstance(item, Mapping):  # its own names say what may be shown
                yield from (text for text in hidden(item) if len(text) >= SHORTEST_SECRET)
            else:
                yield from secrets_in(item, secret=secret or is_secret_field(str(name)))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from secrets_in(item, secret=secret)


def said(body: Any) -> tuple[str, str | None]:
    """The message and the `type` in an error body, in any of LiteLLM's shapes (1.106.2, 1.109.1)."""
    kind = None
    if isinstance(body, Mapping) and isinstance(body.get("error"), Mapping):
        kind = body["error"].get("type")
    return _text(body), kind if isinstance(kind, str) else None


def _text(value: Any, depth: int = 0) -> str:
    if depth > 6:
        return ""
    if isinstance(value, str):
        if value[:1] in "{[" and len(value) < 20_000:  # often the repr of a Python dict
            try:
                return _text(ast.literal_eval(value), depth + 1) or value
            except (ValueError, SyntaxError, MemoryError, RecursionError):
                pass
        return value
    if isinstance(value, Mapping):
        if "loc" in value and "msg" in value:  # one finding of FastAPI's validation
            place = ".".join(str(part) for part in value["loc"]) if isinstance(value["loc"], list) else ""
            return f"{place}: {value['msg']}"
        parts = (_text(value.get(name), depth + 1) for name in ("error", "message", "detail", "msg", "title"))
        return next((part for part in parts if part), "")
    if isinstance(value, (list, tuple)):
        return "; ".join(part for item in value[:5] if (part := _text(item, depth + 1)))
    return ""


_LICENCE = re.compile(r"litellm enterprise|enterprise licen[sc]e|(premium|enterprise) (feature|user)|litellm_license")
_EXISTS = re.compile(r"already (exists|in team)|unique constraint")
_NO_TEAM = re.compile(r"team not found|team.*does(n't| not) exist in db")
_NO_MODEL = re.compile(r"model (with )?id ?=.*not found")
_DURATION = re.compile(r"invalid duration|unsupported duration|invalid budget_duration")
_WRAPPED = re.compile(r"^4\d\d: ")  # an inner refusal that came out as 500
_RESETS = re.compile(r"resets at: (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC")


def refusal(
    status: int, body: Any, *, headers: Mapping[str, str] | None = None, secrets: Iterable[str] = ()
) -> LiteLLMError:
    """The error for an answer of 400 and above; `body` is its JSON, or None if it had none."""
    message, kind = said(body)
    message = redact(_ADVERTISEMENT.sub("", message), secrets)
    found = _class_of(status, message.lower(), kind, body)
    error = found(
        message or f"The proxy answered {status} without a reason.",
        status=status,
        kind=redact(kind, secrets) if kind else None,
        original=message,
        retry_after=_retry_after(headers or {}, message),
    )
    if found is TimedOut:
        error.retryable = True
    return error


def _class_of(status: int, text: str, kind: str | None, body: Any) -> type[LiteLLMError]:
    if kind == "budget_exceeded" or text.startswith("budget has been exceeded"):
        return BudgetExceeded  # 422 by default, 429 or 400 in older versions or by configuration
    if status in (400, 401, 403, 500) and _LICENCE.search(text):
        return LicenceNeeded
    if status in (400, 409, 500) and (_EXISTS.search(text) or kind == "team_member_already_in_team"):
        return AlreadyExists
    if status == 401:
        return WrongRole if "only proxy admin" in text else Unauthorized
    if status == 403:
        return ChosenKeysRefused if "custom api key" in text and "disabled" in text else Forbidden
    if status in (400, 404) and _NO_TEAM.search(text):
        return TeamNotFound
    if status == 400 and _NO_MODEL.search(text):
        return NotFound
    if status == 404:
        return _missing(text, body)
    if status == 405:
        return NoSuchRoute
    if status == 408:
        return TimedOut
    if status == 429:
        return RateLimited
    if status >= 500:
        return Invalid if _DURATION.search(text) or _WRAPPED.match(text) else ServerError
    return Invalid if status in (400, 409, 413, 414, 415, 422) else Refused


def _missing(text: str, body: Any) -> type[LiteLLMError]:
    # A router's own 404, or one of a web server in front, says nothing about the thing that was asked for.
    if not isinstance(body, Mapping) or text in ("", "not found"):
        return NoSuchRoute
    return KeyNotFound if text.startswith(("key not found", "no keys found")) else NotFound


def _retry_after(headers: Mapping[str, str], message: str) -> float | None:
    """Seconds to wait, from `Retry-After` or from LiteLLM's sentence about its limit."""
    stated = headers.get("Retry-After", "").strip()
    if stated.isdigit():
        return float(stated)
    try:
        if stated:
            until = parsedate_to_datetime(stated)
        elif found := _RESETS.search(message):
            until = datetime.fromisoformat(found[1])
        else:
            return None
    except ValueError:
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())
