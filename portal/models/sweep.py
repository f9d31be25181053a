"""How the sweeps went."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


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
