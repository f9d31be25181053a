"""Versions of key roles: what each said, who wrote it, and what became of the keys that lived then."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from keys.models.role import KeyRole
from teams.models import User


class How(models.TextChoices):
    """What a change of a role does to live keys that have more than it gives from then on."""

    LEAVE = "leave", _("Leave them as they are")
    RENEWAL = "renewal", _("Shrink each at its next renewal")
    NOW = "now", _("Apply it to them now")


class RoleVersion(models.Model):
    """A key role as it was from one change to the next. Rows are only ever added."""

    role = models.ForeignKey(KeyRole, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()  # KeyRole.version while it held
    terms = models.JSONField()  # see `terms_of`
    how = models.CharField(max_length=7, choices=How, default=How.LEAVE)
    by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")  # NULL: Keydesk itself
    by_name = models.CharField(max_length=254, blank=True)  # as it was called then; blank: from before versions
    at = models.DateTimeField()

    class Meta:
        ordering = ["-number"]
        constraints = [models.UniqueConstraint(fields=["role", "number"], name="role_version_number")]

    def __str__(self) -> str:
        return f"{self.role} {self.number}"

    def as_role(self) -> KeyRole:
        """The role as it was then, as far as it bounds a key. Not to be saved."""
        terms, budget = self.terms, self.terms["max_budget"]
        same = ("models", "all_models", "budget_duration", "tpm_limit", "rpm_limit", "max_parallel_requests")
        return KeyRole(
            gateway=self.role.gateway,
            max_budget=None if budget is None else Decimal(budget),
            ttl=timedelta(seconds=terms["ttl"]),
            max_ttl=timedelta(seconds=terms["max_ttl"]),
            **{name: terms[name] for name in same},
        )


def terms_of(role: KeyRole, teams: list[str]) -> dict[str, Any]:
    """Everything that a role says, as plain JSON: seconds, USD as text, `teams` by slug."""
    limits = role.limits()
    del limits["role_version"]
    return {
        "name": role.name,
        "description": role.description,
        **limits,
        "ttl": _plain(role.ttl),
        "max_ttl": _plain(role.max_ttl),
        "approval": role.approval,
        "auto_ttl": _plain(role.auto_ttl),
        "auto_budget": _plain(role.auto_budget),
        "excess": role.excess,
        "max_live_keys": role.max_live_keys,
        "alias_prefix": role.alias_prefix,
        "metadata": role.metadata,
        "all_teams": role.all_teams,
        "teams": sorted(teams),
        "max_budget": _plain(role.max_budget),
    }


def _plain(value: timedelta | Decimal | None) -> int | str | None:
    if isinstance(value, timedelta):
        return int(value.total_seconds())
    return None if value is None else f"{value.normalize():f}"
