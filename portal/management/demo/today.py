"""What goes on at this moment: pauses, rotations, promises that wait for the gateway, and what the reconcile finds."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from random import Random

from django.conf import settings
from django.utils import timezone

from keys.models import Gateway, Intent, Lease, State, UnmanagedKey
from keys.services import advice, gateways, leases, reconcile, statements
from portal.litellm.sandbox import history
from portal.management.demo import cast
from portal.management.demo.company import Company, Say, actor, admin_of
from portal.management.demo.plan import PRICES, SEED
from portal.models import Letter
from teams.access import SYSTEM

DAY = timedelta(days=1)
OUTAGE = "Read timed out after 10 s."
WAITING, DRIFTING = 3, 4  # keys whose end waits, and that are others on the gateway
NEXT_TRIES = (timedelta(minutes=48), timedelta(minutes=51), timedelta(minutes=53), timedelta(minutes=57))


def go_on(company: Company, now: datetime, say: Say) -> None:
    """All of it, for keys that are new; the sweeps of a day at the end."""
    for at, lease in enumerate(company.leases("paused")):
        if lease.state != State.ACTIVE:
            continue
        by = admin_of(lease.team) if at % 2 else actor(lease)
        leases.pause(lease, by=by, reason=cast.PAUSES[at % len(cast.PAUSES)])
    for lease in company.leases("rotated"):
        if not lease.previous:
            leases.rotate(lease, by=actor(lease))
    first = len(cast.FIRST_KEYS)  # these stay as they are
    kept = {lease.pk for _, lease, _ in (*company.made, *company.left)[:first]}
    spare = [lease for lease in company.leases("live", "unused") if lease.pk not in kept]
    spare.sort(key=lambda lease: lease.holder.service_team_id is None)  # machines' first; nobody else moves
    _outage(company.gateway, spare[:WAITING], spare[WAITING : WAITING + 1])
    _drift(company.gateway, spare[WAITING + 1 : WAITING + 1 + DRIFTING])
    _foreign(company.gateway, now)
    found = reconcile.run(company.gateway, by=SYSTEM)
    advised, stated = advice.look(), statements.close_due()
    say(f"{found.drifted} differences, {found.foreign} unmanaged keys, {advised['opened']} pieces of advice, "
        f"{stated} statements")  # fmt: skip


def _outage(gateway: Gateway, ending: list[Lease], pausing: list[Lease]) -> None:
    """A gateway that did not answer for a while: what was asked meanwhile waits, and is tried again within the hour.

    A running desk keeps these promises then, and they are gone.
    """
    now = timezone.now()
    gateway.went_away(OUTAGE, now)
    try:
        for lease in ending:
            leases.revoke(lease, by=admin_of(lease.team), reason="its pipeline was switched off")
        for lease in pausing:
            leases.pause(lease, by=admin_of(lease.team), reason="too many calls since noon")
    finally:
        gateway.came_back()
    promises = Intent.objects.filter(version__lease__in=[*ending, *pausing], attempts__gt=0).order_by("pk")
    for at, promise in enumerate(promises):
        Intent.objects.filter(pk=promise.pk).update(
            attempts=4 + at, due_at=now + NEXT_TRIES[at % len(NEXT_TRIES)], created_at=now - timedelta(minutes=40 + at)
        )


def _drift(gateway: Gateway, there: list[Lease]) -> None:
    """What somebody changed on the proxy itself, each another thing."""
    with gateways.calling(gateway, by=SYSTEM) as line:
        client = line.client
        for at, lease in enumerate(there):
            token = lease.current.token_hash or ""
            if at == 0:
                client.keys.update(token, max_budget=(lease.max_budget or Decimal(100)) * 5)
            elif at == 1:
                client.keys.update(token, duration=timedelta(days=(lease.expires_at - timezone.now()).days + 60))
            elif at == 2:
                client.keys.block(token)
            else:
                client.keys.update(token, models=[cast.BIG, cast.CLAUDE])


def _foreign(gateway: Gateway, now: datetime) -> None:
    """Keys that somebody made on the proxy by hand."""
    rng = Random(SEED)  # noqa: S311
    known = set(UnmanagedKey.objects.filter(gateway=gateway).values_list("alias", flat=True))
    pasts = []
    with gateways.calling(gateway, by=SYSTEM) as line:
        for alias, models, budget, spent in cast.FOREIGN:
            if alias in known or any(key.alias == alias for key in line.client.keys.list(alias=alias)):
                continue
            made = line.client.keys.generate(alias=alias, models=models or None, max_budget=_usd(budget))
            days = tuple(_day(now - DAY * back, spent / 6, rng) for back in range(3, 9)) if spent else ()
            total = sum(day.spend for day in days)
            used = now - 3 * DAY if days else None
            pasts.append(history.Past(made.token, now - 160 * DAY, days, last_active=used, spend=round(total, 6)))
    history.write(settings.SANDBOX_FILE, pasts)


def _usd(amount: float | None) -> Decimal | None:
    return None if amount is None else Decimal(str(amount))


def _day(at: datetime, spend: float, rng: Random) -> history.Day:
    asked = int(spend * rng.uniform(0.8, 1.2) / PRICES[cast.MINI][0])
    return history.Day(
        at.date().isoformat(), cast.MINI, round(asked * PRICES[cast.MINI][0], 6), asked, 0, asked // 900, 0
    )


def keep_letters(since: datetime) -> None:
    """Letters to people who do not exist are not sent: the outbox of a demo does not fill the console."""
    nobody = f"@{cast.DOMAIN}"
    for letter in Letter.objects.waiting().filter(created_at__gte=since):
        letter.to = [address for address in letter.to if not address.endswith(nobody)]
        if not letter.to:
            letter.sent_at, letter.due_at = timezone.now(), None
        letter.save(update_fields=["to", "sent_at", "due_at"])
