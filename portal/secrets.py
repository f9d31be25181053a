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


def seal(text: str) -> str:
    """`text`, encrypted (Fernet: AES-128-CBC with HMAC-SHA256)."""
    return key_ring().encrypt(text.encode()).decode()


def unseal(sealed: str) -> str:
    """What was sealed. Raises ImproperlyConfigured when no configured key opens it."""
    try:
        return key_ring().decrypt(sealed.encode()).decode()
    except InvalidToken:
        raise ImproperlyConfigured(
            "A stored secret cannot be opened with KEYDESK_ENCRYPTION_KEYS. Add the key it was written with."
        ) from None


class EncryptedTextField(models.TextField):  # type: ignore[type-arg]
    """Text that lies sealed in the database.

    Raises ImproperlyConfigured when no configured key opens a row.
    """

    def get_prep_value(self, value: Any) -> Any:
        plain = super().get_prep_value(value)
        return plain and seal(plain)

    def from_db_value(self, value: str | None, *_: Any) -> str | None:
        return value and unseal(value)
