"""Gateways under two hands, and master keys that go only where they were meant for."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
import time_machine
from django.db import connection
from django.utils import timezone

from keys.models import Gateway, KeyRole, KeyVersion, Lease, State
from keys.services import gateways, leases, roles
from keys.services.minting import new_secret
from portal.errors import Conflict, Invalid
from portal.litellm.faults import Faults
from portal.litellm.sandbox import Sandbox, SandboxAdapter
from teams.access import SYSTEM

pytestmark = pytest.mark.django_db(transaction=True)

ELSEWHERE = "http://elsewhere.example"


@pytest.fixture
def elsewhere(sandbox, monkeypatch, settings) -> Faults:
    """A second address of the same proxy, which notes what it is sent."""
    seen = Faults(SandboxAdapter(Sandbox(settings.SANDBOX_FILE, master_key=sandbox.gateway.master_key)))
    monkeypatch.setattr(gateways, "transport", lambda _: {"http+sandbox://": sandbox.faults, ELSEWHERE: seen})
    return seen


@pytest.fixture
def unreadable(team, alice) -> Gateway:
    """A gateway whose encryption key is lost, with a lease whose time is over. Older than any other gateway."""
    gateway = Gateway.objects.create(name="lost", base_url="http://127.0.0.1:9", master_key="sk-example-1")
    now = timezone.now()
    lease = Lease.objects.create(
        alias="lost-1",
        team=team,
        holder=alice,
        role=KeyRole.objects.create(name="lost", gateway=gateway, all_models=True, all_teams=True),
        gateway=gateway,
        state=State.ACTIVE,
        issued_at=now - timedelta(days=1),
        expires_at=now,
        max_expires_at=now,
    )
    KeyVersion.objects.create(lease=lease, token_hash="0" * 64, alias="lost-1")
    with connection.cursor() as cursor:
        cursor.execute("update keys_gateway set master_key = 'gAAAAAlost' where id = %s", [gateway.pk])
    return gateway


def test_of_two_changes_at_once_the_second_is_told_and_the_new_master_key_stays(sandbox, ruth, monkeypatch):
    rekeyed, real = new_secret(), gateways.look

    def look(client):
        monkeypatch.setattr(gateways, "look", real)
        gateways.change(sandbox.gateway, by=ruth, check_first=False, master_key=rekeyed)
        return real(client)

    monkeypatch.setattr(gateways, "look", look)
    with pytest.raises(Conflict):
        gateways.change(sandbox.gateway, by=ruth, timeout=12)  # the other one is saved while this one tries the line
    stored = Gateway.objects.get()
    assert (stored.master_key, stored.timeout, stored.version) == (rekeyed, 30, 2)


@pytest.mark.parametrize("typed", [{}, {"master_key": ""}])
def test_a_new_address_needs_the_master_key_again_and_is_not_sent_the_stored_one(sandbox, ruth, elsewhere, typed):
    with pytest.raises(Invalid) as refused:
        gateways.change(sandbox.gateway, by=ruth, check_first=False, base_url=ELSEWHERE, **typed)
    assert "master_key" in refused.value.details
    assert elsewhere.calls == []
    assert Gateway.objects.get().base_url == sandbox.gateway.base_url


def test_a_new_address_with_its_master_key_is_tried_and_kept(sandbox, ruth, elsewhere):
    key = sandbox.gateway.master_key
    assert gateways.change(sandbox.gateway, by=ruth, base_url=ELSEWHERE, master_key=key).base_url == ELSEWHERE
    assert elsewhere.calls


def test_no_call_waits_longer_than_the_gateways_own_timeout(sandbox, ruth):
    gateways.change(sandbox.gateway, by=ruth, check_first=False, timeout=2)
    with gateways.calling(sandbox.gateway, by=SYSTEM) as line:
        assert line.client.http.timeout == 2


def test_a_proxy_at_a_bare_ipv6_address_gets_a_name(db, settings, monkeypatch):
    settings.LITELLM_BASE_URL, settings.LITELLM_MASTER_KEY = "http://[::1]:4000", "sk-example-master"
    nobody = Faults(SandboxAdapter(Sandbox(settings.SANDBOX_FILE, master_key="sk-example-master")))
    monkeypatch.setattr(gateways, "transport", lambda _: {"http://": nobody})
    made = gateways.from_environment(by=SYSTEM)
    assert made is not None
    assert (made.name, made.base_url) == ("1", "http://[::1]:4000")


def test_a_gateway_that_cannot_be_read_does_not_stop_the_endings_of_others(unreadable, sandbox, make_key, make_role):
    assert unreadable.pk < sandbox.gateway.pk
    issued = make_key(role=make_role(ttl=timedelta(minutes=5), gateway=sandbox.gateway))
    with time_machine.travel(timezone.now() + timedelta(minutes=6)):
        assert leases.expire_overdue() == 2
    issued.lease.refresh_from_db()
    assert issued.lease.state == State.EXPIRED
    assert Lease.objects.get(alias="lost-1").state == State.REVOKING


def test_an_unreadable_master_key_is_a_clear_answer_and_breaks_no_list(sandbox, client, bearer, alice, make_key):
    make_key()
    with connection.cursor() as cursor:
        cursor.execute("update keys_gateway set master_key = 'gAAAAAbroken'")
    assert client.get("/api/v1/keys/", headers=bearer(alice)).status_code == 200
    order = {"team": "search", "role": "coding"}
    answer = client.post("/api/v1/keys/", order, content_type="application/json", headers=bearer(alice))
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "gateway_away")
    assert "KEYDESK_ENCRYPTION_KEYS" in answer.json()["error"]["message"]


def test_a_stale_change_of_a_role_undoes_nobody_elses(sandbox, ruth, make_role):
    make_role()
    mine, stale = KeyRole.objects.get(), KeyRole.objects.get()
    roles.change(mine, by=ruth, max_budget=Decimal(1))
    with pytest.raises(Conflict):
        roles.change(stale, by=ruth, description="Only this.")
    assert KeyRole.objects.get().max_budget == 1
