"""Which Keydesk this is."""

from __future__ import annotations

import uuid

from django.db import models


class Installation(models.Model):
    """Which Keydesk this is. Written on each key, so that two portals on one proxy never end each other's."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    instance = models.UUIDField(default=uuid.uuid4, editable=False)

    class Meta:
        constraints = [models.CheckConstraint(name="one_installation", condition=models.Q(id=1))]

    def __str__(self) -> str:
        return "Keydesk"

    @classmethod
    def current(cls) -> str:
        """The instance id of this database, made at first use."""
        return str(cls.objects.get_or_create(pk=1)[0].instance)
