"""Look for what could be tighter, once a day, from our own tables alone; what is not true any more closes by itself."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Q, Sum
from django.utils import timezone

from keys.models import Advice, KeyRequest, KeyRole, Lease, SpendDay
from keys.models.lease import SETTLED, LeaseQuerySet
from keys.services.advice.judging import BY_USE, PERIOD, Found, Use, is_known, of_lease, of_role

BATCH = 500  # keys; a fixed number of queries for each
KEPT = timedelta(days=90)  # a closed advice, as history
State = Advice.State
Told = tuple[Any, Any]  # pk of the lease or role, kind
FRESH = ["facts", "proposed", "saves"]
NOTHING = Decimal(0)


def look(now: datetime | None = None) -> dict[str, int]:
    """Open, refresh and close the advice about every live key and key role; answers how many. A sweep.

    A key whose gateway's ledger was not read for two days, or with a rise in force, keeps what was said of its use.
    """
    now = now or timezone.now()
    count = {"opened": 0, "closed": 0}
    for batch in _batches(_looked_at(now)):
        uses = uses_of(batch, now)
        rises = rising(lease.pk for lease in batch)
        unknown = [lease.pk for lease in batch if lease.pk in rises or not is_known(lease, now)]
        unsure: set[Told] = {(pk, kind) for pk in unknown for kind in BY_USE}
        found: dict[Told, Found] = {
            (lease.pk, each.kind): each
            for lease in batch
            for each in of_lease(lease, uses.get(lease.pk, Use()), now)
            if (lease.pk, each.kind) not in unsure
        }
        _write("lease_id", [lease.pk for lease in batch], found, unsure, now, count)
    roles = list(KeyRole.objects.filter(ended_at=None).with_gateway())
    spent = _uses_by_role(roles, now)
    told: dict[Told, Found] = {(role.pk, each.kind): each for role in roles for each in of_role(role, spent[role.pk])}
    _write("role_id", [role.pk for role in roles], told, set(), now, count)
    over = ~Q(lease__state__in=SETTLED) | Q(lease__expires_at__lte=now)
    gone = Advice.objects.waiting().filter(Q(lease__isnull=False) & over | Q(role__ended_at__isnull=False))
    count["closed"] += _close(gone.values("pk"), now)
    return count


def now_found(advice: Advice, now: datetime) -> Found | None:
    """What would be said of the same subject and kind at this moment. None: nothing any more."""
    if advice.lease_id:
        lease = _looked_at(now).filter(pk=advice.lease_id).first()
        if lease is None or (advice.kind in BY_USE and not is_known(lease, now)):
            return None
        found = of_lease(lease, uses_of([lease], now).get(lease.pk, Use()), now)
    else:
        roles = list(KeyRole.objects.filter(advice=advice, ended_at=None).with_gateway())
        if not roles:
            return None
        found = of_role(roles[0], _uses_by_role(roles, now)[roles[0].pk])
    return next((each for each in found if each.kind == advice.kind), None)


def forget_old(now: datetime) -> int:
    """Delete what closed by itself 90 days ago; answers how many. What people answered stays with its subject."""
    return Advice.objects.filter(state=State.CLOSED, closed_at__lt=now - KEPT).delete()[0]


def uses_of(leases: Iterable[Lease], now: datetime) -> dict[Any, Use]:
    """What each key did in the last 30 UTC days, in one query; keys that did nothing are not in it."""
    days = SpendDay.objects.filter(version__lease__in=[lease.pk for lease in leases], requests__gt=0)
    return _uses(days, "version__lease", now)


def rising(pks: Iterable[Any]) -> set[Any]:
    """Those of these leases that are raised for a while: what they have now is not what they will have."""
    rises = KeyRequest.objects.running_rises().filter(lease__in=list(pks))
    return set(rises.order_by().values_list("lease", flat=True))


def _uses(days: Any, by: str, now: datetime) -> dict[Any, Use]:
    spend, models = defaultdict[Any, dict[date, Decimal]](dict), defaultdict[Any, set[str]](set)
    recent = days.filter(day__gt=(now - PERIOD).date()).order_by()
    for pk, model, day, amount in recent.values_list(by, "model", "day").annotate(Sum("spend")):
        spend[pk][day] = spend[pk].get(day, NOTHING) + amount
        models[pk].add(model)
    return {pk: Use(sum(spend[pk].values(), NOTHING), frozenset(models[pk]), spend[pk]) for pk in models}


def _uses_by_role(roles: Iterable[KeyRole], now: datetime) -> defaultdict[Any, list[Use]]:
    """What each live key of these roles did, by the pk of the role; only where that says something: two queries."""
    loose = [role.pk for role in roles if role.all_models or role.max_budget is None]
    found = defaultdict[Any, list[Use]](list)
    if loose:
        live = dict(_looked_at(now).filter(role__in=loose).order_by().values_list("pk", "role"))
        days = SpendDay.objects.filter(version__lease__role__in=loose, requests__gt=0)
        for pk, use in _uses(days, "version__lease", now).items():
            if pk in live:
                found[live[pk]].append(use)
    return found


def _looked_at(now: datetime) -> LeaseQuerySet:
    live = Lease.objects.filter(state__in=SETTLED, expires_at__gt=now)
    return live.select_related("gateway").defer("gateway__master_key").prefetch_related("versions")


def _batches(leases: LeaseQuerySet) -> Iterator[list[Lease]]:
    last = None
    while batch := list((leases.filter(pk__gt=last) if last else leases).order_by("pk")[:BATCH]):
        yield batch
        last = batch[-1].pk


def _write(
    subject: str, pks: list[Any], found: Mapping[Told, Found], unsure: set[Told], now: datetime, count: dict[str, int]
) -> None:
    """Bring the rows of these subjects up to what was found. What somebody answers meanwhile wins."""
    rows = {(getattr(row, subject), row.kind): row for row in Advice.objects.filter(**{f"{subject}__in": pks})}
    made = [
        Advice(**{subject: pk}, kind=kind, first_seen_at=now, seen_at=now, **_said(each))
        for (pk, kind), each in found.items()
        if (pk, kind) not in rows
    ]
    Advice.objects.bulk_create(made, ignore_conflicts=True)
    seen = [rows[key] for key in found if key in rows]
    changed = []
    for row in seen:
        said = _said(found[getattr(row, subject), row.kind])
        if any(getattr(row, name) != value for name, value in said.items()):
            for name, value in said.items():
                setattr(row, name, value)
            changed.append(row)
    Advice.objects.bulk_update(changed, FRESH, batch_size=BATCH)
    there = Advice.objects.filter(pk__in=[row.pk for row in seen])
    there.update(seen_at=now)
    anew = {"state": State.OPEN, "snoozed_until": None, "closed_at": None, "by": "", "reason": ""}
    over = there.filter(state__in=[State.CLOSED, State.APPLIED], closed_at__lt=now)  # not what this look has missed
    count["opened"] += len(made) + over.update(first_seen_at=now, **anew)
    there.filter(state=State.SNOOZED, snoozed_until__lte=now).update(**anew)
    unseen = [row.pk for key, row in rows.items() if key not in found and key not in unsure and row.is_waiting]
    count["closed"] += _close(unseen, now)


def _said(found: Found) -> dict[str, Any]:
    return {"facts": found.facts, "proposed": found.proposed, "saves": found.saves}


def _close(pks: Any, now: datetime) -> int:
    waiting = Advice.objects.waiting().filter(pk__in=pks)
    return waiting.update(state=State.CLOSED, closed_at=now, snoozed_until=None, by="", reason="not true any more")
