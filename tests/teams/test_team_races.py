"""Teams under two hands: stale pages, two clicks, and the ceiling that the platform sets."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from keys.models import Gateway, Lease, State
from keys.services import gateways, leases
from keys.services.errors import GatewayAway
from keys.services.terms import Ask
from portal.errors import NotAllowed
from portal.mail import send_due
from portal.models import AuditEvent
from teams.access import SYSTEM
from teams.models import Invitation, Membership, Team, User
from teams.roles import MemberRole, Scope
from teams.services import LastAdmin, OverCeiling, change_team, create_team, make_token, put_member, remove_member
from teams.services.invitations import put_or_invite
from tests.threads import together

pytestmark = pytest.mark.django_db(transaction=True)


# --- stale rows -----------------------------------------------------------------------------------


def test_two_changes_of_a_team_do_not_undo_each_other(team, ines, ruth):
    for_ruth = Team.objects.get()
    change_team(Team.objects.get(), by=ines, max_budget=Decimal("10.00"))
    change_team(for_ruth, by=ruth, name="Renamed")
    stored = Team.objects.get()
    assert (stored.name, stored.max_budget) == ("Renamed", Decimal("10.00"))


def test_an_issue_that_read_the_team_earlier_does_not_undo_a_lowered_budget(sandbox, team, alice, ines, make_role):
    role = make_role()
    Team.objects.update(max_budget=Decimal("1000.00"))
    leases.issue(Ask(team=team, role=role), holder=alice, by=alice)
    stale = Team.objects.get()
    change_team(team, by=ines, max_budget=Decimal("10.00"))
    leases.issue(Ask(team=stale, role=role), holder=alice, by=alice)
    assert sandbox.client.teams.info(team.litellm_id).team.max_budget == 10


def test_a_changed_budget_waits_ten_seconds_for_all_gateways_together(
    sandbox, team, ines, alice, make_key, monkeypatch
):
    role = make_key().lease.role
    for n in (1, 2):
        gateway = Gateway.objects.create(name=f"g{n}", base_url=f"http://127.0.0.1:{n}", master_key="sk-example-1")
        now = timezone.now()
        Lease.objects.create(
            alias=f"g{n}", team=team, holder=alice, role=role, gateway=gateway, state=State.ACTIVE, issued_at=now,
            expires_at=now + timedelta(days=1), max_expires_at=now + timedelta(days=1),
        )  # fmt: skip
    clock, asked = [100.0], []

    def hang(gateway, *, by, seconds):
        asked.append(seconds)
        clock[0] += 6
        raise GatewayAway

    monkeypatch.setattr("keys.services.gateways.time.monotonic", lambda: clock[0])
    monkeypatch.setattr(gateways, "calling", hang)
    change_team(team, by=ines, max_budget=Decimal("5.00"))
    assert asked == [10, 4]  # there is no time left for the third: the sweep asks it


def test_a_stale_page_does_not_remove_the_last_admin(team, ines, alice, ruth):
    stale = Membership.objects.get(user=alice)  # a member, as ruth's page shows
    put_member(team, email=alice.email, role=MemberRole.ADMIN, by=ines)
    remove_member(Membership.objects.get(user=ines), by=alice)
    with pytest.raises(LastAdmin):
        remove_member(stale, by=ruth)
    assert list(team.members.all()) == [alice]


def test_removing_somebody_twice_is_told_once(team, alice, ines):
    first, second = Membership.objects.get(user=alice), Membership.objects.get(user=alice)
    remove_member(first, by=ines)
    remove_member(second, by=ines)
    assert AuditEvent.objects.filter(action="member.removed").count() == 1


def test_two_teams_invite_the_same_new_person_at_once(team, other_team, ines, mallory, mailoutbox):
    together(
        lambda: put_or_invite(team, email="new@example.com", role=MemberRole.MEMBER, by=ines),
        lambda: put_or_invite(other_team, email="new@example.com", role=MemberRole.MEMBER, by=mallory),
    )
    assert Invitation.objects.filter(email="new@example.com").count() == 2
    assert not User.objects.filter(email="new@example.com").exists()
    assert send_due() == 2
    assert len(mailoutbox) == 2


# --- tokens ---------------------------------------------------------------------------------------


def test_nobody_makes_a_token_for_somebody_else(ruth, mallory):
    for maker, owner in ((mallory, ruth), (ruth, mallory)):
        with pytest.raises(NotAllowed):
            make_token(owner, name="x", scopes=[Scope.READ], by=maker)


def test_a_token_makes_only_tokens_that_do_no_more_than_itself(ruth):
    ruth.scopes = frozenset({Scope.READ})
    with pytest.raises(NotAllowed):
        make_token(ruth, name="x", scopes=[Scope.READ, Scope.PLATFORM_MANAGE], by=ruth)
    assert make_token(ruth, name="x", scopes=[Scope.READ], by=ruth)[0].scopes == ["read"]


def test_keydesk_itself_makes_tokens_for_anybody(ruth):
    assert make_token(ruth, name="start", scopes=list(Scope), by=SYSTEM)[0].owner == ruth


# --- ceilings -------------------------------------------------------------------------------------

HUNDRED = Decimal("100.00")


@pytest.mark.parametrize(
    "change",
    [{"max_budget": Decimal("100.01")}, {"max_budget": None}, {"budget_duration": "1d"}, {"budget_duration": ""}],
)
def test_a_team_admin_stays_within_what_the_platform_gave(team, ines, ruth, change):
    change_team(team, by=ruth, max_budget=HUNDRED)
    with pytest.raises(OverCeiling) as refused:
        change_team(team, by=ines, **change)
    assert "max_budget" in refused.value.details
    stored = Team.objects.get()
    assert (stored.max_budget, stored.budget_duration) == (HUNDRED, "1mo")


def test_a_team_admin_may_lower_the_budget_and_raise_it_again_to_the_ceiling(team, ines, ruth):
    change_team(team, by=ruth, max_budget=HUNDRED)
    for budget in (Decimal("20.00"), HUNDRED):
        assert change_team(team, by=ines, max_budget=budget).max_budget == budget


def test_the_ceiling_moves_with_what_a_platform_admin_gives(team, ines, ruth):
    change_team(team, by=ruth, max_budget=HUNDRED)
    change_team(team, by=ruth, max_budget=Decimal("40.00"))
    with pytest.raises(OverCeiling):
        change_team(team, by=ines, max_budget=HUNDRED)
    change_team(team, by=ruth, max_budget=None)
    assert change_team(team, by=ines, max_budget=Decimal("500.00")).max_budget == 500


def test_a_team_that_the_platform_gave_no_budget_sets_its_own(ines, team):
    change_team(team, by=ines, max_budget=HUNDRED, budget_duration="7d")
    assert change_team(team, by=ines, max_budget=None).max_budget is None


def test_the_budget_that_a_team_is_made_with_is_its_ceiling(person, ruth):
    made = create_team(name="New", max_budget=HUNDRED, by=ruth)
    put_member(made, email=person("nora").email, role=MemberRole.ADMIN, by=ruth)
    with pytest.raises(OverCeiling):
        change_team(made, by=User.objects.get(name="Nora"), max_budget=Decimal("101.00"))
