"""Every trouble a person can meet, raised once and shown by each door in its own way."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any


class PortalError(Exception):
    """Something a person can be told: what happened, and what to do about it.

    `code` is stable and documented; `retryable` says whether the same act may succeed later unchanged;
    `details` maps a field name to its message, for forms and API clients.
    """

    code = "error"
    status = HTTPStatus.BAD_REQUEST
    message = "This could not be done."
    action = "Go back and try again."
    retryable = False

    def __init__(self, message: str = "", *, action: str = "", details: Mapping[str, Any] | None = None) -> None:
        self.message = message or self.message
        self.action = action or self.action
        self.details = dict(details or {})
        super().__init__(self.message)


class Invalid(PortalError):
    """The input cannot be used; `details` names the fields."""

    code, status = "invalid", HTTPStatus.UNPROCESSABLE_ENTITY
    message = "Some of this cannot be used."
    action = "Correct what is named and send it again."


class NotAllowed(PortalError):
    """The actor may see the row, but may not do this to it."""

    code, status = "not_allowed", HTTPStatus.FORBIDDEN
    message = "You may not do this."
    action = "Ask a team admin."


class Conflict(PortalError):
    """The state has changed, or the act does not fit it."""

    code, status = "conflict", HTTPStatus.CONFLICT
    message = "This does not fit what is there now."
    action = "Look at the current state, then decide again."


class Unavailable(PortalError):
    """Something Keydesk needs is away; nothing is lost."""

    code, status, retryable = "unavailable", HTTPStatus.SERVICE_UNAVAILABLE, True
    message = "This is not available right now."
    action = "Try again in a minute."
