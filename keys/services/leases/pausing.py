"""Pause and resume: the key stays, and does not answer. What must be is in the row; an intent carries it there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from keys.models import EndReason, Intent, Lease, State
from keys.models.lease import LeaseQuerySet
from keys.services import intents, letters
from keys.services.errors import HolderLeft, NotNow
from portal import audit
from portal.templatetags.ui import amid
from teams.access import SYSTEM, Actor, allowed, may_hold, require
from teams.models import Team, User
from teams.roles import Can


def pause(lease: Lease, *, by: Actor, reason: str = "asked") -> Lease:
    """Block the key until somebody resumes it; its time runs on. Safe to repeat.

    While the gateway is away the lease is paused here already, and `is_pending` until it is blocked there.
    Raises NotAllowed, NotNow. Source: LiteLLM `/key/block`.
    """
    require(by, Can.REVOKE_KEY, lease)
    return _turn(lease, {State.ACTIVE}, State.PAUSED, by=by, reason=reason)


def resume(lease: Lease, *, by: Actor) -> Lease:
    """Let a paused key answer again, one that somebody else paused only with the right over others' keys.

    Safe to repeat. Raises NotAllowed, NotNow, HolderLeft.
    """
    require(by, Can.REVOKE_KEY, lease)
    if not may_lift(lease, by):
        require(by, Can.LIFT_PAUSE, lease)
    if not may_hold(lease.holder, lease.team):
        raise HolderLeft
    return _turn(lease, {State.PAUSED}, State.ACTIVE, by=by, reason="")


def may_lift(lease: Lease, by: Actor) -> bool:
    """Whether `by` may lift the pause of this lease: their own, Keydesk's, or with the right over others'."""
    theirs = lease.state == State.PAUSED and lease.paused_by_id and lease.paused_by != by
    return not theirs or allowed(by, Can.LIFT_PAUSE, lease)


def pause_all(leases: Iterable[Lease], *, reason: str, seconds: float, still: LeaseQuerySet | None = None) -> None:
    """Block the keys of somebody who may come back. `still`: only those that are one of these at this moment."""
    promises: list[Intent] = []
    for lease in leases:
        if still is None or still.filter(pk=lease.pk).exists():
            promises += _promise(lease, {State.ACTIVE}, State.PAUSED, by=SYSTEM, reason=reason)
    intents.settle(promises, seconds=seconds)


def resume_for(sender: object = None, *, user: User, team: Team | None = None, by: Actor, **_: object) -> int:
    """Let the keys of somebody who came back answer again, those that were blocked for leaving. Answers how many."""
    blocked = Lease.objects.filter(holder=user, state=State.PAUSED, pause_reason=EndReason.LEFT, paused_by=None)
    if team is not None:
        blocked = blocked.filter(team=team)
    back = [lease for lease in blocked.select_related("team", "holder") if may_hold(user, lease.team)]
    promises: list[Intent] = []
    for lease in back:
        promises += _promise(lease, {State.PAUSED}, State.ACTIVE, by=by, reason="")
    intents.settle(promises)
    return len(back)


def _turn(lease: Lease, old: set[State], new: State, *, by: Actor, reason: str) -> Lease:
    if new == State.PAUSED and lease.paused_by != by and allowed(by, Can.LIFT_PAUSE, lease):
        old = old | {State.PAUSED}  # from now on it is theirs to lift
    promises = _promise(lease, old, new, by=by, reason=reason)
    if not promises and lease.state != new:
        said = {"state": amid(lease.get_state_display())}
        if new == State.PAUSED:
            raise NotNow(_("This key is %(state)s: it cannot be paused.") % said)
        raise NotNow(_("This key is %(state)s: it cannot be resumed.") % said)
    intents.settle(promises)
    lease.refresh_from_db()
    return lease


def _promise(lease: Lease, old: set[State], new: State, *, by: Actor, reason: str) -> list[Intent]:
    """Turn the lease, and promise that each of its live keys follows; nothing if it is not `old` any more."""
    now = timezone.now()
    with transaction.atomic(durable=True):
        paused_by = by if new == State.PAUSED and isinstance(by, User) else None
        if not lease.move(old, new, pause_reason=reason[:200], paused_by=paused_by):
            return []
        promises = [
            Intent.objects.promise(Intent.Kind.BLOCK, now, gateway_id=lease.gateway_id, version=version)
            for version in lease.versions.all()
            if version.is_live
        ]
        done = "paused" if new == State.PAUSED else "resumed"
        said: dict[str, Any] = {"reason": reason} if reason else {}
        audit.record(f"key.{done}", lease, by=by, secret=lease.current.token_hash, **said)
        letters.acted_on(lease, done, by=by, reason=reason)
    return promises
