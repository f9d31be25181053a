"""What each key is for, when it began and ended, and what it spent on which day. Nothing is made here. USD, UTC."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from random import Random

from portal.litellm.sandbox import DEFAULT_MODELS
from portal.management.demo import cast
from portal.management.demo.cast import DAY, RoleOf
from teams.roles import MemberRole, holds_keys

SEED = 20_261_121
TRIES = 200  # draws until a key is not one that is there already
GROWTH = 0.6  # what is spent at the beginning of the past, as a part of what is spent at its end
SHORT = 10 * DAY  # keys of such roles have mostly expired
A_CALL = 2_400  # tokens
PRICES = {model.name: (model.input_cost, model.output_cost) for model in DEFAULT_MODELS}
OUT_OF_IN = 0.25  # tokens that are answered for each one that is asked


@dataclass(slots=True)
class Spent:
    """What one key did with one model on one day."""

    day: date
    model: str
    spend: float  # USD, to a millionth
    prompt: int
    completion: int
    calls: int
    failed: int

    def scale(self, by: float) -> None:
        self.prompt, self.completion = round(self.prompt * by), round(self.completion * by)
        self.calls = max(1, round(self.calls * by))
        self.spend = _price(self.model, self.prompt, self.completion)


@dataclass(slots=True)
class Planned:
    """One key. `login` is a person's, or the name of a service account of the team."""

    team: str
    login: str
    role: RoleOf
    name: str
    purpose: str
    fate: str
    machine: bool
    issued_at: datetime
    expires_at: datetime
    renewed_at: datetime | None
    ended_at: datetime | None
    rows: list[Spent] = field(default_factory=list)


def plan(keys: int, days: int, now: datetime) -> list[Planned]:
    """So many keys and so many days; times count back from `now`. The same keys at each call, and with more keys more.

    Each key draws from dice of its own what depends on the day: so who gets which key never does.
    """
    rng = Random(SEED)  # noqa: S311
    found: list[Planned] = []
    taken: set[tuple[str, str, str]] = set()
    held: Counter[tuple[str, str]] = Counter()
    fates = _fates(rng)
    for who in itertools.islice(itertools.chain(_first(), _others(rng, fates)), TRIES * keys):
        if len(found) == keys:
            break
        login, team, role, name, purpose, fate, machine = who
        most = role.fields.get("max_live_keys")
        if (team, login, name) in taken or (most and held[login, role.name] >= most):
            continue
        taken.add((team, login, name))
        held[login, role.name] += 1
        own = Random(f"{SEED}:{len(found)}")  # noqa: S311
        key = Planned(team, login, role, name, purpose, fate, machine, *_times(own, role, fate, days, now))
        if fate != "unused":
            key.rows = list(_spent(own, key, days, now))
        found.append(key)
    return found


Who = tuple[str, str, RoleOf, str, str, str, bool]


def _first() -> Iterator[Who]:
    roles = {role.name: role for role in cast.ROLES}
    for login, team, role, name, purpose, fate in cast.FIRST_KEYS:
        yield login, team, roles[role], name, purpose, fate, False


def _others(rng: Random, fates: Iterator[str]) -> Iterator[Who]:
    """Keys without end, many of them like one that was there before."""
    teams, shares = [team.slug for team in cast.TEAMS], [team.share for team in cast.TEAMS]
    people: dict[str, list[str]] = {slug: [] for slug in teams}
    for login, _, places in cast.PEOPLE:
        for slug, member_role in places.items():
            if holds_keys(MemberRole(member_role)):
                people[slug].append(login)
    machines = {slug: [each.name for each in cast.ACCOUNTS if each.team == slug] for slug in teams}
    while True:
        team = rng.choices(teams, shares)[0]
        roles = [role for role in cast.ROLES if not role.teams or team in role.teams]
        role = rng.choices(roles, [each.share for each in roles])[0]
        machine = rng.random() < role.machines
        login = rng.choice(machines[team] if machine else people[team])
        name, purpose = rng.choice(role.keys)
        part = rng.choice(("", "", "", " 2", " 3", ", staging", ", until the move", ", Tuesdays"))
        fate = next(fates)
        if role.fields["max_ttl"] <= SHORT and rng.random() < 0.7:
            fate = "expired"
        yield login, team, role, f"{name}{part}"[:80], purpose, fate, machine


def _fates(rng: Random) -> Iterator[str]:
    hundred = [fate for fate, count in cast.FATES for _ in range(count)]
    while True:
        rng.shuffle(hundred)
        yield from hundred


Times = tuple[datetime, datetime, datetime | None, datetime | None]


def _times(rng: Random, role: RoleOf, fate: str, days: int, now: datetime) -> Times:
    """When it was issued, when it expires, when it was renewed last, when it ended."""
    ttl, most = role.fields["ttl"], role.fields["max_ttl"]
    past, rest = DAY * days, rng.random()
    if fate == "expired":
        life = min(ttl, past * 0.7)
        ended = now - (past - life) * (0.01 + 0.95 * rng.random() ** 1.3)
        return ended - life, ended, None, ended
    if fate == "revoked":
        life = min(ttl, past) * (0.1 + 0.6 * rng.random())
        ended = now - (past - life) * (0.01 + 0.9 * rng.random())
        return ended - life, ended - life + ttl, None, ended
    left = timedelta(hours=2) + timedelta(hours=60) * rest if fate == "soon" else ttl * (0.15 + 0.8 * rest)
    left = min(left, ttl * 0.95)
    age = min(most - left, past * 1.6) * rng.random() ** 0.6
    age = max(age, ttl - left, timedelta(minutes=40))  # never more ahead of it than its role gives
    renewed = now + left - ttl if age + left > ttl + timedelta(hours=1) else None
    return now - age, now + left, renewed, None


def _spent(rng: Random, key: Planned, days: int, now: datetime) -> Iterator[Spent]:
    """Weekdays more than weekends, more from month to month, some days nothing; today as much of it as is over."""
    low, high = key.role.a_day
    usual = low + (high - low) * rng.random() ** 2.2
    if key.login in cast.HEAVY:
        usual *= 4
    first = max(now - DAY * (days - 1), key.issued_at).date()
    last = (key.ended_at or now).date()
    for back in range((last - first).days + 1):
        day = first + DAY * back
        if rng.random() < (0.06 if key.machine else 0.14):
            continue
        amount = usual * (key.role.weekends if day.weekday() > 4 else 1.0) * rng.lognormvariate(0, 0.35)
        amount *= GROWTH + (1 - GROWTH) * (1 - (now.date() - day).days / max(days, 1))
        amount *= _part_of_day(day, key.issued_at, key.ended_at or now)
        for model, part in key.role.use:
            if amount * part > 0.0005 and (part > 0.1 or rng.random() < 0.5):
                yield _row(rng, day, model, amount * part)


def _part_of_day(day: date, start: datetime, end: datetime) -> float:
    midnight = datetime.combine(day, time.min, start.tzinfo)
    over = min(end, midnight + DAY) - max(start, midnight)
    return max(0.0, over / DAY)


def _row(rng: Random, day: date, model: str, amount: float) -> Spent:
    asked, answered = PRICES[model]
    out = OUT_OF_IN if answered else 0.0
    prompt = max(1, round(amount / (asked + answered * out)))
    completion = round(prompt * out)
    calls = max(1, (prompt + completion) // A_CALL)
    failed = sum(rng.random() < 0.04 for _ in range(min(calls, 12)))
    return Spent(day, model, _price(model, prompt, completion), prompt, completion, calls, failed)


def _price(model: str, prompt: int, completion: int) -> float:
    asked, answered = PRICES[model]
    return round(prompt * asked + completion * answered, 6)


def fit(rows: list[Spent], most: float, *, at_least: float = 0.0, stretch: float = 1.0) -> None:
    """See that rows of one budget window stay below `most`, and come up to `at_least`, if that is no more than
    `stretch` times what they are.
    """
    total = sum(row.spend for row in rows)
    by = 1.0
    if total > most:
        by = most / total
    elif total and total < at_least and at_least / total <= stretch:
        by = at_least / total
    if by != 1.0:
        for row in rows:
            row.scale(by * 0.999 if by < 1 else by)
