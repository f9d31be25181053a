"""Rows in bulk beside the scene of tests/permissions, of everything that a page or a list of REST shows."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

from django.db.models import Model
from django.utils import timezone

from keys.models import (
    Advice,
    Bounds,
    Finding,
    Intent,
    KeyRequest,
    KeyRole,
    KeyVersion,
    Lease,
    Proposal,
    RequestEntry,
    RoleVersion,
    SpendDay,
    Statement,
    StatementLine,
    UnmanagedKey,
)
from keys.models.role_version import terms_of
from portal.models import AuditEvent
from teams.models import (
    ApiToken,
    Delivery,
    Departure,
    GroupMapping,
    Invitation,
    Membership,
    Team,
    User,
    Webhook,
)
from tests.permissions.scene import Scene

A_DAY, AN_HOUR = timedelta(days=1), timedelta(hours=1)
MODELS = ("gpt-4o", "gpt-4o-mini")


def grow(scene: Scene, number: int, *, first: int = 0, days: int = 2) -> None:
    """Number `first` and on. `days`: of the ledger, for each live key and model."""
    every = range(first, first + number)
    holders = _people(scene, every)
    _teams_and_roles(scene, every)
    versions = _keys(scene, every, holders)
    _ledger(scene, versions, days)
    _requests(scene, every, holders)
    _platform(scene, every, versions)
    _doors(scene, every)


def _all(rows: list[Any]) -> list[Any]:
    model: type[Model] = type(rows[0])
    return list(model._default_manager.bulk_create(rows, batch_size=500))


def _people(scene: Scene, every: range) -> list[User]:
    people = _all([User(email=f"p{n}@example.com", name=f"Person {n:05}", password="!") for n in every])
    _all([Membership(team=scene.team, user=user, role="member", given_role="member") for user in people])
    _all([User(kind="service", name=f"robot {n:05}", service_team=scene.team, password="!") for n in every])
    day = timezone.now() + A_DAY
    _all([Invitation(team=scene.team, email=f"i{n}@example.com", digest=f"i{n:063}", expires_at=day) for n in every])
    return [scene.alice, scene.robot, *people]


def _teams_and_roles(scene: Scene, every: range) -> None:
    for team in _all([Team(slug=f"team-{n:05}", name=f"Team {n:05}") for n in every[:100]]):
        Membership.objects.create(team=team, user=scene.alice, role="member", given_role="member")
    rest = {"gateway": scene.gateway, "models": list(MODELS), "max_budget": Decimal(50), "budget_duration": "1mo"}
    life = {"ttl": 30 * A_DAY, "max_ttl": 90 * A_DAY, "all_teams": True}
    _all([KeyRole(name=f"role-{n:05}", **rest, **life) for n in every[:100]])
    _all([KeyRole(name=f"ended-{n:05}", ended_at=timezone.now(), **rest, **life) for n in every[:100]])
    terms = terms_of(scene.role, [])
    numbers = range(1000 + every.start, 1000 + every.start + min(len(every), 100))
    _all([RoleVersion(role=scene.role, number=n, terms=terms, at=timezone.now()) for n in numbers])


def _keys(scene: Scene, every: range, holders: list[User]) -> list[KeyVersion]:
    """Every other one is alice's; of live ones every tenth is paused or about to end; as many have ended."""
    now, limits = timezone.now(), scene.lease.limits
    leases = []
    for n in every:
        rest = {
            "team": scene.team, "holder": scene.alice if n % 2 else holders[n % len(holders)], "role": scene.role,
            "gateway": scene.gateway, "limits": limits, "issued_at": now - 40 * A_DAY, "last_used_at": now,
        }  # fmt: skip
        ends = now + (AN_HOUR if n % 10 == 1 else A_DAY * (2 + n % 50))
        state = "paused" if n % 10 == 3 else "revoking" if n % 100 == 5 else "active"
        leases.append(Lease(alias=f"l{n}", name=f"key {n:05}", state=state, expires_at=ends, max_expires_at=ends + 90 * A_DAY, **rest))  # fmt: skip # noqa: E501
        over = now - A_DAY * (n % 60)
        leases.append(Lease(alias=f"e{n}", name=f"old {n:05}", state="revoked", expires_at=over, max_expires_at=over, ended_at=over, **rest))  # fmt: skip # noqa: E501
    leases = _all(leases)
    made = [
        KeyVersion(
            lease=lease, number=1, token_hash=f"{lease.alias:0>64}", alias=f"v-{lease.alias}", key_name="sk-...abcd",
            issued_at=lease.issued_at, ended_at=lease.ended_at, dies_at=lease.expires_at, counter=Decimal(1),
        )
        for lease in leases
    ]  # fmt: skip
    versions = _all(made)
    rotated = [lease for lease in leases if lease.alias.endswith("7") and not lease.ended_at]
    if rotated:
        _all(
            [
                KeyVersion(
                    lease=lease, number=2, token_hash=f"2{lease.alias:0>63}", alias=f"w-{lease.alias}",
                    issued_at=lease.issued_at,
                )
                for lease in rotated
            ]
        )  # fmt: skip
    return versions


def _ledger(scene: Scene, versions: list[KeyVersion], days: int) -> None:
    today = timezone.now().date()
    _all(
        [
            SpendDay(
                gateway=scene.gateway, version=version, day=today - A_DAY * back, model=model, spend=Decimal("0.25"),
                team=version.lease.team, holder=version.lease.holder, key_alias=version.alias, team_name="Search",
                holder_name=str(version.lease.holder), role_name="coding", written_at=timezone.now(), requests=3,
            )
            for version in versions if not version.ended_at
            for back in range(days) for model in MODELS
        ]
    )  # fmt: skip


def _requests(scene: Scene, every: range, holders: list[User]) -> None:
    """As many wait as are approved and as are denied; of alice's some."""
    now, bounds = timezone.now(), Bounds(A_DAY, ("gpt-4o",), Decimal(60), "1mo").stored()
    rows = []
    for n in every:
        for state, granted in (("pending", None), ("approved", bounds), ("denied", None)):
            rows.append(
                KeyRequest(
                    thread=uuid4(), team=scene.team, role=scene.role, holder=holders[n % len(holders)],
                    asked_by=holders[n % len(holders)], state=state, name=f"ask {n:05}", purpose="Because.",
                    asked=bounds, granted=granted, decider="team", submitted_at=now - AN_HOUR * (n % 90),
                    remind_at=now + A_DAY, lapses_at=now + 7 * A_DAY, escalates_at=now + 2 * A_DAY,
                    decided_at=None if state == "pending" else now, claim_until=now + A_DAY if granted else None,
                    decided_by=None if state == "pending" else scene.bob,
                )
            )  # fmt: skip
    _all([RequestEntry(request=row, who=row.asked_by, who_name="Somebody", act="asked") for row in _all(rows)])
    asked = KeyRequest.objects.filter(holder=scene.alice, state="pending").order_by("submitted_at").first()
    if asked:
        _all(
            [RequestEntry(request=asked, who=scene.alice, who_name="Alice", act="said", text="A word.") for _ in every]
        )


def _platform(scene: Scene, every: range, versions: list[KeyVersion]) -> None:
    now = timezone.now()
    live = [version for version in versions if not version.ended_at]
    rest = {"gateway": scene.gateway, "first_seen_at": now, "seen_at": now, "message": "Changed."}
    drift = [Finding(kind="limits", subject=f"{each.token_hash}", version=each, **rest) for each in live]
    gone = [Finding(kind="missing", subject=f"{each.token_hash}", version=each, **rest) for each in live]
    lost = [Finding(kind="orphan", subject=f"{n:064}", **rest) for n in every]
    _all(drift + gone + lost)
    waits = {"gateway": scene.gateway, "due_at": now, "attempts": 3, "last_error": "It did not answer."}
    _all([Intent(kind="shape", version=each, **waits) for each in live])
    _all([UnmanagedKey(gateway=scene.gateway, token_hash=f"f{n:063}", alias=f"f{n}", seen_at=now, spend=n % 7) for n in every])  # fmt: skip # noqa: E501
    facts = {"days": 30}
    seen = {"first_seen_at": now, "seen_at": now, "facts": facts, "proposed": {"end": True}}
    _all([Advice(kind="unused", lease=each.lease, saves=[None, 5][at % 2], **seen) for at, each in enumerate(live)])
    people = User.objects.filter(email__startswith="p", kind="person").order_by("-created_at")[: len(every)]
    _all([Departure(user=who, team=scene.team, at=now, due_at=now + A_DAY, held=True) for who in people])
    _all([Proposal(verb="role.change", name=f"r{n}", role=scene.role, proposed_by=scene.ruth, before={}, after={"budget": "none"}) for n in every[:200]])  # fmt: skip # noqa: E501
    months = [date(1900 + (n // 12), n % 12 + 1, 1) for n in every[:200]]
    # The lines first: once a statement is there, the database takes no more.
    line = {"holder": scene.alice, "lease": scene.lease, "gateway": scene.gateway, "holder_name": "Alice", "spend": 1}
    stated = [
        Statement(team=scene.team, month=month, team_name="Search", total=1, closed_at=now)
        for n, month in zip(every, months, strict=False)
    ]
    _all([StatementLine(statement=each, of_month=each.month, model="gpt-4o", **line) for each in stated])
    _all(stated)
    team, lease, gateway = scene.team, scene.lease, scene.gateway
    for kind, target in (("lease", lease), ("team", team), ("gateway", gateway), ("person", scene.alice)):
        _all(
            [
                AuditEvent(
                    action="key.renewed", actor="Alice", actor_id=str(scene.alice.pk), actor_kind="person",
                    target_type=kind, target_id=str(target.pk), target=str(target), team_id=str(team.pk),
                )
                for _ in every
            ]
        )  # fmt: skip


def _doors(scene: Scene, every: range) -> None:
    ends = timezone.now() + A_DAY
    for owner in (scene.alice, scene.ruth, scene.robot):
        name = str(owner.pk)[:8]
        rest = {"owner": owner, "name": "cron", "scopes": ["read"], "expires_at": ends}
        _all([ApiToken(digest=f"{name}-{n}", **rest) for n in every])
        _all([ApiToken(digest=f"{name}-e{n}", ended_at=timezone.now(), **rest) for n in every])
    _all([GroupMapping(source="okta", value=f"group-{n:05}", team=scene.team, role="member") for n in every])
    for team in (scene.team, None):
        few = every[:100]
        hooks = _all([Webhook(team=team, name=f"hook {n:05}", url="https://hooks.example.com/x", events=["keys"], secret="x") for n in few])  # fmt: skip # noqa: E501
        _all([Delivery(webhook=hook, event_id=n, event="key.issued") for n, hook in enumerate(hooks)])
    for hook in Webhook.objects.exclude(name__startswith="hook ")[:2]:
        _all([Delivery(webhook=hook, event_id=1_000_000 + n, event="key.issued") for n in every])
