"""One reconcile of one gateway: read it, then our tables; end what must not be, close what is not; tell the rest.

The gateway is read first, so a key that is made meanwhile is never taken for one that nobody has. Whatever is
suspected is looked at once more by its hash before anything is done to it. May run on ten hosts at once, and be
killed at any line: each step is a promise or a conditional write, and the next run does what was left.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256

import structlog
from django.core.cache import cache
from django.db import transaction
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext

from keys.models import EndReason, Finding, Gateway, Intent, KeyVersion, Lease, State
from keys.models.lease import SETTLED
from keys.services import findings, gateways, intents, letters, spend
from keys.services.errors import GatewayAway
from keys.services.reconcile import drift, listing
from keys.services.reconcile.books import Books, compare
from keys.services.reconcile.holding import CHECKING, GatewayHeld, hold, lift_suspicion, signs
from keys.services.reconcile.walk import PATIENCE, Look, There, read
from portal import audit, mail
from portal.errors import PortalError
from portal.litellm import KeyInfo, KeyNotFound
from teams.access import SYSTEM, Actor, admin_addresses, require
from teams.roles import Can

log = structlog.get_logger(__name__)

EVERY = timedelta(hours=24)
FEW, SHARE = 10, 50  # one run ends at most so many by itself, or one in 50 of the live
PAUSE = timedelta(minutes=10)  # after a run that broke
LOOKS = 200  # unknown keys that are looked at once more; with more of them the case is clear
Kind = Finding.Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a reconcile found and did. Keys are named by their hash."""

    gateway: Gateway
    live: int  # our live keys, by our books
    foreign: int  # keys there that are not ours
    revoked: tuple[str, ...] = ()  # keys there that nobody has any more: their ending is promised
    closed: tuple[str, ...] = ()  # live here, and not there: ended here
    listed: tuple[str, ...] = ()  # to be ended like these, and left as findings
    unknown: tuple[str, ...] = ()  # of this installation, and not in its table: left as findings
    drifted: int = 0  # findings of what differs
    held: str = ""  # why the gateway is held
    stopped: str = ""  # why `listed` were left


@dataclass(slots=True)
class _Suspects:
    orphans: list[KeyVersion] = field(default_factory=list)
    missing: list[KeyVersion] = field(default_factory=list)
    unknown: list[KeyInfo] = field(default_factory=list)
    drifts: list[drift.Drift] = field(default_factory=list)

    def only(self, tokens: Collection[str | None], *, but: bool = False) -> _Suspects:
        """What is to be ended or closed, of these hashes alone; with `but`, all others."""
        return _Suspects(
            [version for version in self.orphans if (version.token_hash in tokens) != but],
            [version for version in self.missing if (version.token_hash in tokens) != but],
        )

    @property
    def tokens(self) -> tuple[str, ...]:
        return tuple(version.token_hash or "" for version in (*self.orphans, *self.missing))


def run(gateway: Gateway, *, by: Actor, approved: bool = False, now: datetime | None = None) -> Outcome:
    """Compare both sides of one gateway, and act on it. Safe to repeat, and at once.

    By itself it ends no more than a few; beyond that it ends nothing, and lists them. `approved`: a platform admin
    has seen the list, and what is on it is ended.
    Raises NotAllowed, GatewayHeld (approved while it is held), GatewayAway, GatewayRefused.
    """
    require(by, Can.MANAGE_PLATFORM)
    now = now or timezone.now()
    gateway = Gateway.objects.defer("master_key").get(pk=gateway.pk)
    if approved and gateway.held_since:
        raise GatewayHeld(
            gettext("%(gateway)s is held: %(held_reason)s") % {"gateway": gateway, "held_reason": gateway.held_reason}
        )
    there = read(gateway, by=by, now=now)
    books = compare(gateway, there)
    spend.read_counters(gateway, [key for token, key in there.keys.items() if token in books.live], now)
    most = max(FEW, len(books.live) // SHARE)
    seen = _on_the_list(gateway) if approved else set()
    with gateways.calling(gateway, by=by, seconds=PATIENCE) as line:
        look = Look(line)
        suspects = _look_again(books, there, look, seen, most)
        teams = drift.of_teams(gateway, there, look)
        _end_probes(line, [key.token for key in books.probes])

    held, stopped, listed = _held(gateway, books, suspects, now), "", suspects.only(seen, but=True)
    if held:
        listed, stopped = suspects, f"The gateway is held: {held}"
    elif len(listed.tokens) > most:
        stopped = f"{len(listed.tokens)} keys would have to end; by itself a reconcile ends at most {most}."
        _tell_admins(gateway, listed, stopped)
    else:
        listed = _Suspects()
    ending = suspects.only(listed.tokens, but=True)
    revoked = _revoke(ending.orphans, by=by)
    closed = [version.token_hash or "" for version in ending.missing if _close(version, now, by=by)]
    drifted = _write_down(gateway, books, suspects, listed, teams, now)
    return Outcome(
        gateway=gateway, live=len(books.live), foreign=len(books.foreign), revoked=tuple(revoked),
        closed=tuple(closed), listed=listed.tokens, unknown=tuple(key.token for key in suspects.unknown),
        drifted=drifted, held=held, stopped=stopped,
    )  # fmt: skip


def run_due(now: datetime | None = None) -> dict[str, int]:
    """Reconcile every gateway whose last one is a day old, or that is held on a mere suspicion. A sweep.

    Offer it every minute: there is seldom anything to do. One gateway's trouble never stops another.
    """
    now = now or timezone.now()
    due = Q(reconciled_at=None) | Q(reconciled_at__lte=now - EVERY) | Q(held_reason=CHECKING)
    counts = {"gateways": 0, "ended": 0, "failed": 0}
    for gateway in Gateway.objects.filter(due).defer("master_key").order_by("pk"):
        name = f"reconcile:{gateway.pk}"
        if not cache.add(name, True, PAUSE.total_seconds()):  # a whole walk is not repeated every minute
            continue
        try:
            outcome = run(gateway, by=SYSTEM, now=now)
        except Exception as error:  # whatever it is: the others are not to wait for it
            counts["failed"] += 1
            if isinstance(error, GatewayAway):
                cache.delete(name)  # its breaker knows when to try again
            if not isinstance(error, PortalError):
                log.exception("reconcile_broke", gateway=gateway.name)
            else:
                log.warning("reconcile_failed", gateway=gateway.name, reason=error.message)
        else:
            cache.delete(name)
            counts["gateways"] += 1
            counts["ended"] += len(outcome.revoked) + len(outcome.closed)
    return counts


def _on_the_list(gateway: Gateway) -> set[str]:
    """Hashes that an earlier run left as findings: whoever approves has seen these, and no others."""
    open_ones = gateway.findings.filter(kind__in=[Kind.ORPHAN, Kind.MISSING], state=Finding.State.OPEN)
    return set(open_ones.values_list("subject", flat=True))


def _look_again(books: Books, there: There, look: Look, seen: Collection[str], most: int) -> _Suspects:
    """What is still so at this moment. With more than `most` sure ones that nobody has seen, nothing will be ended,
    and the rest is listed unlooked."""
    sure, keys, sure_and_new = _Suspects(), dict(there.keys), 0
    for version in [*(version for _, version in books.orphans), *books.missing]:
        token, is_missing = version.token_hash or "", version.token_hash not in there.keys
        if token in seen or sure_and_new <= most:
            now_there = look.key(token)
            if (now_there is None) != is_missing:
                if now_there is not None:
                    keys[token] = now_there  # the walk had skipped it
                continue
            sure_and_new += token not in seen
        (sure.missing if is_missing else sure.orphans).append(version)
    sure.unknown = [key for key in books.unknown[:LOOKS] if look.key(key.token)] + books.unknown[LOOKS:]
    sure.drifts = drift.looked_at_again(drift.of_keys(books.live, keys), look)
    return sure


def _end_probes(line: gateways.Line, tokens: Sequence[str]) -> None:
    for start in range(0, len(tokens), intents.BATCH):
        with suppress(KeyNotFound):
            line.client.keys.delete(tokens[start : start + intents.BATCH])


def _held(gateway: Gateway, books: Books, suspects: _Suspects, now: datetime) -> str:
    """Hold it where there is a sign of a restore, lift a mere suspicion where there is none; why it is held now."""
    if reason := signs(gateway, suspects.unknown, suspects.drifts, len(books.live)):
        hold(gateway, reason, now)
    else:
        lift_suspicion(gateway)
    return Gateway.objects.values_list("held_reason", flat=True).get(pk=gateway.pk)


def _tell_admins(gateway: Gateway, listed: _Suspects, reason: str) -> None:
    """Once for each list: the same one the next day is no news."""
    digest = sha256("".join(sorted(listed.tokens)).encode()).hexdigest()[:16]
    mail.reconcile_stopped(
        admin_addresses(), f"reconcile:{gateway.pk}:{digest}", gateway=str(gateway), reason=reason,
        path=reverse("keys:gateway", args=[gateway.pk]),
    )  # fmt: skip


def _revoke(orphans: Iterable[KeyVersion], *, by: Actor) -> list[str]:
    """Promise that keys which nobody has any more will be gone, and try at once. Answers their hashes."""
    promises: list[Intent] = []
    tokens: list[str] = []
    for version in orphans:
        with transaction.atomic(durable=True):
            as_read = KeyVersion.objects.filter(pk=version.pk, ended_at=version.ended_at)
            if not as_read.update(ended_at=None):  # it was not gone; else another run has ended it since we looked
                continue
            due = {"due_at": timezone.now(), "gateway_id": version.lease.gateway_id}
            promise, new = Intent.objects.get_or_create(kind=Intent.Kind.GONE, version=version, defaults=due)
            if new:
                audit.record(
                    "key.orphan_doomed", version.lease, by=by, secret=version.token_hash, version=version.number
                )
                promises.append(promise)
                tokens.append(version.token_hash or "")
    intents.settle(promises, seconds=intents.SWEEP_PATIENCE)
    return tokens


def _close(version: KeyVersion, now: datetime, *, by: Actor) -> bool:
    """End a version whose key somebody deleted on the gateway, and its lease with the last one. False: it changed."""
    with transaction.atomic(durable=True):
        lease = Lease.objects.select_for_update().get(pk=version.lease_id)
        closable = SETTLED - {State.ROTATING}
        if lease.state not in closable:
            return False
        if not lease.versions.filter(pk=version.pk, ended_at=None).update(ended_at=now):
            return False
        Intent.objects.filter(version=version).exclude(kind=Intent.Kind.GONE).delete()
        last = not any(each.is_live for each in lease.versions.all())
        if last:
            lease.move(closable, State.REVOKED, ended_at=now, end_reason=EndReason.VANISHED, pause_reason="")
            audit.record("key.revoked", lease, by=by, secret=version.token_hash, reason=EndReason.VANISHED)
        else:
            audit.record(
                "key.version_ended", lease, by=by, secret=version.token_hash, version=version.number,
                reason=EndReason.VANISHED,
            )  # fmt: skip
        mail.key_vanished(
            letters.people_of(lease), f"vanished:{version.pk}", name=str(lease), secret=version.key_name,
            last=last, gateway=str(lease.gateway), path=reverse("keys:lease", args=[lease.pk]),
        )  # fmt: skip
    return True


def _write_down(
    gateway: Gateway,
    books: Books,
    suspects: _Suspects,
    listed: _Suspects,
    teams: Sequence[drift.TeamDrift],
    now: datetime,
) -> int:
    """Findings, foreign keys and counts, as this run saw them; answers how many differ. A newer run's stay."""
    if Gateway.objects.filter(pk=gateway.pk, reconciled_at__gt=now).exists():
        return 0
    listing.tell(gateway, listed.orphans, listed.missing, suspects.unknown, now)
    drifted = drift.tell(gateway, suspects.drifts, now) + drift.tell_teams(gateway, teams, now)
    findings.close_unseen(gateway, [Kind.ORPHAN, Kind.MISSING, *drift.KINDS], now, now)
    listing.keep_foreign(gateway, books.foreign, now)
    Gateway.objects.filter(pk=gateway.pk).update(reconciled_at=now, foreign_keys=len(books.foreign))
    return drifted
