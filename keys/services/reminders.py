"""Remind holders before their keys end."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models.functions import Coalesce
from django.urls import reverse
from django.utils import timezone

from keys.models import Lease, State
from keys.services.letters import people_of
from portal import mail
from portal.models import Letter

STEPS = (timedelta(days=1), timedelta(days=3), timedelta(days=7))  # before the end


def remind(now: datetime | None = None) -> int:
    """Write the letters that are due 7, 3 and 1 days before a lease ends; answers how many. A sweep.

    Only steps that the lease was longer than: a key for a day is nobody's surprise. A service account's letters go
    to its team's admins. A renewal starts anew.
    """
    now = now or timezone.now()
    started = Coalesce("renewed_at", "issued_at")
    ending = Lease.objects.filter(state__in=[State.ACTIVE, State.PAUSED], expires_at__gt=now)
    ending = ending.filter(expires_at__lte=now + STEPS[-1], expires_at__gt=started + STEPS[0])
    due: dict[str, Lease] = {}
    for lease in ending.select_related("holder", "team", "role").order_by("expires_at"):
        step = next(step for step in STEPS if lease.expires_at - now <= step)
        if lease.expires_at - (lease.renewed_at or lease.issued_at) > step:
            due[f"ends:{lease.pk}:{lease.expires_at:%Y%m%dT%H%M}:{step.days}"] = lease
    known = set(Letter.objects.filter(key__in=due).values_list("key", flat=True))
    for key, lease in due.items():
        if key not in known:
            mail.key_ends_soon(
                people_of(lease),
                key,
                alias=str(lease),
                when=lease.expires_at,
                renewable=lease.renewable,
                path=reverse("keys:lease", args=[lease.pk]),
            )
    return len(due) - len(known)
