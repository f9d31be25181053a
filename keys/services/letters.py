"""Who is told of what happens to a key. The letters themselves are in portal/mail.py."""

from __future__ import annotations

from django.urls import reverse
from django.utils import timezone

from keys.models import Lease
from keys.services import words
from portal import mail
from teams.access import Actor
from teams.models import User
from teams.services.service_accounts import admins_of
from teams.services.service_accounts import people_of as people_of_holder

__all__ = ["acted_on", "admins_of", "people_of"]


def people_of(lease: Lease) -> list[str]:
    """Addresses of who cares for the key: its holder, or who answers for a service account."""
    return people_of_holder(lease.holder)


def acted_on(lease: Lease, done: str, *, by: Actor, reason: str = "") -> None:
    """Tell the holder that another person acted on their key. In the act's transaction."""
    if not isinstance(by, User) or by.pk == lease.holder_id:
        return
    mail.key_changed(
        [to for to in people_of(lease) if to != by.email],
        f"key-{done}:{lease.pk}:{timezone.now().timestamp()}",
        alias=str(lease),
        done=done,
        actor=str(by),
        reason="" if reason == "asked" else words.one_line(reason),
        path=reverse("keys:lease", args=[lease.pk]),
    )
