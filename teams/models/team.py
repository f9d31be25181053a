"""Teams, and who is in them."""

from __future__ import annotations

import uuid
from decimal import Decimal

from django.core.validators import MinValueValidator, RegexValidator
from django.db import models

from portal.litellm.durations import BudgetWindow
from teams.models.user import User
from teams.roles import MemberRole

ONE_LINE = RegexValidator(r"^[^\x00-\x1f\x7f\u2028\u2029]*\Z", "One line, without control characters.")


class Team(models.Model):
    """People who share a budget. On each gateway it uses it is a LiteLLM team, under an id that we choose."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    slug = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=120, validators=[ONE_LINE])
    max_budget = models.DecimalField(  # USD per window; None: no budget of its own
        max_digits=12,
        decimal_places=2,
        null=True,
        blank=True,
        validators=[MinValueValidator(Decimal("0.01"))],
    )
    budget_duration = models.CharField(
        max_length=3,
        choices=[(window.value, window.value) for window in BudgetWindow],
        default="1mo",
        blank=True,
    )
    # USD per window: what a platform admin last gave, and the most that a team admin may set; None: no ceiling.
    budget_ceiling = models.DecimalField(max_digits=12, decimal_places=2, null=True, blank=True, editable=False)
    # Who pays in the books of the company; on the team's statements from then on.
    cost_centre = models.CharField(max_length=64, blank=True, validators=[ONE_LINE])
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True, editable=False)  # it gives no keys any more; its history stays
    members = models.ManyToManyField(User, through="Membership", related_name="teams")

    class Meta:
        ordering = ["name", "slug"]

    def __str__(self) -> str:
        return self.name

    @property
    def litellm_id(self) -> str:
        """Which team this is on every proxy."""
        return f"kd-{self.pk}"


class Membership(models.Model):
    """One person in one team."""

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    # What counts: the strongest of what was given by hand and of what identity providers give (Grant).
    role = models.CharField(max_length=10, choices=MemberRole, default=MemberRole.MEMBER)
    given_role = models.CharField(max_length=10, choices=MemberRole, blank=True, editable=False)  # by hand; blank: none
    # USD per window of the team, set by the team for all of this person's keys in it; None: no budget of their own.
    max_budget = models.DecimalField(
        max_digits=12, decimal_places=2, null=True, blank=True, validators=[MinValueValidator(Decimal("0.01"))]
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["team", "user"], name="one_membership_a_team")]
        ordering = ["user__name", "user__email"]

    def __str__(self) -> str:
        return f"{self.user} in {self.team}"
