"""Rotate a lease: the next secret first, then the old one dies after its grace period.

On the community edition of LiteLLM: each version is a key of its own there, under its own alias, with the spend
carried over. The lease keeps its id, alias, spend and history.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import structlog
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext

from keys.models import Intent, KeyVersion, Lease, State
from keys.services import gateways, intents, letters, teams
from keys.services.attempts import (
    Attempt,
    Issued,
    begin,
    give_up,
    make,
    note_issued,
    try_out,
    verify_expiry,
)
from keys.services.budgets.windows import counted
from keys.services.errors import AlreadyRotated, EndedMeanwhile, GatewayAway, HolderLeft, NotNow, RotationInOverlap
from portal import audit, dates
from portal.errors import Invalid
from portal.litellm import IssuedKey, KeyInfo, KeyNotFound, LiteLLMError, hash_key
from portal.templatetags.ui import amid
from teams.access import Actor, may_hold, require, require_fresh
from teams.roles import Can

log = structlog.get_logger(__name__)

GRACE = timedelta(hours=24)  # when nobody says otherwise
REPLACE = timedelta(0)  # "I never saw it": the old secret dies at once


def rotate(lease: Lease, *, by: Actor, grace: timedelta = GRACE, replaces: int | None = None) -> Issued:
    """Issue the lease's next secret; the old one works for `grace` more, never longer than it would have.

    REPLACE is allowed while an older secret's grace still runs, and ends that one too. `replaces` is the number of
    the version that whoever asks has seen: a form that is sent twice rotates once.
    Raises NotAllowed, SignInAgain, AlreadyRotated, NotNow, HolderLeft, RotationInOverlap, Invalid, GatewayAway,
    GatewayRefused, EndedMeanwhile. After any of them the old secret is as it was.
    """
    require(by, Can.RENEW_KEY, lease)
    require_fresh(by)
    if grace < REPLACE:
        raise Invalid(gettext("A grace period is not negative."), details={"grace": gettext("Now, or later.")})
    _check(lease, grace, replaces)  # before the gateway is bothered
    with gateways.calling(lease.gateway, by=by) as line:
        teams.place(line, lease.team)
        spent = _counter(line, lease.current)
        attempt = _promise(lease, grace, spent, replaces, by=by)
        try:
            there = make(line, attempt)
            token = attempt.version.token_hash or hash_key(attempt.secret)
            verified = verify_expiry(line, token, attempt.version.lease.expires_at, there.expires)
        except (LiteLLMError, GatewayAway) as error:
            give_up(attempt, error.message)
            raise
        promises = _complete(attempt, there, grace, spent, by=by, ordered=attempt.version.lease.expires_at)
        if promises is not None:
            issued = Issued(attempt.secret, attempt.version.lease, try_out(line, attempt.secret, verified))
    if promises is None:
        give_up(attempt, EndedMeanwhile.message)
        intents.settle(Intent.objects.filter(version=attempt.version))
        raise EndedMeanwhile(gettext("This key was ended while it was being rotated. No new secret was left behind."))
    try:
        intents.settle(promises)
        issued.lease.refresh_from_db()
    except Exception:  # nothing may come between a secret and its holder any more; the sweep keeps the promises
        log.exception("rotation_not_settled", lease=str(lease.pk))
    return issued


def _check(lease: Lease, grace: timedelta, replaces: int | None) -> None:
    if replaces is not None and lease.current.number != replaces:
        raise AlreadyRotated
    if lease.state == State.ROTATING:
        raise RotationInOverlap(gettext("This key is being rotated at this moment."))
    if lease.state != State.ACTIVE or lease.expires_at <= timezone.now():
        word = gettext("over its time") if lease.state == State.ACTIVE else amid(lease.get_state_display())
        raise NotNow(gettext("This key is %(word)s: it cannot be rotated.") % {"word": word})
    if not may_hold(lease.holder, lease.team):
        raise HolderLeft
    if grace and (old := lease.previous) and old.dies_at:
        raise RotationInOverlap(
            gettext("The secret before this one still works until %(moment)s.") % {"moment": dates.short(old.dies_at)}
        )


def _counter(line: gateways.Line, version: KeyVersion) -> Decimal:
    """What the proxy counts against the key now, USD; for a key that somebody deleted there, what we read last."""
    try:
        there = line.client.keys.info(version.token_hash or "")
        spent, resets_at = there.spend, there.budget_reset_at
    except KeyNotFound:
        spent, resets_at = version.counter or Decimal(0), version.resets_at
    return counted(spent, resets_at, timezone.now()) or Decimal(0)  # the proxy resets up to 10 minutes late


def _promise(lease: Lease, grace: timedelta, spent: Decimal, replaces: int | None, *, by: Actor) -> Attempt:
    """Commit the next version and the intent that ends it, before the gateway hears of it."""
    with transaction.atomic(durable=True):
        row = Lease.objects.select_for_update().get(pk=lease.pk)
        require(by, Can.RENEW_KEY, row)  # it may have been handed over: its next secret is the new holder's
        _check(row, grace, replaces)
        row.move({State.ACTIVE}, State.ROTATING)
        return begin(row, timezone.now(), spend=spent)


def _complete(
    attempt: Attempt, there: IssuedKey | KeyInfo, grace: timedelta, spent: Decimal, *, by: Actor, ordered: datetime
) -> list[Intent] | None:
    """The last commit: the new version is current, and each older one is to die. None: it was ended meanwhile.

    `ordered` is the expiry that the gateway was asked for: a renewal may have come between.
    """
    now = timezone.now()
    lease = attempt.version.lease
    with transaction.atomic(durable=True):
        if not lease.move({State.ROTATING}, State.ACTIVE, handed_over_at=None):
            return None
        old = [version for version in lease.versions.select_related("lease") if version.is_live]
        stands = may_hold(lease.holder, lease.team)
        if not stands or not note_issued(attempt, there, now, carried=spent, counter=spent, counter_at=now):
            transaction.set_rollback(True)
            return None
        promises = [promise for version in old for promise in _retire(version, now + grace, spent, now)]
        if lease.expires_at != ordered:
            shape = Intent.objects.promise(Intent.Kind.SHAPE, now, gateway_id=lease.gateway_id, version=attempt.version)
            promises.append(shape)
        until = max((version.dies_at for version in old if version.dies_at), default=now)
        audit.record(
            "key.rotated", lease, by=by, secret=hash_key(attempt.secret), version=attempt.version.number, grace=grace,
            old_ends_at=until,
        )  # fmt: skip
        letters.acted_on(lease, "rotated", by=by)
    return promises


def _retire(version: KeyVersion, until: datetime, spent: Decimal, now: datetime) -> list[Intent]:
    """Promise that an old version dies at `until`, or before; its expiry on the proxy moves there as well."""
    version.dies_at = min(until, version.dies_at or until)
    version.handed_on = spent
    version.save(update_fields=["dies_at", "handed_on"])
    if version.dies_at <= now:
        return Intent.objects.doom([version], now)
    gone = {"due_at": version.dies_at, "gateway_id": version.lease.gateway_id, "issuing": False,
            "sent_at": version.unclear_at}  # fmt: skip
    Intent.objects.update_or_create(kind=Intent.Kind.GONE, version=version, defaults=gone)
    return [Intent.objects.promise(Intent.Kind.SHAPE, now, gateway_id=version.lease.gateway_id, version=version)]
