"""Who is told of what happens to a key. The letters themselves are in portal/mail.py."""

from __future__ import annotations

from django.urls import reverse
from django.utils import timezone

from keys.models import Lease
from portal import mail
from teams.access import Actor
from teams.models import Membership, Team, User
from teams.roles import MemberRole


def people_of(lease: Lease) -> list[str]:
    """Addresses of who cares for the key: its holder, or the team's admins for a service account."""
    if lease.holder.email:
        return [lease.holder.email]
    return admins_of(lease.team)


def admins_of(team: Team) -> list[str]:
    admins = Membership.objects.filter(team=team, role=MemberRole.ADMIN, user__is_active=True)
    return [email for email in admins.values_list("user__email", flat=True) if email]


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
        reason="" if reason == "asked" else reason,
        path=reverse("keys:lease", args=[lease.pk]),
    )
