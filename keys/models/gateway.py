"""A LiteLLM proxy as we see it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from portal.secrets import EncryptedTextField

SANDBOX_URL = "http+sandbox://local"
WORD_NAME = RegexValidator(
    r"^\w(?:[\w.-]*\w)?\Z",
    _("Letters, digits and _ with . or - inside, like eu-prod. Start and end with a letter or digit."),
)


class Gateway(models.Model):
    """A LiteLLM proxy: where it is, how we may administer it, how it was when last asked.

    Each act reads the row; nothing of it is cached but the connection pool, by (id, version).
    """

    FIRST_PAUSE = timedelta(seconds=5)
    LONGEST_PAUSE = timedelta(minutes=1)  # a person waits for the next try: never long

    name = models.CharField(max_length=60, unique=True, validators=[WORD_NAME])
    base_url = models.CharField(max_length=300, unique=True)  # where Keydesk reaches it
    public_url = models.CharField(max_length=300, blank=True)  # where holders reach it; blank: the same
    master_key = EncryptedTextField()
    timeout = models.PositiveSmallIntegerField(  # seconds for one call
        default=30, validators=[MinValueValidator(1), MaxValueValidator(300)]
    )
    ca_bundle = models.TextField(blank=True)  # PEM; blank: the system's authorities
    ttl = models.DurationField(default=timedelta(days=30))  # for roles that leave theirs at 0
    max_ttl = models.DurationField(default=timedelta(days=90))
    is_default = models.BooleanField(default=False)
    version = models.PositiveIntegerField(default=1)  # each change of the connection makes the next
    created_at = models.DateTimeField(auto_now_add=True)

    # What it said when last asked.
    checked_at = models.DateTimeField(null=True, blank=True, editable=False)
    chosen_keys = models.BooleanField(
        null=True, blank=True, editable=False
    )  # whether callers may choose keys; None: not known yet
    litellm_version = models.CharField(max_length=40, blank=True, editable=False)
    licence = models.JSONField(default=dict, blank=True, editable=False)
    models_seen = models.JSONField(default=list, blank=True, editable=False)  # names, as listed

    # The breaker, shared by every process.
    away_since = models.DateTimeField(null=True, blank=True, editable=False)
    next_try_at = models.DateTimeField(null=True, blank=True, editable=False)
    away_reason = models.CharField(max_length=300, blank=True, editable=False)

    # Held: the database may be older than the proxy, so nothing is ended until a platform admin has looked.
    held_since = models.DateTimeField(null=True, blank=True, editable=False)
    held_reason = models.CharField(max_length=300, blank=True, editable=False)

    # What the last walks found. Times are UTC.
    reconciled_at = models.DateTimeField(null=True, blank=True, editable=False)
    foreign_keys = models.PositiveIntegerField(null=True, blank=True, editable=False)  # not ours; None: never counted
    spend_synced_at = models.DateTimeField(null=True, blank=True, editable=False)  # the ledger was read whole
    spend = models.DecimalField(  # USD, the proxy's own total of its last 30 days
        max_digits=18, decimal_places=9, null=True, blank=True, editable=False
    )
    max_budget = models.DecimalField(  # USD, of the whole proxy, if it has one
        max_digits=18, decimal_places=9, null=True, blank=True, editable=False
    )
    effective_within = models.FloatField(  # seconds until a blocked key was refused everywhere, measured
        null=True, blank=True, editable=False
    )

    class Meta:
        ordering = ["-is_default", "name"]
        constraints = [
            models.UniqueConstraint(fields=["is_default"], condition=Q(is_default=True), name="one_default_gateway")
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_sandbox(self) -> bool:
        return self.base_url == SANDBOX_URL

    @property
    def url_for_holders(self) -> str:
        if self.is_sandbox:
            return f"{settings.URL}/sandbox"
        return self.public_url or self.base_url

    def went_away(self, reason: str, now: datetime) -> None:
        """Open the breaker: nobody is sent there before `next_try_at`, 5 s at first and at most 60 s later."""
        since = self.away_since or now
        pause = min(max(now - since, self.FIRST_PAUSE), self.LONGEST_PAUSE)
        self._note(away_since=since, next_try_at=now + pause, away_reason=reason.replace("\0", "")[:300])

    def came_back(self) -> None:
        if self.away_since:
            self._note(away_since=None, next_try_at=None, away_reason="")

    def _note(self, **fields: Any) -> None:
        """Write facts about health past `save()`, so that they never meet somebody's change of the connection."""
        Gateway.objects.filter(pk=self.pk).update(**fields)
        for name, value in fields.items():
            setattr(self, name, value)
