"""Invitations into a team."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from django.db import models
from django.db.models import Q
from django.utils import timezone

from teams.models.team import Team
from teams.models.user import User
from teams.roles import MemberRole


class InvitationQuerySet(models.QuerySet["Invitation"]):
    def waiting(self) -> InvitationQuerySet:
        """Those that nobody has accepted or withdrawn; some may have expired."""
        return self.filter(accepted_at=None, withdrawn_at=None)

    def open(self, now: datetime) -> InvitationQuerySet:
        """Those that can still be accepted."""
        return self.waiting().filter(expires_at__gt=now)


class Invitation(models.Model):
    """A place in a team, offered to one address by mail. Good once, until it expires or is withdrawn."""

    LIFE = timedelta(days=7)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="invitations")
    email = models.EmailField()  # in lower case
    role = models.CharField(max_length=10, choices=MemberRole, default=MemberRole.MEMBER)
    digest = models.CharField(max_length=64, unique=True)  # HMAC of what the link holds
    invited_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True)
    accepted_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    withdrawn_at = models.DateTimeField(null=True)

    objects = InvitationQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["team", "email"],
                condition=Q(accepted_at=None, withdrawn_at=None),
                name="one_waiting_invitation_a_team",
            )
        ]

    def __str__(self) -> str:
        return f"{self.email} into {self.team}"

    @property
    def is_over(self) -> bool:
        return self.expires_at <= timezone.now()
