"""What identity providers say of people: their groups, what these give, and the directory that SCIM keeps."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy

from teams.models.team import Team
from teams.models.user import User
from teams.roles import MemberRole, PlatformRole


class GroupMapping(models.Model):
    """A group of an identity provider -> a member role in a team, or a platform role."""

    source = models.CharField(max_length=40, blank=True)  # the provider's id, or "scim"; blank: any of them
    value = models.CharField(max_length=200)  # as the provider writes it, case and all
    team = models.ForeignKey(Team, null=True, blank=True, on_delete=models.CASCADE, related_name="mappings")
    role = models.CharField(max_length=10, choices=MemberRole, blank=True)
    platform_role = models.CharField(max_length=10, choices=PlatformRole, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["value", "source", "pk"]
        constraints = [
            models.CheckConstraint(
                name="mapping_gives_a_team_role_or_a_platform_role",
                condition=(Q(team__isnull=False, platform_role="") & ~Q(role=""))
                | (Q(team__isnull=True, role="") & ~Q(platform_role="")),
            ),
            models.UniqueConstraint(fields=["source", "value", "team"], name="one_mapping_to_a_team"),
            models.UniqueConstraint(
                fields=["source", "value"], condition=Q(team__isnull=True), name="one_mapping_to_the_platform"
            ),
        ]

    def __str__(self) -> str:
        return self.value


class Grant(models.Model):
    """What one provider gives one person now: a member role in a team, or (no team) a platform role.

    A sign-in adds and removes only rows of its own source; what was given by hand is not here.
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="grants")
    source = models.CharField(max_length=40)
    team = models.ForeignKey(Team, null=True, on_delete=models.CASCADE, related_name="grants")
    role = models.CharField(max_length=10)  # a MemberRole, or without a team a PlatformRole
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["user", "source", "team"], name="one_grant_a_team"),
            models.UniqueConstraint(
                fields=["user", "source"], condition=Q(team__isnull=True), name="one_grant_of_a_platform_role"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.source}: {self.role} in {self.team or 'everything'}"


class ToldGroups(models.Model):
    """The groups that a provider named for one person when it last did, and what was wrong since."""

    class Trouble(models.TextChoices):
        MISSING = "missing", gettext_lazy("No group claim was sent")
        OVERAGE = "overage", gettext_lazy("Too many groups for the token (Entra sends a marker instead)")
        UNREADABLE = "unreadable", gettext_lazy("The group claim is not a list of names")

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="told_groups")
    source = models.CharField(max_length=40)
    values = models.JSONField(default=list)
    told_at = models.DateTimeField(null=True)  # None: never, only trouble so far
    trouble = models.CharField(max_length=10, choices=Trouble, blank=True)  # of the last sign-in; it changed nothing
    troubled_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-told_at"]
        constraints = [models.UniqueConstraint(fields=["user", "source"], name="one_told_groups_a_source")]

    def __str__(self) -> str:
        return f"{self.user} at {self.source}"


class DirectoryEntry(models.Model):
    """One person as a SCIM client keeps them: what it asked for, whatever we hold of it."""

    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="directory_entry")
    user_name = models.CharField(max_length=254)
    external_id = models.CharField(max_length=254, blank=True)
    given_name = models.CharField(max_length=150, blank=True)
    family_name = models.CharField(max_length=150, blank=True)
    display_name = models.CharField(max_length=150, blank=True)
    emails = models.JSONField(default=list)  # as the client wrote them: value, type, primary
    active = models.BooleanField(default=True)  # as the client last said; a held removal leaves the account working
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)
    removed_at = models.DateTimeField(null=True)  # the client deleted it: hidden until it is made again

    class Meta:
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(Lower("user_name"), name="directory_user_name_whatever_its_case")]

    def __str__(self) -> str:
        return self.user_name


class DirectoryGroup(models.Model):
    """One group as a SCIM client keeps it. Its name is what a GroupMapping of source "scim" names."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=200, unique=True)
    external_id = models.CharField(max_length=254, blank=True)
    people = models.ManyToManyField(User, related_name="directory_groups")
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["created_at", "pk"]

    def __str__(self) -> str:
        return self.name
