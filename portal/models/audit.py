"""The audit trail: acts, the seals that chain them, the cuts that retention made, and the head of the chain."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NoReturn, TypeVar

from django.db import models
from django.db.models import Exists, OuterRef
from django.utils import timezone

Row = TypeVar("Row", bound=models.Model)


class AppendOnlyQuerySet(models.QuerySet[Row]):
    """Rows that are written once. The database refuses the rest as well: portal/append_only.py."""

    def update(self, **kwargs: Any) -> NoReturn:
        raise TypeError("Audit rows are append-only.")

    def delete(self) -> NoReturn:
        raise TypeError("Audit rows are append-only.")

    def fall(self) -> int:
        """Delete rows that a recorded cut covers; the database refuses any other. Answers how many."""
        return super().delete()[0]


class AppendOnly(models.Model):
    """A row that is written once."""

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TypeError("Audit rows are append-only.")
        super().save(*args, **kwargs | {"force_insert": True})

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("Audit rows are append-only.")


class AuditEventQuerySet(AppendOnlyQuerySet["AuditEvent"]):
    def unsealed(self, above: int = 0) -> AuditEventQuerySet:
        """Acts that the chain does not hold yet, with ids above `above`."""
        sealed = AuditSeal.objects.filter(event_id=OuterRef("pk"))
        return self.filter(~Exists(sealed), pk__gt=above).order_by("pk")


class AuditEvent(AppendOnly):
    """One act: who did what to what, from where, when. Written in the act's own transaction, never changed.

    Names are kept as text beside the ids, so that history stays readable when rows are gone. No secret is here:
    `secret_hash` finds the acts of one when it is pasted, and tells nobody what it is.
    """

    at = models.DateTimeField(default=timezone.now, db_index=True)
    action = models.CharField(max_length=60, db_index=True)
    actor_id = models.CharField(max_length=40, blank=True)
    actor = models.CharField(max_length=254)
    actor_kind = models.CharField(max_length=20)
    on_behalf_of = models.CharField(max_length=254, blank=True, db_default="")  # for whom, where that is another
    target_type = models.CharField(max_length=40)
    target_id = models.CharField(max_length=40)
    target = models.CharField(max_length=254)
    team_id = models.CharField(max_length=40, blank=True)
    ip = models.GenericIPAddressField(null=True)
    token_id = models.CharField(max_length=40, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    secret_hash = models.CharField(max_length=64, blank=True, db_default="", db_index=True)  # keyed; see chain.py
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    facts = models.JSONField(default=dict)
    salt = models.CharField(max_length=32, blank=True, db_default="")  # of the digest of what is personal
    stamp = models.CharField(max_length=64, blank=True, db_default="")  # that Keydesk wrote this row; see chain.py

    objects = AuditEventQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["target_type", "target_id", "-id"], name="audit_target"),
            models.Index(fields=["team_id", "-id"], name="audit_team"),
            models.Index(fields=["actor_id", "-id"], name="audit_actor"),
        ]

    @property
    def all_facts(self) -> dict[str, Any]:
        """The facts, with `before` and `after` among them; rows of earlier versions have these there already."""
        two = {"before": self.before, "after": self.after}
        return {**self.facts, **{name: value for name, value in two.items() if value is not None}}


class AuditSeal(AppendOnly):
    """One link of the chain: that this act stands at this place, after all those before it. Only the sealer writes it.

    The order of the chain is the order in which acts were seen; a transaction that took long comes late.
    """

    number = models.BigIntegerField(primary_key=True)  # 1, 2, 3 … without a hole
    event_id = models.BigIntegerField(unique=True)  # no foreign key: the chain must be able to miss a row
    personal = models.CharField(max_length=64)  # salted digest of what the act says of people
    mac = models.CharField(max_length=64)  # over the seal before, the number, the act and `personal`

    objects = AppendOnlyQuerySet["AuditSeal"].as_manager()

    class Meta:
        ordering = ["number"]


class AuditCut(AppendOnly):
    """Where retention cut the oldest acts off: recorded, and itself part of the chain, before any row goes."""

    up_to = models.BigIntegerField(unique=True)  # number of the last seal that goes
    event_id = models.BigIntegerField()  # and the act it sealed
    count = models.BigIntegerField()  # acts that go with this cut
    until = models.DateTimeField()  # they happened before this
    head = models.CharField(max_length=64)  # mac of the seal `up_to`: what is left goes on from here
    made_at = models.DateTimeField(default=timezone.now)
    mac = models.CharField(max_length=64)  # over all of it, and the cut before

    objects = AppendOnlyQuerySet["AuditCut"].as_manager()

    class Meta:
        ordering = ["up_to"]

    def __str__(self) -> str:
        return f"Acts before {self.until:%d %b %Y}"


class AuditHead(models.Model):
    """Where the chain ends, and how far it was sent. One row, which sealers lock; writers never touch it."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    count = models.BigIntegerField(default=0)
    mac = models.CharField(max_length=64, blank=True)
    begun_at = models.DateTimeField()  # acts from before have no stamp
    unstamped = models.BigIntegerField(default=0)  # the last of them; 0: there was none
    settled = models.BigIntegerField(default=0)  # all ids up to here are sealed, and old enough that none comes late
    signature = models.CharField(max_length=64)  # over all of the above, and `streamed`
    sealed_at = models.DateTimeField(null=True)  # the last act was sealed then

    streamed = models.BigIntegerField(default=0)  # number of the last seal that was sent and taken
    under_way = models.BigIntegerField(default=0)  # last seal of the batch being sent: a repeat has the same bounds
    failures = models.PositiveIntegerField(default=0)  # in a row
    due_at: models.DateTimeField[datetime | None, datetime | None] = models.DateTimeField(null=True)  # the next try
    error = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = [models.CheckConstraint(name="one_audit_head", condition=models.Q(id=1))]
