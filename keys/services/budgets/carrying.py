"""Carry a team's budgets to the gateways, where they are enforced."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.utils import timezone

from keys.models import Gateway, Intent
from keys.models.lease import LIVE
from keys.services import gateways, intents
from teams.access import Actor
from teams.models import Team


def carry(sender: object = None, *, team: Team, by: Actor, **_: Any) -> None:
    """Carry a changed budget of a team, or of a holder in it, to every gateway where the team has keys.

    Promised in the transaction of the change, and kept once that is committed, for as long as a person waits; a proxy
    that is away gets it from the sweep.
    """
    now = timezone.now()
    used = Gateway.objects.filter(leases__team=team, leases__state__in=LIVE).order_by("pk").distinct()
    promises = [
        Intent.objects.promise(Intent.Kind.SHAPE, now, gateway_id=pk, team=team)
        for pk in used.values_list("pk", flat=True)
    ]
    transaction.on_commit(lambda: _keep(promises), robust=True)


def _keep(promises: Iterable[Intent]) -> None:
    ends = time.monotonic() + gateways.PATIENCE
    for promise in promises:
        intents.settle([promise], seconds=ends - time.monotonic())
