"""Measure how long an ending takes until every worker of the proxy knows of it."""

from __future__ import annotations

import secrets
import time
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal

from django.db import transaction

from keys.models import Gateway
from keys.services import gateways
from keys.services.minting import new_secret
from portal import audit
from portal.errors import PortalError
from portal.litellm import Unauthorized
from portal.models import Installation
from teams.access import Actor, require
from teams.roles import Can

LIFE = timedelta(minutes=5)  # of the probe
WARM_UP = 16  # calls, so that each worker has the key in its cache
IN_A_ROW = 16  # refusals: with 4 workers of which one still answers, 16 miss it one time in a hundred
EVERY = 1.0  # seconds between two rounds
LIMIT = 75.0  # seconds; LiteLLM caches a key for 60 s by default
UNTIL_THE_CACHE_IS_OLD = 60.0


def measure(gateway: Gateway, *, by: Actor) -> float:
    """Block a key of our own and see how long it is still answered; seconds, kept as `effective_within`.

    60, "within 60 s", if it was still answered at the end. Takes up to 75 s, without keeping others from the gateway.
    If the process dies, the probe dies by its own 5 minutes, and the next reconcile deletes what is left of it.
    Raises NotAllowed, GatewayAway, GatewayRefused.
    """
    require(by, Can.MANAGE_PLATFORM)
    secret = _make(gateway, by=by)
    try:
        with gateways.calling(gateway, by=by) as line:
            for _ in range(WARM_UP):
                _answers(line, secret)
            line.client.keys.block(secret)
        found = _until_refused(gateway, secret, by=by)
    finally:
        with suppress(PortalError), gateways.calling(gateway, by=by) as line:
            line.client.keys.delete(secret)
    with transaction.atomic():
        Gateway.objects.filter(pk=gateway.pk).update(effective_within=found)
        audit.record("gateway.measured", gateway, by=by, effective_within=found)
    return found


def _make(gateway: Gateway, *, by: Actor) -> str:
    chosen = Gateway.objects.defer("master_key").get(pk=gateway.pk).chosen_keys is not False
    with gateways.calling(gateway, by=by) as line:
        made = line.client.keys.generate(
            key=new_secret() if chosen else None,
            alias=f"keydesk-probe-{secrets.token_hex(5)}",
            duration=LIFE,
            max_budget=Decimal("0.0001"),
            key_type="llm_api",
            metadata={"keydesk": {"instance": Installation.current(), "probe": True}},
        )
        return made.key


def _until_refused(gateway: Gateway, secret: str, *, by: Actor) -> float:
    """Seconds until IN_A_ROW answers were refusals. A line for each round: nobody else waits meanwhile."""
    started = time.monotonic()
    while (began := time.monotonic() - started) < LIMIT:
        with gateways.calling(gateway, by=by) as line:
            if not any(_answers(line, secret) for _ in range(IN_A_ROW)):
                return round(began, 1)
        time.sleep(EVERY)
    return UNTIL_THE_CACHE_IS_OLD


def _answers(line: gateways.Line, secret: str) -> bool:
    """Whether the proxy lets the key in, asked for the key's own list of models: a call without cost.

    On a connection of its own: one that is kept open stays with one worker.
    """
    try:
        line.client.with_key(secret).http.request("GET", "/v1/models", headers={"Connection": "close"})
    except Unauthorized:
        return False
    return True
