"""The cast and the gateways. Names say who they are: alice member, bob approver, ines team admin, ruth platform
admin, audra auditor, vic viewer, mallory outside."""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.core.cache import cache
from django.test import TransactionTestCase
from django.utils import timezone
from requests.adapters import HTTPAdapter

from keys.models import Gateway, KeyRole, KeyVersion, Lease
from keys.models.gateway import SANDBOX_URL
from keys.models.lease import LIVE
from keys.services import gateways, intents, leases
from keys.services.gateways import Line
from keys.services.minting import new_secret
from keys.services.terms import Ask
from portal.litellm import Client, TeamNotFound
from portal.litellm.faults import Faults
from portal.litellm.sandbox import SandboxAdapter
from portal.models import Installation
from teams.access import SYSTEM
from teams.models import ApiToken, Membership, Team, User
from teams.roles import MemberRole, PlatformRole, Scope
from tests.emptying import empty_all

LIVE_URL = os.environ.get("LIVE_LITELLM_BASE_URL", "")
LIVE_KEY = os.environ.get("LIVE_LITELLM_MASTER_KEY", "")
NO_LIVE = "set LIVE_LITELLM_BASE_URL and LIVE_LITELLM_MASTER_KEY to a LiteLLM proxy that tests may fill"
DOORS = {Path(__file__).parent / name for name in ("api", "cli", "pages")}
ON_BOTH = {"test_query_counts", "test_schema_fuzz", "test_idempotency"}  # SQLite and PostgreSQL
PASSWORD = "long enough for a test 42"

gc.disable()  # what is imported and collected stays to the end: pytest_collection_finish() puts it out of sight
TransactionTestCase._fixture_teardown = lambda self: empty_all()  # what the marker `transaction=True` ends with


@pytest.fixture(autouse=True)
def _apart(settings, tmp_path) -> Iterator[None]:
    """Each test has a sandbox, a cache and connections of its own."""
    settings.SANDBOX_FILE = tmp_path / "sandbox.sqlite3"
    settings.ISSUES_AN_HOUR = 0  # tests issue hundreds; tests/keys/test_issues_an_hour.py has the limit
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    cache.clear()
    yield
    gateways.forget_connections()
    left = len(time_machine.traveller_stack)
    while time_machine.traveller_stack:
        time_machine.travel(0).stop()
    assert not left, "This test left the clock moved, for all that come after it."


@pytest.fixture
def person(db) -> Callable[..., User]:
    def make(name: str, platform_role: PlatformRole = PlatformRole.NONE) -> User:
        return User.objects.create_user(
            f"{name.lower()}@example.com", PASSWORD, name=name.title(), platform_role=platform_role,
            given_platform_role=platform_role,
        )  # fmt: skip

    return make


@pytest.fixture
def team(db) -> Team:
    return Team.objects.create(name="Search Platform", slug="search")


@pytest.fixture
def other_team(db) -> Team:
    return Team.objects.create(name="Mobile Assist", slug="mobile")


def _member(name: str, role: MemberRole):
    @pytest.fixture(name=name)
    def cast(person, team) -> Any:
        user = person(name)
        Membership.objects.create(team=team, user=user, role=role, given_role=role)
        return user

    return cast


vic = _member("vic", MemberRole.VIEWER)
alice = _member("alice", MemberRole.MEMBER)
bob = _member("bob", MemberRole.APPROVER)
ines = _member("ines", MemberRole.ADMIN)


@pytest.fixture
def ruth(person) -> User:
    return person("ruth", PlatformRole.ADMIN)


@pytest.fixture
def audra(person) -> User:
    return person("audra", PlatformRole.AUDITOR)


@pytest.fixture
def mallory(person, other_team) -> User:
    user = person("mallory")
    Membership.objects.create(team=other_team, user=user, role=MemberRole.ADMIN, given_role=MemberRole.ADMIN)
    return user


@pytest.fixture
def robot(team) -> User:
    return User.objects.create_service_account("nightly", team)


class Proxy:
    """A gateway under test: its row, the faults between us and it, and a client that meets none of them."""

    def __init__(self, gateway: Gateway, faults: Faults, client: Client) -> None:
        self.gateway, self.faults, self.client = gateway, faults, client

    def keys_there(self, team: Team) -> set[str]:
        """Hashes of the keys on the gateway that this portal has made for the team."""
        ours = Installation.current()
        rows = self.client.keys.list(team_id=team.litellm_id)
        return {row.token for row in rows if row.metadata.get("keydesk", {}).get("instance") == ours}

    def balances(self, team: Team) -> bool:
        """Whether the keys on the gateway are exactly the live versions."""
        live = KeyVersion.objects.filter(lease__team=team, lease__state__in=LIVE, ended_at=None)
        return self.keys_there(team) == set(live.values_list("token_hash", flat=True))

    def status_of(self, secret: str) -> int:
        """What a call with the key answers: 200, or the status of the refusal."""
        from portal.litellm import LiteLLMError

        try:
            self.client.with_key(secret).models.list()
        except LiteLLMError as error:
            return error.status or 0
        return 200


@pytest.fixture
def sandbox(db, monkeypatch, settings) -> Proxy:
    """The default gateway: the sandbox, behind faults."""
    gateway = Gateway.objects.create(
        name="sandbox", base_url=SANDBOX_URL, master_key=new_secret(), is_default=True, chosen_keys=True
    )
    inner = SandboxAdapter(gateways._sandbox_of(gateway))
    faults = Faults(inner)
    monkeypatch.setattr(gateways, "transport", lambda _: {"http+sandbox://": faults})
    client = Client(SANDBOX_URL, gateway.master_key, adapters={"http+sandbox://": inner})
    return Proxy(gateway, faults, client)


def _patient_line(client: Client, seconds: float, gateway: Gateway) -> Line:
    """A line that waits for longer than a person would: tests that fill the machine make its proxy slow."""
    return Line(client, 6 * seconds, gateway)


@pytest.fixture
def live(db, monkeypatch) -> Iterator[Proxy]:
    """The default gateway: the real proxy, behind the same faults. What a test made there is deleted."""
    if not LIVE_URL:
        pytest.skip(NO_LIVE)
    gateway = Gateway.objects.create(
        name="live", base_url=LIVE_URL, master_key=LIVE_KEY, is_default=True, chosen_keys=True
    )
    faults = Faults(HTTPAdapter())
    monkeypatch.setattr(gateways, "transport", lambda _: {"http://": faults})
    monkeypatch.setattr(gateways, "Line", _patient_line)
    with Client(LIVE_URL, LIVE_KEY) as client:
        yield Proxy(gateway, faults, client)
        for team in Team.objects.all():
            with contextlib.suppress(TeamNotFound):
                client.teams.delete(team.litellm_id)  # and its keys with it


@pytest.fixture(params=[pytest.param("sandbox", marks=pytest.mark.apart), pytest.param("live", marks=pytest.mark.live)])
def proxy(request) -> Proxy:
    """Both gateways, one after the other: the same test, the same answers."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def make_role(team) -> Callable[..., KeyRole]:
    def make(**changes: Any) -> KeyRole:
        fields: dict[str, Any] = {
            "name": "coding",
            "models": ["gpt-4o-mini", "gpt-4o"],
            "max_budget": Decimal("50"),
            "budget_duration": "1mo",
            "ttl": timedelta(days=30),
            "max_ttl": timedelta(days=90),
            "all_teams": True,
        } | changes
        fields.setdefault("gateway", gateways.default())
        opened = fields.pop("teams", [])
        role = KeyRole.objects.create(**fields)
        role.teams.set(opened)
        return role

    return make


@pytest.fixture
def make_key(team, alice, make_role) -> Callable[..., leases.Issued]:
    """Issue a key, really: alice's, from the role coding, unless told otherwise."""

    def make(*, holder: User | None = None, role: KeyRole | None = None, **ask: Any) -> leases.Issued:
        holder = holder or alice
        role = role or KeyRole.objects.filter(name="coding").first() or make_role()
        return leases.issue(Ask(**{"team": team, "role": role} | ask), holder=holder, by=holder)

    return make


@pytest.fixture
def bearer(db) -> Callable[..., dict[str, str]]:
    """Headers of somebody's API token, with every scope unless told otherwise."""

    def make(user: User, scopes: list[str] | None = None) -> dict[str, str]:
        plain = ApiToken.choose()
        ApiToken.objects.create(
            owner=user,
            name="test",
            digest=ApiToken.digest_of(plain),
            scopes=scopes if scopes is not None else list(Scope),
            expires_at=timezone.now() + timedelta(days=1),
        )
        return {"Authorization": f"Bearer {plain}"}

    return make


@pytest.fixture
def after_horizon() -> Callable[..., None]:
    """Let the sweeps run as they would until every promise is old; `between` runs 75 s in, after the first look."""

    def run(between: Callable[[], Any] | None = None) -> None:
        start = timezone.now()
        for seconds in (61, 75, 125, 200, 370, 500, 970, 1200, 2400):
            with time_machine.travel(start + timedelta(seconds=seconds), tick=True):
                if seconds == 75 and between:
                    between()
                    continue
                intents.settle_due()
                leases.expire_overdue()

    return run


def ended(lease: Lease) -> bool:
    lease.refresh_from_db()
    return lease.state in {"revoked", "expired", "failed"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark pages, API and command line: doors decide nothing, and what is behind them is tested on each database.

    On PostgreSQL they are asked by the query counts (each page and list, with rows), the schema's fuzz, and browsers.
    """
    for item in items:
        if item.path.parent in DOORS and item.path.stem not in ON_BOTH and not item.get_closest_marker("live"):
            item.add_marker(pytest.mark.apart)


def pytest_collection_finish() -> None:
    """A twelfth of the processor's time went into looking through tests and modules for garbage, again and again."""
    gc.freeze()
    gc.enable()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print how much the tests asked that ask by the thousand."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, said in report.user_properties:
            if name in {"permissions", "fuzz"}:
                terminalreporter.write_line(f"{name}: {said}")


__all__ = ["PASSWORD", "SYSTEM", "Proxy", "ended"]
