"""Answer an advice: do what it proposes, or put it off with a reason. Nothing here ever widens a key or a role."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from keys.models import Advice, Intent, KeyRole, Lease, State
from keys.models.lease import SETTLED
from keys.services import intents, leases, letters, roles, words
from keys.services.advice.judging import Found, narrows
from keys.services.advice.looking import now_found, rising
from portal import audit
from portal.errors import Conflict, Invalid
from teams.access import Actor, allowed, require
from teams.roles import Can

LONGEST_SNOOZE = timedelta(days=90)
MOST_REASON = 200  # characters


class NotWaiting(Conflict):
    """Somebody answered it, or it is not true any more."""

    code = "advice_closed"
    message = gettext_noop("This is not open any more.")
    action = gettext_noop("Look at the list again.")


class CannotApply(Conflict):
    """There is nothing that Keydesk could do by itself."""

    code = "cannot_apply"
    action = gettext_noop("Change it by hand, or snooze it with a reason.")


class FiguresChanged(Conflict):
    """What is proposed now is not what the person saw."""

    code = "figures_changed"
    message = gettext_noop("The figures have changed since this was shown.")
    action = gettext_noop("Look at the new proposal, then decide.")


def may_answer(advice: Advice, by: Actor) -> bool:
    """Whether `by` may apply or snooze it."""
    return allowed(by, *_right(advice))


def apply(advice: Advice, *, by: Actor) -> Advice:
    """Do what is proposed: narrow or end the key, change the role. The holder is told when it is somebody else's act.

    Raises NotAllowed, NotWaiting, CannotApply, FiguresChanged, and of a role what `roles.change` raises: SecondNeeded,
    Conflict.
    """
    require(by, *_right(advice))
    _check(advice)
    if advice.role_id:
        _change_role(advice, by)
    elif advice.lease and advice.proposed.get("end"):
        leases.revoke(advice.lease, by=by, reason=f"not used for {advice.facts['days']} days")
        _settle(advice, by)
    else:
        intents.settle(_narrow(advice, by))
    advice.refresh_from_db()
    return advice


def snooze(advice: Advice, *, by: Actor, until: datetime, reason: str) -> Advice:
    """Put it off until then (UTC), at most 90 days, with a reason; it comes back if it is still true.

    Raises NotAllowed, NotWaiting, Invalid.
    """
    require(by, *_right(advice))
    now, reason = timezone.now(), words.one_line(reason)
    wrong = {} if reason else {"reason": _("Say why, for whoever looks at it later.")}
    if len(reason) > MOST_REASON:
        wrong["reason"] = _("At most %(most_reason)s characters.") % {"most_reason": MOST_REASON}
    if not now < until <= now + LONGEST_SNOOZE:
        wrong["until"] = _("A day from tomorrow on, at most %(days)s days from now.") % {"days": LONGEST_SNOOZE.days}
    if wrong:
        raise Invalid(details=wrong)
    words.no_secret(reason=reason)
    with transaction.atomic():
        row = _still_waiting(advice)
        row.state, row.snoozed_until, row.reason, row.by = Advice.State.SNOOZED, until, reason, by.audit_name
        row.save(update_fields=["state", "snoozed_until", "reason", "by"])
        audit.record("advice.snoozed", row.subject, by=by, kind=row.kind, until=until, reason=reason)
    advice.refresh_from_db()
    return advice


def wake(advice: Advice, *, by: Actor) -> Advice:
    """Bring back at once what was put off. Safe to repeat. Raises NotAllowed, NotWaiting."""
    require(by, *_right(advice))
    with transaction.atomic():
        row = _still_waiting(advice)
        if row.state == Advice.State.SNOOZED:
            before = {"until": row.snoozed_until, "reason": row.reason}
            row.state, row.snoozed_until, row.reason, row.by = Advice.State.OPEN, None, "", ""
            row.save(update_fields=["state", "snoozed_until", "reason", "by"])
            audit.record("advice.woken", row.subject, by=by, kind=row.kind, before=before)
    advice.refresh_from_db()
    return advice


def _right(advice: Advice) -> tuple[Can, Lease | None]:
    """Who may end a key may make it smaller, too; key roles are the platform's."""
    return (Can.REVOKE_KEY, advice.lease) if advice.lease else (Can.MANAGE_PLATFORM, None)


def _check(advice: Advice) -> Found:
    """That it still holds, and proposes what was shown. Raises NotWaiting, CannotApply, FiguresChanged."""
    if not Advice.objects.waiting().filter(pk=advice.pk).exists():
        raise NotWaiting
    if advice.lease_id:
        _refuse_raised(advice.lease_id)
    found = now_found(advice, timezone.now())
    if found is None:
        raise NotWaiting(_("This is not true any more. It closes with the next look."))
    if not found.proposed:
        raise CannotApply(_("What to do here, only a person can know."))
    if found.proposed != advice.proposed:
        fresh = {"facts": found.facts, "proposed": found.proposed, "saves": found.saves}
        Advice.objects.filter(pk=advice.pk).update(**fresh)
        raise FiguresChanged
    return found


def _refuse_raised(lease: Any) -> None:
    """What a key has for a while is taken back by itself, so nothing is narrowed meanwhile. Raises CannotApply."""
    if rising([lease]):
        raise CannotApply(_("This key is raised for a while."), action=_("Wait until the rise is over."))


def _still_waiting(advice: Advice) -> Advice:
    """The row as it is now, locked. Raises NotWaiting."""
    row = Advice.objects.select_for_update().get(pk=advice.pk)
    if not row.is_waiting:
        raise NotWaiting
    return row


def _settle(advice: Advice, by: Actor, **facts: Any) -> None:
    """Write down that it was applied."""
    with transaction.atomic():
        row = Advice.objects.select_for_update().get(pk=advice.pk)
        row.state, row.closed_at, row.by = Advice.State.APPLIED, timezone.now(), by.audit_name
        row.snoozed_until, row.reason = None, ""
        row.save(update_fields=["state", "closed_at", "by", "snoozed_until", "reason"])
        audit.record("advice.applied", row.subject, by=by, kind=row.kind, proposed=advice.proposed, **facts)


def _change_role(advice: Advice, by: Actor) -> None:
    """As a new version of the role; keys that were issued from it keep what they have."""
    role, proposed = KeyRole.objects.get(pk=str(advice.role_id)), dict(advice.proposed)
    if days := proposed.pop("lasts", None):
        proposed["ttl"] = min(role.default_ttl, timedelta(days=days))
    if "max_budget" in proposed:
        proposed["max_budget"] = advice.proposed_budget
    roles.change(role, by=by, **proposed)
    _settle(advice, by)


def _narrow(advice: Advice, by: Actor) -> list[Intent]:
    """Our row becomes smaller at once; the promises carry it to the gateway. Raises NotWaiting, CannotApply."""
    now = timezone.now()
    with transaction.atomic(durable=True):
        _still_waiting(advice)
        lease = Lease.objects.select_for_update().get(pk=str(advice.lease_id))
        if lease.state not in SETTLED - {State.ROTATING} or lease.expires_at <= now:
            raise CannotApply(_("This key has ended, or is being rotated."), action=_("Look at the key."))
        _refuse_raised(lease.pk)
        before = _as_it_was(lease, advice)
        if days := advice.proposed.get("lasts"):
            _shorten(lease, now + timedelta(days=days))
        elif narrows(advice.proposed, lease):
            lease.limits = {**lease.limits, **advice.proposed}
            lease.save(update_fields=["limits"])
        else:
            raise NotWaiting
        _settle(advice, by, before=before)
        letters.acted_on(lease, "narrowed", by=by, reason=f"{advice.get_kind_display()}.")
        promise, shape = Intent.objects.promise, Intent.Kind.SHAPE
        living = [version for version in lease.versions.all() if version.is_live]
        return [promise(shape, now, gateway_id=lease.gateway_id, version=version) for version in living]


def _shorten(lease: Lease, until: datetime) -> None:
    """End sooner; renewing can reach as far as before."""
    lease.expires_at = min(lease.expires_at, until)
    lease.save(update_fields=["expires_at"])
    for version in lease.versions.all():
        if version.is_live and version.dies_at and version.dies_at > lease.expires_at:
            version.dies_at = lease.expires_at
            version.save(update_fields=["dies_at"])


def _as_it_was(lease: Lease, advice: Advice) -> dict[str, Any]:
    if "lasts" in advice.proposed:
        return {"expires_at": lease.expires_at.isoformat()}
    return {name: lease.limits.get(name) for name in advice.proposed}
