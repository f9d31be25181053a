"""Requests: what a person must decide before a key is issued, or before a live one is raised for a while."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from keys.models.lease import ENDED, Lease, State, grace, without_ground
from keys.models.role import Decider, KeyRole
from teams.access import allowed, within
from teams.models import ApiToken, Membership, Team, User
from teams.roles import Can, Reach, roles_with

RATES = ("tpm_limit", "rpm_limit", "max_parallel_requests")  # tokens and requests a minute, requests at a time


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is asked or granted. Money is USD per window; of a rise `ttl` is how long it lasts.

    None: every model, no budget; of a rise: no more of them than the key has.
    """

    ttl: timedelta
    models: tuple[str, ...] | None = None
    max_budget: Decimal | None = None
    budget_duration: str = ""  # the window as it was when it was asked: a later one of the role changes no grant
    tpm_limit: int | None = None  # these three: less than the role gives; None: what it gives
    rpm_limit: int | None = None
    max_parallel_requests: int | None = None

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> Bounds:
        """From the JSON that a request keeps."""
        models, budget = stored["models"], stored["max_budget"]
        return cls(
            timedelta(seconds=stored["ttl"]),
            None if models is None else tuple(models),
            None if budget is None else Decimal(budget),
            stored["budget_duration"],
            **{name: stored.get(name) for name in RATES},
        )

    def stored(self) -> dict[str, Any]:
        rates = {name: getattr(self, name) for name in RATES}
        return {
            "ttl": self.ttl.total_seconds(),
            "models": None if self.models is None else list(self.models),
            "max_budget": None if self.max_budget is None else f"{self.max_budget.normalize():f}",
            "budget_duration": self.budget_duration,
            **{name: limit for name, limit in rates.items() if limit is not None},
        }


class KeyRequestQuerySet(models.QuerySet["KeyRequest"]):
    def visible_to(self, user: Any) -> KeyRequestQuerySet:
        """Those of keys that `user` would see, and what they asked for themselves in a team that they see."""
        keys = within(user, Can.SEE_KEY)
        if not keys or not isinstance(user, User):  # everything; or nobody who could have asked
            return self.filter(keys)
        return self.filter(keys | Q(asked_by=user) & within(user, Can.SEE_TEAM))

    def pending(self) -> KeyRequestQuerySet:
        return self.filter(state=KeyRequest.State.PENDING)

    def decidable_by(self, user: User) -> KeyRequestQuerySet:
        """Pending ones that `user` may decide at this moment: `may_be_decided_by`, as a filter."""
        approved = RequestEntry.objects.filter(who=user, act=RequestEntry.Act.APPROVED).values("request")
        found = self.pending().filter(within(user, Can.DECIDE)).exclude(pk__in=approved)
        if not settings.ALLOW_SELF_APPROVAL:
            machines = ApiToken.objects.filter(made_by=user, owner__kind=User.Kind.SERVICE).values("owner")
            found = found.exclude(Q(asked_by=user) | Q(asked_by__in=machines))
        if not allowed(user, Can.MANAGE_PLATFORM):
            found = found.exclude(decider=Decider.PLATFORM, escalated_at=None)
        return found

    def waiting_for(self, user: User) -> KeyRequestQuerySet:
        """Of those that `user` may decide, the ones that ask them: their teams', and the platform's for its admins."""
        roles = roles_with(Can.DECIDE, Reach.OTHERS, Reach.ANY)
        mine = Q(team__in=Membership.objects.filter(user=user, role__in=roles).values("team"))
        if allowed(user, Can.MANAGE_PLATFORM):
            mine |= Q(decider=Decider.PLATFORM)
        return self.decidable_by(user).filter(mine)

    def claimable(self, now: datetime) -> KeyRequestQuerySet:
        """Approved, in time, and no key of it is being issued: its holder can claim the key."""
        waiting = self.filter(kind=KeyRequest.Kind.KEY, state=KeyRequest.State.APPROVED, claim_until__gt=now)
        return waiting.exclude(lease__state=State.ISSUING)

    def without_ground(self, now: datetime) -> KeyRequestQuerySet:
        """Open ones of which nothing can become: the holder left, the team or the role ended, or the key of a rise.

        Not those of a leaver whose grace still runs, as of their keys.
        """
        gone = Q(lease__state__in=ENDED | {State.REVOKING}) | ~Q(lease__holder=F("holder"))
        stale = Q(gone, kind=KeyRequest.Kind.RISE)
        return self.filter(without_ground() & ~grace(now) | stale, state__in=OPEN)

    def running_rises(self) -> KeyRequestQuerySet:
        """Rises that are in force now."""
        return self.filter(kind=KeyRequest.Kind.RISE, state=KeyRequest.State.FULFILLED, reverted_at=None)


class KeyRequest(models.Model):
    """Somebody asks for more than a key role gives at once: for a new key, or for a while on a live one.

    An approval gives the right, and the holder claims the key; a rise is in force as soon as it is approved.
    """

    class Kind(models.TextChoices):
        KEY = "key", _("A key")
        RISE = "rise", _("A rise for a while")

    class State(models.TextChoices):
        PENDING = "pending", _("Pending")
        APPROVED = "approved", _("Approved")
        DENIED = "denied", _("Denied")
        CANCELLED = "cancelled", _("Cancelled")
        LAPSED = "lapsed", _("Lapsed")
        FULFILLED = "fulfilled", _("Fulfilled")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=4, choices=Kind, default=Kind.KEY)
    state = models.CharField(max_length=9, choices=State, default=State.PENDING)
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="requests")
    role = models.ForeignKey(KeyRole, on_delete=models.PROTECT, related_name="requests")
    holder = models.ForeignKey(User, on_delete=models.PROTECT, related_name="requests")
    asked_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")  # a machine by itself, too
    once = models.UUIDField(null=True, editable=False)  # the form's token: sent twice, one request
    # The live key of a rise. Of a key: what was issued, or the last attempt while it is still approved.
    lease = models.ForeignKey(Lease, on_delete=models.PROTECT, related_name="requests", null=True)
    again = models.ForeignKey("self", on_delete=models.PROTECT, related_name="asked_again", null=True)
    thread = models.UUIDField()  # the id of the first of them: asking again goes on in the same thread
    name = models.CharField(max_length=100, blank=True)  # of the key
    purpose = models.CharField(max_length=300)
    asked = models.JSONField()  # Bounds
    granted = models.JSONField(null=True)  # Bounds: as asked, or narrower; NULL until it is approved
    applied = models.JSONField(null=True)  # of a rise: what it changed, so that no more than that is taken back
    lasts = models.DurationField(null=True)  # of a rise

    # Who decides. Copied when it is asked: a later policy of the role changes no request.
    decider = models.CharField(max_length=8, choices=Decider)
    approvals_needed = models.PositiveSmallIntegerField(default=1)  # of different people; an escalation keeps it
    submitted_at = models.DateTimeField(default=timezone.now)
    escalates_at = models.DateTimeField(null=True)  # NULL: the platform decides from the start
    escalated_at = models.DateTimeField(null=True)
    remind_at = models.DateTimeField()
    reminded_at = models.DateTimeField(null=True)
    lapses_at = models.DateTimeField()  # pending no longer than this
    decided_at = models.DateTimeField(null=True)  # or cancelled
    decided_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+", null=True)
    reason = models.CharField(max_length=500, blank=True)  # of the decision; why Keydesk itself cancelled it
    claim_until = models.DateTimeField(null=True)
    claim_reminded_at = models.DateTimeField(null=True)
    fulfilled_at = models.DateTimeField(null=True)
    reverts_at = models.DateTimeField(null=True)
    reverted_at = models.DateTimeField(null=True)

    objects = KeyRequestQuerySet.as_manager()

    class Meta:
        ordering = ["-submitted_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["asked_by", "once"], name="one_request_for_one_form"),
            models.UniqueConstraint(fields=["lease"], condition=Q(kind="key"), name="one_key_for_one_request"),
            models.UniqueConstraint(
                fields=["lease"],
                condition=Q(kind="rise", state="fulfilled", reverted_at=None),
                name="one_rise_at_a_time",
            ),
        ]
        indexes = [
            models.Index(fields=["state", "lapses_at"], name="request_waits"),
            models.Index(fields=["team", "-submitted_at"], name="request_team"),
            models.Index(fields=["holder", "-submitted_at"], name="request_holder"),
            models.Index(fields=["role", "-fulfilled_at"], name="request_role"),
            models.Index(fields=["thread"], name="request_thread"),
        ]

    def __str__(self) -> str:
        if self.is_rise:
            return gettext("a rise of %(lease)s") % {"lease": self.lease}
        return self.name or gettext("a key of %(role)s") % {"role": self.role}

    def move(self, old: Collection[State], new: State, **fields: Any) -> bool:
        """Change state only if it is still one of `old`, then reread the row. True: this call did it."""
        won = KeyRequest.objects.filter(pk=self.pk, state__in=old).update(state=new, **fields)
        self.refresh_from_db()
        return bool(won)

    @property
    def is_rise(self) -> bool:
        return self.kind == KeyRequest.Kind.RISE

    @property
    def wanted(self) -> Bounds:
        return Bounds.read(self.asked)

    @property
    def given(self) -> Bounds | None:
        return None if self.granted is None else Bounds.read(self.granted)

    @property
    def bounds(self) -> Bounds:
        """What is granted, or asked as long as nobody has granted anything."""
        return self.given or self.wanted

    @property
    def is_being_issued(self) -> bool:
        """Its holder claims it at this very moment."""
        return self.state == KeyRequest.State.APPROVED and self.lease is not None and self.lease.state == State.ISSUING

    @property
    def first_decider(self) -> Decider:
        """Who was to decide it before any escalation."""
        if not self.escalated_at:
            return Decider(self.decider)
        return Decider.TWO if self.approvals_needed > 1 else Decider.TEAM

    @property
    def is_running(self) -> bool:
        """A rise that is in force."""
        return self.is_rise and self.state == KeyRequest.State.FULFILLED and self.reverted_at is None


OPEN = frozenset({KeyRequest.State.PENDING, KeyRequest.State.APPROVED})


class RequestEntry(models.Model):
    """One line of a request's thread. Never changed, never deleted."""

    class Act(models.TextChoices):
        ASKED = "asked", "asked"
        SAID = "said", "said"
        APPROVED = "approved", "approved"
        DENIED = "denied", "denied"
        CANCELLED = "cancelled", "cancelled"
        ESCALATED = "escalated", "escalated"
        REMINDED = "reminded", "reminded"
        LAPSED = "lapsed", "lapsed"
        CLAIMED = "claimed", "claimed"
        APPLIED = "applied", _("raised the key")
        REVERTED = "reverted", _("took the rise back")

    request = models.ForeignKey(KeyRequest, on_delete=models.PROTECT, related_name="entries")
    at = models.DateTimeField(default=timezone.now)
    who = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+", null=True)  # NULL: Keydesk itself
    who_name = models.CharField(max_length=254)
    act = models.CharField(max_length=9, choices=Act)
    text = models.CharField(max_length=1000, blank=True)
    terms = models.JSONField(null=True)  # Bounds, of what was asked or approved

    class Meta:
        ordering = ["at", "pk"]

    def __str__(self) -> str:
        return f"{self.who_name} {self.get_act_display()}"
