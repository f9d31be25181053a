"""Confirm or reject what another platform admin has proposed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from keys.models import Gateway, KeyRole, Proposal
from keys.services import gateways, roles
from keys.services.second import unpack
from portal import audit
from portal.errors import Conflict, Invalid, NotAllowed, PortalError
from portal.models import AuditEvent
from teams.access import allowed, platform_admins, require, require_fresh
from teams.models import User
from teams.roles import Can, PlatformRole

SETTLED_IN = timedelta(days=1)  # before a new platform admin confirms: time for others to see them


class ProposalOver(Conflict):
    code = "proposal_over"
    message = gettext_noop("This proposal is over.")
    action = gettext_noop("Look at what became of it; propose the change again if it is still wanted.")


def confirm(proposal: Proposal, *, by: User) -> Gateway | KeyRole:
    """Do what was proposed. Not by who proposed it, nor by who became a platform admin lately: it could be a puppet.

    It is void when the target has changed since, or its proposer is no platform admin any more.
    Raises NotAllowed, SignInAgain, ProposalOver, and whatever the act itself raises: the proposal waits on then.
    """
    require(by, Can.MANAGE_PLATFORM)
    require_fresh(by)
    if proposal.proposed_by_id == by.pk:
        others = [str(each) for each in platform_admins().exclude(pk=by.pk)[:3]]
        ask = (
            _("Another platform admin can: %(others)s.") % {"others": ", ".join(others)}
            if others
            else _("It takes a second platform admin.")
        )
        raise NotAllowed(
            _("Nobody confirms their own proposal."),
            right="confirm_proposal",
            who=others,
            action=ask,
        )
    since = _admin_since(by)
    if since and (since >= proposal.at or since > timezone.now() - SETTLED_IN):
        raise NotAllowed(
            _("Who confirms has been a platform admin for a day, and since before it was proposed."),
            right="confirm_proposal",
            action=_("It takes another platform admin; or propose it again when a day is over."),
        )
    with transaction.atomic():
        row = _open(proposal)
        stale = _stale(row)
        _decide(row, Proposal.Outcome.VOID if stale else Proposal.Outcome.CONFIRMED, by=by, reason=stale)
    if stale:
        raise ProposalOver(_("This proposal is void: %(stale)s") % {"stale": stale})
    try:
        done = _act(row)(by=by, confirmed=True)
    except (PortalError, Gateway.DoesNotExist) as error:
        _wait_on(row, by=by, why=getattr(error, "code", "gone"))
        raise
    Proposal.objects.filter(pk=row.pk).update(payload="")
    return done


def reject(proposal: Proposal, *, by: User, reason: str) -> Proposal:
    """Turn a proposal down, or take one's own back. Raises NotAllowed, Invalid, ProposalOver."""
    require(by, Can.MANAGE_PLATFORM)
    if not reason.strip():
        raise Invalid(details={"reason": _("Say why: who proposed it reads it.")})
    with transaction.atomic():
        row = _open(proposal)
        _decide(row, Proposal.Outcome.REJECTED, by=by, reason=reason.strip()[:200])
        Proposal.objects.filter(pk=row.pk).update(payload="")
    return row


def forget_expired(now: datetime | None = None) -> int:
    """Close what nobody decided in time, and empty it. A sweep."""
    over = Proposal.objects.expired(now or timezone.now())
    return over.update(outcome=Proposal.Outcome.EXPIRED, payload="")


def _open(proposal: Proposal) -> Proposal:
    row = Proposal.objects.select_for_update().select_related("proposed_by").open().filter(pk=proposal.pk).first()
    if row is None:
        raise ProposalOver
    return row


def _admin_since(user: User) -> datetime | None:
    """When `user` last became a platform admin, or came back as one; None: always was, as far as the trail reaches."""
    became = Q(action="person.platform_role_changed", after=PlatformRole.ADMIN.value) & ~Q(
        before=PlatformRole.ADMIN.value
    )
    last = AuditEvent.objects.filter(
        became | Q(action="person.reactivated"), target_type="user", target_id=str(user.pk)
    ).first()
    return last.at if last else None


def _decide(row: Proposal, outcome: Proposal.Outcome, *, by: User, reason: str = "") -> None:
    row.outcome, row.decided_by, row.decided_at, row.reason = outcome, by, timezone.now(), reason
    row.save(update_fields=["outcome", "decided_by", "decided_at", "reason"])
    audit.record(
        f"proposal.{outcome.value}", row, by=by, on_behalf_of=row.proposed_by, before=row.before, after=row.after,
        verb=row.verb, reason=reason,
    )  # fmt: skip


def _wait_on(row: Proposal, *, by: User, why: str) -> None:
    """The act was refused: somebody can mend what is in its way, and confirm again."""
    with transaction.atomic():
        row.outcome, row.decided_by, row.decided_at = Proposal.Outcome.OPEN, None, None
        row.save(update_fields=["outcome", "decided_by", "decided_at"])
        audit.record("proposal.not_done", row, by=by, on_behalf_of=row.proposed_by, reason=why)


def _stale(row: Proposal) -> str:
    target: Gateway | KeyRole | None = row.gateway or row.role
    if target and target.version != row.target_version:
        return f"{target} was changed since."
    if not allowed(row.proposed_by, Can.MANAGE_PLATFORM):
        return f"{row.proposed_by} is no platform admin any more."
    return ""


def _act(row: Proposal) -> Callable[..., Gateway | KeyRole]:
    fields: Mapping[str, Any] = unpack(row.payload)
    if row.verb == Proposal.Verb.GATEWAY_CHANGE and row.gateway:
        return partial(gateways.change, row.gateway, **fields)
    if row.verb == Proposal.Verb.ROLE_CHANGE and row.role:
        return partial(roles.change, row.role, **fields)
    if row.verb == Proposal.Verb.ROLE_MAKE:
        return partial(roles.make, **fields)
    return partial(gateways.make, **fields)
