"""A key is handed over: another holder here and on the gateway, the same secret until it is replaced."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
import time_machine
from django.utils import timezone

from keys.models import Gateway, Intent, Lease, State
from keys.services import budgets, intents, leases
from keys.services.errors import AllowanceSpent, HolderLeft, NotNow
from keys.services.shape import differences
from portal.errors import Invalid, NotAllowed
from portal.litellm import faults
from portal.models import AuditEvent, Letter
from teams.models import Departure, Membership, User
from teams.roles import Scope
from teams.services import remove_member, service_accounts, set_holder_budget
from tests.keys.test_holder_budgets import member, there
from tests.keys.test_reconcile import run
from tests.threads import together

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def carol(person, team) -> User:
    user = person("carol")
    user.memberships.create(team=team, role="member", given_role="member")
    return user


def holder_there(proxy, secret: str) -> tuple[str, str]:
    """Whom the gateway counts the key for, and whom our stamp on it names."""
    key = proxy.client.keys.info(secret)
    return key.user_id, key.metadata["keydesk"]["holder"]


# --- on both gateways -----------------------------------------------------------------------------


def test_the_key_answers_on_and_is_the_new_holders_on_both_sides(proxy, team, alice, carol, ines, make_key):
    issued = make_key()
    assert holder_there(proxy, issued.secret) == (alice.litellm_id, alice.litellm_id)
    lease = leases.transfer(issued.lease, to=carol, by=ines)

    assert (lease.holder, lease.state) == (carol, State.ACTIVE)
    assert holder_there(proxy, issued.secret) == (carol.litellm_id, carol.litellm_id)
    assert proxy.status_of(issued.secret) == 200
    assert not Intent.objects.exists()
    assert proxy.balances(team)
    assert differences(lease.current, proxy.client.keys.info(issued.secret)) == {}
    assert run(proxy).drifted == 0


def test_both_secrets_of_an_overlap_follow(proxy, team, alice, carol, ines, make_key):
    first = make_key()
    second = leases.rotate(first.lease, by=alice, grace=timedelta(hours=1))
    leases.transfer(second.lease, to=carol, by=ines)
    for secret in (first.secret, second.secret):
        assert holder_there(proxy, secret) == (carol.litellm_id, carol.litellm_id)
        assert proxy.status_of(secret) == 200


def test_it_is_spent_within_the_new_holders_budget(proxy, team, alice, carol, ines, make_key):
    issued = make_key()
    set_holder_budget(member(alice), max_budget=Decimal(3), by=ines)
    set_holder_budget(member(carol), max_budget=Decimal(7), by=ines)
    lease = leases.transfer(issued.lease, to=carol, by=ines)
    assert there(proxy, team, carol) == (Decimal(7), "1mo")
    assert there(proxy, team, alice) == (Decimal(3), "1mo")
    link = next(link for link in budgets.chain(lease).links if link.kind == "holder")
    assert (link.who, link.limit) == ("Carol", Decimal(7))


def test_a_paused_key_stays_paused_and_is_the_new_holders_to_resume(proxy, alice, carol, ines, make_key):
    issued = make_key()
    leases.pause(issued.lease, by=alice)
    lease = leases.transfer(Lease.objects.get(), to=carol, by=ines)
    assert lease.state == State.PAUSED
    assert proxy.status_of(issued.secret) == 401
    leases.resume(lease, by=carol)
    assert proxy.status_of(issued.secret) == 200


def test_a_pause_of_somebody_else_is_not_the_new_holders_to_lift(sandbox, carol, bob, ines, make_key):
    issued = make_key()
    leases.pause(issued.lease, by=bob)
    lease = leases.transfer(Lease.objects.get(), to=carol, by=ines)
    with pytest.raises(NotAllowed):
        leases.resume(lease, by=carol)


def test_a_gateway_that_is_away_follows_later(sandbox, alice, carol, ines, make_key):
    issued = make_key()
    sandbox.faults.fail_next("*", faults.refused(), times=6)
    lease = leases.transfer(issued.lease, to=carol, by=ines)
    assert lease.holder == carol
    assert holder_there(sandbox, issued.secret)[0] == alice.litellm_id
    sandbox.faults.clear()
    Gateway.objects.update(next_try_at=None, away_since=None)
    assert run(sandbox).drifted == 0  # what is promised is no drift
    with time_machine.travel(timezone.now() + timedelta(minutes=2)):
        intents.settle_due()
    assert holder_there(sandbox, issued.secret) == (carol.litellm_id, carol.litellm_id)
    assert not Intent.objects.exists()


# --- who may, to whom, when -----------------------------------------------------------------------


@pytest.mark.parametrize("who", ["vic", "alice", "bob", "audra", "mallory", "robot"])
def test_nobody_hands_over_but_who_runs_the_team_or_the_platform(request, sandbox, alice, carol, make_key, who):
    issued = make_key()
    with pytest.raises(NotAllowed):
        leases.transfer(issued.lease, to=carol, by=request.getfixturevalue(who))
    assert Lease.objects.get().holder == alice


def test_a_token_needs_the_scope_for_it(sandbox, alice, carol, ines, make_key):
    issued = make_key()
    ines.scopes = frozenset({Scope.READ, Scope.KEYS_ISSUE})
    with pytest.raises(NotAllowed, match="token"):
        leases.transfer(issued.lease, to=carol, by=ines)
    ines.scopes = frozenset({Scope.KEYS_MANAGE})
    assert leases.transfer(issued.lease, to=carol, by=ines).holder == carol


@pytest.mark.parametrize("who", ["vic", "mallory", "audra", "alice"])
def test_it_goes_to_somebody_else_who_may_hold_keys_of_the_team(request, sandbox, alice, ines, make_key, who):
    issued = make_key()
    with pytest.raises(Invalid) as refused:
        leases.transfer(issued.lease, to=request.getfixturevalue(who), by=ines)
    assert "to" in refused.value.details
    assert Lease.objects.get().holder == alice


def test_it_never_goes_to_a_service_account_of_another_team_or_an_ended_one(
    sandbox, team, other_team, robot, ines, make_key
):
    issued = make_key()
    foreign = User.objects.create_service_account("drone", other_team)
    service_accounts.end(robot, by=ines)
    for account in (foreign, robot):
        account.refresh_from_db()
        with pytest.raises(Invalid):
            leases.transfer(issued.lease, to=account, by=ines)


def test_heirs_are_people_and_service_accounts_of_the_team_who_may_hold_keys(
    sandbox, team, other_team, alice, bob, carol, ines, vic, robot, mallory, ruth, make_key
):
    User.objects.create_service_account("drone", other_team)
    bob.is_active = False
    bob.save()
    assert leases.heirs(make_key().lease) == [carol, ines, robot]


@pytest.mark.parametrize("state", [State.ISSUING, State.ROTATING, State.REVOKING, State.REVOKED, State.EXPIRED])
def test_not_while_it_is_issued_rotated_or_ended(sandbox, alice, carol, ines, make_key, state):
    lease = make_key().lease
    Lease.objects.update(state=state)
    with pytest.raises(NotNow):
        leases.transfer(lease, to=carol, by=ines)
    Lease.objects.update(state=State.ACTIVE, expires_at=timezone.now())
    with pytest.raises(NotNow):
        leases.transfer(lease, to=carol, by=ines)


def test_not_beyond_what_the_role_allows_the_new_holder(sandbox, carol, ines, make_role, make_key):
    role = make_role(max_live_keys=1)
    issued = make_key(role=role)
    make_key(role=role, holder=carol)
    with pytest.raises(AllowanceSpent, match="Carol holds 1 of the 1"):
        leases.transfer(issued.lease, to=carol, by=ines)


# --- the old holder, the new one ------------------------------------------------------------------


def test_the_new_holder_sees_and_renews_it_and_the_old_one_does_not(sandbox, alice, carol, ines, make_key):
    lease = leases.transfer(make_key().lease, to=carol, by=ines)
    assert list(Lease.objects.visible_to(carol)) == [lease]
    assert not Lease.objects.visible_to(alice).exists()
    with pytest.raises(NotAllowed):
        leases.rotate(lease, by=alice)
    with pytest.raises(NotAllowed):
        leases.revoke(lease, by=alice)
    assert leases.renew(lease, by=carol).holder == carol


def test_a_rotation_that_the_old_holder_had_begun_gives_them_nothing(sandbox, alice, carol, ines, make_key):
    issued = make_key()
    sandbox.faults.meanwhile("/v2/team/list", lambda: leases.transfer(Lease.objects.get(), to=carol, by=ines))
    with pytest.raises(NotAllowed):
        leases.rotate(issued.lease, by=alice)
    lease = Lease.objects.get()
    assert (lease.holder, lease.state, lease.versions.count()) == (carol, State.ACTIVE, 1)


def test_it_is_marked_as_handed_over_until_its_secret_is_replaced(sandbox, carol, ines, make_key):
    lease = make_key().lease
    assert lease.handed_over_at is None
    lease = leases.transfer(lease, to=carol, by=ines)
    assert lease.handed_over_at
    assert leases.renew(lease, by=carol).handed_over_at
    leases.rotate(lease, by=carol, grace=leases.REPLACE)
    lease.refresh_from_db()
    assert lease.handed_over_at is None


def test_who_leaves_after_handing_over_takes_nothing_along(proxy, team, alice, carol, ines, make_key):
    handed, own = make_key(), make_key()
    leases.transfer(handed.lease, to=carol, by=ines)
    remove_member(member(alice), by=ines)
    assert proxy.status_of(handed.secret) == 200
    assert proxy.status_of(own.secret) == 401


def test_leaving_and_handing_over_at_once_end_it_or_keep_it_whole(sandbox, team, alice, carol, ines, make_key):
    issued = make_key()
    together(
        lambda: remove_member(Membership.objects.get(user=alice), by=ines),
        lambda: leases.transfer(Lease.objects.get(), to=carol, by=ines),
    )
    intents.settle_due()
    lease = Lease.objects.get()
    assert (lease.holder, lease.state) in [(alice, State.REVOKED), (carol, State.ACTIVE)]
    assert sandbox.status_of(issued.secret) == (200 if lease.holder == carol else 401)
    assert sandbox.balances(team)


def test_a_key_blocked_because_its_holder_was_taken_out_can_be_saved_for_another(
    sandbox, team, alice, carol, ines, make_key
):
    issued = make_key()
    now = timezone.now()
    Departure.objects.create(user=alice, team=team, at=now, due_at=now + timedelta(days=1))
    Membership.objects.filter(user=alice).delete()
    leases.end_for(user=alice, team=team)
    lease = leases.transfer(Lease.objects.get(state=State.PAUSED), to=carol, by=ines)
    leases.resume(lease, by=carol)
    with time_machine.travel(now + timedelta(days=2)):
        leases.end_orphaned()
    assert sandbox.status_of(issued.secret) == 200


def test_both_are_told_and_it_is_on_record(sandbox, alice, carol, ines, make_key):
    lease = leases.transfer(make_key(name="notebook").lease, to=carol, by=ines)
    letters = {letter.to[0]: letter for letter in Letter.objects.all()}
    assert set(letters) == {alice.email, carol.email}
    assert "over to Carol" in letters[alice.email].text
    assert "Alice has seen its secret" in letters[carol.email].text
    assert str(lease.pk) in letters[carol.email].text
    assert str(lease.pk) not in letters[alice.email].text
    event = AuditEvent.objects.get(action="key.transferred")
    assert (event.actor, event.before, event.after) == (ines.email, alice.email, carol.email)


# --- service accounts -----------------------------------------------------------------------------


def test_a_persons_key_becomes_a_service_accounts_and_back(proxy, team, alice, robot, ines, make_key):
    issued = make_key()
    lease = leases.transfer(issued.lease, to=robot, by=ines)
    assert holder_there(proxy, issued.secret) == (robot.litellm_id, robot.litellm_id)
    remove_member(member(alice), by=ines)
    assert proxy.status_of(issued.secret) == 200
    lease = leases.transfer(lease, to=ines, by=ines)
    assert holder_there(proxy, issued.secret) == (ines.litellm_id, ines.litellm_id)
    assert lease.holder == ines


def test_who_runs_the_team_acts_for_its_service_accounts(sandbox, team, robot, alice, bob, ines, mallory, make_role):
    ask = leases.Ask(team=team, role=make_role())
    for who in (alice, bob, mallory):
        with pytest.raises(NotAllowed) as refused:
            leases.issue(ask, holder=robot, by=who)
        assert ("Ines" in refused.value.action) is (who != mallory)
    issued = leases.issue(ask, holder=robot, by=ines)
    event = AuditEvent.objects.get(action="key.issued")
    assert (event.actor, event.on_behalf_of) == (ines.email, "nightly")
    rotated = leases.rotate(issued.lease, by=ines, grace=leases.REPLACE)
    leases.renew(rotated.lease, by=ines)
    leases.pause(rotated.lease, by=ines)
    assert sandbox.status_of(rotated.secret) == 401
    leases.revoke(rotated.lease, by=ines)
    assert Lease.objects.get().state == State.REVOKED


def test_no_key_is_issued_for_an_ended_service_account(sandbox, team, robot, ines, make_role):
    role = make_role()
    service_accounts.end(robot, by=ines)
    with pytest.raises(HolderLeft):
        leases.issue(leases.Ask(team=team, role=role), holder=robot, by=ines)
    assert not Lease.objects.exists()
