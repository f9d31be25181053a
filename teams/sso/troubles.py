"""What can go wrong on the way in, as a person is told it."""

from __future__ import annotations

from http import HTTPStatus

from django.utils.translation import gettext_noop

from portal.errors import Conflict, NotAllowed, PortalError, Unavailable


class ProviderAway(Unavailable):
    """The identity provider does not answer, or says something that is no answer."""

    code = "provider_away"
    retryable = False  # the address of this page holds a code that is used up: the way begins at the front door
    action = gettext_noop("Nothing was changed. Start again from the sign-in page in a minute.")


class WayLost(PortalError):
    """An answer of a provider to something this browser has not asked, or asked too long ago."""

    code, status = "sign_in_lost", HTTPStatus.BAD_REQUEST
    message = gettext_noop("This sign-in was not begun in this browser, or more than ten minutes ago.")
    action = gettext_noop("Start again from the sign-in page. Cookies have to be allowed for this site.")


class SignInStopped(NotAllowed):
    """The person, or the provider, said no."""

    code, right = "sign_in_stopped", "sign_in"
    action = gettext_noop(
        "You are not signed in. Start again from the sign-in page, or ask who runs the provider for access."
    )


class SignInRefused(NotAllowed):
    """The provider knows this person, and we do not let them in; `reason` is for the audit trail."""

    code, right = "sign_in_refused", "sign_in"

    def __init__(self, reason: str, message: str, *, action: str) -> None:
        super().__init__(message, action=action)
        self.reason = reason


class LastWayIn(Conflict):
    code = "last_way_in"
    message = gettext_noop("This is your last way in.")
    action = gettext_noop("Set a password or connect another provider first.")
