"""Intents: promises about a gateway, written before the call, kept by whoever comes first."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db import models
from django.db.models import Case, Q, Value, When
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from keys.models.gateway import Gateway
from keys.models.lease import SETTLED, KeyVersion
from teams.models import Team

ABANDONED = timedelta(seconds=60)  # after its last send, nobody is waiting for the answer any more
WATCHES = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15))
HORIZON = WATCHES[-1]  # a timed-out request was seen to land after 75 s
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=20), timedelta(hours=1)
CLAIMED = timedelta(seconds=60)  # longer than one batch takes; a worker that dies loses its claim after it
STUCK = 6  # failures after which a person is shown it; it is still retried


class IntentQuerySet(models.QuerySet["Intent"]):
    def due(self, now: datetime) -> IntentQuerySet:
        """What to settle now: endings before everything else, the clean-up of abandoned issues last.

        On a gateway that is held nothing is cleaned up: the database may not know that the issue was completed.
        """
        rank = Case(*(When(kind=kind, then=Value(at)) for at, kind in enumerate(Intent.Kind)), default=Value(9))
        found = self.filter(due_at__lte=now).exclude(issuing=True, gateway__held_since__isnull=False)
        return found.order_by("issuing", rank, "due_at", "pk")

    def open(self, now: datetime) -> IntentQuerySet:
        """Promises that should be kept by now: not the net under a running issue, nor one that is only watched."""
        return self.filter(issuing=False, looks=0).filter(Q(attempts__gt=0) | Q(due_at__lte=now))

    def promise(self, kind: Intent.Kind, now: datetime, *, gateway_id: int, **subject: Any) -> Intent:
        """Promise `block` or `shape` for a version or a team, from now on; one that waits already waits no longer."""
        fields = {"due_at": now, "attempts": 0, "looks": 0, "gateway_id": gateway_id}
        return self.update_or_create(kind=kind, gateway_id=gateway_id, **subject, defaults=fields)[0]

    def doom(self, versions: Iterable[KeyVersion], now: datetime) -> list[Intent]:
        """Promise that these versions will be gone, from now on; takes over the safety net of a running issue."""
        doomed = []
        for version in versions:
            if version.ended_at is None:
                self.filter(version=version).exclude(kind=Intent.Kind.GONE).delete()  # no look matters any more
                taken: dict[str, Any] = {"issuing": False, "due_at": now, "attempts": 0}
                if version.unclear_at:  # a send of its issue may yet land, whoever promised its end before
                    taken["sent_at"] = version.unclear_at
                made = {**taken, "gateway_id": version.lease.gateway_id}
                found = {"kind": Intent.Kind.GONE, "version": version}
                doomed.append(self.update_or_create(**found, defaults=taken, create_defaults=made)[0])
        return doomed


class Intent(models.Model):
    """A promise about a gateway, not yet kept: about a version of a key, or (`shape` only) about a team.

    `gone`: this key must not stay there. `block`: it must answer or not, as its lease is active or paused.
    `shape`: the key or team there must look like our row. What must be is read from the row when the promise
    is kept, so a promise never grows stale.
    """

    class Kind(models.TextChoices):
        GONE = "gone", _("Must not stay")
        BLOCK = "block", _("Must not answer")
        SHAPE = "shape", _("Must look like our row")

    kind = models.CharField(max_length=5, choices=Kind, default=Kind.GONE)
    gateway = models.ForeignKey(Gateway, on_delete=models.PROTECT, related_name="intents")
    version = models.ForeignKey(KeyVersion, on_delete=models.PROTECT, related_name="intents", null=True)
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="intents", null=True)
    issuing = models.BooleanField(default=False)  # the safety net of an issue that still runs
    created_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(null=True)  # the last request whose answer was not read left at: it may yet land
    due_at = models.DateTimeField()
    watching_since = models.DateTimeField(null=True)  # deleted once; looked at again for HORIZON
    looks = models.PositiveSmallIntegerField(default=0)
    attempts = models.PositiveSmallIntegerField(default=0)  # failures in a row
    last_error = models.CharField(max_length=300, blank=True)

    objects = IntentQuerySet.as_manager()

    class Meta:
        ordering = ["due_at", "pk"]
        indexes = [models.Index(fields=["due_at"], name="intent_due")]
        constraints = [
            models.UniqueConstraint(fields=["kind", "version"], name="one_intent_of_a_kind"),
            models.UniqueConstraint(fields=["kind", "gateway", "team"], name="one_intent_of_a_kind_for_a_team"),
            models.CheckConstraint(
                name="intent_about_a_version_or_a_team",
                condition=Q(version__isnull=False, team__isnull=True)
                | Q(version__isnull=True, team__isnull=False, kind="shape"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.version or self.team}"

    @property
    def is_pause(self) -> bool:
        """A pause or a resumption that is not effective yet."""
        return self.kind == Intent.Kind.BLOCK and self.looks == 0

    @property
    def is_coming(self) -> bool:
        """The end of a secret whose grace period still runs."""
        version = self.version
        if self.kind != Intent.Kind.GONE or version is None or version.lease.state not in SETTLED:
            return False
        return version.is_live and version.dies_at is not None and version.dies_at > timezone.now()

    @property
    def is_stuck(self) -> bool:
        return self.attempts >= STUCK

    def sending(self, now: datetime) -> bool:
        """Note that a generate leaves now. False: the clean-up has begun, and nothing may be sent any more.

        A secret is never sent again once a delete for its hash was written: generate revives it.
        """
        return self._if_still(issuing=True)(sent_at=now, due_at=now + ABANDONED)

    def abandon(self, now: datetime) -> bool:
        """Take an issue over from whoever ran it. False: it has been completed or taken meanwhile."""
        return self._if_still(issuing=True, due_at__lte=now)(issuing=False)

    def put_off(self, reason: str, now: datetime) -> None:
        """Count a failure and try again later: 20 s, 40 s … 1 h, with jitter so that retries spread."""
        pause = min(FIRST_PAUSE * 2 ** min(self.attempts, 10), LONGEST_PAUSE)
        self.attempts += 1
        self.last_error = reason.replace("\0", "")[:300]
        self.due_at = now + pause * random.uniform(0.75, 1.0)  # noqa: S311
        self._write("attempts", "last_error", "due_at")

    def watch(self, now: datetime, **still: Any) -> bool:
        """Look again 1, 5 and 15 minutes after the first clean-up. False: no send was unclear, or HORIZON is over."""
        if self.sent_at is None:
            return False
        self.watching_since = self.watching_since or now
        coming = [self.watching_since + pause for pause in WATCHES]
        later = [moment for moment in coming if moment > now]
        if not later:
            return False
        self.due_at, self.attempts, self.last_error = later[0], 0, ""
        self.looks += 1
        self._write("due_at", "watching_since", "looks", "attempts", "last_error", **still)
        return True

    def _write(self, *names: str, **still: Any) -> None:
        """Past `save()`: a row that another worker has kept and forgotten meanwhile is no trouble."""
        Intent.objects.filter(pk=self.pk, **still).update(**{name: getattr(self, name) for name in names})

    def unclear(self, now: datetime) -> None:
        """Note that a request left whose answer was not read."""
        self.sent_at, self.watching_since = now, None
        self._write("sent_at", "watching_since")

    def keep(self, now: datetime) -> None:
        """Note that it was kept: forget it, or look again while a late request may land; not if promised anew."""
        promised = self.due_at
        if not self.watch(now, due_at=promised):
            Intent.objects.filter(pk=self.pk, due_at=promised).delete()

    def claim(self, now: datetime) -> bool:
        """Take it for this worker for a while. False: another one was quicker."""
        return self._if_still(due_at=self.due_at)(due_at=now + CLAIMED)

    def _if_still(self, **state: Any) -> Callable[..., bool]:
        def change(**fields: Any) -> bool:
            if not Intent.objects.filter(pk=self.pk, **state).update(**fields):
                return False
            try:
                self.refresh_from_db()
            except Intent.DoesNotExist:  # kept and forgotten by another worker at this very moment
                return False
            return True

        return change
