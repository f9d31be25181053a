"""Hand a key over to somebody else of its team. The secret stays as it is until the new holder replaces it."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from keys.models import Intent, Lease, State
from keys.models.lease import ENDED
from keys.services import intents
from keys.services.errors import AllowanceSpent, NotNow
from portal import audit, mail
from portal.errors import Invalid
from portal.templatetags.ui import amid
from teams.access import Actor, may_hold, require
from teams.models import User
from teams.roles import Can, MemberRole, Reach, reach
from teams.services.service_accounts import people_of

MOVABLE = frozenset({State.ACTIVE, State.PAUSED})


def transfer(lease: Lease, *, to: User, by: Actor) -> Lease:
    """Make `to` the holder: a member or service account of the same team that may hold keys there. Both are told.

    Our row changes at once; the gateway follows as a promise, and until it has, it counts the spend for the old
    holder. A pause stays; one's own becomes the new holder's to lift.
    Raises NotAllowed, NotNow, Invalid, AllowanceSpent.
    """
    require(by, Can.TRANSFER_KEY, lease)
    now = timezone.now()
    with transaction.atomic(durable=True):
        User.objects.select_for_update(no_key=True).get(pk=to.pk)  # one allowance at a time is counted
        Lease.objects.select_for_update().get(pk=lease.pk)
        lease.refresh_from_db()
        require(by, Can.TRANSFER_KEY, lease)  # as it is now
        _check(lease, to, now)
        before = lease.holder
        paused_by = to if lease.paused_by_id == before.pk else lease.paused_by
        moved = lease.move(MOVABLE, State(lease.state), holder=to, handed_over_at=now, paused_by=paused_by)
        assert moved  # noqa: S101  (the row is locked)
        promises = _follow(lease, now)
        audit.record(
            "key.transferred", lease, by=by, before=before.audit_name, after=to.audit_name,
            before_id=before.pk, after_id=to.pk,
        )  # fmt: skip
        _tell(lease, before, by=by, now=now)
    intents.settle(promises)
    lease.refresh_from_db()
    return lease


def heirs(lease: Lease) -> list[User]:
    """Whom this key can be handed over to: people, then service accounts, by name."""
    holding = [role for role in MemberRole if reach(Can.ISSUE_KEY, role) is not Reach.NONE]
    members = Q(memberships__team=lease.team_id, memberships__role__in=holding)
    near = User.objects.filter(members | Q(service_team=lease.team_id), is_active=True).exclude(pk=lease.holder_id)
    return sorted(near.distinct(), key=lambda user: (user.kind, str(user).lower()))


def _check(lease: Lease, to: User, now: datetime) -> None:
    """Raises NotNow, Invalid, AllowanceSpent."""
    if lease.state not in MOVABLE or lease.expires_at <= now:
        word = _("over its time") if lease.state in MOVABLE else amid(lease.get_state_display())
        raise NotNow(_("This key is %(word)s: it cannot be handed over.") % {"word": word})
    if to.pk == lease.holder_id:
        raise _wrong(_("%(to)s holds it already.") % {"to": to})
    if not may_hold(to, lease.team):
        raise _wrong(_("%(to)s may not hold keys of %(team)s.") % {"to": to, "team": lease.team})
    most = lease.role.max_live_keys
    held = Lease.objects.filter(role=lease.role, holder=to).exclude(state__in=ENDED).count()
    if most is not None and held >= most:
        said = _("%(to)s holds %(held)s of the %(most)s keys that %(role)s allows.") % {
            "to": to,
            "held": held,
            "most": most,
            "role": lease.role,
        }
        raise AllowanceSpent(said, action=_("End one of those first, or choose somebody else."))


def _wrong(said: str) -> Invalid:
    return Invalid(said, details={"to": said})


def _follow(lease: Lease, now: datetime) -> list[Intent]:
    """Promise that the team there has the new holder's budget, and then that each of the living secrets is theirs."""
    promise, gateway = Intent.objects.promise, lease.gateway_id
    living = (version for version in lease.versions.all() if version.is_live)
    team = promise(Intent.Kind.SHAPE, now, gateway_id=gateway, team=lease.team)
    return [team, *(promise(Intent.Kind.SHAPE, now, gateway_id=gateway, version=version) for version in living)]


def _tell(lease: Lease, before: User, *, by: Actor, now: datetime) -> None:
    """In the act's transaction, both but for whoever acts."""
    here, home = reverse("keys:lease", args=[lease.pk]), reverse("keys:home")
    for user, yours in ((before, False), (lease.holder, True)):
        mail.key_handed_over(
            [to for to in people_of(user) if to != getattr(by, "email", None)],
            f"key-handed-over:{lease.pk}:{now.timestamp()}:{user.pk}",
            alias=str(lease),
            before=str(before),
            after=str(lease.holder),
            actor=str(by) if isinstance(by, User) else by.audit_name,
            yours=yours,
            path=here if yours or user.service_team_id else home,
        )
