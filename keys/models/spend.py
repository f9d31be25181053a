"""Money: the ledger of daily rows, and what the proxies count. USD as Decimal, days and times in UTC."""

from __future__ import annotations

from decimal import Decimal

from django.db import models

from keys.models.gateway import Gateway
from keys.models.lease import KeyVersion
from teams.models import Team, User


class SpendDay(models.Model):
    """What one key spent with one model on one UTC day, as the proxy's ledger tells it; written repeatably.

    Team and holder are those of the day's first row, and names are kept as text, so totals and statements
    survive rotation, transfer, deletion and renaming.
    """

    gateway = models.ForeignKey(Gateway, on_delete=models.PROTECT, related_name="spend_days")
    version = models.ForeignKey(KeyVersion, on_delete=models.PROTECT, related_name="spend_days")
    day = models.DateField()
    model = models.CharField(max_length=200)
    spend = models.DecimalField(max_digits=18, decimal_places=9)  # USD
    prompt_tokens = models.BigIntegerField(default=0)
    completion_tokens = models.BigIntegerField(default=0)
    requests = models.BigIntegerField(default=0)  # failed ones too
    failed = models.BigIntegerField(default=0)
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="spend_days")
    holder = models.ForeignKey(User, on_delete=models.PROTECT, related_name="spend_days")
    key_alias = models.CharField(max_length=120)
    team_name = models.CharField(max_length=120)
    holder_name = models.CharField(max_length=254)
    role_name = models.CharField(max_length=60)
    written_at = models.DateTimeField()  # when a sync last found it changed

    class Meta:
        ordering = ["-day", "model"]
        constraints = [models.UniqueConstraint(fields=["version", "day", "model"], name="one_row_a_day_and_model")]
        indexes = [
            models.Index(fields=["team", "day"], name="spend_team_day"),
            models.Index(fields=["holder", "day"], name="spend_holder_day"),
            models.Index(fields=["gateway", "day"], name="spend_gateway_day"),
        ]

    def __str__(self) -> str:
        return f"{self.key_alias} {self.day} {self.model}"


class Counter(models.Model):
    """What a proxy counts against a team's budget, or against a holder's budget in the team."""

    gateway = models.ForeignKey(Gateway, on_delete=models.CASCADE, related_name="counters")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="counters")
    holder = models.ForeignKey(User, on_delete=models.CASCADE, related_name="counters", null=True)
    spend = models.DecimalField(max_digits=18, decimal_places=9, default=Decimal(0))  # USD in the running window
    resets_at = models.DateTimeField(null=True)
    read_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["gateway", "team", "holder"], name="one_counter_a_holder"),
            models.UniqueConstraint(
                fields=["gateway", "team"], condition=models.Q(holder=None), name="one_counter_a_team"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.team} on {self.gateway}"
