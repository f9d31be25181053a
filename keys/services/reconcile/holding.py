"""Hold: the database may be older than the gateway, so nothing there is ended before a platform admin has looked.

A backup that was put back knows nothing of what happened since: its leases may have been renewed, and would be ended
by their old time. Nothing outside of the database remembers that, but the gateway does. Three signs of it:
keys there that say they are of this installation and are not in its table; many leases that end later there than
here; and sweeps that have not run for a while. The last is only a suspicion: the next reconcile confirms or lifts it.
The gateway's own expiry ends every key on time meanwhile. What people do (revoke, pause) works on.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Coalesce
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, gettext_noop

from keys.models import EndReason, Finding, Gateway, Intent, KeyVersion, Lease
from keys.models.lease import LIVE, SETTLED
from keys.services import gateways
from keys.services.intents import BATCH
from keys.services.reconcile.books import compare
from keys.services.reconcile.drift import Drift, looked_at_again, of_keys
from keys.services.reconcile.walk import PATIENCE, Look, instance_of, read
from portal import audit, mail
from portal.errors import Conflict
from portal.litellm import KeyInfo, KeyNotFound
from portal.models import Installation
from teams import access
from teams.access import SYSTEM, Actor, require
from teams.roles import Can

GAP = timedelta(hours=1)  # without a sweep; a shorter one is a restart, or an update
CHECKING = "Checking after a pause: a database that was restored looks like one whose sweeps stood still."
FEW, SHARE = 3, 50  # one in 50; a few keys may have been lengthened by hand


class GatewayHeld(Conflict):
    """Nothing is ended on a gateway that is held, also not by an approved list."""

    code = "gateway_held"
    action = gettext_noop("Look at what a release would set free, and release the gateway first.")


class NotUnknown(Conflict):
    """Somebody asked to end, as unknown, a key that is not: it has a lease, or is not of this installation."""

    code = "not_unknown"
    action = gettext_noop("Look at the list again, and choose of it.")


@dataclass(frozen=True, slots=True)
class Preview:
    """What would happen once the hold is over, as it stands now."""

    expiring: tuple[Lease, ...]  # by our books their time is up: expired at once
    ending: tuple[tuple[Lease, EndReason], ...]  # their ground is gone: revoked at once
    orphans: tuple[KeyVersion, ...]  # ended here, still there: revoked by the next reconcile
    missing: tuple[KeyVersion, ...]  # live here, not there: closed by the next reconcile
    later: tuple[Drift, ...]  # they end later there than here
    unknown: tuple[
        KeyInfo, ...
    ]  # of this installation, and not in its table: stay until somebody says `revoke_unknown`


def wake(now: datetime, last_well: datetime | None) -> None:
    """Hold every gateway with live leases, if no sweep has ended well for GAP. For each sweep that ends keys.

    `last_well`: when a sweep last ended well, by the database itself; None: never. Safe to repeat.
    """
    if last_well is not None and now - last_well <= GAP:
        return
    for gateway in Gateway.objects.filter(held_since=None, leases__state__in=LIVE).distinct():
        with transaction.atomic():
            if Gateway.objects.filter(pk=gateway.pk, held_since=None).update(held_since=now, held_reason=CHECKING):
                audit.record("gateway.held", gateway, by=SYSTEM, reason=CHECKING)


def signs(gateway: Gateway, unknown: Sequence[KeyInfo], drifts: Sequence[Drift], live: int) -> str:
    """What says that this database is older than the gateway; blank: nothing does.

    What is listed as a finding already was seen before, and somebody decided to go on with it.
    """
    told = Finding.objects.filter(gateway=gateway).exclude(state=Finding.State.CLOSED)
    orphans = set(told.filter(kind=Finding.Kind.ORPHAN).values_list("subject", flat=True))
    if new := [key for key in unknown if key.token not in orphans]:
        return f"Keys on the gateway that are of this installation, and not in its database: {len(new)}."
    expiries = set(told.filter(kind=Finding.Kind.EXPIRY).values_list("subject", flat=True))
    late = [drift for drift in later(drifts) if drift.version.token_hash not in expiries]
    if len(late) > max(FEW, live // SHARE):
        return f"{len(late)} of {live} keys end later on the gateway than by our database."
    return ""


def later(drifts: Sequence[Drift]) -> list[Drift]:
    """Those that end later there, and were not about to be shortened by us."""
    promised = Intent.objects.filter(kind=Intent.Kind.SHAPE, version__in=[drift.version for drift in drifts])
    waiting = set(promised.values_list("version_id", flat=True))
    return [drift for drift in drifts if drift.expires_later and drift.version.pk not in waiting]


def hold(gateway: Gateway, reason: str, now: datetime) -> bool:
    """Hold the gateway, or make a suspicion certain. False: it is held already."""
    with transaction.atomic():
        row = Gateway.objects.filter(Q(held_since=None) | Q(held_reason=CHECKING), pk=gateway.pk)
        if not row.update(held_since=Coalesce(F("held_since"), now), held_reason=reason):
            return False
        audit.record("gateway.held", gateway, by=SYSTEM, reason=reason)
        mail.gateway_held(
            access.admin_addresses(), f"held:{gateway.pk}:{now.isoformat()}", gateway=str(gateway), reason=reason,
            path=reverse("keys:gateway", args=[gateway.pk]),
        )  # fmt: skip
    return True


def lift_suspicion(gateway: Gateway) -> bool:
    """End a hold that was only a suspicion. True: this call did it."""
    with transaction.atomic():
        if not Gateway.objects.filter(pk=gateway.pk, held_reason=CHECKING).update(held_since=None, held_reason=""):
            return False
        audit.record("gateway.released", gateway, by=SYSTEM, reason="No sign of a restored database.")
    return True


def preview(gateway: Gateway, *, by: Actor) -> Preview:
    """Read the gateway, and tell what a release would set free. Changes nothing.

    Raises NotAllowed, GatewayAway, GatewayRefused.
    """
    require(by, Can.SEE_PLATFORM)
    now = timezone.now()
    there = read(gateway, by=by, now=now)
    books = compare(gateway, there)
    with gateways.calling(gateway, by=by, seconds=PATIENCE) as line:
        drifts = looked_at_again(of_keys(books.live, there.keys), Look(line))
    live = Lease.objects.filter(gateway=gateway, state__in=SETTLED).select_related("team", "holder", "role")
    return Preview(
        expiring=tuple(live.filter(expires_at__lte=now)),
        ending=tuple((lease, lease.why_orphaned) for lease in live.filter(expires_at__gt=now).orphaned(now)),
        orphans=tuple(version for _, version in books.orphans),
        missing=tuple(books.missing),
        later=tuple(later(drifts)),
        unknown=tuple(books.unknown),
    )


def release(gateway: Gateway, *, by: Actor) -> Gateway:
    """End the hold: the sweeps act again. Safe to repeat. Raises NotAllowed.

    `preview` tells what they will do. Keys that we do not know stay, and are listed as findings.
    """
    require(by, Can.MANAGE_PLATFORM)
    with transaction.atomic():
        gateway = Gateway.objects.select_for_update().get(pk=gateway.pk)
        if gateway.held_since is not None:
            audit.record(
                "gateway.released", gateway, by=by, held_since=gateway.held_since, reason=gateway.held_reason
            )  # fmt: skip
            Gateway.objects.filter(pk=gateway.pk).update(held_since=None, held_reason="")
    gateway.refresh_from_db()
    return gateway


def revoke_unknown(gateway: Gateway, hashes: Collection[str], *, by: Actor) -> int:
    """Delete keys of this installation that its table does not know, and only such; answers how many are gone.

    We have no row to promise it on, so nothing retries: if the gateway goes away, do it again.
    Raises NotAllowed, NotUnknown, GatewayAway, GatewayRefused.
    """
    require(by, Can.MANAGE_PLATFORM)
    wanted = list(dict.fromkeys(hashes))
    if KeyVersion.objects.filter(token_hash__in=wanted).exists():
        raise NotUnknown(gettext("One of these keys belongs to a lease: revoke that."))
    with gateways.calling(gateway, by=by, seconds=PATIENCE) as line:
        look = Look(line)
        there = [key for token in wanted if (key := look.key(token))]
        if any(instance_of(key) != Installation.current() for key in there):
            raise NotUnknown(gettext("One of these keys is not of this installation. It is not ours to end."))
        tokens = [key.token for key in there]
        with transaction.atomic(durable=True):  # before the gateway hears of it
            for token in tokens:
                audit.record("gateway.unknown_key_doomed", gateway, by=by, secret=token)
        for start in range(0, len(tokens), BATCH):
            with suppress(KeyNotFound):
                line.client.keys.delete(tokens[start : start + BATCH])
        left = {token for token in tokens if look.key(token)}
    gone = [token for token in wanted if token not in left]
    found = Finding.objects.filter(gateway=gateway, kind=Finding.Kind.ORPHAN, subject__in=gone)
    found.update(
        state=Finding.State.CLOSED, closed_at=timezone.now(), closed_by=by.audit_name, reason="revoked"
    )  # fmt: skip
    return len(gone)
