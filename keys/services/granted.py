"""An approved request gives one key, once: the guards that issuing asks inside its own transactions.

While the key is being issued the request stays approved, and its `lease` is the attempt; in the last commit of the
issue it is fulfilled. So an attempt that failed, or whose process died (the sweep closes its lease), leaves the
request claimable, and a key that was issued never does.
"""

from __future__ import annotations

from datetime import datetime

from django.utils import timezone
from django.utils.translation import gettext as _

from keys.models import KeyRequest, Lease, RequestEntry
from keys.services.errors import AlreadyIssued, NotClaimable
from portal import audit
from portal.templatetags.ui import amid
from teams.access import Actor
from teams.models import User

State = KeyRequest.State


def check(request: KeyRequest, now: datetime) -> None:
    """Whether its key can be claimed now. Raises NotClaimable, and AlreadyIssued once it was."""
    if request.kind != KeyRequest.Kind.KEY:
        raise NotClaimable(_("A rise is in force as soon as it is approved: there is nothing to claim."))
    if request.state == State.FULFILLED and request.lease:
        raise AlreadyIssued(request.lease)
    if request.state != State.APPROVED:
        raise NotClaimable(
            _("This request is %(get_state_display)s: there is no key to claim.")
            % {"get_state_display": amid(request.get_state_display())}
        )
    if request.claim_until is None or request.claim_until <= now:
        raise NotClaimable(_("The time to claim this key is over."), action=_("Ask again."))
    if request.is_being_issued:
        raise NotClaimable(_("This key is being issued at this moment."), action=_("Look again in a minute."))


def take(request: KeyRequest) -> KeyRequest:
    """The row as it is now, locked, for the attempt that begins. In its transaction. As `check`."""
    row = KeyRequest.objects.select_for_update(of=("self",)).select_related("lease").get(pk=request.pk)
    check(row, timezone.now())
    return row


def begun(request: KeyRequest, lease: Lease) -> None:
    """Note the attempt on the locked row: nobody else begins one while it runs."""
    KeyRequest.objects.filter(pk=request.pk).update(lease=lease)


def fulfil(lease: Lease, *, by: Actor) -> bool:
    """Note that the key is out, in the commit that makes it so. False: the request was ended meanwhile."""
    request = KeyRequest.objects.filter(lease=lease, kind=KeyRequest.Kind.KEY).first()
    if request is None:
        return True
    now = timezone.now()
    if not request.move({State.APPROVED}, State.FULFILLED, fulfilled_at=now):
        return False
    who = by if isinstance(by, User) else None
    RequestEntry.objects.create(
        request=request, at=now, who=who, who_name=by.audit_name, act=RequestEntry.Act.CLAIMED, terms=request.granted
    )
    audit.record("request.claimed", request, by=by, lease=str(lease.pk), alias=lease.alias)
    return True
