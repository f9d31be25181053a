"""What identity providers give: added and removed with each telling, beside what was given by hand."""

from __future__ import annotations

import contextlib
from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from keys.models import Lease, State
from keys.services import leases
from portal.errors import Invalid
from portal.models import AuditEvent, Letter
from teams import departures, grants, services
from teams.access import SYSTEM
from teams.gifts import KeptByProvider
from teams.models import Departure, Grant, GroupMapping, Membership, Team, ToldGroups, User
from teams.roles import MemberRole, PlatformRole
from teams.services import people
from tests.teams.provider import okta

pytestmark = pytest.mark.django_db(transaction=True)
GRACE = timedelta(hours=24)


@pytest.fixture
def gives(team):
    """Map a group: to a member role in `team` unless told otherwise."""

    def make(value: str, role: str = "member", *, to: Team | None = None, source: str = "") -> GroupMapping:
        return GroupMapping.objects.create(source=source, value=value, team=to or team, role=role)

    return make


@pytest.fixture
def gives_platform():
    def make(value: str, role: str = "admin", source: str = "") -> GroupMapping:
        return GroupMapping.objects.create(source=source, value=value, platform_role=role)

    return make


@pytest.fixture
def carol(person) -> User:
    return person("carol")


@pytest.fixture
def crowd(team, other_team):
    """So many memberships elsewhere that a few leavers are no disaster."""
    people = [User(email=f"crowd{n}@example.com", kind=User.Kind.PERSON) for n in range(300)]
    User.objects.bulk_create(people)
    Membership.objects.bulk_create(
        Membership(team=other_team, user=user, role="member", given_role="member") for user in people
    )
    return people


def role_of(user: User, team: Team) -> str:
    return Membership.objects.filter(user=user, team=team).values_list("role", flat=True).first() or ""


def state(issued) -> str:
    return Lease.objects.get(pk=issued.lease.pk).state


def test_groups_put_people_into_teams_with_the_strongest_of_their_roles(team, other_team, carol, gives):
    gives("eng", "member")
    gives("leads", "approver")
    gives("eng", "viewer", to=other_team)
    done = grants.follow(carol, "okta", ["leads", "eng", "unheard of"])
    assert sorted(str(gift) for gift in done.added) == ["Approver in Search Platform", "Viewer in Mobile Assist"]
    assert role_of(carol, team) == "approver"
    assert role_of(carol, other_team) == "viewer"
    assert not Membership.objects.filter(user=carol).exclude(given_role="").exists()
    assert not grants.follow(carol, "okta", ["eng", "leads", "unheard of"])  # said again: nothing new


def test_a_group_that_is_gone_takes_the_membership_and_its_keys_with_a_grace(proxy, team, carol, gives, make_key):
    gives("eng")
    grants.follow(carol, "okta", ["eng"])
    issued = make_key(holder=carol)
    done = grants.follow(carol, "okta", [])
    assert [str(gift) for gift in done.removed] == ["Member in Search Platform"]
    assert role_of(carol, team) == ""
    assert not Grant.objects.exists()
    assert state(issued) == State.PAUSED
    assert proxy.status_of(issued.secret) == 401

    grants.follow(carol, "okta", ["eng"])
    assert role_of(carol, team) == "member"
    assert state(issued) == State.ACTIVE
    assert proxy.status_of(issued.secret) == 200
    assert Departure.objects.get().outcome == "came back"

    grants.follow(carol, "okta", [])
    with time_machine.travel(timezone.now() + GRACE + timedelta(minutes=1)):
        leases.end_orphaned()
    assert state(issued) == State.REVOKED


@pytest.mark.parametrize("trouble", ["", *ToldGroups.Trouble])
def test_a_claim_that_is_missing_or_unreadable_changes_nothing_and_is_noted_once(team, carol, gives, trouble):
    gives("eng")
    grants.follow(carol, "okta", ["eng"])
    for _ in range(3):
        assert grants.follow(carol, "okta", None, trouble=trouble).trouble == trouble or "missing"
    told = ToldGroups.objects.get()
    assert role_of(carol, team) == "member"
    assert told.values == ["eng"]
    assert told.trouble == (trouble or "missing")
    assert told.troubled_at is not None
    assert AuditEvent.objects.filter(action="groups.trouble").count() == 1

    grants.follow(carol, "okta", ["eng"])
    assert ToldGroups.objects.get().trouble == ""


def test_what_was_given_by_hand_stays_when_the_provider_takes_its_own(team, alice, gives):
    gives("leads", "approver")
    grants.follow(alice, "okta", ["leads"])
    assert role_of(alice, team) == "approver"
    grants.follow(alice, "okta", [])
    assert role_of(alice, team) == "member"
    assert not Departure.objects.exists()


def test_each_provider_takes_only_what_it_gave(team, carol, gives):
    gives("eng", "member", source="okta")
    gives("eng", "approver", source="entra")
    grants.follow(carol, "okta", ["eng"])
    grants.follow(carol, "entra", ["eng"])
    assert role_of(carol, team) == "approver"
    grants.follow(carol, "entra", [])
    assert role_of(carol, team) == "member"
    grants.follow(carol, "okta", [])
    assert role_of(carol, team) == ""


def test_who_is_lowered_to_a_viewer_keeps_the_keys_for_the_grace(proxy, team, carol, gives, make_key):
    gives("eng", "member")
    gives("everyone", "viewer")
    grants.follow(carol, "okta", ["everyone", "eng"])
    issued = make_key(holder=carol)
    grants.follow(carol, "okta", ["everyone"])
    assert role_of(carol, team) == "viewer"
    assert proxy.status_of(issued.secret) == 401
    grants.follow(carol, "okta", ["everyone"])  # a second sign-in without the group is no return
    assert state(issued) == State.PAUSED
    leases.end_orphaned()
    assert state(issued) == State.PAUSED

    grants.follow(carol, "okta", ["everyone", "eng"])
    assert role_of(carol, team) == "member"
    assert proxy.status_of(issued.secret) == 200


def test_of_fifty_people_who_lose_a_group_at_once_all_but_ten_are_held(sandbox, team, crowd, ruth, gives, make_key):
    gives("eng")
    people = crowd[:50]
    for user in people:
        grants.follow(user, "okta", ["eng"])
    last = make_key(holder=people[-1])
    done = [grants.follow(user, "okta", []) for user in people]
    assert sum(len(each.removed) for each in done) == departures.MOST
    assert sum(len(each.held) for each in done) == 40
    assert Membership.objects.filter(team=team, user__in=people).count() == 40
    assert Grant.objects.filter(team=team).count() == 40
    assert state(last) == State.ACTIVE
    assert Letter.objects.filter(to=[ruth.email], key__startswith="departures-held").count() == 1

    held = Departure.objects.filter(held=True).order_by("pk")
    departures.decide(held.latest("pk"), go_on=True, by=ruth)
    assert state(last) == State.PAUSED
    assert role_of(people[-1], team) == ""
    assert not Grant.objects.filter(user=people[-1]).exists()


def test_a_held_removal_is_over_when_the_group_is_back(team, crowd, gives):
    gives("eng")
    people = crowd[:12]
    for user in people:
        grants.follow(user, "okta", ["eng"])
    for user in people:
        grants.follow(user, "okta", [])
    assert Departure.objects.filter(held=True, closed_at=None).count() == 2
    grants.follow(people[-1], "okta", ["eng"])
    assert Departure.objects.get(user=people[-1]).outcome == "came back"
    assert role_of(people[-1], team) == "member"


def test_a_dismissed_removal_is_asked_about_again_only_when_the_provider_says_something_new(
    team, crowd, ruth, gives, monkeypatch
):
    gives("eng")
    user = crowd[0]
    monkeypatch.setattr(departures, "MOST", 0)
    grants.follow(user, "okta", ["eng"])
    grants.follow(user, "okta", [])
    departures.decide(Departure.objects.get(), go_on=False, by=ruth)
    monkeypatch.undo()
    assert not grants.follow(user, "okta", [])
    assert role_of(user, team) == "member"
    assert grants.follow(user, "okta", ["something else"]).removed
    assert role_of(user, team) == ""


def test_a_loss_that_was_dismissed_is_asked_about_when_it_happens_again_by_the_mappings(
    team, crowd, ruth, gives, monkeypatch
):
    mapping, user = gives("eng"), crowd[0]
    monkeypatch.setattr(departures, "MOST", 0)
    grants.follow(user, "okta", ["eng"])
    grants.follow(user, "okta", [])
    departures.decide(Departure.objects.get(), go_on=False, by=ruth)
    monkeypatch.undo()
    grants.follow(user, "okta", ["eng"])
    mapping.delete()
    assert grants.follow(user, "okta", ["eng"]).removed
    assert role_of(user, team) == ""


def test_a_dismissed_loss_of_some_rights_is_no_leave_to_keep_them_when_all_are_lost(
    team, crowd, ruth, gives, monkeypatch
):
    user = crowd[0]
    gives("eng", "member")
    everyone = gives("everyone", "viewer")
    monkeypatch.setattr(departures, "MOST", 0)
    grants.follow(user, "okta", ["eng", "everyone"])
    assert grants.follow(user, "okta", ["everyone"]).held
    departures.decide(Departure.objects.get(), go_on=False, by=ruth)
    monkeypatch.undo()
    assert not grants.follow(user, "okta", ["everyone"])
    assert role_of(user, team) == "member"
    everyone.delete()
    assert grants.follow(user, "okta", ["everyone"]).removed
    assert role_of(user, team) == ""


def test_a_service_account_is_in_no_groups(team, gives):
    gives("eng")
    robot = User.objects.create_service_account("robot", team)
    with pytest.raises(Invalid):
        grants.follow(robot, "okta", ["eng"])


@pytest.mark.parametrize("gone", [{}, {"okta": okta(groups_claim="")}])
def test_what_a_provider_gave_that_is_gone_from_the_settings_is_taken_by_hand(
    team, carol, ines, ruth, gives, gives_platform, settings, gone
):
    settings.SSO_PROVIDERS = {"okta": okta()}
    gives("leads", "approver", source="okta")
    gives_platform("operators")
    grants.follow(carol, "okta", ["leads", "operators"])
    settings.SSO_PROVIDERS = gone
    services.remove_member(carol.memberships.get(), by=ines)
    people.set_platform_role(carol, "", by=ruth)
    carol.refresh_from_db()
    assert (role_of(carol, team), carol.platform_role) == ("", "")
    assert not Grant.objects.exists()


@pytest.mark.parametrize("token", ["a-token", ""])
def test_what_a_directory_gave_is_kept_from_hands_while_it_may_speak(team, carol, ines, gives, settings, token):
    settings.SCIM_TOKEN = token
    gives("eng", source="scim")
    grants.follow(carol, "scim", ["eng"])
    with contextlib.suppress(KeptByProvider):
        services.remove_member(carol.memberships.get(), by=ines)
    assert role_of(carol, team) == ("member" if token else "")


def test_by_hand_nobody_takes_or_lowers_what_a_provider_gives(team, carol, ines, gives, settings):
    settings.SSO_PROVIDERS = {"okta": okta()}
    gives("leads", "approver", source="okta")
    grants.follow(carol, "okta", ["leads"])
    there = carol.memberships.get()
    with pytest.raises(KeptByProvider, match=r"leads \(okta\)") as refused:
        services.put_member(team, email=carol.email, role=MemberRole.MEMBER, by=ines)
    assert refused.value.code == "kept_by_provider"
    with pytest.raises(KeptByProvider):
        services.remove_member(there, by=ines)

    services.put_member(team, email=carol.email, role=MemberRole.ADMIN, by=ines)
    services.put_member(team, email=carol.email, role=MemberRole.APPROVER, by=ines)
    grants.follow(carol, "okta", [])
    assert role_of(carol, team) == "approver"  # by hand now


def test_a_grant_whose_removal_is_held_may_be_ended_by_hand(team, carol, ines, crowd, gives, monkeypatch):
    gives("eng")
    grants.follow(carol, "okta", ["eng"])
    monkeypatch.setattr(departures, "MOST", 0)
    assert grants.follow(carol, "okta", []).held
    services.remove_member(carol.memberships.get(), by=ines)
    assert role_of(carol, team) == ""
    assert not Grant.objects.exists()


def test_platform_roles_come_and_go_with_groups(carol, ruth, gives_platform):
    gives_platform("auditors", "auditor")
    gives_platform("operators", "admin")
    for groups, expected in [(["auditors"], "auditor"), (["auditors", "operators"], "admin"), ([], "")]:
        grants.follow(carol, "okta", groups)
        assert User.objects.get(pk=carol.pk).platform_role == expected


def test_a_platform_admin_by_a_group_who_is_none_any_more_has_the_grace_for_keys(
    proxy, team, carol, ruth, gives_platform, make_key
):
    gives_platform("operators")
    grants.follow(carol, "okta", ["operators"])
    carol.refresh_from_db()
    issued = make_key(holder=carol)
    grants.follow(carol, "okta", [])
    assert User.objects.get(pk=carol.pk).platform_role == ""
    assert User.objects.get(pk=carol.pk).is_active
    assert state(issued) == State.PAUSED
    grants.follow(carol, "okta", ["operators"])
    assert proxy.status_of(issued.secret) == 200


def test_the_last_platform_admin_never_loses_the_role_through_a_provider(carol, gives_platform):
    gives_platform("operators")
    grants.follow(carol, "okta", ["operators"])
    done = grants.follow(carol, "okta", [])
    assert [str(gift) for gift in done.held] == ["Platform admin"]
    assert User.objects.get(pk=carol.pk).platform_role == PlatformRole.ADMIN
    assert AuditEvent.objects.filter(action="grant.kept_last_admin").count() == 1
    assert Letter.objects.filter(to=[carol.email]).count() == 1

    User.objects.create_user("other@example.com", platform_role="admin", given_platform_role="admin")
    grants.follow(carol, "okta", [])
    assert User.objects.get(pk=carol.pk).platform_role == ""


def test_a_team_that_loses_its_last_admin_through_a_provider_does_not_lose_it_unseen(team, carol, ruth, gives):
    gives("leads", "admin")
    gives("eng", "member")
    grants.follow(carol, "okta", ["leads", "eng"])
    grants.follow(carol, "okta", ["eng"])
    assert role_of(carol, team) == "member"
    assert AuditEvent.objects.filter(action="team.without_admin", team_id=str(team.pk)).count() == 1
    assert Letter.objects.get(key__startswith="without-admin").to == [ruth.email]


def test_an_ended_team_is_given_to_nobody_and_taken_from_nobody(team, carol, ruth, gives):
    gives("eng")
    grants.follow(carol, "okta", ["eng"])
    services.end_team(team, by=ruth)
    assert not grants.follow(carol, "okta", [])
    assert not grants.follow(carol, "okta", ["eng"])
    assert role_of(carol, team) == "member"
    assert not Departure.objects.exists()


def test_what_a_provider_did_is_told_in_the_teams_audit(team, carol, gives):
    gives("eng")
    grants.follow(carol, "okta", ["eng"])
    event = AuditEvent.objects.get(action="member.added")
    assert (event.team_id, event.actor_kind, event.facts["given_by"]) == (str(team.pk), "system", ["okta"])
    assert AuditEvent.objects.get(action="grant.added").facts["groups"] == ["eng"]


def test_settle_gives_what_stands(team, carol):
    Grant.objects.create(user=carol, source="okta", team=team, role="member")
    assert grants.settle(carol, team, by=SYSTEM).role == "member"
    Grant.objects.all().delete()
    assert grants.settle(carol, team, by=SYSTEM) is None
    assert Departure.objects.count() == 1
