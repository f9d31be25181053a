"""Encryption at rest: one model field, and the key ring behind it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import models


@lru_cache(maxsize=4)
def _ring(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])


def key_ring() -> MultiFernet:
    """The keys in `settings.ENCRYPTION_KEYS`: the first encrypts, all of them decrypt."""
    return _ring(tuple(settings.ENCRYPTION_KEYS))


class EncryptedTextField(models.TextField):  # type: ignore[type-arg]
    """Text that lies encrypted in the database (Fernet: AES-128-CBC with HMAC-SHA256).

    Raises ImproperlyConfigured when no configured key opens a row.
    """

    def get_prep_value(self, value: Any) -> Any:
        plain = super().get_prep_value(value)
        return plain and key_ring().encrypt(plain.encode()).decode()

    def from_db_value(self, value: str | None, *_: Any) -> str | None:
        if not value:
            return value
        try:
            return key_ring().decrypt(value.encode()).decode()
        except InvalidToken:
            raise ImproperlyConfigured(
                "A stored secret cannot be opened with KEYDESK_ENCRYPTION_KEYS. Add the key it was written with."
            ) from None
