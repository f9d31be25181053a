"""Secrets in links that go out by mail. Nothing keeps them: they are made of an id, whenever a letter is sent."""

from __future__ import annotations

import base64

from django.utils.crypto import salted_hmac


def secret_of(kind: str, number: object) -> str:
    """The secret in the link of one `kind` of thing, like an invitation: 43 characters, an HMAC of its id.

    With another SECRET_KEY it is another one, and links that were sent before open nothing.
    """
    made = salted_hmac(f"keydesk.link.{kind}", str(number), algorithm="sha256").digest()
    return base64.urlsafe_b64encode(made).rstrip(b"=").decode()


def ticket_of(kind: str, secret: str) -> str:
    """What is kept of such a secret, to know it again: 64 hexadecimal digits. It opens no link."""
    return salted_hmac(f"keydesk.ticket.{kind}", secret, algorithm="sha256").hexdigest()
