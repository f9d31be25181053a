"""A holder's budget in a team: set by the team, enforced by the proxy through its member, never by deleting one."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.utils import timezone

from keys.models import Counter, Gateway, Intent
from keys.services import budgets, intents, leases, spend
from keys.services.errors import GatewayAway
from portal.errors import Conflict, Invalid, NotAllowed
from portal.litellm import BudgetExceeded, BudgetWindow, faults, hash_key
from portal.models import AuditEvent
from teams.models import Membership, Team
from teams.roles import MemberRole
from teams.services import OverTeamBudget, change_team, put_member, remove_member, set_holder_budget
from tests.keys.test_crashes import Killed
from tests.spending import call, eventually, wait_for

pytestmark = pytest.mark.django_db(transaction=True)

D = Decimal


@pytest.fixture(autouse=True)
def _nobody_is_deleted(monkeypatch):
    """Whatever happens here, no member, user or team is deleted on a gateway: it would delete their keys."""
    send = faults.Faults.send

    def watched(self: faults.Faults, request: Any, *args: Any, **more: Any) -> Any:
        assert urlsplit(request.url).path not in {"/team/member_delete", "/team/delete", "/user/delete"}
        return send(self, request, *args, **more)

    monkeypatch.setattr(faults.Faults, "send", watched)


def member(user):
    return Membership.objects.get(user=user)


def there(proxy, team, user):
    """The holder's budget on the gateway: amount and window; None: none."""
    found = {each.user_id: each for each in proxy.client.teams.info(team.litellm_id, key_limit=1).memberships}
    row = found.get(user.litellm_id)
    return (row.max_budget, row.budget_duration) if row and row.max_budget is not None else None


# --- the rule -------------------------------------------------------------------------------------


def test_a_team_admin_sets_it_and_it_is_on_record(team, alice, ines):
    made = set_holder_budget(member(alice), max_budget=D("12.50"), by=ines)
    assert (made.max_budget, member(alice).max_budget) == (D("12.50"), D("12.50"))
    event = AuditEvent.objects.get(action="member.budget_changed")
    assert (event.target_id, event.facts) == (str(team.pk), {"person": "alice@example.com"})
    assert (event.before, event.after) == (None, "12.50")
    set_holder_budget(member(alice), max_budget=D("12.50"), by=ines)
    assert AuditEvent.objects.filter(action="member.budget_changed").count() == 1


@pytest.mark.parametrize("name", ["vic", "alice", "bob", "audra", "mallory"])
def test_nobody_else_may(request, team, alice, name):
    with pytest.raises(NotAllowed):
        set_holder_budget(member(alice), max_budget=D(1), by=request.getfixturevalue(name))


@pytest.mark.parametrize("amount", ["0", "-1", "0.001", "12345678901.00"])
def test_an_amount_that_cannot_be_is_refused(team, alice, ines, amount):
    with pytest.raises(Invalid) as refused:
        set_holder_budget(member(alice), max_budget=D(amount), by=ines)
    assert "max_budget" in refused.value.details


def test_it_is_not_above_the_teams_own(team, alice, ines, ruth):
    change_team(team, max_budget=D(100), by=ruth)
    with pytest.raises(OverTeamBudget, match=r"\$100\.00") as refused:
        set_holder_budget(member(alice), max_budget=D("100.01"), by=ines)
    assert "max_budget" in refused.value.details
    assert set_holder_budget(member(alice), max_budget=D(100), by=ines).max_budget == 100


def test_who_has_left_has_none(team, alice, ines):
    gone = member(alice)
    remove_member(member(alice), by=ines)
    with pytest.raises(Conflict):
        set_holder_budget(gone, max_budget=D(1), by=ines)


# --- on the gateway -------------------------------------------------------------------------------


def test_it_is_on_the_gateway_at_once_follows_changes_and_goes_again(proxy, team, alice, ines, ruth, make_key):
    issued = make_key()
    assert there(proxy, team, alice) is None
    set_holder_budget(member(alice), max_budget=D(5), by=ines)
    assert there(proxy, team, alice) == (D(5), "1mo")
    set_holder_budget(member(alice), max_budget=D("7.25"), by=ines)
    assert there(proxy, team, alice) == (D("7.25"), "1mo")
    change_team(team, budget_duration="7d", by=ruth)  # its window is the team's
    assert there(proxy, team, alice) == (D("7.25"), "7d")
    set_holder_budget(member(alice), max_budget=None, by=ines)
    assert there(proxy, team, alice) is None
    assert proxy.status_of(issued.secret) == 200
    assert not Intent.objects.exists()
    assert not Counter.objects.filter(holder=alice).exists()


def test_a_call_above_it_is_refused_and_only_the_holders(proxy, team, alice, bob, ines, make_key):
    hers, his = make_key(), make_key(holder=bob)
    set_holder_budget(member(alice), max_budget=D("0.01"), by=ines)
    with pytest.raises(BudgetExceeded):
        call(proxy, hers.secret, times=60)  # some 0.0003 each
    eventually(lambda: works(proxy, his.secret))

    set_holder_budget(member(alice), max_budget=D(100), by=ines)
    eventually(lambda: works(proxy, hers.secret))
    set_holder_budget(member(alice), max_budget=None, by=ines)
    eventually(lambda: works(proxy, hers.secret))


def works(proxy, secret):
    """Whether a call passes; the real proxy holds back what running calls may cost, for some ms after them."""
    time.sleep(0.3)
    try:
        call(proxy, secret)
    except BudgetExceeded:
        return False
    return True


def test_it_comes_with_the_teams_first_key(proxy, team, alice, bob, ines, make_key):
    set_holder_budget(member(alice), max_budget=D(5), by=ines)  # nothing of the team is on the gateway yet
    make_key(holder=bob)
    assert there(proxy, team, alice) == (D(5), "1mo")


def test_a_gateway_that_is_away_gets_it_later(sandbox, team, alice, ines, make_key):
    make_key()
    sandbox.faults.fail_next("*", faults.refused(), times=6)
    set_holder_budget(member(alice), max_budget=D(5), by=ines)
    assert there(sandbox, team, alice) is None
    promise = Intent.objects.get()
    assert (promise.kind, promise.team) == ("shape", team)
    sandbox.faults.clear()
    Gateway.objects.update(next_try_at=None)
    Intent.objects.update(due_at=timezone.now())
    intents.settle_due()
    assert there(sandbox, team, alice) == (D(5), "1mo")
    intents.settle_due()  # a gateway that came back made it due anew meanwhile
    assert not Intent.objects.exists()


@pytest.mark.parametrize("step", ["/v2/team/list", "/team/info", "/team/member_add", "/team/member_update"])
@pytest.mark.parametrize("after_effect", [False, True])
def test_a_change_cut_anywhere_is_carried_by_the_sweep(sandbox, team, alice, bob, ines, make_key, step, after_effect):
    make_key()
    set_holder_budget(member(bob), max_budget=D(3), by=ines)
    sandbox.faults.fail_next(step, faults.lost(), after_effect=after_effect, times=6)
    set_holder_budget(member(bob), max_budget=D(4), by=ines)
    set_holder_budget(member(alice), max_budget=D(5), by=ines)
    sandbox.faults.clear()
    Gateway.objects.update(next_try_at=None, away_since=None)
    Intent.objects.update(due_at=timezone.now())
    intents.settle_due()
    assert (there(sandbox, team, alice), there(sandbox, team, bob)) == ((D(5), "1mo"), (D(4), "1mo"))


def test_a_budget_that_was_set_and_taken_back_while_the_gateway_was_away_is_not_there(
    sandbox, team, alice, ines, make_key
):
    make_key()
    sandbox.faults.fail_next("/team/member_add", faults.timed_out(), after_effect=True)
    set_holder_budget(member(alice), max_budget=D(5), by=ines)
    assert there(sandbox, team, alice) == (D(5), "1mo")
    assert Intent.objects.exists()  # the answer was lost
    set_holder_budget(member(alice), max_budget=None, by=ines)
    Gateway.objects.update(next_try_at=None, away_since=None)
    Intent.objects.update(due_at=timezone.now())
    intents.settle_due()
    assert there(sandbox, team, alice) is None


def test_who_left_and_came_back_has_no_budget_of_before(proxy, team, alice, ines, bob, make_key):
    make_key()
    set_holder_budget(member(alice), max_budget=D(5), by=ines)
    remove_member(member(alice), by=ines)
    put_member(team, email=alice.email, role=MemberRole.MEMBER, by=ines)
    issued = make_key()
    assert there(proxy, team, alice) is None
    assert proxy.status_of(issued.secret) == 200


def test_a_budget_that_vanished_there_with_its_member_is_not_looked_for_again(sandbox, team, alice, make_key):
    make_key()
    Counter.objects.create(gateway=sandbox.gateway, team=team, holder=alice, read_at=timezone.now())
    asked = []
    for _ in range(2):
        sandbox.faults.clear()
        make_key()
        asked.append("/team/info" in {path for _, path in sandbox.faults.calls})
    assert asked == [True, False]


def test_a_service_account_has_none(sandbox, team, robot, make_key):
    make_key(holder=robot)
    budgets.carry(team=team, by=robot)
    assert there(sandbox, team, robot) is None


def test_what_it_counts_is_read_by_the_sync(proxy, team, alice, ines, make_key):
    issued = make_key()
    set_holder_budget(member(alice), max_budget=D(5), by=ines)
    call(proxy, issued.secret)
    wait_for(proxy, **{hash_key(issued.secret): 1})
    spend.sync()
    counter = Counter.objects.get(team=team, holder=alice)
    assert counter.spend > 0
    assert counter.resets_at == BudgetWindow.MONTH.next_reset(timezone.now())
    found = budgets.chain(issued.lease)
    assert (found.binding.kind, found.binding.spent) == ("holder", counter.spend)


def test_a_process_killed_right_after_the_change_leaves_the_promise_to_the_sweep(
    sandbox, team, alice, ines, make_key, monkeypatch
):
    make_key()

    def die(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(intents, "settle", die)
        with pytest.raises(Killed):
            set_holder_budget(member(alice), max_budget=D(5), by=ines)
    assert member(alice).max_budget == 5
    intents.settle_due()
    assert there(sandbox, team, alice) == (D(5), "1mo")


# --- the team's own -------------------------------------------------------------------------------


def test_a_changed_team_budget_is_promised_and_kept(sandbox, team, ruth, make_key):
    make_key()
    sandbox.faults.fail_next("/team/update", faults.refused(), times=3)
    change_team(team, max_budget=D(9), by=ruth)
    assert sandbox.client.teams.info(team.litellm_id).team.max_budget is None
    Gateway.objects.update(next_try_at=None)
    Intent.objects.update(due_at=timezone.now())
    intents.settle_due()
    assert sandbox.client.teams.info(team.litellm_id).team.max_budget == 9


def test_a_renamed_team_is_renamed_there_with_its_next_key(proxy, team, make_key):
    make_key()
    Team.objects.update(name="Renamed")
    make_key()
    assert proxy.client.teams.info(team.litellm_id, key_limit=1).team.alias == "Renamed"


def test_an_issue_is_refused_when_the_holders_budget_cannot_be_placed(sandbox, team, alice, ines, make_key):
    set_holder_budget(member(alice), max_budget=D(5), by=ines)
    sandbox.faults.fail_next("/team/member_add", faults.refused(), times=6)
    with pytest.raises(GatewayAway):
        make_key()
    assert sandbox.balances(team)
    assert leases.open_roles(team).exists()
