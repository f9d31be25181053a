"""What every row of the table is asked about: one key of alice's in her team, and everybody who might want it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from keys.models import Finding, Gateway, Intent, KeyRole, Lease, UnmanagedKey
from keys.models.gateway import SANDBOX_URL
from keys.services import leases
from keys.services.findings import note
from keys.services.minting import new_secret
from keys.services.terms import Ask
from teams.models import ApiToken, Departure, Membership, Team, User
from teams.roles import MemberRole, PlatformRole, Scope

# The columns of every row. olga is in no team; mallory administers another one; vic is a viewer of this one; alice
# holds the key; carol is another member.
PEOPLE = ("nobody", "olga", "mallory", "vic", "alice", "carol", "bob", "ines", "audra", "ruth")
# After them, for REST: the team's service account, and a token of alice's that may only read.
ACTORS = (*PEOPLE, "robot", "alice who may only read")
IN_TEAM = {
    "vic": MemberRole.VIEWER,
    "alice": MemberRole.MEMBER,
    "carol": MemberRole.MEMBER,
    "bob": MemberRole.APPROVER,
    "ines": MemberRole.ADMIN,
}
ON_PLATFORM = {"audra": PlatformRole.AUDITOR, "ruth": PlatformRole.ADMIN}


@dataclass(frozen=True)
class Scene:
    """The rows that URLs and bodies name. `scene.ines` is a person."""

    people: dict[str, User]
    team: Team
    other_team: Team
    role: KeyRole
    lease: Lease
    gateway: Gateway
    promise: Intent
    noted: Finding
    held: Departure
    foreign: UnmanagedKey

    def __getattr__(self, name: str) -> User:
        try:
            return self.people[name]
        except KeyError:
            raise AttributeError(name) from None

    def bearer(self, user: User, scopes: list[Scope] | None = None) -> dict[str, str]:
        """Headers of a token of theirs, with every scope unless told otherwise."""
        plain, ends = ApiToken.choose(), timezone.now() + timedelta(days=1)
        digest, given = ApiToken.digest_of(plain), list(Scope) if scopes is None else scopes
        ApiToken.objects.create(owner=user, name="test", digest=digest, scopes=given, expires_at=ends)
        return {"Authorization": f"Bearer {plain}"}


def set_up() -> Scene:
    """The cast, their two teams, one key and what may lie beside it."""
    team = Team.objects.create(name="Search Platform", slug="search")
    other = Team.objects.create(name="Mobile Assist", slug="mobile")
    people = {}
    for name in PEOPLE[1:]:
        held = ON_PLATFORM.get(name, PlatformRole.NONE)
        people[name] = User.objects.create_user(
            f"{name}@example.com", name=name.title(), platform_role=held, given_platform_role=held
        )
    people["robot"] = User.objects.create_service_account("nightly", team)
    for name, member in IN_TEAM.items():
        Membership.objects.create(team=team, user=people[name], role=member, given_role=member)
    admin = MemberRole.ADMIN
    Membership.objects.create(team=other, user=people["mallory"], role=admin, given_role=admin)
    gateway = Gateway.objects.create(
        name="sandbox", base_url=SANDBOX_URL, master_key=new_secret(), is_default=True, chosen_keys=True
    )
    role = KeyRole.objects.create(
        name="coding", gateway=gateway, models=["gpt-4o-mini", "gpt-4o"], max_budget=Decimal(50),
        budget_duration="1mo", ttl=timedelta(days=30), max_ttl=timedelta(days=90),
    )  # fmt: skip
    role.teams.set([team])
    lease = leases.issue(Ask(team=team, role=role), holder=people["alice"], by=people["alice"]).lease
    now, token = timezone.now(), "a" * 64
    return Scene(
        people=people,
        team=team,
        other_team=other,
        role=role,
        lease=lease,
        gateway=gateway,
        promise=Intent.objects.promise(Intent.Kind.SHAPE, now, gateway_id=gateway.pk, team=team),
        noted=note(gateway, Finding.Kind.LIMITS, token, message="Changed.", version=lease.versions.get(), now=now),
        held=Departure.objects.create(user=people["vic"], team=team, at=now, due_at=now, held=True),
        foreign=UnmanagedKey.objects.create(gateway=gateway, token_hash=token, seen_at=now),
    )


@pytest.fixture
def scene(db) -> Scene:
    return set_up()


@contextmanager
def nothing_happened() -> Iterator[None]:
    """Whatever an actor does in here, here and on the gateway, the next one meets the rows as they were."""
    file: Path = settings.SANDBOX_FILE
    before = file.read_bytes()
    block = transaction.atomic()
    block._from_testcase = True  # as Django's own: durable blocks may begin inside
    with block:
        yield
        transaction.set_rollback(True)
    if file.read_bytes() != before:
        file.write_bytes(before)
