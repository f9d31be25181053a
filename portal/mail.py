"""Letters, one function each. No letter ever holds a secret."""

from __future__ import annotations

from smtplib import SMTPException

import structlog
from django.conf import settings
from django.core.mail import send_mail
from django.urls import reverse

log = structlog.get_logger(__name__)


def welcome(to: str, team: str, inviter: str) -> None:
    """Tell a new person that they have an account, and where to set a password."""
    try:
        send_mail(
            " ".join(f"Keydesk: you are in {team}".split()),
            f"{inviter} added you to {team} on Keydesk, the desk for virtual keys.\n\n"
            f"Set a password for {to} here, then sign in:\n{settings.URL}{reverse('account_reset_password')}\n",
            None,
            [to],
        )
    except (OSError, SMTPException) as error:  # the person is in the team all the same, and can be told otherwise
        log.error("letter_not_sent", letter="welcome", reason=type(error).__name__)
