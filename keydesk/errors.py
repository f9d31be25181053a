"""What can go wrong, in two lines and an exit code."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any


class Exit(IntEnum):
    """The exit codes, as docs/cli.md has them. 75 is sysexits' EX_TEMPFAIL: the same call may work later."""

    OK = 0
    REFUSED = 1
    USAGE = 2
    NOT_SIGNED_IN = 3
    NOT_FOUND = 4
    NOT_ALLOWED = 5
    LATER = 75
    INTERRUPTED = 130
    TERMINATED = 143


class CliError(Exception):
    """Something to tell the person: what happened, and what to do about it."""

    def __init__(self, message: str, action: str = "", *, exit_code: int = Exit.REFUSED) -> None:
        self.message, self.action, self.exit_code = message, action, exit_code
        super().__init__(message)


class Usage(CliError):
    """The command line itself is wrong."""

    def __init__(self, message: str, action: str = "") -> None:
        super().__init__(message, action, exit_code=Exit.USAGE)


class NotSignedIn(CliError):
    """There is no login for this server, or the server does not take it any more."""

    def __init__(self, message: str, action: str = "Run `keydesk login`.") -> None:
        super().__init__(message, action, exit_code=Exit.NOT_SIGNED_IN)


class Away(CliError):
    """The server cannot be reached, or has no time. The same call may work later."""

    def __init__(self, message: str, action: str = "Try again in a minute.") -> None:
        super().__init__(message, action, exit_code=Exit.LATER)


class Refused(CliError):
    """Keydesk said no. `code` is stable: docs/api.md lists them."""

    def __init__(self, status: int, error: Mapping[str, Any], wait: int | None = None) -> None:
        self.status, self.wait = status, wait
        self.code = str(error.get("code") or "error")
        self.retryable = bool(error.get("retryable"))
        found = error.get("details")
        self.details: dict[str, Any] = found if isinstance(found, dict) else {}
        self.error = dict(error)
        message = str(error.get("message") or f"Keydesk answered {status}.")
        if self.code == "invalid" and self.details:  # which fields, and why
            message += "".join(f" {name}: {_words(said)}" for name, said in self.details.items())
        action = str(error.get("action") or "").replace("force=true", "--force")  # as the command line has it
        super().__init__(message, action, exit_code=exit_code(status))


def _words(said: Any) -> str:
    """What is said of a field, in one piece of text."""
    if isinstance(said, Mapping):
        return "; ".join(f"{name}: {_words(each)}" for name, each in said.items())
    return " ".join(map(_words, said)) if isinstance(said, list) else str(said)


def exit_code(status: int) -> int:
    """What a status of HTTP, of a refusal, is as an exit code."""
    known = {401: Exit.NOT_SIGNED_IN, 403: Exit.NOT_ALLOWED, 404: Exit.NOT_FOUND, 429: Exit.LATER, 503: Exit.LATER}
    return known.get(status, Exit.LATER if status >= 500 else Exit.REFUSED)
