"""Which acts a page offers somebody on a key, and in one line each why another one is not there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

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
    rises: bool = False  # whether more can be asked for, for a while

    def act(self, name: str, **changes: Any) -> Act | None:
        """The one of that name, say with its form as it was sent."""
        found = next((act for act in self.acts if act.name == name), None)
        return replace(found, **changes) if found else None


def offer(lease: Lease, user: User) -> Offer:
    """What `user` may do with `lease` now."""
    acts: list[Act] = []
    notes: list[str] = []
    renews = allowed(user, Can.RENEW_KEY, lease)
    if renews:
        _longer(lease, acts, notes)
    if lease.state in {State.ACTIVE, State.PAUSED} and allowed(user, Can.TRANSFER_KEY, lease):
        form = TransferForm(lease=lease, auto_id="transfer_%s")
        acts.append(
            Act(
                "transfer",
                _("Hand over"),
                _("Hand over %(lease)s") % {"lease": lease},
                _("Nothing was handed over."),
                form,
            )
        )
    if allowed(user, Can.REVOKE_KEY, lease):
        _shorter(lease, user, acts, notes)
    return Offer(tuple(acts), tuple(notes), renews and lease.state in {State.ACTIVE, State.PAUSED})


def _longer(lease: Lease, acts: list[Act], notes: list[str]) -> None:
    """Renew and rotate."""
    if lease.state == State.PAUSED:
        notes.append(_("A paused key is neither renewed nor rotated."))
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
            ends = _("once version %(number)s has ended, %(dies_at)s UTC") % {
                "number": old.number,
                "dies_at": when(old.dies_at),
            }
            notes.append(_("It can be rotated again %(ends)s; until then its secret can be replaced.") % {"ends": ends})


def _why_not_longer(lease: Lease, problem: PortalError) -> str:
    if isinstance(problem, NothingLeft):
        given = words(lease.max_expires_at - lease.issued_at)
        return _("Renewed as far as its role allows, %(given)s from issue: ends %(expires_at)s UTC.") % {
            "given": given,
            "expires_at": when(lease.expires_at),
        }
    return problem.message


def _renew(lease: Lease, plan: leases.Renewal) -> Act:
    rest, whole = lease.expires_at - timezone.now(), lease.expires_at - lease.issued_at
    tone = "primary" if rest < min(SOON, whole * LAST_QUARTER) else ""
    form = RenewForm(lease=lease, auto_id="renew_%s")
    label = _label(lease, plan.expires_at, capped=plan.capped)
    return Act(
        "renew", label, _("Renew %(lease)s") % {"lease": lease}, _("Nothing was renewed."), form, tone=tone, plan=plan
    )


def renew_label(lease: Lease) -> str:
    """What a button says that leads to the page of a renewal, from the row alone: that page works it out. Blank: no
    renewal is left.
    """
    if not lease.renewable or lease.role.ended_at:
        return ""
    until = timezone.now() + lease.role.default_ttl
    return _label(lease, min(until, lease.max_expires_at), capped=until > lease.max_expires_at)


def _label(lease: Lease, until: datetime, *, capped: bool) -> str:
    return (
        _("Renew to %(until)s") % {"until": day(until)}
        if capped
        else _("Renew %(default_ttl)s") % {"default_ttl": words(lease.role.default_ttl)}
    )


def rotate_or_replace(lease: Lease, *, replaces: bool = False) -> Act:
    """Rotate; while an older secret still works, or when nobody saw the current one, replace it at once."""
    form = RotateForm(lease=lease, auto_id="rotate_%s")
    if replaces or lease.previous:
        title = _("Replace the secret of %(lease)s?") % {"lease": lease}
        return Act("rotate", _("Replace the secret"), title, _("Nothing was replaced."), form, part="replace")
    return Act("rotate", _("Rotate"), _("Rotate %(lease)s?") % {"lease": lease}, _("Nothing was rotated."), form)


def _shorter(lease: Lease, user: User, acts: list[Act], notes: list[str]) -> None:
    """Pause or resume, and revoke."""
    if lease.state == State.ACTIVE:
        form = ReasonForm(auto_id="pause_%s")
        acts.append(Act("pause", _("Pause"), _("Pause %(lease)s?") % {"lease": lease}, _("Nothing was paused."), form))
    elif lease.state == State.PAUSED and not leases.may_lift(lease, user):
        notes.append(
            _("%(paused_by)s paused it. An approver or a team admin can let it answer again.")
            % {"paused_by": lease.paused_by}
        )
    elif lease.state == State.PAUSED and may_hold(lease.holder, lease.team):
        acts.append(
            Act(
                "resume",
                _("Resume"),
                _("Resume %(lease)s?") % {"lease": lease},
                _("Nothing was resumed."),
                DeskForm(),
                tone="primary",
            )
        )
    elif lease.state == State.PAUSED:
        notes.append(_(HolderLeft.message))
    if lease.is_live:
        form = ReasonForm(auto_id="revoke_%s")
        acts.append(
            Act(
                "revoke",
                _("Revoke"),
                _("Revoke %(lease)s?") % {"lease": lease},
                _("Nothing was revoked."),
                form,
                tone="danger",
            )
        )
