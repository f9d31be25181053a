"""Every trouble a person can meet, raised once and shown by each door in its own way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from django.utils.translation import gettext, gettext_noop


class PortalError(Exception):
    """Something a person can be told: what happened, and what to do about it.

    `code` is stable and documented; `retryable` says whether the same act may succeed later unchanged;
    `details` maps a field name to its message, for forms and API clients.
    """

    code = "error"
    status = HTTPStatus.BAD_REQUEST
    message = gettext_noop("This could not be done.")
    action = gettext_noop("Go back and try again.")
    retryable = False
    on_record = False  # whether portal/refusals.py writes it down, whoever met it by a writing request

    def __init__(self, message: str = "", *, action: str = "", details: Mapping[str, Any] | None = None) -> None:
        self.message = message or gettext(self.message)
        self.action = action or gettext(self.action)
        self.details = dict(details or {})
        super().__init__(self.message)


class UnknownField(PortalError):
    """The body has fields that this act does not have; `details` names them. Nothing was done with the others."""

    code, status = "unknown_field", HTTPStatus.UNPROCESSABLE_ENTITY
    message = gettext_noop("The body has fields that do not belong here.")
    action = gettext_noop("Leave them out: what they ask for is changed elsewhere, or not at all.")

    def __init__(self, fields: Iterable[str]) -> None:
        super().__init__(details={str(name)[:60]: gettext("There is no such field.") for name in fields})


class TooMany(PortalError):
    """More of these than one actor may ask for in a while. `retry_after`: whole seconds."""

    code, status, retryable = "too_many", HTTPStatus.TOO_MANY_REQUESTS, True
    message = gettext_noop("That was too often.")
    action = gettext_noop("Wait a while, then repeat it.")

    def __init__(self, message: str = "", *, retry_after: int, action: str = "") -> None:
        super().__init__(message, action=action, details={"retry_after": max(1, retry_after)})


class Invalid(PortalError):
    """The input cannot be used; `details` names the fields."""

    code, status = "invalid", HTTPStatus.UNPROCESSABLE_ENTITY
    message = gettext_noop("Some of this cannot be used.")
    action = gettext_noop("Correct what is named and send it again.")


class NotAllowed(PortalError):
    """The actor may see the row, but may not do this to it.

    `right` names what is missing, `who` people who have it, if any may be named; both are in `details`.
    Raises TypeError without a right: nobody is refused without being told what they lack.
    """

    code, status = "not_allowed", HTTPStatus.FORBIDDEN
    message = gettext_noop("You may not do this.")
    action = gettext_noop("Ask a team admin.")
    right = ""

    def __init__(
        self,
        message: str = "",
        *,
        right: str = "",
        who: Iterable[str] = (),
        action: str = "",
        details: Mapping[str, Any] | None = None,
    ) -> None:
        self.right = right or self.right
        if not self.right:
            raise TypeError("a refusal names the right that is missing")
        names = list(who)
        named = {"right": self.right, **({"who": names} if names else {}), **(details or {})}
        super().__init__(message, action=action, details=named)


class SignInAgain(NotAllowed):
    """The act needs a sign-in of the last minutes; pages lead to it by themselves."""

    code, right = "sign_in_again", "recent_sign_in"
    message = gettext_noop("This needs a fresh sign-in.")
    action = gettext_noop("Sign in again, then repeat it.")


class SecondFactorNeeded(NotAllowed):
    """The person's role needs a second factor, and they have none."""

    code, right = "second_factor_needed", "second_factor"
    message = gettext_noop("Your role needs a second factor, and you have none.")
    action = gettext_noop("Set up an authenticator app or a passkey under Your account.")


class Conflict(PortalError):
    """The state has changed, or the act does not fit it."""

    code, status = "conflict", HTTPStatus.CONFLICT
    message = gettext_noop("This does not fit what is there now.")
    action = gettext_noop("Look at the current state, then decide again.")


class SecondNeeded(PortalError):
    """The act needs a second platform admin; it lies saved until one has decided. `proposal`: its id."""

    code, status = "second_admin_needed", HTTPStatus.CONFLICT
    message = gettext_noop("Saved as a proposal; another platform admin has to confirm it.")
    action = gettext_noop("It waits under Operations, Proposals, for seven days; the others got a letter.")


class Unavailable(PortalError):
    """Something Keydesk needs is away; nothing is lost."""

    code, status, retryable = "unavailable", HTTPStatus.SERVICE_UNAVAILABLE, True
    message = gettext_noop("This is not available right now.")
    action = gettext_noop("Try again in a minute.")
