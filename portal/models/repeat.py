"""Calls that carry an Idempotency-Key."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from django.db import models
from django.utils import timezone

from portal.secrets import EncryptedTextField


class Repeat(models.Model):
    """A POST with an Idempotency-Key: who sent it, what it was and, once it is done, what was answered.

    Nobody reads it from the database: the key and the request are keyed digests, and the answer lies encrypted, without
    any secret.
    """

    KEPT = timedelta(hours=24)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)  # where the act takes one, its `once`
    actor_id = models.CharField(max_length=40)  # a person, by session or any of their tokens
    key = models.CharField(max_length=64)  # digest of the Idempotency-Key
    request = models.CharField(max_length=64)  # digest of path and body
    created_at = models.DateTimeField(default=timezone.now, db_index=True)
    runs_until: models.DateTimeField[datetime | None, datetime | None] = models.DateTimeField(null=True)  # None: done
    status = models.PositiveSmallIntegerField(null=True)  # of the answer
    answer = EncryptedTextField(blank=True)  # JSON

    class Meta:
        constraints = [models.UniqueConstraint(fields=["actor_id", "key"], name="one_repeat_for_each_key")]

    def __str__(self) -> str:
        return str(self.pk)

    def is_over(self, now: datetime) -> bool:
        """Whether its key may mean another call by now."""
        return self.created_at <= now - self.KEPT and not (self.runs_until and self.runs_until > now)
