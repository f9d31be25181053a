"""Key roles: what keys issued from one may do, cost and reach."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models as db  # `models` is a column here
from django.db.models import F, Q
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from keys.models.gateway import WORD_NAME, Gateway
from portal.litellm.durations import BudgetWindow
from teams.access import allowed, within
from teams.models import Team
from teams.roles import Can

SHORTEST_TTL = timedelta(seconds=30)  # a key must live long enough to be copied
WINDOWS = [(window.value, window.value) for window in BudgetWindow]


MODEL_NAME = re.compile(r"[\w.:/@+*-]{1,200}")
MOST_MODELS = 100  # named ones; more is what "all models" is for
EVERY_MODEL = frozenset({"*", "all-proxy-models", "all-team-models", "no-default-models"})  # LiteLLM's own words
RESERVED = frozenset({"keydesk", "tags", "guardrails", "policies", "prompts", "service_account_id"})  # they mean more


def wrong_models(names: Collection[str]) -> str:
    """What is wrong with a list of model names; nothing: they will do."""
    if len(names) > MOST_MODELS:
        return gettext("At most %(most_models)s models can be named.") % {"most_models": MOST_MODELS}
    if every := sorted(EVERY_MODEL.intersection(names)):
        return gettext("%(every)s is no model. To give every model, choose all models explicitly.") % {
            "every": every[0]
        }
    odd = [name for name in names if not MODEL_NAME.fullmatch(name)]
    return gettext("%(odd)s is no model name.") % {"odd": repr(odd[0][:40])} if odd else ""


class Approval(db.TextChoices):
    """Who decides about a key of the role."""

    AUTO = "auto", _("Issued at once")
    TEAM = "team", _("One approver of the team")
    TWO = "two", _("Two different approvers of the team")
    PLATFORM = "platform", _("A platform admin")


class Decider(db.TextChoices):
    """Who decides about a request, the least first."""

    TEAM = "team", Approval.TEAM.label
    TWO = "two", Approval.TWO.label
    PLATFORM = "platform", Approval.PLATFORM.label


class KeyRoleQuerySet(db.QuerySet["KeyRole"]):
    def open_to(self, team: Team) -> KeyRoleQuerySet:
        """Roles that `team` may issue from; none, when it has ended."""
        if team.ended_at:
            return self.none()
        return self.filter(ended_at=None).filter(Q(all_teams=True) | Q(teams=team)).distinct()

    def with_gateway(self) -> KeyRoleQuerySet:
        """With their gateways, in the same query; a list must not need the key that opens a master key."""
        return self.select_related("gateway").defer("gateway__master_key")

    def visible_to(self, user: Any) -> KeyRoleQuerySet:
        """Roles of the teams that `user` is in; every role for who sees the platform."""
        if allowed(user, Can.SEE_PLATFORM):
            return self
        seen = Team.objects.filter(within(user, Can.SEE_TEAM, team="pk"))
        if not seen.exists():
            return self.none()
        return self.filter(ended_at=None).filter(Q(all_teams=True) | Q(teams__in=seen)).distinct()


class KeyRole(db.Model):
    """The role of the Vault engine: an envelope. Inside it a key is issued at once."""

    name = db.CharField(max_length=60, validators=[WORD_NAME])
    description = db.CharField(max_length=200, blank=True)
    gateway = db.ForeignKey(Gateway, on_delete=db.PROTECT, related_name="roles")
    models = db.JSONField(default=list, blank=True)  # names; empty only with all_models
    all_models = db.BooleanField(default=False)
    max_budget = db.DecimalField(  # USD per window for each key; None: no budget of its own
        max_digits=12,
        decimal_places=4,
        null=True,
        blank=True,
        validators=[MinValueValidator(Decimal("0.0001"))],
    )
    budget_duration = db.CharField(max_length=3, choices=WINDOWS, blank=True)  # blank: for life
    tpm_limit = db.PositiveIntegerField(null=True, blank=True)  # tokens a minute
    rpm_limit = db.PositiveIntegerField(null=True, blank=True)  # requests a minute
    max_parallel_requests = db.PositiveIntegerField(null=True, blank=True)
    ttl = db.DurationField(default=timedelta(0))  # 0: the gateway's
    max_ttl = db.DurationField(default=timedelta(0))  # most that renewals reach, from issue; 0: the gateway's
    alias_prefix = db.CharField(max_length=30, blank=True, validators=[WORD_NAME])  # blank: the role's name
    metadata = db.JSONField(default=dict, blank=True)  # map of strings, put on each key
    key_type = db.CharField(max_length=12, default="llm_api")  # a holder never reaches management routes
    all_teams = db.BooleanField(default=False)
    teams = db.ManyToManyField(Team, blank=True, related_name="key_roles")
    approval = db.CharField(max_length=10, choices=Approval, default=Approval.AUTO)
    # With another approval than `auto`: what is at or below both is issued at once all the same. NULL: nothing is.
    auto_ttl = db.DurationField(null=True, blank=True)
    auto_budget = db.DecimalField(  # USD per window
        max_digits=12,
        decimal_places=4,
        null=True,
        blank=True,
        validators=[MinValueValidator(Decimal("0.0001"))],
    )
    excess = db.CharField(max_length=8, choices=Decider, blank=True)  # who decides about more; blank: nobody gets it
    max_live_keys = db.PositiveIntegerField(null=True, blank=True)  # per holder; None: no cap
    version = db.PositiveIntegerField(default=1)
    created_at = db.DateTimeField(auto_now_add=True)
    ended_at = db.DateTimeField(null=True, editable=False)

    objects = KeyRoleQuerySet.as_manager()

    class Meta:
        ordering = ["gateway__name", "name"]
        constraints = [
            db.UniqueConstraint(fields=["gateway", "name"], name="role_name_in_its_gateway"),
            db.CheckConstraint(name="role_name_in_lower_case", condition=Q(name=db.functions.Lower("name"))),
            db.CheckConstraint(
                name="role_ttl_within_max_ttl",
                condition=Q(max_ttl=timedelta(0)) | Q(ttl__lte=F("max_ttl")),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def default_ttl(self) -> timedelta:
        """How long a key lives when nobody asks for less."""
        return min(self.ttl or self.gateway.ttl, self.longest_ttl)

    @property
    def longest_ttl(self) -> timedelta:
        """The most that renewals can reach, counted from issue."""
        return self.max_ttl or self.gateway.max_ttl

    @property
    def prefix(self) -> str:
        return self.alias_prefix or self.name

    def limits(self) -> dict[str, Any]:
        """The limits as plain JSON, for the copy that a lease keeps."""
        return {
            "models": list(self.models),
            "all_models": self.all_models,
            "max_budget": None if self.max_budget is None else str(self.max_budget),
            "budget_duration": self.budget_duration,
            "tpm_limit": self.tpm_limit,
            "rpm_limit": self.rpm_limit,
            "max_parallel_requests": self.max_parallel_requests,
            "key_type": self.key_type,
            "role_version": self.version,
        }

    def clean(self) -> None:
        """Row-wide validation, whatever the door. Raises ValidationError. Source: the Vault engine's role checks."""
        self.name = (self.name or "").lower()
        wrong: dict[str, str] = {}
        if self.all_models and self.models:
            wrong["models"] = gettext("Name models or choose all models, not both.")
        if not self.all_models and not self.models:
            wrong["models"] = gettext("Name at least one model, or choose all models explicitly.")
        if odd := wrong_models(self.models):
            wrong["models"] = odd
        if self.max_budget is not None and self.max_budget <= 0:
            wrong["max_budget"] = gettext(
                "A budget is above 0. Leave it empty for no budget: LiteLLM blocks a key with 0."
            )
        if self.budget_duration and self.max_budget is None:
            wrong["budget_duration"] = gettext("A budget window needs a budget.")
        for field in ("ttl", "max_ttl"):
            if getattr(self, field) < timedelta(0):
                wrong[field] = gettext("A TTL cannot be negative.")
            elif timedelta(0) < getattr(self, field) < SHORTEST_TTL:
                wrong[field] = gettext("The shortest TTL is 30 seconds.")
        if (self.auto_ttl is None) != (self.auto_budget is None):
            wrong["auto_budget" if self.auto_budget is None else "auto_ttl"] = gettext("Set both bounds, or neither.")
        elif self.auto_ttl is not None and self.auto_ttl < SHORTEST_TTL:
            wrong["auto_ttl"] = gettext("The shortest TTL is 30 seconds.")
        if not wrong and self.max_ttl and self.ttl > self.max_ttl:
            wrong["ttl"] = gettext("The TTL cannot be longer than the max TTL.")
        if not isinstance(self.metadata, dict) or any(not isinstance(value, str) for value in self.metadata.values()):
            wrong["metadata"] = gettext("Metadata is a map of names to text.")
        elif taken := sorted(RESERVED.intersection(self.metadata)):
            wrong["metadata"] = gettext("%(taken)s means something to LiteLLM or to Keydesk. Choose another name.") % {
                "taken": taken[0]
            }
        if wrong:
            raise ValidationError(wrong)
