"""While two secrets of a lease work, one budget counts them both: the old one's growth is added to the new counter.

So a budget can be overshot by what the old secret spends between two syncs, and by no more.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import structlog
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from keys.models import Gateway, KeyVersion, State
from keys.services import gateways
from keys.services.spend.counters import live, read_counters
from keys.services.spend.ledger import units
from portal.litellm import KeyNotFound, LiteLLMError, Refused
from teams.access import SYSTEM

log = structlog.get_logger(__name__)

PATIENCE = 60.0  # seconds for all overlaps of one gateway
HOLDS = frozenset({State.ACTIVE, State.PAUSED})


def hand_on(gateway: Gateway, now: datetime | None = None) -> int:
    """Add what old secrets have spent since the last time to the counters of their successors; answers how many.

    Not while the gateway is held: a restored database no longer knows what was handed on.
    Raises GatewayAway, GatewayRefused.
    """
    at = now or timezone.now()
    overlaps = live(gateway).filter(handed_on__isnull=False, dies_at__gt=at, lease__state__in=HOLDS)
    waiting = [old for old in overlaps.prefetch_related("lease__versions") if old.counter != _handed_on(old)]
    if gateway.held_since or not waiting:
        return 0
    count = 0
    with gateways.calling(gateway, by=SYSTEM, seconds=PATIENCE) as line:
        for old in waiting:
            new = old.lease.current
            if old.lease.previous == old and new.token_hash:
                count += _hand_on(line, gateway, old, new, at)
    return count


def _hand_on(line: gateways.Line, gateway: Gateway, old: KeyVersion, new: KeyVersion, at: datetime) -> bool:
    """One overlap. False: there was nothing to add, or another worker adds it.

    The note comes before the call, and only who makes it calls: so whoever dies in between, and wherever the answer
    is lost, a growth is never added twice. It may not be added at all: then the budget can be overshot by that one
    growth, and the ledger still has it.
    """
    try:
        there = {version.pk: line.client.keys.info(version.token_hash) for version in (old, new)}
    except KeyNotFound:
        return False  # reconcile closes the lease
    if any(info.budget_reset_at and info.budget_reset_at <= at for info in there.values()):
        return False  # the proxy is about to zero them, up to 10 minutes late: the next sync tells
    read_counters(gateway, there.values(), at)
    before, reached = _handed_on(old), units(there[old.pk].spend)
    growth = reached - before if reached >= before else reached  # smaller: a reset came between
    if not growth or not _note(old, new, growth, before, reached):
        return False
    try:
        answer = line.client.keys.update(new.token_hash, spend=there[new.pk].spend + growth)
    except LiteLLMError as error:
        if error.applied is False:
            _note(old, new, -growth, reached, before)  # surely not added: the next sync tries again
        if not isinstance(error, Refused):
            raise
        log.warning("growth_not_handed_on", lease=str(old.lease_id), reason=error.message)
        return False
    # The spend is set there, not added to: what a flush wrote between the look and the call was lost. Totals tell.
    if lost := answer.total_spend - there[new.pk].total_spend:
        answer = line.client.keys.update(new.token_hash, spend=answer.spend + lost)
    KeyVersion.objects.filter(pk=new.pk).update(counter=units(answer.spend), total=units(answer.total_spend))
    return True


def _note(old: KeyVersion, new: KeyVersion, growth: Decimal, before: Decimal, reached: Decimal) -> bool:
    """Note that the successor has this growth in its counter. False: another worker has been here meanwhile."""
    with transaction.atomic():
        row = KeyVersion.objects.select_for_update(no_key=True).get(pk=old.pk)
        if _handed_on(row) != before:
            return False
        KeyVersion.objects.filter(pk=old.pk).update(handed_on=reached)
        KeyVersion.objects.filter(pk=new.pk).update(carried=F("carried") + growth)
    return True


def _handed_on(old: KeyVersion) -> Decimal:
    """To a billionth: SQLite keeps whatever it was given, and may have been given more."""
    return units(old.handed_on or Decimal(0))
