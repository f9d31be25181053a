"""Claim the key that was approved: the holder's own act, so that no secret passes through anybody else."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.utils import timezone

from keys.models import KeyRequest
from keys.services import granted, leases
from keys.services.attempts import Issued
from keys.services.terms import Ask
from teams.access import Actor, allowed, require
from teams.roles import Can


def may_claim(request: KeyRequest, by: Actor, now: datetime | None = None) -> bool:
    """Whether `by` may claim it now: approved, in time, and no key of it is being issued."""
    in_time = request.claim_until is not None and request.claim_until > (now or timezone.now())
    open_ = request.kind == KeyRequest.Kind.KEY and request.state == KeyRequest.State.APPROVED and in_time
    return open_ and not request.is_being_issued and allowed(by, Can.ISSUE_KEY, request)


def claim(request: KeyRequest, *, by: Actor, once: UUID | None = None) -> Issued:
    """Issue the key exactly as it was granted, once. After a failure without a key it can be claimed again.

    By its holder; of a service account by a team admin. `once`: a form's token, as in leases.issue.
    Raises NotAllowed, NotClaimable, and whatever leases.issue raises.
    """
    require(by, Can.ISSUE_KEY, request)
    row = KeyRequest.objects.select_related("team", "role__gateway", "holder", "lease").get(pk=request.pk)
    granted.check(row, timezone.now())
    ask = Ask(row.team, row.role, name=row.name, purpose=row.purpose, granted=row)
    return leases.issue(ask, holder=row.holder, by=by, once=once)
