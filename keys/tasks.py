"""The sweeps. Each is safe to run twice, to miss, to run on ten hosts at once, and to be killed in the middle."""

from django.utils import timezone

from keys.services import advice, catalog, intents, leases, prune, reconcile, reminders, requests, spend, statements
from portal.sweeps import last_succeeded, sweep
from teams.services import tokens

ENDING = ("settle_intents", "expire_leases", "end_leases")  # they end keys by themselves


def look_first() -> None:
    """After a long pause, end nothing by itself before the gateways were looked at, whichever sweep is first."""
    reconcile.wake(timezone.now(), max(filter(None, map(last_succeeded, ENDING)), default=None))


@sweep
def settle_intents() -> dict[str, int]:
    """Keep the promises about the gateways."""
    look_first()
    return {"kept": intents.settle_due()}


@sweep
def expire_leases() -> dict[str, int]:
    """End leases whose time is up."""
    look_first()
    return {"ended": leases.expire_overdue()}


@sweep
def end_leases() -> dict[str, int]:
    """End leases of holders who left, and of roles and teams that ended."""
    look_first()
    return leases.end_orphaned()


@sweep
def look_after_requests() -> dict[str, int]:
    """Remind, escalate and lapse requests; take back the rises whose time is over."""
    return requests.look_after()


@sweep
def remind() -> dict[str, int]:
    """Tell holders 7, 3 and 1 days before a key ends, and owners 7 and 1 days before an API token expires."""
    return {"letters": reminders.remind(), "tokens": tokens.announce_ends()}


@sweep(alone=True)
def sync_spend() -> dict[str, int]:
    """Read the gateways' ledgers, and the counters of what moved."""
    return spend.sync()


@sweep(alone=True)
def reconcile_gateways() -> dict[str, int]:
    """Compare each gateway with our books once a day, and at once where somebody asked."""
    return reconcile.run_due()


@sweep(alone=True)
def refresh_catalogs() -> dict[str, int]:
    """Read what the gateways' models can do and cost, for the bundles."""
    return catalog.refresh()


@sweep
def look_for_advice() -> dict[str, int]:
    """Look for keys and key roles that have more than they use."""
    return advice.look()


@sweep
def close_statements() -> dict[str, int]:
    """Freeze the statements of months that have settled."""
    return {"closed": statements.close_due()}


@sweep
def prune_old() -> dict[str, int]:
    """Forget what nobody needs any more."""
    return prune.prune()
