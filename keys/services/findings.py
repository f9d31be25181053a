"""What a look at a gateway found: noted by the sweeps, answered by platform admins."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from keys.models import Finding, Gateway, Intent, KeyVersion, Lease, State
from keys.models.lease import SETTLED
from keys.models.role import EVERY_MODEL, wrong_models
from keys.services import gateways, intents, letters
from keys.services.shape import differences
from portal import audit
from portal.errors import Conflict, Invalid, PortalError
from portal.litellm import BudgetWindow, InvalidDuration, KeyInfo, KeyNotFound
from portal.litellm import Team as TeamThere
from teams.access import Actor, may_hold, require
from teams.models import Team, User
from teams.roles import Can

Kind = Finding.Kind
MENDED_BY = {  # what makes the gateway follow our row again
    Kind.LIMITS: Intent.Kind.SHAPE,
    Kind.EXPIRY: Intent.Kind.SHAPE,
    Kind.METADATA: Intent.Kind.SHAPE,
    Kind.TEAM: Intent.Kind.SHAPE,
    Kind.BLOCK: Intent.Kind.BLOCK,
}


class NotOpen(Conflict):
    """The finding is closed: what it tells of is gone, or was answered."""

    code = "finding_closed"
    message = gettext_noop("This is not open any more.")
    action = gettext_noop("Look at the list again.")


class CannotRestore(Conflict):
    code = "cannot_restore"


class CannotAdopt(Conflict):
    code = "cannot_adopt"
    action = gettext_noop("Restore it, or change it here.")


class CannotIgnore(Conflict):
    code = "cannot_ignore"
    message = gettext_noop("A lease never lies: this key is not what its lease says.")
    action = gettext_noop("Run the reconcile, and approve its list.")


class ChangedSince(Conflict):
    """What is on the gateway is not what the finding tells any more."""

    code = "changed_since"
    message = gettext_noop("It has changed on the gateway since this was found.")
    action = gettext_noop("Look at it again, then decide.")


def note(
    gateway: Gateway,
    kind: Finding.Kind,
    subject: str,
    *,
    message: str,
    cause: str = "",
    facts: Mapping[str, Any] | None = None,
    version: KeyVersion | None = None,
    team: Team | None = None,
    now: datetime,
) -> Finding:
    """Open a finding, or refresh it. `now`: when it was seen; an older sight never overwrites a newer one.

    An ignored one stays ignored while its facts are the same, and opens again with others. A closed one opens again
    as if it were new. Money, times and tuples in `facts` become plain JSON.
    """
    said: dict[str, Any] = {
        "message": message[:300], "cause": cause[:200], "facts": plain(facts or {}), "version": version, "team": team,
        "seen_at": now,
    }  # fmt: skip
    with transaction.atomic():
        rows = Finding.objects.select_for_update()
        finding, new = rows.get_or_create(
            gateway=gateway, kind=kind, subject=subject[:200], defaults={**said, "first_seen_at": now}
        )
        if new or finding.seen_at > now:
            return finding
        changed = finding.facts != said["facts"]
        if finding.state == Finding.State.CLOSED or (finding.state == Finding.State.IGNORED and changed):
            anew = finding.state == Finding.State.CLOSED
            said |= {"state": Finding.State.OPEN, "closed_at": None, "closed_by": "", "reason": ""}
            said |= {"first_seen_at": now} if anew else {}
        for name, value in said.items():
            setattr(finding, name, value)
        finding.save(update_fields=list(said))
    return finding


def close_unseen(gateway: Gateway, kinds: Collection[Finding.Kind], seen_since: datetime, now: datetime) -> int:
    """Close those of these kinds that were not seen since: they are gone by themselves. Answers how many."""
    unseen = gateway.findings.filter(kind__in=kinds, seen_at__lt=seen_since).exclude(state=Finding.State.CLOSED)
    return unseen.update(state=Finding.State.CLOSED, closed_at=now, closed_by="", reason="gone by itself")


def restore(finding: Finding, *, by: Actor) -> Finding:
    """Make the gateway follow our row again: at once, or as soon as it answers. The finding closes when it has.

    Raises NotAllowed, NotOpen, CannotRestore.
    """
    require(by, Can.MANAGE_PLATFORM)
    if finding.kind not in MENDED_BY:
        raise CannotRestore(
            _("%(get_kind_display)s: there is nothing on the gateway to restore.")
            % {"get_kind_display": finding.get_kind_display()},
            action=_("It closes by itself once it is gone."),
        )
    now = timezone.now()
    with transaction.atomic(durable=True):
        finding = _still_open(finding)
        about: dict[str, Any] = {"version": finding.version} if finding.version else {"team": finding.team}
        if finding.version and not _is_live(finding.version):
            raise CannotRestore(_("This key has ended here."), action=_("The finding closes with the next reconcile."))
        kind = MENDED_BY[Kind(finding.kind)]
        promise = Intent.objects.promise(kind, now, gateway_id=finding.gateway_id, **about)
        _record("restored", finding, by=by)
    intents.settle([promise])
    kept = not Intent.objects.filter(pk=promise.pk, looks=0).exists()  # or kept, and watched
    if kept and (finding.team is None or _team_follows(finding.gateway, finding.team, by)):
        Finding.objects.filter(pk=finding.pk).exclude(state=Finding.State.CLOSED).update(
            state=Finding.State.CLOSED, closed_at=timezone.now(), closed_by=by.audit_name, reason="restored"
        )
    finding.refresh_from_db()
    return finding


def _team_follows(gateway: Gateway, team: Team, by: Actor) -> bool:
    """Whether the team there is as ours now. Unblocks it: no promise does, or each issue would undo a block."""
    try:
        with gateways.calling(gateway, by=by) as line:
            found = team_differences(team, _team_there(line, team))
            if "blocked" in found:
                line.client.teams.unblock(team.litellm_id)
                found = team_differences(team, _team_there(line, team))
    except PortalError:
        return False  # not known; the next reconcile closes it
    return not found


def _team_there(line: gateways.Line, team: Team) -> TeamThere | None:
    return next(iter(line.client.teams.list_v2_page(1, 1, team_id=team.litellm_id).items), None)


def adopt(finding: Finding, *, by: Actor) -> Finding:
    """Take over into our row what is on the gateway: limits, expiry (never past the max TTL), blocked or not.

    The gateway is looked at first: what is adopted is what was shown. The lease's other key, in a rotation, follows.
    Raises NotAllowed, NotOpen, CannotAdopt, ChangedSince, GatewayAway, GatewayRefused.
    """
    require(by, Can.MANAGE_PLATFORM)
    if finding.kind not in TAKE_OVER or finding.version is None:
        raise CannotAdopt(
            _("%(get_kind_display)s: there is nothing that our row could take over.")
            % {"get_kind_display": finding.get_kind_display()}
        )
    with gateways.calling(finding.gateway, by=by) as line:
        try:
            there = line.client.keys.info(finding.version.token_hash)
        except KeyNotFound:
            raise ChangedSince(_("The key is not on the gateway any more.")) from None
    now = timezone.now()
    with transaction.atomic(durable=True):
        finding = _still_open(finding)
        version = finding.version
        if version is None or there.status == "deleted":
            raise ChangedSince
        lease = Lease.objects.select_for_update().get(pk=version.lease_id)
        version.lease = lease
        if lease.state not in SETTLED - {State.ROTATING} or not version.is_live:
            raise CannotAdopt(_("This key has ended here, or is being rotated."), action=_("Look at the key."))
        found = {name: both for name, both in differences(version, there).items() if name in finding.facts}
        if plain(found) != finding.facts:
            raise ChangedSince
        TAKE_OVER[finding.kind](lease, version, there, by)
        kind = Intent.Kind.BLOCK if finding.kind == Kind.BLOCK else Intent.Kind.SHAPE
        promises = [
            Intent.objects.promise(kind, now, gateway_id=lease.gateway_id, version=each)
            for each in lease.versions.all()
            if each.is_live
        ]
        _record("adopted", finding, by=by, facts=finding.facts)
        letters.acted_on(lease, "changed", by=by, reason="What was changed on the gateway was taken over.")
        _close(finding, by, now, "adopted")
    intents.settle(promises)
    return finding


def ignore(finding: Finding, *, by: Actor, reason: str) -> Finding:
    """Leave it as it is, with a reason; it opens again when its facts change. Raises NotAllowed, NotOpen, CannotIgnore,
    Invalid.
    """
    require(by, Can.MANAGE_PLATFORM)
    if not reason.strip():
        raise Invalid(details={"reason": _("Say why, for whoever looks at it later.")})
    if finding.kind == Kind.MISSING or (finding.kind == Kind.ORPHAN and finding.version_id is not None):
        raise CannotIgnore
    now = timezone.now()
    with transaction.atomic():
        finding = _still_open(finding)
        finding.reason = reason.strip()[:200]
        _record("ignored", finding, by=by, reason=finding.reason)
        _close(finding, by, now, finding.reason, state=Finding.State.IGNORED)
    return finding


def team_differences(team: Team, there: TeamThere | None) -> dict[str, tuple[Any, Any]]:
    """In what the team there is not as our row has it: `{field: (ours, theirs)}`; `team` alone: it is not there."""
    if there is None:
        return {"team": (team.name, None)}
    ours: dict[str, Any] = {"name": team.name, "max_budget": team.max_budget, "blocked": False}
    theirs: dict[str, Any] = {"name": there.alias, "max_budget": there.max_budget, "blocked": there.blocked}
    if team.max_budget is not None:
        ours["budget_duration"], theirs["budget_duration"] = team.budget_duration or None, there.budget_duration
    return {name: (mine, theirs[name]) for name, mine in ours.items() if mine != theirs[name]}


def plain(value: Any) -> Any:
    """As JSON has it; the same amount is always the same text."""
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, datetime):
        return value.isoformat()
    return value


def _still_open(finding: Finding) -> Finding:
    """The row as it is now, locked. Raises NotOpen."""
    row = Finding.objects.select_for_update().get(pk=finding.pk)
    if row.state == Finding.State.CLOSED:
        raise NotOpen
    return row


def _is_live(version: KeyVersion) -> bool:
    return version.is_live and version.lease.state in SETTLED


def _close(finding: Finding, by: Actor, now: datetime, reason: str, state: str = Finding.State.CLOSED) -> None:
    finding.state, finding.closed_at, finding.closed_by, finding.reason = state, now, by.audit_name, reason
    finding.save(update_fields=["state", "closed_at", "closed_by", "reason"])


def _record(done: str, finding: Finding, *, by: Actor, **more: Any) -> None:
    target = finding.version.lease if finding.version else finding.team or finding.gateway
    audit.record(f"finding.{done}", target, by=by, kind=finding.kind, subject=finding.subject, **more)


def _take_limits(lease: Lease, version: KeyVersion, there: KeyInfo, by: Actor) -> None:
    if there.max_budget is not None and there.max_budget <= 0:
        raise CannotAdopt(_("A budget of 0 blocks the key. Pause it here instead."))
    window = there.budget_duration if there.max_budget is not None else None
    lease.limits = {
        **lease.limits,
        **models_of(there),
        "max_budget": None if there.max_budget is None else plain(there.max_budget),
        "budget_duration": known_window(window),
        "tpm_limit": there.tpm_limit,
        "rpm_limit": there.rpm_limit,
        "max_parallel_requests": there.max_parallel_requests,
    }
    lease.save(update_fields=["limits"])


def models_of(there: KeyInfo) -> dict[str, Any]:
    """The key's models as a lease keeps them: every model is said, not left empty. Raises CannotAdopt."""
    if not there.models or EVERY_MODEL.difference({"no-default-models"}).intersection(there.models):
        return {"models": [], "all_models": True}
    if wrong := wrong_models(there.models):
        raise CannotAdopt(wrong)
    return {"models": list(there.models), "all_models": False}


def known_window(window: str | None) -> str:
    """A budget window as ours have it; blank: none. Raises CannotAdopt."""
    try:
        return BudgetWindow.parse(window).value if window else ""
    except InvalidDuration as error:
        raise CannotAdopt(error.message, action=error.action) from None


def _take_expiry(lease: Lease, version: KeyVersion, there: KeyInfo, by: Actor) -> None:
    if version.pk != lease.current.pk:
        raise CannotAdopt(_("This is the older key of a rotation: it ends when its grace period does."))
    until = min(there.expires or lease.max_expires_at, lease.max_expires_at)
    lease.expires_at = version.dies_at = until
    lease.save(update_fields=["expires_at"])
    version.save(update_fields=["dies_at"])


def _take_block(lease: Lease, version: KeyVersion, there: KeyInfo, by: Actor) -> None:
    if there.blocked:
        paused_by = by if isinstance(by, User) else None
        lease.move({State.ACTIVE}, State.PAUSED, pause_reason="blocked on the gateway", paused_by=paused_by)
    elif may_hold(lease.holder, lease.team):
        lease.move({State.PAUSED}, State.ACTIVE, pause_reason="", paused_by=None)
    else:
        raise CannotAdopt(_("Its holder may not hold keys of this team any more."))


TAKE_OVER: dict[str, Callable[[Lease, KeyVersion, KeyInfo, Actor], None]] = {
    Kind.LIMITS: _take_limits,
    Kind.EXPIRY: _take_expiry,
    Kind.BLOCK: _take_block,
}
