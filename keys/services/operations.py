"""What a platform admin asks of the platform as a whole, and what takes a gateway longer than a person waits.

A web thread must not walk a gateway: a comparison is only asked for, and the sweep does it. What has to answer the
person who asks runs alone: one walk, one measurement of a gateway at a time, so that no more than one thread waits.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from django.core.cache import cache
from django.db import transaction
from django.utils.translation import gettext, gettext_noop

from keys.models import Finding, Gateway
from keys.services import reconcile
from keys.services.findings import MENDED_BY, TAKE_OVER
from portal import audit
from portal.errors import Unavailable
from teams import departures
from teams.access import Actor, require
from teams.models import Departure
from teams.roles import Can

DECIDING = 20.0  # seconds for many departures; what is left is decided by pressing again
WALKING = 300.0  # seconds; as long as a walk may take
MEASURING = 90.0
Kind = Finding.Kind


class Busy(Unavailable):
    code = "busy"
    action = gettext_noop("Open the page again in a minute. Nothing is lost.")


def compare_soon(gateway: Gateway, *, by: Actor) -> None:
    """Let the next sweep compare both sides of this gateway, whenever the last time was. Raises NotAllowed."""
    require(by, Can.MANAGE_PLATFORM)
    with transaction.atomic():
        last = Gateway.objects.select_for_update().values_list("reconciled_at", flat=True).get(pk=gateway.pk)
        Gateway.objects.filter(pk=gateway.pk).update(reconciled_at=None)
        audit.record("gateway.compare_asked", gateway, by=by, last=last)
    cache.delete(f"reconcile:{gateway.pk}")  # the pause of `reconcile.run_due` after a run that broke


def end_listed(gateway: Gateway, *, by: Actor) -> reconcile.Outcome:
    """End the keys that a comparison has listed and left. Raises NotAllowed, Busy, and what `reconcile.run` raises."""
    require(by, Can.MANAGE_PLATFORM)
    with _alone("walk", gateway, WALKING):
        return reconcile.run(gateway, by=by, approved=True)


def preview(gateway: Gateway, *, by: Actor) -> reconcile.Preview:
    """What a release would set free. Raises NotAllowed, Busy, GatewayAway, GatewayRefused."""
    require(by, Can.SEE_PLATFORM)
    with _alone("walk", gateway, WALKING):
        return reconcile.preview(gateway, by=by)


def measure(gateway: Gateway, *, by: Actor) -> float:
    """Seconds until an ending works there. Raises NotAllowed, Busy, GatewayAway, GatewayRefused."""
    require(by, Can.MANAGE_PLATFORM)
    with _alone("measure", gateway, MEASURING):
        return reconcile.measure(gateway, by=by)


def decide_all(held: Iterable[Departure], *, go_on: bool, by: Actor, seconds: float = DECIDING) -> tuple[int, int]:
    """Decide about each of these; answers how many were, and how many are left because the time was over.

    What somebody else decides meanwhile stays as they decided. Raises NotAllowed.
    """
    require(by, Can.MANAGE_PLATFORM)
    ends, waiting, done = time.monotonic() + seconds, list(held), 0
    while waiting and time.monotonic() < ends:
        try:
            departures.decide(waiting.pop(0), go_on=go_on, by=by)
        except (departures.Decided, departures.LastPlatformAdmin):
            continue
        done += 1
    return done, len(waiting)


def is_listed(finding: Finding) -> bool:
    """Whether a comparison would end or close what this tells of, once a platform admin has seen the list."""
    return finding.kind == Kind.MISSING or (finding.kind == Kind.ORPHAN and finding.version_id is not None)


def acts_on(finding: Finding) -> frozenset[str]:
    """What can be done about it: `restore`, `adopt`, `ignore`; `revoke` for a key of ours that we do not know."""
    if finding.state == Finding.State.CLOSED:
        return frozenset()
    found = set()
    if finding.kind in MENDED_BY:
        found.add("restore")
    if finding.kind in TAKE_OVER and finding.version_id:
        found.add("adopt")
    if finding.kind == Kind.ORPHAN and finding.version_id is None:
        found.add("revoke")
    if finding.state == Finding.State.OPEN and not is_listed(finding):
        found.add("ignore")
    return frozenset(found)


@contextmanager
def _alone(what: str, gateway: Gateway, seconds: float) -> Iterator[None]:
    """Let nobody else do the same meanwhile; a process that dies in it keeps others out no longer than `seconds`."""
    name = f"operations:{what}:{gateway.pk}"
    if not cache.add(name, True, seconds):
        if what == "measure":
            raise Busy(gettext("%(gateway)s is being measured at this moment.") % {"gateway": gateway})
        raise Busy(gettext("%(gateway)s is being read at this moment.") % {"gateway": gateway})
    try:
        yield
    finally:
        cache.delete(name)
