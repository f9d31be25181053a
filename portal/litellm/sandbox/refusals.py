"""The proxy's refusals, in its three body shapes and its own words (LiteLLM 1.106.2, seen)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

LICENCE = (
    "You must be a LiteLLM Enterprise user to use this feature. If you have a license please set "
    "`LITELLM_LICENSE` in your env. Get a 7 day trial key here: https://www.litellm.ai/enterprise#trial. "
    "\nPricing: https://www.litellm.ai/#pricing"
)


class Refusal(Exception):
    """An answer other than 2xx."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(f"{status} {body}")
        self.status, self.body = status, body


def failure(status: int, message: str, kind: str = "internal_server_error", param: str | None = None) -> Refusal:
    """The shape of most key and user endpoints; `code` is the status as text."""
    return Refusal(status, {"error": {"message": message, "type": kind, "param": param, "code": str(status)}})


def quoted(status: int, text: str, kind: str = "internal_server_error", param: str | None = None) -> Refusal:
    """The same, where the message is the Python repr of a dict."""
    return failure(status, str({"error": text}), kind, param)


def unauthorized(message: str, status: int = 401, kind: str = "auth_error", param: str = "None") -> Refusal:
    return failure(status, message, kind, param)


def detail(status: int, value: Any) -> Refusal:
    """The shape of endpoints that raise directly."""
    return Refusal(status, {"detail": value})


def invalid(kind: str, loc: Sequence[str | int], message: str) -> Refusal:
    """The shape of a body or query that did not validate: 422."""
    return detail(422, [{"type": kind, "loc": list(loc), "msg": message}])


def unlicensed(feature: str, kind: str = "internal_server_error", param: str | None = None) -> Refusal:
    """A field that needs a licence, on keys and new teams: 403."""
    text = f"This feature is only available for LiteLLM Enterprise users: {feature}. {LICENCE}"
    return quoted(403, text, kind, param)


def no_team(team_id: str) -> str:
    return f"Team doesn't exist in db. Team={team_id}. Create team via `/team/new` call."
