"""Claim the key that was approved: the holder's own act, so that no secret passes through anybody else."""

from __future__ import annotations

from uuid import UUID

from django.utils import timezone

from keys.models import KeyRequest
from keys.services import granted, leases
from keys.services.attempts import Issued
from keys.services.terms import Ask
from teams.access import Actor, require
from teams.roles import Can


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
