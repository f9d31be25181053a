"""One round of the spend sync: the ledger first, then the counters of what moved, in cost proportional to that.

Every phase leaves what is true in our tables, and knows from them what is still to do: a process that dies between
two of them leaves nothing that the next round does not find. No transaction is open while a proxy is asked.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal

import structlog
from django.core.cache import cache
from django.db.models import Exists, OuterRef
from django.utils import timezone

from keys.models import Gateway, KeyVersion
from keys.services import budgets, gateways
from keys.services.spend import check, counters, ledger, overlap
from portal.errors import PortalError
from portal.litellm import LiteLLMError
from teams.access import SYSTEM

log = structlog.get_logger(__name__)

OVERALL_EVERY = 3600  # seconds: the proxy adds up 30 days of its log for it
OVERALL_PATIENCE = 5.0  # seconds
COMPARED_EVERY = 24 * 3600  # seconds: all keys; those that moved lately, in each round


def sync(now: datetime | None = None) -> dict[str, int]:
    """Bring the spend of every gateway up to date, then tell of budgets that were reached. A sweep: safe to repeat,
    and at once. One gateway's trouble never stops another.

    Answers how many gateways, ledger rows, leases, counters, growths handed on, letters, and gateways that failed.
    """
    counts = dict.fromkeys(("gateways", "rows", "leases", "counters", "handed_on", "announced", "failed"), 0)
    ours = Exists(KeyVersion.objects.filter(lease__gateway=OuterRef("pk"), issued_at__isnull=False))
    for gateway in Gateway.objects.filter(ours).defer("master_key").order_by("pk"):
        at = now or timezone.now()
        try:
            for name, count in _sync(gateway, at, now).items():
                counts[name] += count
            counts["gateways"] += 1
        except PortalError as error:
            counts["failed"] += 1
            log.warning("spend_not_synced", gateway=gateway.name, reason=error.message)
        except Exception:  # a gateway that cannot even be read must not stop the others
            counts["failed"] += 1
            log.exception("spend_sync_broke", gateway=gateway.name)
    counts["announced"] = budgets.announce(now or timezone.now())
    return counts


def _sync(gateway: Gateway, at: datetime, now: datetime | None) -> dict[str, int]:
    since = ledger.first_day(gateway, at.astimezone(UTC).date())
    copied = ledger.copy(gateway, at)
    gateway.refresh_from_db(fields=["spend_synced_at", "held_since"])
    # With the counters of the last round, which the ledger must have by now.
    recent = not cache.add(f"spend-compared:{gateway.pk}", True, COMPARED_EVERY)
    check.compare(at, gateway=gateway, recent=recent)
    if recent and copied.models:
        check.prices(gateway, at, copied.models)
    read = _count(gateway, since, at, now, moved=bool(copied.rows))
    handed_on = overlap.hand_on(gateway, now)
    return {"rows": copied.rows, "leases": len(copied.leases), "counters": read, "handed_on": handed_on}


def _count(gateway: Gateway, since: date, at: datetime, now: datetime | None, *, moved: bool) -> int:
    """Read the counters of what moved, and seldom the whole proxy's. Raises GatewayAway, GatewayRefused."""
    versions = counters.due(gateway, since) | check.doubtful(gateway, at)
    teams = counters.due_teams(gateway, since)
    overall = moved and cache.add(f"overall-spend:{gateway.pk}", True, OVERALL_EVERY)
    if not (versions or teams or overall):
        return 0
    with gateways.calling(gateway, by=SYSTEM, seconds=counters.PATIENCE) as line:
        read = counters.read_versions(line, gateway, versions, now)
        counters.read_teams(line, gateway, teams, now)
        if overall:
            _overall(line, gateway)
    return read


def _overall(line: gateways.Line, gateway: Gateway) -> None:
    """The proxy's own total and budget; a proxy that does not tell, or not soon, is none the worse for it."""
    with suppress(LiteLLMError):  # inside the line, so that it opens no breaker
        told = line.client.with_timeout(OVERALL_PATIENCE).spend.global_total()
        Gateway.objects.filter(pk=gateway.pk).update(
            spend=ledger.units(told.spend), max_budget=ledger.units(told.max_budget or Decimal(0)) or None
        )
