"""Which acts a page offers somebody on a key, and in one line each why another one is not there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from django.utils import timezone

from keys.forms import ReasonForm, RenewForm, RotateForm, TransferForm
from keys.models import Lease, State
from keys.services import leases
from keys.services.errors import HolderLeft, NothingLeft, NotNow
from portal.errors import PortalError
from portal.forms import DeskForm
from portal.templatetags.ui import day, when, words
from teams.access import allowed, may_hold
from teams.models import User
from teams.roles import Can

SOON = timedelta(days=7)  # when the first reminder leaves
LAST_QUARTER = 0.25


@dataclass(frozen=True, slots=True)
class Act:
    """One act: a button, a popup with its form, and a page of its own for who comes without script."""

    name: str  # of its URL; its form is in templates/keys/acts/_<part>.html
    label: str
    title: str
    nothing: str  # what is said above a form that was refused
    form: DeskForm
    part: str = ""
    tone: str = ""  # of its button
    plan: Any = None  # what a renewal would give

    @property
    def template(self) -> str:
        return f"keys/acts/_{self.part or self.name}.html"


@dataclass(frozen=True, slots=True)
class Offer:
    acts: tuple[Act, ...]
    notes: tuple[str, ...]

    def act(self, name: str, **changes: Any) -> Act | None:
        """The one of that name, say with its form as it was sent."""
        found = next((act for act in self.acts if act.name == name), None)
        return replace(found, **changes) if found else None


def offer(lease: Lease, user: User) -> Offer:
    """What `user` may do with `lease` now."""
    acts: list[Act] = []
    notes: list[str] = []
    if allowed(user, Can.RENEW_KEY, lease):
        _longer(lease, acts, notes)
    if lease.state in {State.ACTIVE, State.PAUSED} and allowed(user, Can.TRANSFER_KEY, lease):
        form = TransferForm(lease=lease, auto_id="transfer_%s")
        acts.append(Act("transfer", "Hand over", f"Hand over {lease}", "Nothing was handed over.", form))
    if allowed(user, Can.REVOKE_KEY, lease):
        _shorter(lease, user, acts, notes)
    return Offer(tuple(acts), tuple(notes))


def _longer(lease: Lease, acts: list[Act], notes: list[str]) -> None:
    """Renew and rotate."""
    if lease.state == State.PAUSED:
        notes.append("A paused key is neither renewed nor rotated.")
    if lease.state != State.ACTIVE:
        return
    plan = leases.renewal(lease)
    if plan.problem:
        notes.append(_why_not_longer(lease, plan.problem))
    else:
        acts.append(_renew(lease, plan))
    if not isinstance(plan.problem, NotNow | HolderLeft):
        acts.append(rotate_or_replace(lease))
        if (old := lease.previous) and old.dies_at:
            ends = f"once version {old.number} has ended, {when(old.dies_at)} UTC"
            notes.append(f"It can be rotated again {ends}; until then its secret can be replaced.")


def _why_not_longer(lease: Lease, problem: PortalError) -> str:
    if isinstance(problem, NothingLeft):
        given = words(lease.max_expires_at - lease.issued_at)
        return f"Renewed as far as its role allows, {given} from issue: ends {when(lease.expires_at)} UTC."
    return problem.message


def _renew(lease: Lease, plan: leases.Renewal) -> Act:
    span = f"to {day(plan.expires_at)}" if plan.capped else words(lease.role.default_ttl)
    rest, whole = lease.expires_at - timezone.now(), lease.expires_at - lease.issued_at
    tone = "primary" if rest < min(SOON, whole * LAST_QUARTER) else ""
    form = RenewForm(lease=lease, auto_id="renew_%s")
    return Act("renew", f"Renew {span}", f"Renew {lease}", "Nothing was renewed.", form, tone=tone, plan=plan)


def rotate_or_replace(lease: Lease, *, replaces: bool = False) -> Act:
    """Rotate; while an older secret still works, or when nobody saw the current one, replace it at once."""
    form = RotateForm(lease=lease, auto_id="rotate_%s")
    if replaces or lease.previous:
        title = f"Replace the secret of {lease}?"
        return Act("rotate", "Replace the secret", title, "Nothing was replaced.", form, part="replace")
    return Act("rotate", "Rotate", f"Rotate {lease}?", "Nothing was rotated.", form)


def _shorter(lease: Lease, user: User, acts: list[Act], notes: list[str]) -> None:
    """Pause or resume, and revoke."""
    if lease.state == State.ACTIVE:
        form = ReasonForm(auto_id="pause_%s")
        acts.append(Act("pause", "Pause", f"Pause {lease}?", "Nothing was paused.", form))
    elif lease.state == State.PAUSED and not leases.may_lift(lease, user):
        notes.append(f"{lease.paused_by} paused it. An approver or a team admin can let it answer again.")
    elif lease.state == State.PAUSED and may_hold(lease.holder, lease.team):
        acts.append(Act("resume", "Resume", f"Resume {lease}?", "Nothing was resumed.", DeskForm(), tone="primary"))
    elif lease.state == State.PAUSED:
        notes.append(HolderLeft.message)
    if lease.is_live:
        form = ReasonForm(auto_id="revoke_%s")
        acts.append(Act("revoke", "Revoke", f"Revoke {lease}?", "Nothing was revoked.", form, tone="danger"))
