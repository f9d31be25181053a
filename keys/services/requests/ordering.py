"""Order a key: issued at once where its role gives it, else asked for."""

from __future__ import annotations

from uuid import UUID

from keys.models import KeyRequest
from keys.services import leases, words
from keys.services.attempts import Issued
from keys.services.errors import ApprovalNeeded
from keys.services.requests.asking import submit
from keys.services.terms import Ask, bounds_of
from teams.models import User


def order(ask: Ask, *, holder: User, by: User, once: UUID | None = None) -> Issued | KeyRequest:
    """The key, or the request that a person must decide first. `once`: the call's own name, as in both of them.

    A script that orders again while the same request waits hears of that one, and nobody gets a second letter.
    Raises what leases.issue and submit raise, but ApprovalNeeded.
    """
    try:
        return leases.issue(ask, holder=holder, by=by, once=once)
    except ApprovalNeeded:
        return _waiting(ask, holder, by) or submit(ask, holder=holder, by=by, once=once)


def _waiting(ask: Ask, holder: User, by: User) -> KeyRequest | None:
    """The pending request of the same, if there is one."""
    same = {"name": words.one_line(ask.name), "purpose": words.one_line(ask.purpose), "asked": bounds_of(ask).stored()}
    theirs = KeyRequest.objects.pending().filter(asked_by=by, holder=holder, team=ask.team, role=ask.role, **same)
    return theirs.filter(kind=KeyRequest.Kind.KEY).order_by("submitted_at").first()
