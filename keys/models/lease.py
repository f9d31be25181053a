"""Leases: one holder's use of one virtual key, and the versions of its secret."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from keys.models.gateway import Gateway
from keys.models.role import KeyRole
from teams.access import within
from teams.models import Departure, Membership, Team, User
from teams.roles import Can, MemberRole, Reach, reach


class State(models.TextChoices):
    ISSUING = "issuing", _("Being issued")
    ACTIVE = "active", _("Active")
    PAUSED = "paused", _("Paused")
    ROTATING = "rotating", _("In rotation")
    REVOKING = "revoking", _("Being revoked")
    REVOKED = "revoked", _("Revoked")
    EXPIRED = "expired", _("Expired")
    FAILED = "failed", _("Not issued")


LIVE = frozenset({State.ISSUING, State.ACTIVE, State.PAUSED, State.ROTATING})
SETTLED = LIVE - {State.ISSUING}  # somebody has a secret; the key is there, blocked or not as the row says
ENDED = frozenset({State.REVOKED, State.EXPIRED, State.FAILED})


class EndReason(models.TextChoices):
    """Why Keydesk itself ended a lease; a person's reason is their own words."""

    EXPIRED = "expired", _("Its time was up")
    LEFT = "holder left", _("Its holder left the team")
    ROLE = "role ended", _("Its key role was ended")
    TEAM = "team ended", _("Its team was ended")
    VANISHED = "gone from the gateway", _("Somebody deleted the key on the gateway itself")


def without_ground() -> Q:
    """Rows with a holder, a team and a role: those whose holder left, or whose team or role ended."""
    holding = [role for role in MemberRole if reach(Can.ISSUE_KEY, role) is not Reach.NONE]
    member = Membership.objects.filter(team=OuterRef("team"), user=OuterRef("holder"), role__in=holding)
    stays = Exists(member) | Q(holder__kind=User.Kind.SERVICE) | Q(holder__platform_role="admin")
    left = Q(holder__is_active=False) | ~stays
    return Q(team__ended_at__isnull=False) | Q(role__ended_at__isnull=False) | left


def grace(now: datetime) -> Q:
    """And of these the ones of a leaver who may yet come back."""
    running = Departure.objects.open_for(OuterRef("holder"), OuterRef("team")).filter(due_at__gt=now, held=False)
    return Q(Exists(running), team__ended_at=None, role__ended_at=None)


class LeaseQuerySet(models.QuerySet["Lease"]):
    def visible_to(self, user: Any) -> LeaseQuerySet:
        return self.filter(within(user, Can.SEE_KEY))

    def live(self) -> LeaseQuerySet:
        return self.filter(state__in=LIVE)

    def overdue(self, now: datetime) -> LeaseQuerySet:
        """Live leases whose TTL is spent."""
        return self.filter(state__in=SETTLED, expires_at__lte=now)

    def free(self) -> LeaseQuerySet:
        """On gateways that are not held: only there sweeps end anything."""
        return self.filter(gateway__held_since=None)

    def finished(self) -> LeaseQuerySet:
        """Being revoked, and none of their keys is left."""
        left = KeyVersion.objects.filter(lease=OuterRef("pk"), ended_at=None)
        return self.filter(~Exists(left), state=State.REVOKING)

    def orphaned(self, now: datetime) -> LeaseQuerySet:
        """Live leases whose holder left, or whose team or role ended.

        Not those of a leaver whose grace still runs: they are `in_grace`.
        """
        return self.filter(without_ground(), state__in=SETTLED).exclude(grace(now))

    def in_grace(self, now: datetime) -> LeaseQuerySet:
        """Live leases of people whom a provider took out: blocked now, ended when the grace is over."""
        return self.filter(without_ground(), state__in=SETTLED).filter(grace(now))

    def rows(self) -> LeaseQuerySet:
        """With what a row of a list shows, in two queries more."""
        found = self.select_related("team", "holder", "role", "gateway").prefetch_related("versions__intents")
        return found.defer("gateway__master_key")  # a list must not need the key that opens it


class Lease(models.Model):
    """One holder's use of one virtual key until `expires_at`."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    alias = models.CharField(max_length=80, unique=True)  # ours, permanent; each version has its own on the gateway
    name = models.CharField(max_length=80, blank=True)  # what its holder calls it; need not be unique
    purpose = models.CharField(max_length=300, blank=True)
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="leases")
    holder = models.ForeignKey(User, on_delete=models.PROTECT, related_name="leases")
    role = models.ForeignKey(KeyRole, on_delete=models.PROTECT, related_name="leases")
    gateway = models.ForeignKey(Gateway, on_delete=models.PROTECT, related_name="leases")
    limits = models.JSONField(default=dict)  # as issued; see KeyRole.limits()
    once = models.UUIDField(null=True, editable=False)  # the form's token: sent twice, one lease
    state = models.CharField(max_length=10, choices=State, default=State.ISSUING)
    # Who asked for it; it stays when the key is handed over. NULL: Keydesk itself, or a version before.
    issued_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    issued_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    max_expires_at = models.DateTimeField()
    renewed_at = models.DateTimeField(null=True)  # the last time
    handed_over_at = models.DateTimeField(null=True)  # to its holder; who held it before has seen the secret in use
    ended_at = models.DateTimeField(null=True)
    end_reason = models.CharField(max_length=200, blank=True)
    pause_reason = models.CharField(max_length=200, blank=True)  # while it is paused
    paused_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")  # NULL: Keydesk itself
    # USD, of all its versions, from the ledger's rows (never from counters); see SpendDay.
    spend = models.DecimalField(max_digits=14, decimal_places=6, default=Decimal(0))
    last_used_at = models.DateTimeField(null=True)

    objects = LeaseQuerySet.as_manager()

    class Meta:
        ordering = ["-issued_at", "-id"]
        constraints = [models.UniqueConstraint(fields=["holder", "once"], name="one_lease_for_one_form")]
        indexes = [
            models.Index(fields=["state", "expires_at"], name="lease_state_expiry"),
            models.Index(fields=["team", "-issued_at"], name="lease_team"),
            models.Index(fields=["holder", "state"], name="lease_holder"),
            models.Index(fields=["expires_at", "id"], name="lease_expiry"),  # the list of all keys, by page
            models.Index(fields=["-ended_at", "-id"], name="lease_end"),
        ]

    def __str__(self) -> str:
        return self.name or self.alias

    def move(self, old: Collection[State], new: State, **fields: Any) -> bool:
        """Change state only if it is still one of `old`, then reread the row. True: this call did it."""
        won = Lease.objects.filter(pk=self.pk, state__in=old).update(state=new, **fields)
        self.refresh_from_db()
        return bool(won)

    @property
    def is_live(self) -> bool:
        return self.state in LIVE

    @property
    def why_orphaned(self) -> EndReason:
        """Why Keydesk ends a lease that lost its ground."""
        if self.team.ended_at:
            return EndReason.TEAM
        return EndReason.ROLE if self.role.ended_at else EndReason.LEFT

    @property
    def current(self) -> KeyVersion:
        """The newest version that was issued; before the first one is, the newest attempt."""
        return max(self.versions.all(), key=lambda version: (version.issued_at is not None, version.number))

    @property
    def previous(self) -> KeyVersion | None:
        """The version before the current one, while its grace period runs."""
        current = self.current
        older = [each for each in self.versions.all() if each.is_live and each.number < current.number]
        return older[-1] if older else None

    @property
    def is_pending(self) -> bool:
        """Whether the gateway has yet to follow: an ending, a pause or a resumption is not effective there."""
        now = timezone.now()
        return self.state == State.REVOKING or any(
            version.is_live
            and ((version.dies_at and version.dies_at <= now) or any(i.is_pause for i in version.intents.all()))
            for version in self.versions.all()
        )

    @property
    def renewable(self) -> bool:
        return self.state == State.ACTIVE and self.expires_at < self.max_expires_at

    @property
    def max_budget(self) -> Decimal | None:
        """USD per window; None: no budget of its own."""
        limit = self.limits.get("max_budget")
        return None if limit is None else Decimal(limit)


class KeyVersion(models.Model):
    """One secret of a lease. The secret itself is nowhere: only its sha256, which is LiteLLM's `token`."""

    lease = models.ForeignKey(Lease, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField(default=1)
    # NULL only where the proxy refuses chosen keys, until it has answered.
    token_hash = models.CharField(max_length=64, unique=True, null=True)  # noqa: DJ001
    key_name = models.CharField(max_length=20, blank=True)  # sk-...abcd
    alias = models.CharField(max_length=120, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    issued_at = models.DateTimeField(null=True)  # its secret was handed over; NULL: an attempt, or one that was lost
    unclear_at = models.DateTimeField(null=True)  # the last send whose answer was not read: it may yet land
    dies_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)  # confirmed gone from the gateway

    # What the proxy counted when last read, USD; it stops the key by `counter`.
    counter = models.DecimalField(max_digits=18, decimal_places=9, null=True)  # in the running budget window
    total = models.DecimalField(max_digits=18, decimal_places=9, null=True)  # in the key's life
    resets_at = models.DateTimeField(null=True)
    counter_at = models.DateTimeField(null=True)
    carried = models.DecimalField(  # USD in its counter that older versions spent
        max_digits=18, decimal_places=9, default=Decimal(0)
    )
    # The part of `counter` that its successor has in its own already; NULL: no successor.
    handed_on = models.DecimalField(max_digits=18, decimal_places=9, null=True)
    last_used_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["number"]
        constraints = [models.UniqueConstraint(fields=["lease", "number"], name="version_number_in_its_lease")]

    def __str__(self) -> str:
        return self.alias

    @property
    def is_live(self) -> bool:
        """Its secret is out, and it is not known to be gone from the gateway."""
        return self.issued_at is not None and self.ended_at is None
