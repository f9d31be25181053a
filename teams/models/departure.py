"""Access that an identity provider took away."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q
from django.utils import translation
from django.utils.translation import gettext

from teams.models.team import Team
from teams.models.user import User
from teams.roles import MemberRole


class DepartureQuerySet(models.QuerySet["Departure"]):
    def open_for(self, user: Any, team: Any) -> DepartureQuerySet:
        """Departures of `user` from `team`, or from everywhere, that still count."""
        return self.filter(Q(team=team) | Q(team=None), user=user, closed_at=None)

    def by_providers(self) -> DepartureQuerySet:
        """All but the marks of a person's own act."""
        return self.exclude(outcome=Departure.BY_A_PERSON)


class Departure(models.Model):
    """Access that an identity provider took away: keys are blocked at once, and revoked at `due_at`.

    Until then it may come back, as a hiccup of the provider must not destroy keys. `held`: too many at once;
    nothing happens before a platform admin has decided.
    """

    DISMISSED = "dismissed"
    BY_A_PERSON = "deactivated by a person"  # no removal: the mark that no provider lets them back in

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="departures")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, null=True, related_name="departures")  # NULL: everywhere
    role = models.CharField(max_length=10, choices=MemberRole, blank=True)  # what they were
    # They stay, with a role that may hold no keys: `new_role`, in the team or (no team) on the platform.
    lowered = models.BooleanField(default=False)
    new_role = models.CharField(max_length=10, blank=True)
    at = models.DateTimeField()
    due_at = models.DateTimeField()
    held = models.BooleanField(default=False)
    closed_at = models.DateTimeField(null=True)  # came back, was revoked, or was dismissed
    outcome = models.CharField(max_length=40, blank=True)

    objects = DepartureQuerySet.as_manager()

    class Meta:
        ordering = ["-at"]
        indexes = [models.Index(fields=["closed_at", "due_at"], name="departure_open")]

    def __str__(self) -> str:
        with translation.override("en"):  # the audit keeps it
            return f"{self.user} from {self.place}"

    @property
    def place(self) -> str:
        """Where access ended, in words."""
        if self.lowered and self.team is None:
            return gettext("the platform role")
        return str(self.team or "everywhere")
