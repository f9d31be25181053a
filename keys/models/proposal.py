"""What one platform admin wants done and another one has to confirm."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from keys.models.gateway import Gateway
from keys.models.role import KeyRole
from portal.secrets import EncryptedTextField
from teams.models import User


class ProposalQuerySet(models.QuerySet["Proposal"]):
    def open(self, now: datetime | None = None) -> ProposalQuerySet:
        return self.filter(outcome="", at__gt=(now or timezone.now()) - Proposal.LIFE)

    def expired(self, now: datetime) -> ProposalQuerySet:
        return self.filter(outcome="", at__lte=now - Proposal.LIFE)


class Proposal(models.Model):
    """A change of the platform that waits for a second platform admin. Source: product.md, section 5.

    `payload` lies sealed, as it may hold a master key, and is emptied as soon as somebody has decided; `before` and
    `after` are for people, and hold no secret.
    """

    LIFE = timedelta(days=7)  # then nobody remembers why

    class Verb(models.TextChoices):
        GATEWAY_MAKE = "gateway.make", _("Enter a gateway")
        GATEWAY_CHANGE = "gateway.change", _("Change a gateway")
        ROLE_MAKE = "role.make", _("Make a key role for all models without a budget")
        ROLE_CHANGE = "role.change", _("Open a key role to all models without a budget")

    class Outcome(models.TextChoices):
        OPEN = "", _("Waits")
        CONFIRMED = "confirmed", _("Confirmed")
        REJECTED = "rejected", _("Rejected")
        EXPIRED = "expired", _("Expired")
        VOID = "void", _("Void")

    verb = models.CharField(max_length=20, choices=Verb)
    name = models.CharField(max_length=60)  # of the gateway or the key role
    gateway = models.ForeignKey(Gateway, null=True, on_delete=models.CASCADE, related_name="proposals")
    role = models.ForeignKey(KeyRole, null=True, on_delete=models.CASCADE, related_name="proposals")
    target_version = models.PositiveIntegerField(default=0)  # of the target, as the proposer saw it
    payload = EncryptedTextField(blank=True)
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    proposed_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="proposals")
    at = models.DateTimeField(default=timezone.now)
    decided_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="decided_proposals")
    decided_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=10, choices=Outcome, default=Outcome.OPEN, blank=True)
    reason = models.CharField(max_length=200, blank=True)

    objects = ProposalQuerySet.as_manager()

    class Meta:
        ordering = ["-at"]
        constraints = [
            models.CheckConstraint(
                name="proposal_is_not_confirmed_by_its_proposer",
                condition=~Q(outcome="confirmed")
                | (Q(decided_by__isnull=False) & ~Q(decided_by=models.F("proposed_by"))),
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_verb_display()}: {self.name}"

    @property
    def ends_at(self) -> datetime:
        return self.at + self.LIFE
