"""Drift: somebody changed a key or a team on the gateway itself. It is seen, and restored, adopted or ignored."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from keys.models import Finding, Intent, KeyVersion, Lease, State
from keys.services import findings, intents, leases, reconcile
from keys.services.terms import SLACK
from portal.litellm import faults
from portal.models import AuditEvent, Letter
from teams import services as team_services
from teams.access import SYSTEM
from tests.keys.test_reconcile import later, run

pytestmark = pytest.mark.django_db(transaction=True)
Kind = Finding.Kind


def found(kind: str) -> Finding:
    return Finding.objects.get(kind=kind, state="open")


def in_step(proxy) -> bool:
    """Whether another reconcile sees no difference."""
    return run(proxy).drifted == 0 and not Finding.objects.filter(state="open").exists()


def change_there(proxy, issued, kind: str):
    """Change the key on the gateway in the way that makes a finding of that kind."""
    keys = proxy.client.keys
    match kind:
        case Kind.LIMITS:
            keys.update(issued.secret, max_budget=75, rpm_limit=30, models=["gpt-4o"])
        case Kind.EXPIRY:
            keys.update(issued.secret, duration="40d")
        case Kind.BLOCK:
            keys.block(issued.secret)
        case Kind.METADATA:
            keys.update(issued.secret, metadata={"mine": "kept"})


FACTS = {
    Kind.LIMITS: {
        "max_budget": ["50", "75"],
        "rpm_limit": [None, 30],
        "models": [["gpt-4o-mini", "gpt-4o"], ["gpt-4o"]],
    },
    Kind.BLOCK: {"blocked": [False, True]},
}
KINDS = [Kind.LIMITS, Kind.EXPIRY, Kind.BLOCK, Kind.METADATA]


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_drift_is_seen_and_closes_by_itself_once_it_is_gone(proxy, make_key, kind):
    issued, untouched = make_key(), make_key()
    before = proxy.client.keys.info(issued.secret)
    change_there(proxy, issued, kind)
    assert run(proxy).drifted == 1

    finding = Finding.objects.get()
    assert (finding.kind, finding.state, finding.version) == (kind, "open", issued.lease.current)
    assert str(issued.lease.current) in finding.message
    if kind in FACTS:
        assert finding.facts == FACTS[kind]
    assert proxy.status_of(untouched.secret) == 200

    rest = timezone.now() + (before.expires - timezone.now())
    proxy.client.keys.unblock(issued.secret)
    proxy.client.keys.update(
        issued.secret, max_budget=50, rpm_limit=None, models=before.models, metadata=before.metadata,
        duration=timedelta(seconds=round((rest - timezone.now()).total_seconds())),
    )  # fmt: skip
    assert run(proxy).drifted == 0
    finding.refresh_from_db()
    assert (finding.state, finding.closed_by) == ("closed", "")


@pytest.mark.parametrize("kind", KINDS)
def test_drift_is_restored_on_the_gateway(proxy, ruth, make_key, kind):
    issued = make_key()
    lease = issued.lease
    change_there(proxy, issued, kind)
    run(proxy)
    finding = findings.restore(found(kind), by=ruth)

    assert (finding.state, finding.closed_by, finding.reason) == ("closed", "ruth@example.com", "restored")
    there = proxy.client.keys.info(issued.secret)
    assert (there.max_budget, there.rpm_limit, sorted(there.models)) == (50, None, ["gpt-4o", "gpt-4o-mini"])
    assert abs(there.expires - lease.expires_at) <= SLACK
    assert there.blocked is False
    assert there.metadata["keydesk"]["lease"] == str(lease.pk)
    if kind == Kind.METADATA:
        assert there.metadata["mine"] == "kept"
    assert proxy.status_of(issued.secret) == 200
    assert in_step(proxy)
    event = AuditEvent.objects.get(action="finding.restored")
    assert (event.actor, event.facts["kind"]) == ("ruth@example.com", kind)


def test_an_alias_a_team_and_a_holder_that_were_changed_are_restored(proxy, team, ruth, make_key):
    issued = make_key()
    proxy.client.keys.update(issued.secret, alias=f"renamed-{issued.lease.pk}", team_id=None, user_id=None)
    run(proxy)
    finding = found(Kind.METADATA)
    assert set(finding.facts) == {"alias", "team_id", "user_id"}
    assert "another" in finding.message
    findings.restore(finding, by=ruth)
    there = proxy.client.keys.info(issued.secret)
    assert (there.alias, there.team_id) == (issued.lease.alias, team.litellm_id)
    assert in_step(proxy)


def test_a_restore_waits_for_a_gateway_that_is_away_and_its_finding_with_it(sandbox, ruth, make_key):
    issued = make_key()
    change_there(sandbox, issued, Kind.LIMITS)
    run(sandbox)
    sandbox.faults.fail_next("/key/*", faults.refused(), times=100)
    finding = findings.restore(found(Kind.LIMITS), by=ruth)
    assert finding.state == "open"
    sandbox.faults.clear()

    type(sandbox.gateway).objects.update(next_try_at=None)
    with_intent = Intent.objects.get()
    assert run(sandbox).drifted == 0  # promised already: no news
    finding.refresh_from_db()
    assert finding.state == "open"
    Intent.objects.filter(pk=with_intent.pk).update(due_at=timezone.now())
    intents.settle_due()
    run(sandbox)
    finding.refresh_from_db()
    assert finding.state == "closed"
    assert sandbox.client.keys.info(issued.secret).max_budget == 50


def test_limits_are_adopted_into_the_lease(proxy, ruth, make_key):
    issued = make_key()
    change_there(proxy, issued, Kind.LIMITS)
    run(proxy)
    finding = findings.adopt(found(Kind.LIMITS), by=ruth)

    assert (finding.state, finding.reason) == ("closed", "adopted")
    lease = Lease.objects.get()
    assert lease.max_budget == Decimal(75)
    assert (lease.limits["rpm_limit"], lease.limits["models"]) == (30, ["gpt-4o"])
    assert lease.limits["key_type"] == "llm_api"
    there = proxy.client.keys.info(issued.secret)
    assert (there.max_budget, there.rpm_limit, there.models) == (75, 30, ("gpt-4o",))
    assert in_step(proxy)
    assert AuditEvent.objects.get(action="finding.adopted").facts["facts"]["max_budget"] == ["50", "75"]
    assert Letter.objects.get().to == ["alice@example.com"]


def test_every_model_is_adopted_as_all_models_in_so_many_words(proxy, ruth, make_key):
    issued = make_key()
    proxy.client.keys.update(issued.secret, models=[], max_budget=None, budget_duration=None)
    run(proxy)
    findings.adopt(found(Kind.LIMITS), by=ruth)
    limits = Lease.objects.get().limits
    assert (limits["models"], limits["all_models"]) == ([], True)
    assert (limits["max_budget"], limits["budget_duration"]) == (None, "")
    assert in_step(proxy)


def test_an_expiry_is_adopted_never_past_the_max_ttl(proxy, ruth, make_key):
    issued = make_key()
    proxy.client.keys.update(issued.secret, duration="40d")
    run(proxy)
    findings.adopt(found(Kind.EXPIRY), by=ruth)
    lease = Lease.objects.get()
    assert abs(lease.expires_at - timezone.now() - timedelta(days=40)) < timedelta(minutes=1)
    assert lease.current.dies_at == lease.expires_at
    assert in_step(proxy)

    proxy.client.keys.update(issued.secret, duration=None)  # for ever
    run(proxy)
    findings.adopt(found(Kind.EXPIRY), by=ruth)
    lease.refresh_from_db()
    assert lease.expires_at == lease.max_expires_at
    assert abs(proxy.client.keys.info(issued.secret).expires - lease.max_expires_at) <= SLACK
    assert in_step(proxy)


def test_a_block_and_an_unblock_are_adopted_as_pause_and_resume(proxy, ruth, make_key):
    issued = make_key()
    proxy.client.keys.block(issued.secret)
    run(proxy)
    findings.adopt(found(Kind.BLOCK), by=ruth)
    lease = Lease.objects.get()
    assert (lease.state, lease.pause_reason) == (State.PAUSED, "blocked on the gateway")
    assert in_step(proxy)

    proxy.client.keys.unblock(issued.secret)
    run(proxy)
    findings.adopt(found(Kind.BLOCK), by=ruth)
    lease.refresh_from_db()
    assert (lease.state, lease.pause_reason) == (State.ACTIVE, "")
    assert proxy.status_of(issued.secret) == 200
    assert in_step(proxy)


def test_an_unblock_is_not_adopted_for_who_has_left(sandbox, alice, ines, ruth, make_key):
    issued = make_key()
    leases.pause(issued.lease, by=ines)
    sandbox.client.keys.unblock(issued.secret)
    run(sandbox)
    alice.memberships.all().delete()
    with pytest.raises(findings.CannotAdopt):
        findings.adopt(found(Kind.BLOCK), by=ruth)
    assert Lease.objects.get().state == State.PAUSED


def test_limits_changed_on_one_key_of_a_rotation_are_restored_on_it_alone(proxy, alice, ruth, make_key):
    issued = make_key()
    new = leases.rotate(issued.lease, by=alice)
    proxy.client.keys.update(new.secret, rpm_limit=7)
    assert run(proxy).drifted == 1  # the old key's nearer end is no drift
    finding = found(Kind.LIMITS)
    assert finding.version == new.lease.current
    findings.restore(finding, by=ruth)
    assert proxy.client.keys.info(new.secret).rpm_limit is None
    assert in_step(proxy)


def test_limits_changed_on_one_key_of_a_rotation_are_adopted_for_both(proxy, alice, ruth, make_key):
    issued = make_key()
    new = leases.rotate(issued.lease, by=alice)
    proxy.client.keys.update(new.secret, rpm_limit=7)
    run(proxy)
    findings.adopt(found(Kind.LIMITS), by=ruth)
    assert [proxy.client.keys.info(secret).rpm_limit for secret in (issued.secret, new.secret)] == [7, 7]
    assert in_step(proxy)


def test_the_old_keys_end_in_a_rotation_is_not_adopted(proxy, alice, ruth, make_key):
    issued = make_key()
    leases.rotate(issued.lease, by=alice)
    proxy.client.keys.update(issued.secret, duration="20d")
    run(proxy)
    with pytest.raises(findings.CannotAdopt):
        findings.adopt(found(Kind.EXPIRY), by=ruth)
    findings.restore(found(Kind.EXPIRY), by=ruth)
    assert in_step(proxy)


def test_a_key_that_ends_meanwhile_closes_its_findings(proxy, alice, ruth, make_key):
    issued = make_key()
    change_there(proxy, issued, Kind.LIMITS)
    run(proxy)
    finding = found(Kind.LIMITS)
    leases.revoke(issued.lease, by=alice)
    with pytest.raises(findings.CannotRestore):
        findings.restore(finding, by=ruth)
    with pytest.raises((findings.CannotAdopt, findings.ChangedSince)):
        findings.adopt(finding, by=ruth)
    run(proxy)
    finding.refresh_from_db()
    assert finding.state == "closed"


def test_what_we_have_promised_to_change_is_no_drift(sandbox, alice, ines, make_key):
    issued = make_key()
    sandbox.faults.fail_next("/key/block", faults.refused(), times=100)
    leases.pause(issued.lease, by=ines)
    sandbox.faults.clear()
    type(sandbox.gateway).objects.update(next_try_at=None)
    assert run(sandbox).drifted == 0
    assert not Finding.objects.exists()


def test_a_renewal_between_the_two_reads_is_no_drift(proxy, alice, make_key, make_role):
    role = make_role(ttl=timedelta(days=10))
    issued = make_key(role=role, ttl=timedelta(days=2))
    # The walk has been answered; the renewal happens before our table is read.
    proxy.faults.meanwhile("/v2/team/list", lambda: leases.renew(issued.lease, by=alice))
    assert run(proxy).drifted == 0
    assert proxy.faults.pending == 0
    assert not Finding.objects.exists()


def test_a_team_out_of_step_is_seen_and_restored(proxy, team, ruth, make_key):
    team_services.change_team(team, by=ruth, max_budget=Decimal("100"), budget_duration="1mo")
    make_key()
    proxy.client.teams.update(team.litellm_id, max_budget=1000, budget_duration="7d")
    assert run(proxy).drifted == 1
    finding = found(Kind.TEAM)
    assert finding.team == team
    assert finding.facts == {"max_budget": ["100", "1000"], "budget_duration": ["1mo", "7d"]}
    with pytest.raises(findings.CannotAdopt):
        findings.adopt(finding, by=ruth)
    assert findings.restore(finding, by=ruth).state == "closed"
    there = proxy.client.teams.list_v2_page(1, 1, team_id=team.litellm_id).items[0]
    assert (there.max_budget, there.budget_duration) == (100, "1mo")
    assert in_step(proxy)


def test_a_team_that_was_blocked_and_renamed_on_the_gateway_is_restored(proxy, team, ruth, make_key):
    make_key()
    proxy.client.teams.block(team.litellm_id)
    proxy.client.teams.update(team.litellm_id, alias="Renamed")
    run(proxy)
    assert found(Kind.TEAM).facts == {"blocked": [False, True], "name": [team.name, "Renamed"]}
    assert findings.restore(found(Kind.TEAM), by=ruth).state == "closed"
    assert in_step(proxy)


def test_a_team_that_is_made_while_the_gateway_is_read_is_not_missing(proxy, team, make_key, make_role):
    role = make_role()
    proxy.faults.meanwhile("/v2/team/list", lambda: None)
    page = {"teams": [], "total": 0, "page": 1, "page_size": 100, "total_pages": 0}
    make_key(role=role)
    proxy.faults.clear()
    proxy.faults.fail_next("/v2/team/list", faults.Answer(200, page))
    assert run(proxy).drifted == 0


def test_drift_of_a_held_gateways_leases_that_are_over_their_time_is_measured_by_their_own_end(sandbox, make_key):
    issued = make_key(ttl=timedelta(minutes=1))
    reconcile.run(sandbox.gateway, by=SYSTEM, now=later())
    assert KeyVersion.objects.get().dies_at < later()
    assert Lease.objects.get().state == State.ACTIVE
    assert not Finding.objects.exists()
    assert issued.lease.current.is_live
