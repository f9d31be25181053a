"""An act whose event cannot be written does not happen: not here, and not on the gateway."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from django.apps import apps
from django.db import DatabaseError, connection
from django.utils import timezone

from keys.models import Lease
from keys.services import gateways, intents, leases, roles
from portal.models import AuditEvent
from teams import services
from teams.departures import deactivate
from teams.models import ApiToken, Membership, Team
from teams.roles import MemberRole

pytestmark = pytest.mark.django_db(transaction=True)

REFUSE = "audit cannot be written"


@contextmanager
def no_audit() -> Iterator[None]:
    """The database takes no event: as with a full disk, or a table that is gone."""
    where = f"BEFORE INSERT ON {AuditEvent._meta.db_table}"
    if connection.vendor == "postgresql":
        refuse = f"RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '{REFUSE}'; END $$"
        up = f"CREATE FUNCTION no_audit() {refuse}; CREATE TRIGGER no_audit {where} EXECUTE FUNCTION no_audit()"
        down = "DROP FUNCTION no_audit() CASCADE"
    else:
        up = f"CREATE TRIGGER no_audit {where} BEGIN SELECT RAISE(ABORT, '{REFUSE}'); END"
        down = "DROP TRIGGER no_audit"
    with connection.cursor() as cursor:
        cursor.execute(up)
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(down)


def books() -> dict[str, Any]:
    """Every row of teams and keys, and every letter; without what is only noted by the way."""
    kept = [model for model in apps.get_models() if model._meta.app_label in {"teams", "keys"}]
    kept.append(apps.get_model("portal", "Letter"))
    return {model._meta.label: list(model._default_manager.order_by("pk").values()) for model in kept}


TEAM_ACTS: dict[str, Callable[..., Any]] = {
    "make a team": lambda c: services.create_team(name="New", by=c["ruth"]),
    "change a budget": lambda c: services.change_team(c["team"], by=c["ines"], max_budget=Decimal(5)),
    "end a team": lambda c: services.end_team(c["team"], by=c["ruth"]),
    "add a member": lambda c: services.put_member(
        c["team"], email="mallory@example.com", role=MemberRole.VIEWER, by=c["ines"]
    ),
    "change a member": lambda c: services.put_member(
        c["team"], email="alice@example.com", role=MemberRole.ADMIN, by=c["ines"]
    ),
    "remove a member": lambda c: services.remove_member(Membership.objects.get(user=c["alice"]), by=c["ines"]),
    "limit a member": lambda c: services.set_holder_budget(
        Membership.objects.get(user=c["alice"]), max_budget=Decimal(5), by=c["ines"]
    ),
    "make a token": lambda c: services.make_token(c["alice"], name="ci", scopes=["read"], by=c["alice"]),
    "deactivate somebody": lambda c: deactivate(c["alice"], by=c["ruth"]),
    "end a key role": lambda c: roles.end(c["role"], by=c["ruth"]),
}


@pytest.fixture
def cast(request, sandbox, make_key) -> dict[str, Any]:
    names = ("team", "alice", "ines", "ruth", "mallory", "bob")
    issued = make_key()
    found = {name: request.getfixturevalue(name) for name in names}
    return found | {"issued": issued, "lease": issued.lease, "role": issued.lease.role}


@pytest.mark.parametrize("act", TEAM_ACTS)
def test_nothing_of_teams_and_roles_changes_without_its_event(cast, sandbox, act):
    before, there = books(), list(sandbox.client.keys.list(team_id=cast["team"].litellm_id))
    with no_audit(), pytest.raises(DatabaseError, match=REFUSE):
        TEAM_ACTS[act](cast)
    assert books() == before
    assert list(sandbox.client.keys.list(team_id=cast["team"].litellm_id)) == there
    TEAM_ACTS[act](cast)  # and with it, it does
    assert books() != before


KEY_ACTS: dict[str, Callable[..., Any]] = {
    "pause": lambda c: leases.pause(c["lease"], by=c["bob"]),
    "revoke": lambda c: leases.revoke(c["lease"], by=c["bob"], reason="asked"),
    "end a team": lambda c: leases.end_team(team=c["team"], by=c["ruth"]),
}


@pytest.mark.parametrize("act", KEY_ACTS)
def test_a_key_that_could_not_be_ended_on_record_works_on(cast, sandbox, act):
    before = books()
    with no_audit(), pytest.raises(DatabaseError, match=REFUSE):
        KEY_ACTS[act](cast)
    assert books() == before
    intents.settle_due()
    assert sandbox.status_of(cast["issued"].secret) == 200
    assert sandbox.balances(cast["team"])


def test_a_key_that_could_not_be_issued_on_record_is_in_nobodys_hand_and_soon_gone(
    cast, sandbox, team, alice, after_horizon
):
    with no_audit(), pytest.raises(DatabaseError, match=REFUSE):
        leases.issue(leases.Ask(team=team, role=cast["role"]), holder=alice, by=alice)
    after_horizon()
    assert sandbox.balances(team)
    assert sandbox.keys_there(team) == {cast["lease"].current.token_hash}
    assert sorted(Lease.objects.values_list("state", flat=True)) == ["active", "failed"]


def test_a_rotation_that_could_not_be_put_on_record_leaves_the_secret_as_it_was(
    cast, sandbox, team, alice, after_horizon
):
    with no_audit(), pytest.raises(DatabaseError, match=REFUSE):
        leases.rotate(cast["lease"], by=alice)
    after_horizon()
    assert sandbox.keys_there(team) == {cast["lease"].current.token_hash}
    assert sandbox.status_of(cast["issued"].secret) == 200
    assert Lease.objects.get().state == "active"


def test_a_renewal_that_could_not_be_put_on_record_is_taken_back_on_the_gateway(
    cast, sandbox, team, alice, after_horizon
):
    until, token = cast["lease"].expires_at, cast["lease"].current.token_hash
    with time_machine.travel(timezone.now() + timedelta(days=10)):
        with no_audit(), pytest.raises(DatabaseError, match=REFUSE):
            leases.renew(cast["lease"], by=alice)
        after_horizon()
    assert Lease.objects.get().expires_at == until
    assert abs(sandbox.client.keys.info(token).expires - until) < timedelta(seconds=5)


def test_a_gateway_that_could_not_be_changed_on_record_is_as_it_was(cast, sandbox):
    before = books()["keys.Gateway"]
    with no_audit(), pytest.raises(DatabaseError, match=REFUSE):
        gateways.change(sandbox.gateway, by=cast["ruth"], name="other")
    now = books()["keys.Gateway"]
    assert [(row["name"], row["version"]) for row in now] == [(row["name"], row["version"]) for row in before]


def test_the_cast_is_what_the_tests_take_it_for(cast):
    assert Team.objects.count() == 2
    assert not ApiToken.objects.exists()
