"""Monthly statements: what a team spent, frozen when the month has settled. USD as Decimal, days in UTC."""

from __future__ import annotations

import uuid
from decimal import Decimal

from django.db import models

from keys.models.gateway import Gateway
from keys.models.lease import Lease
from teams.models import Team, User


class Statement(models.Model):
    """What one team spent in one calendar month (UTC), as the ledger said when it was closed; never changed.

    What the ledger says of that month later is a correction: a line of the next statement. The database refuses to
    change or delete it, and to add a line once it is there (keys/frozen.py): its lines are written before it is.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="statements")
    month = models.DateField()  # its first day
    team_name = models.CharField(max_length=120)
    cost_centre = models.CharField(max_length=64, blank=True)  # of the team when it was closed
    total = models.DecimalField(max_digits=18, decimal_places=9)  # USD, of all lines
    closed_at = models.DateTimeField()

    class Meta:
        ordering = ["-month", "team_name"]
        constraints = [models.UniqueConstraint(fields=["team", "month"], name="one_statement_a_month")]
        indexes = [models.Index(fields=["month"], name="statement_month")]

    def __str__(self) -> str:
        return f"{self.team_name}, {self.month:%B %Y}"

    @property
    def number(self) -> str:
        """The month as it stands in addresses: `2026-10`."""
        return f"{self.month:%Y-%m}"


class StatementLine(models.Model):
    """What one key of one holder spent with one model in a month; the key is its lease, whatever was rotated.

    A line with `noted_on` is a correction: by how much the ledger of an earlier month, already stated, has changed.
    """

    statement = models.ForeignKey(Statement, on_delete=models.PROTECT, related_name="lines")
    of_month = models.DateField()  # first day of the month in which it was spent
    noted_on = models.DateField(null=True)  # UTC day on which the ledger changed; None: no correction
    holder = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    lease = models.ForeignKey(Lease, on_delete=models.PROTECT, related_name="+")
    gateway = models.ForeignKey(Gateway, on_delete=models.PROTECT, related_name="+")
    model = models.CharField(max_length=200)
    holder_name = models.CharField(max_length=254)  # names as they stand in the ledger's rows
    role_name = models.CharField(max_length=60)
    key_alias = models.CharField(max_length=80)
    spend = models.DecimalField(max_digits=18, decimal_places=9, default=Decimal(0))  # USD
    prompt_tokens = models.BigIntegerField(default=0)
    completion_tokens = models.BigIntegerField(default=0)
    requests = models.BigIntegerField(default=0)  # failed ones too
    failed = models.BigIntegerField(default=0)

    class Meta:
        ordering = ["of_month", "holder_name", "key_alias", "model", "pk"]

    def __str__(self) -> str:
        return f"{self.key_alias} {self.model} {self.of_month:%Y-%m}"

    @property
    def is_correction(self) -> bool:
        return self.noted_on is not None

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens
