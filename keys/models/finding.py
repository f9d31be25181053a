"""What a look at the gateway found that is not as our books say."""

from __future__ import annotations

from django.db import models as db  # `models` is a column here
from django.utils.translation import gettext_lazy as _

from keys.models.gateway import Gateway
from keys.models.lease import KeyVersion
from teams.models import Team


class Finding(db.Model):
    """One difference between a gateway and our books, open until it is gone, mended, or ignored as it is.

    One row per gateway, kind and subject: seen again it is refreshed, and an ignored one opens again when its
    facts change. `facts` is `{field: [ours, theirs]}` for drift, plain facts otherwise; never a secret.
    """

    class Kind(db.TextChoices):
        ORPHAN = "orphan", _("Key without a lease")
        MISSING = "missing", _("Lease without its key")
        LIMITS = "limits", _("Limits changed on the gateway")
        BLOCK = "block", _("Blocked or unblocked on the gateway")
        EXPIRY = "expiry", _("Expiry changed on the gateway")
        METADATA = "metadata", _("Metadata lost on the gateway")
        TEAM = "team", _("Team out of step")
        SPEND = "spend", _("Spend figures differ")
        PRICE = "price", _("Model without a price")

    class State(db.TextChoices):
        OPEN = "open", _("Open")
        IGNORED = "ignored", _("Ignored")
        CLOSED = "closed", _("Closed")

    gateway = db.ForeignKey(Gateway, on_delete=db.CASCADE, related_name="findings")
    kind = db.CharField(max_length=10, choices=Kind)
    subject = db.CharField(max_length=200)  # what it is about: a key's hash, a team's id, a model's name
    version = db.ForeignKey(KeyVersion, on_delete=db.CASCADE, related_name="findings", null=True)
    team = db.ForeignKey(Team, on_delete=db.CASCADE, related_name="findings", null=True)
    message = db.CharField(max_length=300)
    cause = db.CharField(max_length=200, blank=True)  # the likely one
    facts = db.JSONField(default=dict)
    state = db.CharField(max_length=10, choices=State, default=State.OPEN)
    first_seen_at = db.DateTimeField()
    seen_at = db.DateTimeField()
    closed_at = db.DateTimeField(null=True)  # or ignored at
    closed_by = db.CharField(max_length=254, blank=True)
    reason = db.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["-first_seen_at", "-pk"]
        constraints = [db.UniqueConstraint(fields=["gateway", "kind", "subject"], name="one_finding_a_subject")]
        indexes = [db.Index(fields=["state", "kind"], name="finding_state")]

    def __str__(self) -> str:
        return self.message


class UnmanagedKey(db.Model):
    """A key on a gateway that is not ours: made by hand, or by another portal. Seen, shown, never touched.

    Its rows are the last walk's; a platform admin may import one as a lease.
    """

    gateway = db.ForeignKey(Gateway, on_delete=db.CASCADE, related_name="unmanaged")
    token_hash = db.CharField(max_length=64)
    key_name = db.CharField(max_length=20, blank=True)  # sk-...abcd
    alias = db.CharField(max_length=200, blank=True)
    team = db.CharField(max_length=200, blank=True)  # the proxy's id of its team
    holder = db.CharField(max_length=200, blank=True)  # the proxy's id of its user
    instance = db.CharField(max_length=40, blank=True)  # of another Keydesk; blank: nobody says
    models = db.JSONField(default=list)  # names; empty: every model
    max_budget = db.DecimalField(max_digits=18, decimal_places=9, null=True)  # USD
    budget_duration = db.CharField(max_length=20, blank=True)
    spend = db.DecimalField(max_digits=18, decimal_places=9, default=0)  # USD, in its life
    expires_at = db.DateTimeField(null=True)
    last_used_at = db.DateTimeField(null=True)
    seen_at = db.DateTimeField()

    class Meta:
        ordering = ["-spend", "pk"]
        constraints = [db.UniqueConstraint(fields=["gateway", "token_hash"], name="unmanaged_key_once")]

    def __str__(self) -> str:
        return self.alias or self.key_name or self.token_hash[:12]
