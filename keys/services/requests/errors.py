"""The troubles of requests."""

from __future__ import annotations

from http import HTTPStatus

from django.utils.translation import gettext_noop

from portal.errors import Conflict, PortalError


class NotOpen(Conflict):
    """The request was decided, cancelled or claimed meanwhile."""

    code = "request_closed"
    message = gettext_noop("This request is not open any more.")
    action = gettext_noop("Look at it again for what became of it.")


class Wider(PortalError):
    """An approver may give less than was asked, never more."""

    code, status = "wider_than_asked", HTTPStatus.UNPROCESSABLE_ENTITY
    message = gettext_noop("That is more than was asked.")
    action = gettext_noop("Grant as much as was asked, or less.")


class NothingToDecide(Conflict):
    """What is asked needs no decision."""

    code = "nothing_to_decide"
    message = gettext_noop("The key role gives this at once: there is nothing to decide.")
    action = gettext_noop("Issue the key.")


class ApprovedBefore(Conflict):
    """Two different people must approve, and this one has."""

    code = "approved_before"
    message = gettext_noop("You have approved this already. It needs a second, different approver.")
    action = gettext_noop("Wait for the other approver; you can still say something, or deny it.")


class RiseRunning(Conflict):
    """One rise at a time."""

    code = "rise_running"
    action = gettext_noop("Wait until it is over, then ask again.")


class TooManyWaiting(Conflict):
    code = "too_many_waiting"
    action = gettext_noop("Cancel one that you no longer need, or wait for its decision.")
