"""Live keys follow their key role where it became narrower: at once, or when they are renewed. Never wider."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils import timezone

from keys.models import How, Intent, KeyRole, Lease, RoleVersion, State
from keys.models.intent import ABANDONED
from keys.models.request import RATES
from keys.services import bounds, letters
from keys.services.bounds import Held
from portal import audit
from teams.access import Actor

WITH = ("versions", "holder", "team")
MOVING = frozenset({State.ISSUING, State.ROTATING})  # a key is on its way there with the limits of before


def narrow(role: KeyRole, *, by: Actor) -> tuple[list[Intent], list[Lease]]:
    """Cut the live keys outside the role, as it is now, to it. In the transaction that changes the role.

    Answers the promises to settle, and the leases of which nothing can stay: their time is over from now on, and
    whoever calls ends them. Their holders are told.
    """
    now = timezone.now()
    # Those that are raised for a while follow when their rise is over: `after_rise`.
    leases = list(Lease.objects.select_for_update().live().filter(role=role).order_by("pk").prefetch_related(*WITH))
    approved = bounds.approved_beyond(role, leases)
    promises: list[Intent] = []
    over: list[Lease] = []
    for lease in leases:
        has = Held.by(lease)
        if lease.pk in approved or not (limits := bounds.outside(has, role, now)):
            continue
        gets = bounds.narrowed(has, role, now)
        if gets.is_over(now):
            _let_expire(lease, now)
            over.append(lease)
        else:
            promises += _take(lease, gets, limits, role, now, by=by)
    return promises, over


def after_rise(lease: Lease, since: datetime, now: datetime, *, by: Actor) -> list[Intent]:
    """What changes of its role cut at once while the lease was raised, it loses now that the rise is over.

    In the transaction that takes the rise back; `lease`: locked. Answers the promises to settle. Where nothing of it
    can stay, its time is over, and the sweep ends it.
    """
    changes = RoleVersion.objects.filter(role=lease.role_id, how=How.NOW, at__gte=since).order_by("number")
    versions = list(changes.select_related("role__gateway"))
    if not versions or bounds.approved_beyond(lease.role, [lease]):
        return []
    has = gets = Held.by(lease)
    cut: dict[str, None] = {}
    for each in versions:
        then = each.as_role()
        cut |= dict.fromkeys(bounds.outside(gets, then, now))
        gets = bounds.narrowed(gets, then, now)
    if gets == has:
        return []
    if gets.is_over(now):
        _let_expire(lease, now)
        return []
    role = lease.role
    role.version = versions[-1].number  # whose terms it has from now on; not saved
    return _take(lease, gets, tuple(cut), role, now, by=by)


def _let_expire(lease: Lease, now: datetime) -> None:
    lease.expires_at = lease.max_expires_at = now  # the sweep ends it, should nobody come back to it
    lease.save(update_fields=["expires_at", "max_expires_at"])


def due_at_renewal(lease: Lease, now: datetime) -> Held | None:
    """What the lease has from its next renewal on, where a change of its role was to be taken over then. None: no
    other than now.
    """
    since = lease.limits.get("role_version", 0)
    waits = RoleVersion.objects.filter(role=lease.role_id, number__gt=since, how=How.RENEWAL)
    if not waits.exists() or bounds.approved_beyond(lease.role, [lease]):
        return None
    has = Held.by(lease)
    if not set(bounds.outside(has, lease.role, now)) - {"ttl"}:
        return None
    cut = bounds.at_renewal(has, lease.role, now)
    return Held(cut.limits | {"role_version": lease.role.version}, cut.issued_at, cut.expires_at, cut.max_expires_at)


def _take(
    lease: Lease, gets: Held, limits: tuple[str, ...], role: KeyRole, now: datetime, *, by: Actor
) -> list[Intent]:
    before, until = said(Held.by(lease)), gets.expires_at
    lease.limits = gets.limits | {"role_version": role.version}
    lease.expires_at, lease.max_expires_at = until, gets.max_expires_at
    lease.save(update_fields=["limits", "expires_at", "max_expires_at"])
    lease.versions.filter(ended_at=None, dies_at__gt=until).update(dies_at=until)
    audit.record(
        "key.narrowed", lease, by=by, secret=lease.current.token_hash, before=before, after=said(gets),
        limits=limits, role=role.name, role_version=role.version,
    )  # fmt: skip
    letters.acted_on(lease, "narrowed", by=by, reason=f"The key role {role} gives less now.")
    due = now + ABANDONED if lease.state in MOVING else now
    versions = [version for version in lease.versions.all() if version.ended_at is None]
    shape = Intent.Kind.SHAPE
    return [Intent.objects.promise(shape, due, gateway_id=lease.gateway_id, version=each) for each in versions]


def said(held: Held) -> dict[str, Any]:
    """The limits and times of a key, as the audit keeps them."""
    names = ("models", "all_models", "max_budget", "budget_duration", *RATES)
    return {
        **{name: held.limits.get(name) for name in names},
        "expires_at": held.expires_at,
        "max_expires_at": held.max_expires_at,
    }
