"""What could be tighter: keys and key roles that have more than they use, each with the change that is proposed."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.db import models as db  # `models` is a column of a role, and a word here
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from keys.models.lease import Lease
from keys.models.role import KeyRole
from teams.access import allowed, within
from teams.roles import Can


class AdviceQuerySet(db.QuerySet["Advice"]):
    def visible_to(self, user: Any) -> AdviceQuerySet:
        """About keys that `user` may see; about key roles, for who sees the platform."""
        about_keys = Q(lease__isnull=False) & within(user, Can.SEE_KEY, team="lease__team", holder="lease__holder")
        return self.filter(about_keys | Q(role__isnull=False) if allowed(user, Can.SEE_PLATFORM) else about_keys)

    def waiting(self) -> AdviceQuerySet:
        """Neither answered nor gone: open, or put off for a while."""
        return self.filter(state__in=[Advice.State.OPEN, Advice.State.SNOOZED])

    def rows(self) -> AdviceQuerySet:
        """With what a row of a list shows, in the same query."""
        found = self.select_related("lease__team", "lease__holder", "lease__role", "lease__gateway", "role__gateway")
        return found.defer("lease__gateway__master_key", "role__gateway__master_key")


class Advice(db.Model):
    """One thing that a key, or a key role, has and does not need; open until it is not true any more.

    One row per subject and kind: seen again it is refreshed. `facts` says why, `proposed` what would change: names of
    a lease's or role's limits and their new values, `{"lasts": days}` from the press on, or
    `{"end": true}`; nothing where only a person can know.
    """

    class Kind(db.TextChoices):
        UNUSED = "unused", _("Not used")
        MODELS = "models", _("Models never called")
        BUDGET = "budget", _("Budget hardly used")
        LONG = "no_expiry", _("No expiry to speak of")
        ALL_MODELS = "all_models", _("All models")
        NO_BUDGET = "no_budget", _("No budget")
        ALL_ROUTES = "all_routes", _("All routes")

    class State(db.TextChoices):
        OPEN = "open", _("Open")
        SNOOZED = "snoozed", _("Snoozed")
        APPLIED = "applied", _("Applied")
        CLOSED = "closed", _("Closed by itself")

    kind = db.CharField(max_length=10, choices=Kind)
    lease = db.ForeignKey(Lease, on_delete=db.CASCADE, related_name="advice", null=True)
    role = db.ForeignKey(KeyRole, on_delete=db.CASCADE, related_name="advice", null=True)
    facts = db.JSONField(default=dict)
    proposed = db.JSONField(default=dict)
    saves = db.DecimalField(  # USD: by how much less it can cost at most; None: not known, or no limit before
        max_digits=18, decimal_places=9, null=True
    )
    state = db.CharField(max_length=10, choices=State, default=State.OPEN)
    first_seen_at = db.DateTimeField()
    seen_at = db.DateTimeField()
    snoozed_until = db.DateTimeField(null=True)
    closed_at = db.DateTimeField(null=True)  # or applied at
    by = db.CharField(max_length=254, blank=True)  # who snoozed or applied it
    reason = db.CharField(max_length=200, blank=True)

    objects = AdviceQuerySet.as_manager()

    class Meta:
        ordering = [F("saves").desc(nulls_last=True), "-first_seen_at", "-pk"]
        constraints = [
            db.UniqueConstraint(fields=["lease", "kind"], name="one_advice_a_lease_and_kind"),
            db.UniqueConstraint(fields=["role", "kind"], name="one_advice_a_role_and_kind"),
            db.CheckConstraint(
                name="advice_about_a_lease_or_a_role",
                condition=Q(lease__isnull=False, role__isnull=True) | Q(lease__isnull=True, role__isnull=False),
            ),
        ]
        indexes = [db.Index(fields=["state", "kind"], name="advice_state")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.subject}"

    @property
    def subject(self) -> Lease | KeyRole:
        """What it is about."""
        found = self.lease or self.role
        assert found is not None  # noqa: S101  (a constraint of the table)
        return found

    @property
    def is_waiting(self) -> bool:
        return self.state in {self.State.OPEN, self.State.SNOOZED}

    @property
    def proposed_budget(self) -> Decimal | None:
        """USD per window."""
        amount = self.proposed.get("max_budget")
        return None if amount is None else Decimal(amount)
