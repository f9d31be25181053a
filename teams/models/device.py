"""Logins of the command line, as they are asked for, and the secrets that their tokens had before."""

from __future__ import annotations

import secrets
import uuid
from datetime import timedelta

from django.db import models
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy

from teams.models.token import ApiToken
from teams.models.user import User


class DeviceLogin(models.Model):
    """A machine that asks to be signed in as whoever confirms its code in a browser. Source: RFC 8628.

    What the machine polls with is kept as an HMAC. The code that people compare opens nothing by itself.
    """

    class State(models.TextChoices):
        OPEN = "open", gettext_lazy("Waits")
        CONFIRMED = "confirmed", gettext_lazy("Confirmed")
        REFUSED = "refused", gettext_lazy("Refused")
        COLLECTED = "collected", gettext_lazy("Signed in")

    LIFE = timedelta(minutes=10)
    INTERVAL = 3  # seconds between two polls
    # Nothing that looks or sounds alike (0O 1IL 2Z 5S 8B UV), and no vowels, so that no code is a word.
    LETTERS = "CDFGHJKMNPQRTVWXY34679"
    LENGTH = 8

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    digest = models.CharField(max_length=64, unique=True)  # HMAC of what the machine polls with
    code = models.CharField(max_length=LENGTH, unique=True)
    machine = models.CharField(max_length=60)  # as it calls itself: nobody has checked that
    ip = models.GenericIPAddressField(null=True)
    state = models.CharField(max_length=10, choices=State, default=State.OPEN)
    person = models.ForeignKey(User, null=True, on_delete=models.CASCADE, related_name="device_logins")
    scopes = models.JSONField(default=list)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(db_index=True)
    polled_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.machine

    @property
    def shown_code(self) -> str:
        """As people read it: ABCD-2345."""
        return f"{self.code[:4]}-{self.code[4:]}"

    @property
    def is_over(self) -> bool:
        return self.expires_at <= timezone.now()

    @classmethod
    def choose_code(cls) -> str:
        return "".join(secrets.choice(cls.LETTERS) for _ in range(cls.LENGTH))

    @staticmethod
    def digest_of(plain: str) -> str:
        return salted_hmac("keydesk.device", plain, algorithm="sha256").hexdigest()


class ReplacedSecret(models.Model):
    """A secret that a login had before it was refreshed. Used after `good_until`, somebody has a copy of it."""

    token = models.ForeignKey(ApiToken, on_delete=models.CASCADE, related_name="replaced")
    digest = models.CharField(max_length=64, unique=True)
    good_until = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.token}, until {self.good_until:%Y-%m-%d %H:%M} UTC"
