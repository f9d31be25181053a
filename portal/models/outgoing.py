"""What waits in a table to be sent: letters, and deliveries to webhooks."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any, ClassVar, TypeVar

from django.db import models
from django.utils import timezone

from portal.models.texts import in_short

Row = TypeVar("Row", bound="Outgoing")


class OutgoingQuerySet(models.QuerySet[Row]):
    def due(self, now: datetime) -> OutgoingQuerySet[Row]:
        return self.filter(due_at__lte=now).order_by("due_at", "pk")

    def waiting(self) -> OutgoingQuerySet[Row]:
        return self.filter(due_at__isnull=False)

    def given_up(self) -> OutgoingQuerySet[Row]:
        return self.filter(due_at=None, sent_at=None)


class Outgoing(models.Model):
    """Something written in the transaction of what it tells of, and sent later by a sweep.

    A host that dies between sending it and noting so makes it go twice; never is it lost.
    """

    FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=1)
    PATIENCE: ClassVar[timedelta]  # after it, a failure is the last
    CLAIMED = timedelta(minutes=5)  # longer than one conversation with a slow server

    created_at = models.DateTimeField(default=timezone.now)
    due_at = models.DateTimeField(null=True, default=timezone.now)  # None: sent, or given up
    attempts = models.PositiveSmallIntegerField(default=0)
    last_error = models.CharField(max_length=300, blank=True)
    sent_at = models.DateTimeField(null=True)

    class Meta:
        abstract = True

    def claim(self, now: datetime) -> bool:
        """Take it for this worker for a while. False: another one was quicker."""
        return self._if_still(due_at=now + self.CLAIMED, attempts=self.attempts + 1)

    def was_sent(self, now: datetime, **how: Any) -> None:
        type(self)._default_manager.filter(pk=self.pk).update(sent_at=now, due_at=None, last_error="", **how)

    def put_off(self, error: Exception, now: datetime, **how: Any) -> None:
        """Try again 1 min, 2 min … 1 h later, with jitter so that retries spread; give up after PATIENCE."""
        pause = min(self.FIRST_PAUSE * 2 ** min(self.attempts - 1, 10), self.LONGEST_PAUSE)
        later = now + pause * random.uniform(0.75, 1.0)  # noqa: S311
        given_up = now - self.created_at > self.PATIENCE
        self._if_still(due_at=None if given_up else later, last_error=in_short(error), **how)

    def _if_still(self, **fields: Any) -> bool:
        """Change it unless another worker has done so meanwhile. True: this call did it."""
        if not type(self)._default_manager.filter(pk=self.pk, due_at=self.due_at).update(**fields):
            return False
        for name, value in fields.items():
            setattr(self, name, value)
        return True
