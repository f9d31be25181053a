"""Letters, one function each. No letter ever holds a secret."""

from __future__ import annotations

from django.conf import settings
from django.core.mail import send_mail
from django.urls import reverse


def welcome(to: str, team: str, inviter: str) -> None:
    """Tell a new person that they have an account, and where to set a password."""
    send_mail(
        " ".join(f"Keydesk: you are in {team}".split()),
        f"{inviter} added you to {team} on Keydesk, the desk for virtual keys.\n\n"
        f"Set a password for {to} here, then sign in:\n{settings.URL}{reverse('account_reset_password')}\n",
        None,
        [to],
        fail_silently=True,
    )
