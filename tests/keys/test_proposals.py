"""Four eyes: with KEYDESK_SECOND_ADMIN, a gateway and a role without limits take two platform admins."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from keys.models import Gateway, KeyRole, Proposal
from keys.services import gateways, proposals, prune, roles
from keys.services.proposals import ProposalOver
from portal.errors import Invalid, NotAllowed, PortalError, SecondNeeded
from portal.models import AuditEvent, Letter
from teams import departures
from teams.access import SYSTEM
from teams.roles import PlatformRole
from teams.services import people

pytestmark = pytest.mark.django_db(transaction=True)

NEW_KEY = "sk-example-new-master-key"
ANY: dict[str, Any] = {"name": "anything", "all_models": True, "max_budget": None, "all_teams": True}


@pytest.fixture(autouse=True)
def two(settings, sandbox) -> None:
    settings.SECOND_ADMIN = True


@pytest.fixture
def rosa(person):
    return person("rosa", PlatformRole.ADMIN)


@pytest.fixture
def proposed(sandbox, ruth, rosa):
    """ruth wants another master key and public address for the gateway."""
    with pytest.raises(SecondNeeded) as refused:
        gateways.change(sandbox.gateway, by=ruth, public_url="https://llm.example.com", master_key=NEW_KEY)
    return Proposal.objects.get(pk=refused.value.details["proposal"])


def test_a_change_of_a_gateway_is_saved_and_not_done(sandbox, proposed, ruth, rosa):
    assert Gateway.objects.get().public_url == ""
    assert proposed.after == {"public_url": "https://llm.example.com", "master_key": "a new master key"}
    [letter] = Letter.objects.all()
    assert letter.to == ["rosa@example.com"]
    assert AuditEvent.objects.get(action="proposal.made").actor == "ruth@example.com"


def test_its_secret_lies_sealed_and_is_shown_nowhere(proposed, rosa, client):
    with connection.cursor() as cursor:
        cursor.execute("SELECT payload FROM keys_proposal")
        assert NEW_KEY not in cursor.fetchone()[0]
    client.force_login(rosa)
    page = client.get("/operations/proposals/").content.decode()
    assert "a new master key" in page
    assert "https://llm.example.com" in page
    assert NEW_KEY not in page
    assert NEW_KEY not in str([vars(event) for event in AuditEvent.objects.all()])
    assert NEW_KEY not in str(Letter.objects.values())


def test_another_admin_confirms_and_both_are_on_record(monkeypatch, sandbox, proposed, rosa):
    monkeypatch.setattr(gateways, "_try_connection", lambda *_, **__: None)
    proposals.confirm(proposed, by=rosa)
    gateway = Gateway.objects.get()
    assert (gateway.public_url, gateway.master_key) == ("https://llm.example.com", NEW_KEY)
    proposed.refresh_from_db()
    assert (proposed.outcome, proposed.decided_by, proposed.payload) == ("confirmed", rosa, "")
    event = AuditEvent.objects.get(action="proposal.confirmed")
    assert (event.actor, event.on_behalf_of) == ("rosa@example.com", "ruth@example.com")
    with pytest.raises(ProposalOver):
        proposals.confirm(proposed, by=rosa)


def test_nobody_confirms_their_own(proposed, ruth, rosa):
    with pytest.raises(NotAllowed) as refused:
        proposals.confirm(proposed, by=ruth)
    assert refused.value.action == "Another platform admin can: Rosa."
    with pytest.raises(IntegrityError), transaction.atomic():
        Proposal.objects.update(outcome="confirmed", decided_by=ruth)
    assert Gateway.objects.get().public_url == ""


def test_a_platform_admin_made_for_it_does_not_confirm(proposed, ruth, person):
    puppet = person("puppet")
    people.set_platform_role(puppet, PlatformRole.ADMIN, by=ruth)
    with time_machine.travel(timezone.now() + timedelta(days=3)), pytest.raises(NotAllowed, match="for a day"):
        proposals.confirm(proposed, by=puppet)
    assert Proposal.objects.get().outcome == ""


@pytest.mark.parametrize("way", ["given", "back"])
def test_a_new_platform_admin_confirms_after_a_day_what_was_proposed_since(sandbox, ruth, person, way):
    new = person("new", PlatformRole.ADMIN if way == "back" else PlatformRole.NONE)
    if way == "back":
        departures.deactivate(new, by=ruth)
        departures.reactivate(new, by=ruth)
    else:
        people.set_platform_role(new, PlatformRole.ADMIN, by=ruth)
    with pytest.raises(SecondNeeded):
        roles.make(by=ruth, gateway=sandbox.gateway, **ANY, ttl=timedelta(days=1), max_ttl=timedelta(days=2))
    with pytest.raises(NotAllowed, match="for a day"):
        proposals.confirm(Proposal.objects.get(), by=new)
    with time_machine.travel(timezone.now() + timedelta(days=1, seconds=1)):
        assert proposals.confirm(Proposal.objects.get(), by=new) == KeyRole.objects.get(name="anything")


def test_it_is_void_when_the_target_changed_or_its_proposer_is_no_admin_any_more(proposed, ruth, rosa):
    ruth.platform_role = ""
    ruth.save()
    with pytest.raises(ProposalOver, match="no platform admin any more"):
        proposals.confirm(proposed, by=rosa)
    Proposal.objects.update(outcome="", decided_by=None)
    ruth.platform_role = PlatformRole.ADMIN
    ruth.save()
    Gateway.objects.update(version=9)
    with pytest.raises(ProposalOver, match="changed since"):
        proposals.confirm(proposed, by=rosa)
    assert Proposal.objects.get().outcome == "void"
    assert Gateway.objects.get().public_url == ""


def test_what_the_gateway_refuses_waits_on(proposed, rosa):
    with pytest.raises(PortalError, match="refused"):  # its master key is another one
        proposals.confirm(proposed, by=rosa)
    proposed.refresh_from_db()
    assert (proposed.outcome, proposed.decided_by) == ("", None)
    assert AuditEvent.objects.get(action="proposal.not_done").facts["reason"] == "invalid"


def test_after_seven_days_it_is_over_and_empty(proposed, rosa):
    with time_machine.travel(timezone.now() + timedelta(days=7, seconds=1)):
        with pytest.raises(ProposalOver):
            proposals.confirm(proposed, by=rosa)
        assert prune.prune()["proposals"] == 1
    proposed.refresh_from_db()
    assert (proposed.outcome, proposed.payload) == ("expired", "")


def test_it_is_turned_down_with_a_reason(proposed, rosa, ruth):
    with pytest.raises(Invalid):
        proposals.reject(proposed, by=rosa, reason=" ")
    proposals.reject(proposed, by=rosa, reason="not before Monday")
    proposed.refresh_from_db()
    assert (proposed.outcome, proposed.reason, proposed.payload) == ("rejected", "not before Monday", "")


def test_the_same_proposal_is_saved_once(sandbox, proposed, ruth):
    with pytest.raises(SecondNeeded):
        gateways.change(sandbox.gateway, by=ruth, public_url="https://llm.example.com", master_key=NEW_KEY)
    assert Proposal.objects.count() == 1
    with pytest.raises(SecondNeeded):
        gateways.change(sandbox.gateway, by=ruth, public_url="https://llm.example.com", master_key=NEW_KEY + "x")
    assert Proposal.objects.count() == 2


def test_a_new_gateway_and_the_environment(ruth, rosa):
    with pytest.raises(SecondNeeded):
        gateways.make(by=ruth, name="eu", base_url="http://llm.example.com", master_key="x", check_first=False)
    assert Gateway.objects.count() == 1
    gateways.make(by=SYSTEM, name="env", base_url="http://env.example.com", master_key="x", check_first=False)
    assert Gateway.objects.count() == 2


def test_a_role_for_all_models_without_a_budget_takes_two_and_any_other_one(sandbox, team, ruth, rosa):
    with pytest.raises(SecondNeeded):
        roles.make(by=ruth, gateway=sandbox.gateway, **ANY)
    limited = roles.make(by=ruth, gateway=sandbox.gateway, **ANY | {"max_budget": Decimal(5)})
    with pytest.raises(SecondNeeded):
        roles.change(limited, by=ruth, max_budget=None)
    limited.refresh_from_db()
    assert (limited.max_budget, KeyRole.objects.count()) == (Decimal(5), 1)
    change = Proposal.objects.get(verb="role.change")
    assert (change.before, change.after) == ({"max_budget": "5"}, {"max_budget": ""})
    for proposal in Proposal.objects.filter(verb="role.make"):
        with pytest.raises(Invalid):  # the name was taken meanwhile
            proposals.confirm(proposal, by=rosa)
    proposals.confirm(change, by=rosa)
    limited.refresh_from_db()
    assert limited.max_budget is None


def test_without_the_setting_one_is_enough(settings, sandbox, ruth):
    settings.SECOND_ADMIN = False
    assert roles.make(by=ruth, gateway=sandbox.gateway, **ANY).pk
    assert not Proposal.objects.exists()


def test_the_api_and_the_page_say_that_it_waits(client, bearer, sandbox, ruth, rosa):
    body = {"name": "anything", "all_models": True, "all_teams": True}
    answer = client.post("/api/v1/roles/", body, content_type="application/json", headers=bearer(ruth))
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "second_admin_needed")
    client.force_login(rosa)
    where = f"/operations/proposals/{answer.json()['error']['details']['proposal']}/"
    assert client.post(where, {"act": "confirm"}, follow=True).status_code == 200
    assert KeyRole.objects.get().name == "anything"


def test_the_doctor_says_when_nobody_could_confirm(ruth, capsys, settings):
    with pytest.raises(SystemExit):
        call_command("doctor")
    assert "nobody can confirm" in " ".join(capsys.readouterr().out.split())
