"""Letters on their way, and what waits for somebody's daily one."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import models

from portal.models.outgoing import Outgoing, OutgoingQuerySet


class LetterQuerySet(OutgoingQuerySet["Letter"]):
    pass


class Letter(Outgoing):
    """An e-mail, written in the transaction of what it tells of and sent later. No two have the same `key`.

    `to` names those who get it at once. It may be nobody: then it counts as sent, and waits for daily letters alone.
    """

    PATIENCE = timedelta(days=3)
    STUCK = 3  # failures after which a person is told

    key = models.CharField(max_length=120, unique=True)
    kind = models.CharField(max_length=40, blank=True, db_default="")  # what it tells of; see portal/notices.py
    language = models.CharField(max_length=10, db_default="en", default="en")
    to = models.JSONField()  # addresses
    subject = models.CharField(max_length=200)
    text = models.TextField()

    objects = LetterQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["due_at"], name="letter_due", condition=models.Q(due_at__isnull=False))]

    def __str__(self) -> str:
        return self.subject


class DigestLineQuerySet(models.QuerySet["DigestLine"]):
    def untold(self, before: datetime) -> DigestLineQuerySet:
        """What no daily letter has told yet, of letters written before then."""
        return self.filter(digest=None, letter__created_at__lt=before)


class DigestLine(models.Model):
    """A letter that one person reads of in their daily one."""

    letter = models.ForeignKey(Letter, on_delete=models.CASCADE, related_name="lines")
    address = models.EmailField()
    digest = models.ForeignKey(Letter, null=True, on_delete=models.CASCADE, related_name="tells_of")

    objects = DigestLineQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["address"], name="digest_untold", condition=models.Q(digest__isnull=True)),
        ]

    def __str__(self) -> str:
        return f"{self.letter}, for {self.address}"
