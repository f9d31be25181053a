"""Forget what nobody needs any more. Books, audit and spend stay."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.contrib.sessions.models import Session
from django.utils import timezone

from keys.models import Finding
from keys.services import advice, proposals
from portal import mail, repeats
from portal.models import CacheRow
from teams.services import deliveries, devices, invitations

KEPT = timedelta(days=90)  # a closed finding, as history


def prune(now: datetime | None = None) -> dict[str, int]:
    """Delete letters sent 90 days ago, findings closed as long ago, invitations and sessions long over. A sweep."""
    now = now or timezone.now()
    closed = Finding.objects.filter(state=Finding.State.CLOSED, closed_at__lt=now - KEPT)
    return {
        "letters": mail.forget_old(now),
        "deliveries": deliveries.forget_old(now),
        "invitations": invitations.forget_old(now),
        "devices": devices.forget_old(now),
        "proposals": proposals.forget_expired(now),
        "findings": closed.delete()[0],
        "advice": advice.forget_old(now),
        "repeats": repeats.forget_old(now),
        "cached": CacheRow.objects.filter(expires__lt=now).delete()[0],
        "sessions": Session.objects.filter(expire_date__lt=now).delete()[0],
    }
