"""Issuing and revoking, through the services that every door calls."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
import time_machine
from django.utils import timezone
from requests.adapters import BaseAdapter

from keys.models import Intent, Lease, State
from keys.services import gateways, leases
from keys.services.errors import AllowanceSpent, AlreadyIssued, GatewayAway, OverLimit, RoleEnded
from keys.services.terms import Ask
from portal.errors import NotAllowed
from portal.litellm import LiteLLMError, hash_key
from portal.models import AuditEvent
from teams.models import Membership
from teams.services import remove_member
from tests.threads import together

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_issued_key_opens_its_models_until_it_is_revoked(proxy, team, alice, make_role):
    role = make_role(models=["gpt-4o-mini"])
    issued = leases.issue(Ask(team=team, role=role), holder=alice, by=alice)

    assert issued.lease.state == State.ACTIVE
    assert [model.id for model in proxy.client.with_key(issued.secret).models.list()] == ["gpt-4o-mini"]
    assert proxy.balances(team)
    assert not Intent.objects.exists()

    leases.revoke(issued.lease, by=alice)

    assert issued.lease.state == State.REVOKED
    assert proxy.status_of(issued.secret) == 401
    assert proxy.keys_there(team) == set()
    assert not Intent.objects.exists()


def test_the_key_on_the_gateway_has_the_limits_of_the_slip(proxy, team, alice, make_role):
    role = make_role(rpm_limit=60, tpm_limit=200_000, max_parallel_requests=4, metadata={"cost_centre": "4711"})
    ask = Ask(team=team, role=role, ttl=timedelta(days=14), models=("gpt-4o",), max_budget=Decimal("40"))
    slip = leases.terms(ask, holder=alice)
    issued = leases.issue(ask, holder=alice, by=alice)

    there = proxy.client.keys.info(hash_key(issued.secret))
    assert there.models == ("gpt-4o",) == slip.models
    assert there.max_budget == 40 == slip.max_budget
    assert there.budget_duration == "1mo"
    assert (there.rpm_limit, there.tpm_limit, there.max_parallel_requests) == (60, 200_000, 4)
    assert (there.team_id, there.user_id) == (team.litellm_id, alice.litellm_id)
    assert there.alias == issued.lease.alias
    assert abs(there.expires - issued.lease.expires_at) < timedelta(seconds=10)
    assert there.metadata["cost_centre"] == "4711"
    assert there.metadata["keydesk"]["lease"] == str(issued.lease.pk)


def test_a_key_for_its_holder_cannot_manage_the_proxy(proxy, team, make_key):
    issued = make_key()
    with pytest.raises(LiteLLMError) as refused:
        proxy.client.with_key(issued.secret).keys.generate()
    assert refused.value.status in {401, 403}


def test_the_team_is_made_on_the_gateway_with_its_budget_and_again_when_it_vanished(proxy, team, make_key):
    team.max_budget = Decimal("120.00")
    team.save()
    make_key()
    assert proxy.client.teams.info(team.litellm_id).team.max_budget == 120

    leases.revoke(Lease.objects.get(), by=team.members.get())
    proxy.client.teams.delete(team.litellm_id)
    make_key()
    assert proxy.client.teams.info(team.litellm_id).team.max_budget == 120


def test_ten_first_uses_of_a_team_at_once_all_get_a_key(proxy, team, alice, make_role):
    team.max_budget = Decimal("75.00")
    team.save()
    role = make_role()
    done = together(*[lambda: leases.issue(Ask(team=team, role=role), holder=alice, by=alice)] * 10)

    assert [type(each).__name__ for each in done] == ["Issued"] * 10
    assert proxy.client.teams.info(team.litellm_id).team.max_budget == 75
    assert len(proxy.keys_there(team)) == 10
    assert proxy.balances(team)


def test_twenty_claims_of_one_allowance_make_exactly_one_key(proxy, team, alice, make_role):
    role = make_role(max_live_keys=1)
    done = together(*[lambda: leases.issue(Ask(team=team, role=role), holder=alice, by=alice)] * 20)

    assert sum(isinstance(each, leases.Issued) for each in done) == 1
    refused = [each for each in done if not isinstance(each, leases.Issued)]
    assert {type(each) for each in refused} <= {AllowanceSpent, GatewayAway}  # away: too many wait at once
    assert len(proxy.keys_there(team)) == 1
    assert proxy.balances(team)


def test_the_same_form_sent_twice_makes_one_key(sandbox, team, alice, make_role):
    ask, once = Ask(team=team, role=make_role()), uuid4()
    done = together(*[lambda: leases.issue(ask, holder=alice, by=alice, once=once)] * 5)

    assert sum(isinstance(each, leases.Issued) for each in done) == 1
    assert {type(each) for each in done} == {leases.Issued, AlreadyIssued}
    assert Lease.objects.count() == 1
    assert sandbox.balances(team)


@pytest.mark.parametrize(
    ("ask", "field"),
    [
        ({"ttl": timedelta(days=31)}, "ttl"),
        ({"models": ("gpt-4o", "claude-opus")}, "models"),
        ({"max_budget": Decimal("50.01")}, "max_budget"),
    ],
)
def test_more_than_the_role_gives_is_refused_with_the_limit_named(sandbox, team, alice, make_role, ask, field):
    with pytest.raises(OverLimit) as refused:
        leases.issue(Ask(team=team, role=make_role(), **ask), holder=alice, by=alice)

    assert field in refused.value.details
    assert "coding" in refused.value.message
    assert not Lease.objects.exists()
    assert not any(path == "/key/generate" for _, path in sandbox.faults.calls)


def test_a_role_of_another_team_cannot_be_used(sandbox, team, other_team, alice, make_role):
    role = make_role(all_teams=False, teams=[other_team])
    with pytest.raises(RoleEnded):
        leases.issue(Ask(team=team, role=role), holder=alice, by=alice)


def test_viewers_and_outsiders_get_no_key(sandbox, team, vic, mallory, audra, make_role):
    role = make_role()
    for actor in (vic, mallory, audra):
        with pytest.raises(NotAllowed):
            leases.issue(Ask(team=team, role=role), holder=actor, by=actor)
    assert not Lease.objects.exists()


def test_a_key_dies_on_time_on_both_sides(sandbox, team, make_key, after_horizon):
    issued = make_key(ttl=timedelta(seconds=60))
    with time_machine.travel(timezone.now() + timedelta(seconds=61)):
        assert sandbox.status_of(issued.secret) == 401  # LiteLLM's own clock
        assert leases.expire_overdue() == 1
        issued.lease.refresh_from_db()
    assert issued.lease.state == State.EXPIRED
    assert sandbox.keys_there(team) == set()


def test_a_wrong_expiry_on_the_gateway_is_read_back_and_corrected(sandbox, team, make_key, monkeypatch):
    class RoundsToMonths(BaseAdapter):
        """A proxy that makes something else of the lifetime, as LiteLLM has done with months."""

        def send(self, request, **options):
            if urlsplit(request.url).path == "/key/generate":
                order = json.loads(request.body) | {"duration": "40d"}
                request.prepare_body(None, None, json=order)
            return sandbox.faults.send(request, **options)

        def close(self):
            """Nothing is open."""

    monkeypatch.setattr(gateways, "transport", lambda _: {"http+sandbox://": RoundsToMonths()})
    issued = make_key(ttl=timedelta(days=3))

    assert ("POST", "/key/update") in sandbox.faults.calls
    assert issued.trial.expiry_verified
    there = sandbox.client.keys.info(hash_key(issued.secret))
    assert abs(there.expires - issued.lease.expires_at) < timedelta(seconds=10)


def test_who_leaves_the_team_loses_the_keys_at_once(proxy, team, alice, ines, make_key):
    issued = make_key()
    remove_member(Membership.objects.get(team=team, user=alice), by=ines)

    issued.lease.refresh_from_db()
    assert issued.lease.state == State.REVOKED
    assert proxy.status_of(issued.secret) == 401


def test_revoking_is_safe_to_repeat_and_a_key_that_is_gone_already_is_done(proxy, team, alice, make_key):
    issued = make_key()
    proxy.client.keys.delete([hash_key(issued.secret)])
    for _ in range(2):
        assert leases.revoke(issued.lease, by=alice).state == State.REVOKED
    assert not Intent.objects.exists()


def test_members_cannot_revoke_each_others_keys_but_approvers_can(sandbox, team, alice, bob, person, make_key):
    carol = person("carol")
    Membership.objects.create(team=team, user=carol, role="member")
    issued = make_key()
    with pytest.raises(NotAllowed):
        leases.revoke(issued.lease, by=carol)
    assert leases.revoke(issued.lease, by=bob).state == State.REVOKED


def test_every_act_leaves_one_audit_event_with_who_and_what(sandbox, team, alice, make_key):
    issued = make_key()
    leases.revoke(issued.lease, by=alice)
    events = list(AuditEvent.objects.order_by("id").values_list("action", "actor", "target_id"))
    assert [(action, actor) for action, actor, _ in events] == [
        ("key.issued", "alice@example.com"),
        ("key.revocation_asked", "alice@example.com"),
        ("key.revoked", "Keydesk"),
    ]
    assert {target for _, _, target in events} == {str(issued.lease.pk)}


def test_an_alias_starts_with_the_roles_prefix(sandbox, team, make_role, make_key):
    named = make_key(role=make_role(alias_prefix="vault")).lease
    plain = make_key(role=make_role(name="batch")).lease
    assert named.alias.startswith("vault-")
    assert plain.alias.startswith("batch-")
