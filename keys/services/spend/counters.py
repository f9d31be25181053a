"""Read what the proxies count: of keys in their running window and in their life, of teams and of holders in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, Max, Q, QuerySet
from django.utils import timezone

from keys.models import Counter, Gateway, KeyVersion, Lease, SpendDay
from keys.services import gateways
from keys.services.spend.ledger import chunks, units
from portal.litellm import KeyInfo, TeamNotFound
from portal.models import Installation
from teams.models import Membership, Team, User

BATCH = 100  # keys in one question
PATIENCE = 120.0  # seconds for all questions of one round
READ = ("counter", "total", "resets_at", "last_used_at", "counter_at")


def live(gateway: Gateway) -> QuerySet[KeyVersion]:
    """The versions whose secret is out, and that are not known to be gone from the gateway."""
    there = KeyVersion.objects.filter(lease__gateway=gateway, issued_at__isnull=False, ended_at=None)
    return there.exclude(token_hash=None)


def due(gateway: Gateway, since: date) -> set[int]:
    """Live versions whose ledger moved after their counter was read: also those a process died before reading."""
    moved = SpendDay.objects.filter(gateway=gateway, day__gte=since, version__in=live(gateway))
    unread = Q(version__counter_at=None) | Q(written_at__gt=F("version__counter_at"))
    return set(moved.filter(unread).order_by().values_list("version_id", flat=True).distinct())


def due_teams(gateway: Gateway, since: date) -> list[Team]:
    """Teams whose ledger moved after their counter was read."""
    rows = SpendDay.objects.filter(gateway=gateway, day__gte=since).order_by().values_list("team")
    moved = dict(rows.annotate(at=Max("written_at")))
    read = dict(Counter.objects.filter(gateway=gateway, holder=None, team__in=moved).values_list("team", "read_at"))
    return list(Team.objects.filter(pk__in=[pk for pk, at in moved.items() if pk not in read or at > read[pk]]))


def read_versions(line: gateways.Line, gateway: Gateway, pks: Iterable[int], now: datetime | None = None) -> int:
    """Ask for the counters of these versions, 100 a call, and keep them; answers how many. Raises LiteLLMError."""
    count = 0
    for some in chunks(sorted(pks), BATCH):
        tokens = [token for token in live(gateway).filter(pk__in=some).values_list("token_hash", flat=True) if token]
        if tokens:
            at = now or timezone.now()  # before the call: what comes while it runs is not in it
            count += read_counters(gateway, line.client.keys.info_many(tokens), at)
    return count


def read_counters(gateway: Gateway, infos: Iterable[KeyInfo], now: datetime | None = None) -> int:
    """Keep what the proxy told of our keys on this gateway, of others nothing; answers how many versions that were.

    `now` is when it was asked: something read later is never overwritten. Where the answer does not tell the hash, a
    key is known by what we wrote on it, or by its alias.
    """
    at, count = now or timezone.now(), 0
    for some in chunks(infos):
        found = _ours(gateway, some)
        with transaction.atomic():
            rows = KeyVersion.objects.select_for_update(no_key=True, of=("self",)).filter(pk__in=found).order_by("pk")
            older = [row for row in rows if row.counter_at is None or row.counter_at <= at]
            changed = [row for row in older if _take(row, found[row.pk], at)]
            KeyVersion.objects.bulk_update(changed, READ)
        _note_use(changed)  # apart: the verbs lock a lease before its versions
        count += len(older)
    return count


def _take(row: KeyVersion, info: KeyInfo, at: datetime) -> bool:
    """Put what was told into the row. False: it is as it was."""
    told = (units(info.spend), units(info.total_spend), info.budget_reset_at, info.last_active or row.last_used_at, at)
    if all(getattr(row, name) == value for name, value in zip(READ, told, strict=True)):
        return False
    for name, value in zip(READ, told, strict=True):
        setattr(row, name, value)
    return True


def _ours(gateway: Gateway, infos: Iterable[KeyInfo]) -> dict[int, KeyInfo]:
    """What was told of our versions, by their pk."""
    by_token = {info.token: info for info in infos if info.token}
    by_mark = {mark: info for info in infos if not info.token and (mark := _mark(info))}
    by_alias = {info.alias: info for info in infos if not info.token and info.alias}
    ours = KeyVersion.objects.filter(lease__gateway=gateway)
    rows = ours.filter(
        Q(token_hash__in=by_token) | Q(lease__in={lease for lease, _ in by_mark}) | Q(alias__in=by_alias)
    )
    found: dict[int, KeyInfo] = {}
    for pk, token, lease, number, alias in rows.values_list("pk", "token_hash", "lease_id", "number", "alias"):
        if info := by_token.get(token or "") or by_mark.get((lease, number)) or by_alias.get(alias):
            found[pk] = info
    return found


def _mark(info: KeyInfo) -> tuple[UUID, int] | None:
    """The lease and version that we wrote on the key; None: it does not say, or another Keydesk did."""
    said: Any = info.metadata.get("keydesk")
    if not isinstance(said, Mapping) or said.get("instance") != Installation.current():
        return None
    try:
        return UUID(str(said.get("lease"))), int(said.get("version") or 0)
    except (TypeError, ValueError):
        return None


def _note_use(versions: Iterable[KeyVersion]) -> None:
    used: dict[UUID, datetime] = {}
    for version in versions:
        if at := version.last_used_at:
            used[version.lease_id] = max(at, used.get(version.lease_id, at))
    for pk, at in used.items():
        Lease.objects.filter(pk=pk).filter(Q(last_used_at=None) | Q(last_used_at__lt=at)).update(last_used_at=at)


def read_teams(line: gateways.Line, gateway: Gateway, teams: Iterable[Team], now: datetime | None = None) -> int:
    """Ask for the counters of these teams, one call each, and of the holders who have a budget there; answers how
    many teams are there. Raises LiteLLMError.
    """
    teams, count = list(teams), 0
    holders: dict[UUID, list[User]] = {}
    budgeted = Membership.objects.filter(team__in=teams, max_budget__isnull=False)
    for membership in budgeted.select_related("user"):
        holders.setdefault(membership.team_id, []).append(membership.user)
    for team in teams:
        at = now or timezone.now()
        if team.pk in holders:
            try:
                told = line.client.teams.info(team.litellm_id, key_limit=1)  # every key of the team otherwise
            except TeamNotFound:
                continue
            row, spent = told.team, {each.user_id: each for each in told.memberships}
            for user in holders[team.pk]:
                if there := spent.get(user.litellm_id):
                    _count(gateway, team, user, there.spend, there.budget_reset_at, at)
        else:
            listed = line.client.teams.list_v2_page(1, 1, team_id=team.litellm_id).items
            if not listed:
                continue
            row = listed[0]
        _count(gateway, team, None, row.spend, row.budget_reset_at, at)
        count += 1
    return count


def _count(
    gateway: Gateway, team: Team, holder: User | None, spend: Decimal, resets_at: datetime | None, at: datetime
) -> None:
    told = {"spend": units(spend), "resets_at": resets_at, "read_at": at}
    Counter.objects.update_or_create(gateway=gateway, team=team, holder=holder, defaults=told)
