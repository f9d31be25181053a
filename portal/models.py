"""What teams and keys share: the audit trail."""

from __future__ import annotations

import uuid
from typing import Any, NoReturn

from django.db import models


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
