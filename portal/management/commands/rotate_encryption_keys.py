"""`manage.py rotate_encryption_keys`: write every secret anew with the first of KEYDESK_ENCRYPTION_KEYS."""

from __future__ import annotations

from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from django.apps import apps
from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import models, transaction
from django.db.models.functions import Cast

from portal.secrets import EncryptedTextField
from teams import mfa

BATCH = 200  # rows locked at a time


class Command(BaseCommand):
    help = "Re-encrypt every stored secret with the first key of KEYDESK_ENCRYPTION_KEYS. Safe to repeat."

    def handle(self, *args: Any, **options: Any) -> None:
        first = Fernet(settings.ENCRYPTION_KEYS[0])
        for model in apps.get_models():
            for field in model._meta.local_fields:
                if isinstance(field, EncryptedTextField):
                    done, seen = _rotate(model, field.name, first)
                    self.stdout.write(f"{model._meta.label}.{field.name}: {done} of {seen} written anew")
        done, seen = mfa.seal_anew(lambda stored: _opens(first, stored))
        self.stdout.write(f"second factors: {done} of {seen} written anew")


def _rotate(model: type[models.Model], name: str, first: Fernet) -> tuple[int, int]:
    """How many rows were written anew, of how many. Raises ImproperlyConfigured when no key opens a row."""
    rows = model._default_manager.exclude(**{name: ""}).exclude(**{name: None}).order_by("pk")
    done = seen = 0
    last: Any = None
    while True:
        with transaction.atomic():
            batch = rows.select_for_update().annotate(stored=Cast(name, models.TextField()))
            found = list((batch.filter(pk__gt=last) if last is not None else batch)[:BATCH])
            if not found:
                return done, seen
            stale = [row for row in found if not _opens(first, row.stored)]
            for row in stale:
                model._default_manager.filter(pk=row.pk).update(**{name: getattr(row, name)})
        done, seen, last = done + len(stale), seen + len(found), found[-1].pk


def _opens(key: Fernet, stored: str) -> bool:
    try:
        key.decrypt(stored.encode())
    except InvalidToken:
        return False
    return True
