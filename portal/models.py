"""What teams and keys share: the audit trail, the sweeps' records, the letters."""

from __future__ import annotations

import random
import uuid
from datetime import datetime, timedelta
from typing import Any, NoReturn

from django.db import models
from django.utils import timezone

from portal.log import scrub


def storable(text: str) -> str:
    """`text` without a secret, and without what PostgreSQL refuses: NUL and halves of characters."""
    return scrub(text).replace("\0", "").encode("utf-8", "replace").decode()


def in_short(error: BaseException) -> str:
    """What an error says, on one line of at most 300 characters, without a secret."""
    return " ".join(storable(f"{type(error).__name__}: {error}").split())[:300]


class AuditEventQuerySet(models.QuerySet["AuditEvent"]):
    def update(self, **kwargs: Any) -> NoReturn:
        raise TypeError("Audit events are append-only.")

    def delete(self) -> NoReturn:
        raise TypeError("Audit events are append-only.")


class AuditEvent(models.Model):
    """One act: who did what to what, from where, when. Written in the act's own transaction, never changed.

    Names are kept as text beside the ids, so that history stays readable when rows are gone.
    """

    at = models.DateTimeField(auto_now_add=True, db_index=True)
    action = models.CharField(max_length=60, db_index=True)
    actor_id = models.CharField(max_length=40, blank=True)
    actor = models.CharField(max_length=254)
    actor_kind = models.CharField(max_length=20)
    target_type = models.CharField(max_length=40)
    target_id = models.CharField(max_length=40)
    target = models.CharField(max_length=254)
    team_id = models.CharField(max_length=40, blank=True, db_index=True)
    ip = models.GenericIPAddressField(null=True)
    token_id = models.CharField(max_length=40, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    facts = models.JSONField(default=dict)

    objects = AuditEventQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["target_type", "target_id", "-id"], name="audit_target")]

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self.pk:
            raise TypeError("Audit events are append-only.")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("Audit events are append-only.")


class Installation(models.Model):
    """Which Keydesk this is. Written on each key, so that two portals on one proxy never end each other's."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    instance = models.UUIDField(default=uuid.uuid4, editable=False)

    class Meta:
        constraints = [models.CheckConstraint(name="one_installation", condition=models.Q(id=1))]

    @classmethod
    def current(cls) -> str:
        """The instance id of this database, made at first use."""
        return str(cls.objects.get_or_create(pk=1)[0].instance)


class Sweep(models.Model):
    """How the runs of one sweep went, the last one above all. Only portal/sweeps.py writes it."""

    name = models.CharField(max_length=60, unique=True)  # the task's function: settle_intents
    created_at = models.DateTimeField(default=timezone.now)  # first looked for, or first run
    running_since = models.DateTimeField(null=True)  # the latest run that has not ended; for some it is the claim
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)  # well or not; so are `seconds` and `error`
    succeeded_at = models.DateTimeField(null=True)
    seconds = models.FloatField(null=True)
    counts = models.JSONField(default=dict)  # of the last run that ended well
    error = models.CharField(max_length=300, blank=True)
    failures = models.PositiveIntegerField(default=0)  # in a row

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class LetterQuerySet(models.QuerySet["Letter"]):
    def due(self, now: datetime) -> LetterQuerySet:
        return self.filter(due_at__lte=now).order_by("due_at", "pk")

    def waiting(self) -> LetterQuerySet:
        return self.filter(due_at__isnull=False)

    def given_up(self) -> LetterQuerySet:
        return self.filter(due_at=None, sent_at=None)


class Letter(models.Model):
    """An e-mail, written in the transaction of what it tells of and sent later. No two have the same `key`.

    A host that dies between sending it and noting so makes it go twice; never is it lost.
    """

    FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=1)
    PATIENCE = timedelta(days=3)  # after it, a failure is the last
    CLAIMED = timedelta(minutes=5)  # longer than one conversation with a slow server
    STUCK = 3  # failures after which a person is told

    key = models.CharField(max_length=120, unique=True)
    to = models.JSONField()  # addresses
    subject = models.CharField(max_length=200)
    text = models.TextField()
    created_at = models.DateTimeField(default=timezone.now)
    due_at = models.DateTimeField(null=True, default=timezone.now)  # None: sent, or given up
    attempts = models.PositiveSmallIntegerField(default=0)
    last_error = models.CharField(max_length=300, blank=True)
    sent_at = models.DateTimeField(null=True)

    objects = LetterQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["due_at"], name="letter_due", condition=models.Q(due_at__isnull=False))]

    def __str__(self) -> str:
        return self.subject

    def claim(self, now: datetime) -> bool:
        """Take it for this worker for a while. False: another one was quicker."""
        return self._if_still(due_at=now + self.CLAIMED, attempts=self.attempts + 1)

    def was_sent(self, now: datetime) -> None:
        Letter.objects.filter(pk=self.pk).update(sent_at=now, due_at=None, last_error="")

    def put_off(self, error: Exception, now: datetime) -> None:
        """Try again 1 min, 2 min … 1 h later, with jitter so that retries spread; give up after PATIENCE."""
        pause = min(self.FIRST_PAUSE * 2 ** min(self.attempts - 1, 10), self.LONGEST_PAUSE)
        later = now + pause * random.uniform(0.75, 1.0)  # noqa: S311
        given_up = now - self.created_at > self.PATIENCE
        self._if_still(due_at=None if given_up else later, last_error=in_short(error))

    def _if_still(self, **fields: Any) -> bool:
        """Change it unless another worker has done so meanwhile. True: this call did it."""
        if not Letter.objects.filter(pk=self.pk, due_at=self.due_at).update(**fields):
            return False
        for name, value in fields.items():
            setattr(self, name, value)
        return True
