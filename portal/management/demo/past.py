"""Give what was made just now a past, as if it had happened over months.

This is the one room of the demo that writes past the services: it moves times of rows back (when somebody came, when a
key was issued, renewed and ended, when a request was decided), and writes the sandbox's own ledger. What was spent is
then read by the real spend sync, and keys end by the real verbs. Audit events are never touched: they say that all of
it was done today, which is true.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta
from random import Random

from django.conf import settings
from django.db import transaction

from keys.models import Gateway, KeyRequest, KeyRole, KeyVersion, Lease, RequestEntry, RoleVersion, State
from keys.services import intents, leases, spend
from keys.services.budgets.windows import window_of
from portal.litellm.sandbox import history
from portal.management.demo import cast
from portal.management.demo.cast import DAY
from portal.management.demo.company import Company, Say, actor, admin_of
from portal.management.demo.plan import SEED, Planned, Spent, fit
from teams.models import ApiToken, Membership, Team, User

FULL, NEARLY = 0.96, 0.93  # of a budget: the most that anybody spent, and what is called nearly spent
Act = RequestEntry.Act
HOUR = timedelta(hours=1)


def balance(planned: Iterable[Planned], now: datetime) -> None:
    """See that nobody spent more than a budget lets them, and that one key's and one team's are nearly spent."""
    planned = list(planned)
    for team in cast.TEAMS:
        if team.nearly_spent:
            rows = _by_window([key for key in planned if key.team == team.slug], "1mo")
            fit(rows[_start("1mo", now)], team.month, at_least=team.month * NEARLY, stretch=6)
    for key in planned:
        window, most = str(key.role.fields["budget_duration"]), float(key.role.fields["max_budget"])
        rows = _by_window([key], window)
        if key.fate == "nearly spent":
            fit(rows[_start(window, now)], most * FULL, at_least=most * NEARLY, stretch=1000)
        for each in rows.values():
            fit(each, most * FULL)
    for slug, login, most in cast.HOLDER_BUDGETS:
        theirs = [key for key in planned if (key.team, key.login) == (slug, login)]
        for each in _by_window(theirs, "1mo").values():
            fit(each, most * FULL)
    for team in cast.TEAMS:
        for each in _by_window([key for key in planned if key.team == team.slug], "1mo").values():
            fit(each, team.month * FULL)


def _by_window(planned: Iterable[Planned], window: str) -> dict[datetime, list[Spent]]:
    found: dict[datetime, list[Spent]] = defaultdict(list)
    for key in planned:
        for row in key.rows:
            found[_start(window, datetime.combine(row.day, time(12), UTC))].append(row)
    return found


def _start(window: str | None, at: datetime) -> datetime:
    running = window_of(window, at)
    return running[0] if running else datetime.min.replace(tzinfo=UTC)


def give(company: Company, now: datetime, days: int, say: Say) -> None:
    """Times and a ledger for everything that is new, then the real spend sync; then what has ended ends."""
    rng = Random(SEED)  # noqa: S311
    _came(company, now - DAY * (days + 20), rng)
    pasts = []
    with transaction.atomic():
        for key, lease, request in company.made:
            _was_issued(key, lease)
            if request:
                decided = key.issued_at - HOUR * rng.uniform(0.2, 20)
                move(request, decided - HOUR * rng.uniform(0.5, 30), decided, key.issued_at)
            pasts.append(_past_of(key, lease, rng, now))
    history.write(settings.SANDBOX_FILE, pasts)
    say(f"{sum(len(past.days) for past in pasts)} days of spend written")
    Gateway.objects.filter(pk=company.gateway.pk).update(spend_synced_at=None)  # read from the oldest key's day on
    copied = spend.sync()
    say(f"{copied['rows']} of them read, {copied['counters']} counters, {copied['announced']} budgets announced")
    _end(company, now)


def _came(company: Company, at: datetime, rng: Random) -> None:
    """When people came and roles were made."""
    newcomers, roles = company.newcomers, company.new_roles
    for newcomer in newcomers:
        came = at - DAY * rng.uniform(0, 200)
        User.objects.filter(pk=newcomer.pk).update(created_at=came)
        Membership.objects.filter(user=newcomer).update(created_at=came)
    if newcomers:
        Team.objects.filter(pk__in=[team.pk for team in company.teams.values()]).update(created_at=at - DAY * 201)
        machines = User.objects.filter(service_team__in=company.teams.values())
        machines.update(created_at=at)
        ApiToken.objects.filter(owner__in=machines).update(created_at=at)
    KeyRole.objects.filter(pk__in=[role.pk for role in roles]).update(created_at=at)
    RoleVersion.objects.filter(role__in=roles).update(at=at)


def _was_issued(key: Planned, lease: Lease) -> None:
    """It ends later than now for the moment, if it has ended: it must be there while its ledger is read."""
    moved = {"issued_at": key.issued_at, "renewed_at": key.renewed_at}
    moved["max_expires_at"] = max(key.expires_at, key.issued_at + lease.role.longest_ttl)
    if key.ended_at is None:
        moved["expires_at"] = key.expires_at
    Lease.objects.filter(pk=lease.pk).update(**moved)
    versions = KeyVersion.objects.filter(lease=lease)
    versions.update(created_at=key.issued_at, issued_at=key.issued_at)
    if key.ended_at is None:
        versions.update(dies_at=key.expires_at)


def _past_of(key: Planned, lease: Lease, rng: Random, now: datetime) -> history.Past:
    window = lease.limits["budget_duration"] if lease.max_budget is not None else None
    team_window = lease.team.budget_duration if lease.team.max_budget is not None else None
    days = [
        history.Day(row.day.isoformat(), row.model, row.spend, row.prompt, row.completion, row.calls, row.failed)
        for row in key.rows
    ]
    return history.Past(
        token=lease.current.token_hash or "",
        created_at=key.issued_at,
        days=tuple(days),
        last_active=_last_use(key, rng, now),
        expires=None if key.ended_at else key.expires_at,
        spend=_since(key, _start(window, now)),
        team_spend=_since(key, _start(team_window, now)),
        member_spend=_since(key, _start(team_window, now)),
    )


def _since(key: Planned, start: datetime) -> float:
    return round(sum(row.spend for row in key.rows if row.day >= start.date()), 6)


def _last_use(key: Planned, rng: Random, now: datetime) -> datetime | None:
    """At some working hour of its last day."""
    if not key.rows:
        return None
    midnight = datetime.combine(key.rows[-1].day, time.min, UTC)
    end = min(key.ended_at or now, now, midnight + DAY) - timedelta(minutes=rng.uniform(1, 9))
    return max(key.issued_at, min(end, midnight + HOUR * rng.uniform(9, 23) if midnight + DAY < now else end))


def _end(company: Company, now: datetime) -> None:
    """Expire and revoke what has ended, by the real verbs, then say when that was."""
    ended = [(key, lease) for key, lease, _ in company.made if key.ended_at]
    for key, lease in ended:
        if key.fate == "expired":
            Lease.objects.filter(pk=lease.pk).update(expires_at=key.ended_at)
            KeyVersion.objects.filter(lease=lease).update(dies_at=key.ended_at)
    leases.expire_overdue()
    by_actor: dict[User, list[Lease]] = defaultdict(list)
    for at, lease in enumerate(company.leases("revoked")):
        by_actor[admin_of(lease.team) if at % 4 == 0 else actor(lease)].append(lease)
    for at, (by, theirs) in enumerate(by_actor.items()):
        leases.revoke_many(theirs, by=by, reason=cast.REASONS[at % len(cast.REASONS)])
    intents.settle_due()
    with transaction.atomic():
        for key, lease in ended:
            there = Lease.objects.filter(pk=lease.pk, state__in=[State.EXPIRED, State.REVOKED])
            if there.update(ended_at=key.ended_at, expires_at=key.expires_at):
                KeyVersion.objects.filter(lease=lease).update(ended_at=key.ended_at, dies_at=key.expires_at)


def move(request: KeyRequest, submitted: datetime, decided: datetime, fulfilled: datetime | None = None) -> None:
    """Let a request have been asked and decided then, with all that is counted from it."""
    request.refresh_from_db()
    back, then = request.submitted_at - submitted, (request.decided_at or decided) - decided
    for name in ("submitted_at", "remind_at", "escalates_at", "lapses_at"):
        if at := getattr(request, name):
            setattr(request, name, at - back)
    for name in ("decided_at", "claim_until", "reverts_at"):
        if at := getattr(request, name):
            setattr(request, name, at - then)
    if request.fulfilled_at:
        request.fulfilled_at = fulfilled or decided
    request.save()
    for entry in request.entries.all():
        late = {Act.CLAIMED: fulfilled or decided, Act.APPLIED: fulfilled or decided}
        entry.at = submitted if entry.act == Act.ASKED else late.get(Act(entry.act), decided)
        entry.save(update_fields=["at"])
