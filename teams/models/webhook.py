"""Where events are sent, and each sending."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from django.db import models

from portal.models import AuditEvent, Outgoing, OutgoingQuerySet
from portal.secrets import EncryptedTextField
from teams.models.team import ONE_LINE, Team
from teams.models.user import User


class WebhookQuerySet(models.QuerySet["Webhook"]):
    def for_event(self, event: AuditEvent) -> list[Webhook]:
        """Those that are on and want this event: the team's, and those of the whole platform."""
        theirs = models.Q(team=None)
        if event.team_id:
            theirs |= models.Q(team_id=event.team_id)
        family = event.action.partition(".")[0]
        found = self.filter(theirs, is_on=True).only("pk", "events")  # the secret stays sealed
        return [hook for hook in found if family in hook.events]


class Webhook(models.Model):
    """An address that is told of events: of one team, or (team None) of the whole platform."""

    FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=1)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    team = models.ForeignKey(Team, null=True, on_delete=models.CASCADE, related_name="webhooks")
    name = models.CharField(max_length=80, validators=[ONE_LINE])
    url = models.CharField(max_length=500)  # may hold a secret of the other side: shown to those who run it alone
    events = models.JSONField(default=list)  # families of acts: names of teams/acts.py GROUPS
    address_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")  # who said where
    secret = EncryptedTextField()
    created_at = models.DateTimeField(auto_now_add=True)

    is_on = models.BooleanField(default=True)
    failing_since = models.DateTimeField(null=True)  # the first failure since it last took something
    next_try_at = models.DateTimeField(null=True)  # nothing is sent before; None: it took the last that was sent
    told_at = models.DateTimeField(null=True)  # that events are given up: those who run it know since then
    trouble = models.CharField(max_length=300, blank=True)  # why it was turned off; blank: it is on, or a person did

    objects = WebhookQuerySet.as_manager()

    class Meta:
        ordering = ["name", "pk"]

    def __str__(self) -> str:
        return self.name

    def fails(self, now: datetime) -> datetime:
        """Note a failure: nothing is sent there for 1 min, 2 min … 1 h. Answers since when it fails; saves nothing."""
        since = self.failing_since = self.failing_since or now
        self.next_try_at = now + min(max(now - since, self.FIRST_PAUSE), self.LONGEST_PAUSE)
        return since

    @property
    def host(self) -> str:
        """As much of the address as anybody may read."""
        return urlsplit(self.url).hostname or ""


class DeliveryQuerySet(OutgoingQuerySet["Delivery"]):
    def to_try(self, now: datetime) -> DeliveryQuerySet:
        """Those that are due, the longest due first, to webhooks that are on and not left alone for a while."""
        free = models.Q(webhook__next_try_at=None) | models.Q(webhook__next_try_at__lte=now)
        found = self.filter(free, webhook__is_on=True, due_at__lte=now)
        return found.select_related("webhook__team").order_by("due_at", "pk")


class Delivery(Outgoing):
    """One event on its way to one webhook, written in the act's transaction. `created_at` is that of the event."""

    PATIENCE = timedelta(days=1)

    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries")
    event_id = models.BigIntegerField()  # no foreign key: retention cuts acts
    event = models.CharField(max_length=60)  # the act, like key.issued
    tried_at = models.DateTimeField(null=True)
    status = models.PositiveSmallIntegerField(null=True)  # what the other side answered last; None: nothing
    answer = models.CharField(max_length=200, blank=True)  # how its answer began

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(fields=["webhook", "event_id"], name="one_delivery_an_event"),
        ]
        indexes = [models.Index(fields=["due_at"], name="delivery_due", condition=models.Q(due_at__isnull=False))]

    def __str__(self) -> str:
        return f"{self.event} to {self.webhook}"

    @property
    def trouble(self) -> str:
        """What went wrong when it was last tried, in words for people."""
        return self.last_error.partition(": ")[2]

    @property
    def state(self) -> str:
        """taken, given_up, waiting (not tried yet) or failing (tried, and to be tried again)."""
        if self.sent_at and not self.due_at:
            return "taken"
        if not self.due_at:
            return "given_up"
        return "failing" if self.attempts else "waiting"
