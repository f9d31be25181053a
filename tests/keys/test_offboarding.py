"""What ends when somebody leaves: told before, the same when it is done, and written down."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from keys.models import SpendDay
from keys.services import offboarding
from keys.services.offboarding import PlanChanged, plan
from portal.errors import NotAllowed
from portal.models import AuditEvent, Letter
from teams import services
from teams.departures import LastPlatformAdmin
from teams.gifts import KeptByProvider
from teams.models import ApiToken, Grant, GroupMapping, Membership, ToldGroups
from teams.roles import MemberRole
from teams.services.invitations import invite
from tests.conftest import ended
from tests.teams.provider import okta

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def key(sandbox, make_key):
    """Issue a key that has spent something: USD a day, on days counted back from today."""

    def make(name, days=(0,), spend="1.50", **ask):
        lease = make_key(name=name, **ask).lease
        version, today = lease.versions.get(), timezone.now().date()
        for back in days:
            SpendDay.objects.create(
                gateway=lease.gateway, version=version, day=today - timedelta(days=back), model="gpt-4o", requests=3,
                spend=Decimal(spend), team=lease.team, holder=lease.holder, key_alias=lease.alias, team_name="",
                holder_name="", role_name="", written_at=timezone.now(),
            )  # fmt: skip
        return lease

    return make


def in_team(team, user):
    return Membership.objects.get(team=team, user=user)


def test_the_plan_names_what_dies_with_what_it_spent_in_seven_days(key, team, other_team, alice, ruth):
    Membership.objects.create(team=other_team, user=alice, role=MemberRole.MEMBER)
    key("cheap", spend="0.25")
    key("dear", days=(0, 6, 7), spend="2.00")
    elsewhere = key("elsewhere", team=other_team)
    found = plan(alice, by=ruth)
    assert [(each.lease.name, each.spend, each.calls) for each in found.dies] == [
        ("dear", Decimal("4.00"), 6),
        ("elsewhere", Decimal("1.50"), 3),
        ("cheap", Decimal("0.25"), 3),
    ]
    assert found.at_risk == Decimal("5.75")
    in_one = plan(alice, team=team, by=ruth)
    assert elsewhere not in [each.lease for each in in_one.dies]
    assert in_one.at_risk == Decimal("4.25")


def test_an_ended_key_is_nothing_that_dies(key, alice, ruth):
    from keys.services import leases

    leases.revoke(key("gone"), by=alice)
    assert plan(alice, by=ruth).dies == ()


def test_the_plan_names_what_survives_and_what_needs_an_owner(key, team, alice, ines, robot, ruth):
    robot.responsible = ines
    robot.save()
    machine = key("nightly run", holder=robot)
    invite(team, email="bea@example.com", role=MemberRole.MEMBER, by=ines)
    ApiToken.objects.create(
        owner=ines, name="laptop", digest="d", scopes=["read"], expires_at=timezone.now() + timedelta(days=1)
    )
    found = plan(ines, by=ruth)
    assert (found.dies, found.survives) == ((), (machine,))
    assert (found.headless, found.unanswered) == ((team,), (robot,))
    assert [token.name for token in found.tokens] == ["laptop"]
    assert [each.email for each in found.invitations] == ["bea@example.com"]
    assert [each.team for each in found.stays] == [team]


def test_another_active_admin_leaves_the_team_with_one_and_an_inactive_does_not(team, ines, bob, ruth):
    services.put_member(team, email=bob.email, role=MemberRole.ADMIN, by=ines)
    assert plan(ines, by=ruth).headless == ()
    bob.is_active = False
    bob.save()
    assert plan(ines, by=ruth).headless == (team,)


def test_looking_changes_nothing_and_writes_nothing(key, team, alice, ruth, ines):
    lease, events = key("laptop"), AuditEvent.objects.count()
    for by in (ruth, alice):
        plan(alice, by=by)
    plan(alice, team=team, by=ines)
    lease.refresh_from_db()
    assert lease.state == "active"
    assert AuditEvent.objects.count() == events


def test_the_platform_sees_everybodys_plan_a_team_admin_that_of_the_team_and_each_their_own(
    team, other_team, alice, bob, ines, audra, ruth, mallory
):
    for by in (audra, ruth, alice):
        plan(alice, by=by)
        plan(alice, team=team, by=by)
    plan(alice, team=team, by=ines)
    refused = [(alice, None, ines), (alice, team, bob), (alice, team, mallory), (alice, None, bob), (bob, team, alice)]
    for who, where, by in refused:
        with pytest.raises(NotAllowed):
            plan(who, team=where, by=by)


def test_a_team_admin_learns_nothing_of_other_teams(team, other_team, alice, ines, ruth):
    Membership.objects.create(team=other_team, user=alice, role=MemberRole.MEMBER)
    ApiToken.objects.create(
        owner=alice, name="laptop", digest="d", scopes=["read"], expires_at=timezone.now() + timedelta(days=1)
    )
    found = plan(alice, team=team, by=ines)
    assert (found.stays, found.tokens) == ((), ())
    assert [each.team for each in plan(alice, team=team, by=ruth).stays] == [other_team]


def test_a_platform_admin_keeps_keys_of_a_team_that_they_leave(key, team, ruth, ines):
    services.put_member(team, email=ruth.email, role=MemberRole.MEMBER, by=ines)
    lease = key("hers", holder=ruth)
    found = plan(ruth, team=team, by=ines)
    assert (found.dies, found.survives) == ((), (lease,))
    offboarding.take_out(in_team(team, ruth), seen=found.mark, by=ines)
    assert not ended(lease)


def test_deactivating_ends_what_was_shown_and_writes_down_what_was_counted(key, team, alice, ruth):
    lease = key("laptop", spend="2.50")
    offboarding.deactivate(alice, seen=plan(alice, by=ruth).mark, by=ruth)
    assert ended(lease)
    facts = AuditEvent.objects.get(action="person.deactivated").facts
    assert (facts["keys"], Decimal(facts["spend_at_risk"]), facts["without_admin"]) == (1, Decimal("2.50"), [])


def test_a_key_issued_meanwhile_is_not_ended_unseen(key, alice, ruth, ines, team):
    looked, in_one = plan(alice, by=ruth), plan(alice, team=team, by=ines)
    lease = key("new")
    with pytest.raises(PlanChanged):
        offboarding.deactivate(alice, seen=looked.mark, by=ruth)
    with pytest.raises(PlanChanged):
        offboarding.take_out(in_team(team, alice), seen=in_one.mark, by=ines)
    assert not ended(lease)
    alice.refresh_from_db()
    assert alice.is_active


def test_a_last_admin_is_deactivated_only_seen_and_the_platform_is_told(team, ines, bob, ruth, person):
    looked = plan(ines, by=ruth)
    services.put_member(team, email=bob.email, role=MemberRole.ADMIN, by=ines)
    assert plan(ines, by=ruth).mark != looked.mark
    services.put_member(team, email=bob.email, role=MemberRole.APPROVER, by=ines)
    offboarding.deactivate(ines, seen=looked.mark, by=ruth)
    assert AuditEvent.objects.get(action="person.deactivated").facts["without_admin"] == ["search"]
    assert AuditEvent.objects.filter(action="team.without_admin", target_id=str(team.pk)).exists()
    letter = Letter.objects.get(subject="Keydesk: Search Platform has no admin")
    assert letter.to == ["ruth@example.com"]


def test_by_hand_no_team_is_left_without_an_admin(team, ines, ruth):
    for by in (ines, ruth):
        with pytest.raises(services.LastAdmin):
            offboarding.take_out(in_team(team, ines), seen=plan(ines, team=team, by=by).mark, by=by)
    assert in_team(team, ines)


def test_the_last_platform_admin_stays(ruth, audra):
    with pytest.raises(LastPlatformAdmin):
        offboarding.deactivate(ruth, seen=plan(ruth, by=ruth).mark, by=ruth)
    ruth.refresh_from_db()
    assert ruth.is_active


def test_leaving_a_team_oneself_ends_ones_keys_there_alone(key, team, other_team, alice):
    Membership.objects.create(team=other_team, user=alice, role=MemberRole.MEMBER)
    here, there = key("here"), key("there", team=other_team)
    offboarding.take_out(in_team(team, alice), seen=plan(alice, team=team, by=alice).mark, by=alice)
    assert (ended(here), ended(there)) == (True, False)
    assert AuditEvent.objects.get(action="member.left").facts["keys"] == 1


def test_what_a_provider_gives_is_named_and_no_hand_takes_it(team, alice, ines, settings):
    settings.SSO_PROVIDERS = {"okta": okta()}
    GroupMapping.objects.create(source="okta", value="search-devs", team=team, role=MemberRole.MEMBER)
    ToldGroups.objects.create(user=alice, source="okta", values=["search-devs"], told_at=timezone.now())
    Grant.objects.create(user=alice, source="okta", team=team, role=MemberRole.MEMBER)
    found = plan(alice, team=team, by=ines)
    assert found.kept_by == ("search-devs",)
    for by in (ines, alice):
        with pytest.raises(KeptByProvider, match="search-devs"):
            offboarding.take_out(in_team(team, alice), seen=found.mark, by=by)
    assert in_team(team, alice)


def test_an_auditor_looks_and_does_not_act(team, alice, audra):
    looked = plan(alice, team=team, by=audra)
    with pytest.raises(NotAllowed):
        offboarding.take_out(in_team(team, alice), seen=looked.mark, by=audra)
    with pytest.raises(NotAllowed):
        offboarding.deactivate(alice, seen=plan(alice, by=audra).mark, by=audra)
