"""Import: a key made by hand becomes a lease, with the secret that somebody has."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from keys.models import Intent, KeyRole, KeyVersion, Lease, State, UnmanagedKey
from keys.services import intents, leases, reconcile, unmanaged
from keys.services.errors import HolderLeft, RoleEnded
from keys.services.findings import CannotAdopt
from keys.services.minting import new_secret
from keys.services.terms import SLACK
from portal.errors import Invalid, NotAllowed, PortalError
from portal.litellm import KeyNotFound, faults, hash_key
from portal.models import AuditEvent, Installation, Letter
from teams.access import SYSTEM
from tests.keys.test_crashes import CASES, WAYS, Killed, settled, times
from tests.keys.test_reconcile import run

pytestmark = pytest.mark.django_db(transaction=True)
DAY = timedelta(days=1)


@pytest.fixture
def by_hand(proxy):
    """Make a key as an admin of the proxy would, and have a reconcile see it; it is taken away again."""
    made = []

    def make(**fields) -> tuple[str, UnmanagedKey]:
        secret = new_secret()
        made.append(hash_key(secret))
        fields = {"alias": f"hand-{made[-1][:10]}", **fields}
        proxy.client.keys.generate(key=secret, **fields)
        reconcile.run(proxy.gateway, by=SYSTEM)
        return secret, UnmanagedKey.objects.get(token_hash=made[-1])

    yield make
    with contextlib.suppress(KeyNotFound):
        proxy.client.keys.delete(made)


@pytest.fixture
def take(team, alice, ruth, make_role):
    def adopt(key: UnmanagedKey, **how) -> Lease:
        fields = {"team": team, "holder": alice, "by": ruth, **how}
        fields.setdefault("role", KeyRole.objects.first() or make_role())
        return unmanaged.adopt_key(key, **fields)

    return adopt


def test_a_key_made_by_hand_becomes_a_lease_and_its_secret_works_on(proxy, team, alice, take, by_hand):
    secret, key = by_hand(
        models=["gpt-4o"], max_budget=7.5, budget_duration="7d", rpm_limit=40, duration="20d",
        metadata={"cost_centre": "42", "model_rpm_limit": {"gpt-4o": 3}},
    )  # fmt: skip
    before = proxy.client.keys.info(secret)
    lease = take(key, name="Nightly build")

    assert (lease.state, lease.holder, lease.team, lease.name) == (State.ACTIVE, alice, team, "Nightly build")
    assert lease.limits["models"] == ["gpt-4o"]
    assert (lease.max_budget, lease.limits["budget_duration"], lease.limits["rpm_limit"]) == (7.5, "7d", 40)
    assert lease.expires_at == before.expires
    version = lease.current
    assert (version.token_hash, version.number, version.is_live) == (hash_key(secret), 1, True)
    assert version.key_name == before.name
    assert version.alias == before.alias

    there = proxy.client.keys.info(secret)
    assert there.metadata["keydesk"]["instance"] == Installation.current()
    assert there.metadata["keydesk"]["lease"] == str(lease.pk)
    assert there.metadata["cost_centre"] == "42"
    assert there.metadata["model_rpm_limit"] == {"gpt-4o": 3}
    assert (there.team_id, there.user_id, there.alias) == (team.litellm_id, alice.litellm_id, before.alias)
    assert abs(there.expires - before.expires) <= SLACK
    assert there.max_budget == before.max_budget
    assert proxy.status_of(secret) == 200
    assert settled(proxy, team)

    assert not UnmanagedKey.objects.filter(pk=key.pk).exists()
    assert Letter.objects.get().to == ["alice@example.com"]
    event = AuditEvent.objects.get(action="key.imported")
    assert (event.actor, event.all_facts["before"]["team"]) == ("ruth@example.com", before.team_id)
    outcome = run(proxy)
    assert (outcome.live, outcome.drifted, outcome.closed) == (1, 0, ())


def test_an_imported_key_is_revoked_like_any_other_and_its_old_secret_is_refused(proxy, team, alice, take, by_hand):
    secret, key = by_hand()
    lease = take(key)
    assert proxy.status_of(secret) == 200
    leases.revoke(lease, by=alice)
    assert lease.state == State.REVOKED
    assert proxy.status_of(secret) == 401
    assert settled(proxy, team)


def test_an_imported_key_is_rotated_like_any_other(proxy, alice, take, by_hand):
    secret, key = by_hand()
    new = leases.rotate(take(key), by=alice, grace=timedelta(0))
    assert proxy.status_of(secret) == 401
    assert proxy.status_of(new.secret) == 200
    assert proxy.client.keys.info(new.secret).key_type == "llm_api"


def test_a_key_of_a_user_in_another_team_moves(proxy, team, alice, take, by_hand):
    old = proxy.client.teams.new(alias="by hand", models=["gpt-4o", "gpt-4o-mini"], tpm_limit=1000)
    user = f"hand-{old.team_id}"
    proxy.client.teams.member_add(old.team_id, user_id=user)
    try:
        secret, key = by_hand(team_id=old.team_id, user_id=user, models=["gpt-4o"], tpm_limit=500)
        assert (key.team, key.holder) == (old.team_id, user)
        take(key)
        there = proxy.client.keys.info(secret)
        assert (there.team_id, there.user_id, there.tpm_limit) == (team.litellm_id, alice.litellm_id, 500)
        assert proxy.status_of(secret) == 200
        assert not Intent.objects.exists()
    finally:
        proxy.client.teams.delete(old.team_id)
        proxy.client.users.delete(user)


def test_every_model_and_no_end_become_what_a_lease_can_say(proxy, take, by_hand, make_role):
    role = make_role(ttl=3 * DAY, max_ttl=10 * DAY)
    secret, key = by_hand()
    lease = take(key, role=role)
    assert (lease.limits["models"], lease.limits["all_models"], lease.max_budget) == ([], True, None)
    assert abs(lease.expires_at - timezone.now() - 3 * DAY) < timedelta(minutes=1)
    assert abs(proxy.client.keys.info(secret).expires - lease.expires_at) <= SLACK


def test_an_end_later_than_the_role_allows_is_brought_nearer(proxy, take, by_hand, make_role):
    role = make_role(ttl=3 * DAY, max_ttl=10 * DAY)
    secret, key = by_hand(duration="300d")
    lease = take(key, role=role)
    assert abs(lease.expires_at - timezone.now() - 10 * DAY) < timedelta(minutes=1)
    assert lease.max_expires_at >= lease.expires_at
    assert abs(proxy.client.keys.info(secret).expires - lease.expires_at) <= SLACK


def test_a_ttl_that_was_chosen_wins_over_the_keys_own_end(sandbox, take, make_role):
    secret = sandbox.client.keys.generate(key=new_secret(), duration="20d").key
    reconcile.run(sandbox.gateway, by=SYSTEM)
    key = UnmanagedKey.objects.get()
    with pytest.raises(Invalid):
        take(key, ttl=timedelta(seconds=1), role=make_role(name="first"))
    lease = take(key, ttl=DAY)
    assert abs(lease.expires_at - timezone.now() - DAY) < timedelta(minutes=1)
    assert sandbox.status_of(secret) == 200


def test_a_blocked_key_becomes_a_paused_lease(proxy, ines, take, by_hand):
    secret, key = by_hand(blocked=True)
    lease = take(key)
    assert (lease.state, lease.pause_reason) == (State.PAUSED, "blocked on the gateway")
    assert proxy.status_of(secret) == 401
    leases.resume(lease, by=ines)
    assert proxy.status_of(secret) == 200


def test_an_alias_that_cannot_be_ours_is_changed_there(proxy, take, by_hand, make_key):
    secret, key = by_hand(alias="a" * 130)
    lease = take(key)
    assert lease.current.alias == lease.alias
    assert proxy.client.keys.info(secret).alias == lease.alias
    assert not Intent.objects.exists()


def test_a_key_is_imported_once(sandbox, take, make_role):
    sandbox.client.keys.generate(key=new_secret())
    reconcile.run(sandbox.gateway, by=SYSTEM)
    key, role = UnmanagedKey.objects.get(), make_role()
    lease = take(key, role=role)
    with pytest.raises(unmanaged.AlreadyImported) as refused:
        take(key, role=role)
    assert refused.value.lease == lease
    assert KeyVersion.objects.count() == 1


def test_two_imports_at_once_make_one_lease(sandbox, take, make_role, monkeypatch):
    sandbox.client.keys.generate(key=new_secret())
    reconcile.run(sandbox.gateway, by=SYSTEM)
    key, role = UnmanagedKey.objects.get(), make_role()
    sandbox.faults.meanwhile("/key/info", lambda: take(key, role=role))
    with pytest.raises(unmanaged.AlreadyImported):
        take(key, role=role)
    assert Lease.objects.count() == 1


def test_a_key_of_another_keydesk_is_taken_over_only_in_so_many_words(proxy, take, by_hand):
    mark = {"keydesk": {"instance": "another", "lease": "theirs"}}
    secret, key = by_hand(metadata=mark)
    before = proxy.client.keys.info(secret)
    with pytest.raises(unmanaged.OfAnotherKeydesk):
        take(key)
    assert proxy.client.keys.info(secret) == before
    lease = take(key, take_over=True)
    assert proxy.client.keys.info(secret).metadata["keydesk"]["lease"] == str(lease.pk)


def test_a_key_that_is_gone_or_expired_or_cannot_be_a_lease_is_refused(sandbox, take, make_role):
    role = make_role()
    kinds: dict[str, dict[str, Any]] = {
        "gone": {},
        "expired": {"duration": "1s"},
        "blocked by its budget": {"max_budget": 0},
        "no models": {"models": ["no-default-models"]},
    }
    tokens = {name: sandbox.client.keys.generate(key=new_secret(), **how).token for name, how in kinds.items()}
    reconcile.run(sandbox.gateway, by=SYSTEM)
    sandbox.client.keys.delete(tokens["gone"])
    with time_machine.travel(timezone.now() + timedelta(seconds=5)):
        for name in ("gone", "expired"):
            with pytest.raises(unmanaged.KeyGone):
                take(UnmanagedKey.objects.get(token_hash=tokens[name]), role=role)
    for name in ("blocked by its budget", "no models"):
        with pytest.raises(CannotAdopt):
            take(UnmanagedKey.objects.get(token_hash=tokens[name]), role=role)
    assert not Lease.objects.exists()


def test_who_may_not_and_where_it_may_not_be(sandbox, take, alice, ines, audra, mallory, vic, other_team, make_role):
    sandbox.client.keys.generate(key=new_secret())
    reconcile.run(sandbox.gateway, by=SYSTEM)
    key, role = UnmanagedKey.objects.get(), make_role()
    closed = make_role(name="closed", all_teams=False, teams=[other_team])
    for who in (alice, ines, audra):
        with pytest.raises(NotAllowed):
            take(key, role=role, by=who)
    with pytest.raises(RoleEnded):
        take(key, role=closed)
    for holder in (mallory, vic):
        with pytest.raises(HolderLeft):
            take(key, role=role, holder=holder)
    assert not Lease.objects.exists()
    assert not [call for call in sandbox.faults.calls if call[1] in {"/key/update", "/team/new"}]


def test_a_service_account_may_hold_an_imported_key(sandbox, take, robot, make_role):
    secret = sandbox.client.keys.generate(key=new_secret()).key
    reconcile.run(sandbox.gateway, by=SYSTEM)
    lease = take(UnmanagedKey.objects.get(), holder=robot)
    assert sandbox.client.keys.info(secret).user_id == robot.litellm_id
    assert lease.holder == robot


@pytest.mark.parametrize(("proxy", "way"), CASES, indirect=["proxy"])
@pytest.mark.parametrize("step", ["/key/info", "/team/new", "/key/update", "/user/daily/activity"])
def test_an_import_cut_anywhere_is_whole_or_did_not_happen(proxy, team, take, by_hand, after_horizon, step, way):
    secret, key = by_hand(models=["gpt-4o"], duration="20d")
    what, after_effect = WAYS[way]
    proxy.faults.fail_next(step, what(), after_effect=after_effect, times=times(way))
    with contextlib.suppress(PortalError, Killed):
        take(key)
    proxy.faults.clear()
    type(proxy.gateway).objects.update(away_since=None, next_try_at=None)
    Intent.objects.update(due_at=timezone.now())
    intents.settle_due()
    after_horizon()

    assert proxy.status_of(secret) == 200  # however it went, whoever has it can work on
    there = proxy.client.keys.info(secret)
    if lease := Lease.objects.first():
        assert lease.state == State.ACTIVE
        assert there.metadata["keydesk"]["lease"] == str(lease.pk)
        assert there.team_id == team.litellm_id
        assert settled(proxy, team)
        assert not UnmanagedKey.objects.filter(pk=key.pk).exists()
    else:
        assert "keydesk" not in there.metadata
        assert UnmanagedKey.objects.filter(pk=key.pk).exists()
    assert not run(proxy).drifted


def test_an_import_is_carried_out_when_the_gateway_comes_back(sandbox, team, take):
    secret = sandbox.client.keys.generate(key=new_secret(), duration="20d").key
    reconcile.run(sandbox.gateway, by=SYSTEM)
    sandbox.faults.fail_next("/key/update", faults.refused(), times=100)
    lease = take(UnmanagedKey.objects.get())
    assert lease.state == State.ACTIVE
    assert sandbox.client.keys.info(secret).team_id is None
    sandbox.faults.clear()
    type(sandbox.gateway).objects.update(next_try_at=None)
    Intent.objects.update(due_at=timezone.now())
    assert intents.settle_due() == 1
    assert sandbox.client.keys.info(secret).team_id == team.litellm_id
