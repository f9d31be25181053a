"""What a directory cannot do: take over an account, let back in whom a person ended, name whom it does not hold."""

from __future__ import annotations

import pytest
from django.core import mail as outbox

from keys.services import leases
from portal.models import AuditEvent, Letter
from teams import departures
from teams.models import DirectoryGroup, GroupMapping, Membership, User
from teams.roles import MemberRole, PlatformRole
from teams.services import invitations
from teams.services.directory import DIRECTORY
from tests.scim.conftest import GROUP, USER

pytestmark = pytest.mark.django_db(transaction=True)


def renamed(scim, said, address: str, **more):
    body = {"schemas": [USER], "userName": address, "active": True, **more}
    return scim("PUT", f"/Users/{said['id']}", body)


def set_active(scim, said, active: bool) -> None:
    status, _ = scim.patch(f"/Users/{said['id']}", {"op": "replace", "path": "active", "value": active})
    assert status == 200


def group_of(scim, *ids: object) -> int:
    members = [{"value": str(each)} for each in ids]
    return scim("POST", "/Groups", {"schemas": [GROUP], "displayName": "eng", "members": members})[0]


@pytest.mark.parametrize("role", [PlatformRole.ADMIN, PlatformRole.AUDITOR])
def test_the_login_of_who_has_a_platform_role_by_hand_is_no_directorys_to_change(scim, client, person, ruth, role):
    rita = person("rita", role)
    said = scim.add(rita.email)
    status, refused = renamed(scim, said, "evil@attacker.test")
    assert status == 409
    assert "platform role given by hand" in refused["detail"]
    client.post("/accounts/password/reset/", {"email": "evil@attacker.test"})
    assert not any("reset/key" in letter.body for letter in outbox.outbox)
    assert User.objects.get(pk=rita.pk).email == "rita@example.com"
    assert AuditEvent.objects.filter(action="directory.refused", target_id=str(rita.pk)).count() == 1
    assert renamed(scim, said, rita.email, displayName="Rita King")[0] == 200


def test_a_deleted_user_who_comes_back_with_another_address_is_refused_it_as_well(scim, person, ruth):
    said = scim.add("rita", emails=[{"value": "rita@example.com"}])
    scim("DELETE", f"/Users/{said['id']}")
    User.objects.filter(pk=said["id"]).update(given_platform_role="admin")
    body = {"schemas": [USER], "userName": "rita", "emails": [{"value": "evil@attacker.test"}]}
    assert scim("POST", "/Users", body)[0] == 409
    assert User.objects.get(pk=said["id"]).email == "rita@example.com"


def test_the_address_of_before_is_told_of_the_new_one(scim):
    said = scim.add("ada@example.com")
    renamed(scim, said, "ada.king@example.com")
    renamed(scim, said, "ada.king@example.com", displayName="Ada King")
    letter = Letter.objects.get()
    assert letter.to == ["ada@example.com"]
    assert "from ada@example.com to ada.king@example.com" in letter.text


@pytest.mark.parametrize("active", [True, False])
def test_the_break_glass_account_is_neither_renamed_nor_ended_under_another_name(scim, alice, ruth, settings, active):
    settings.BREAK_GLASS = alice.email
    said = scim.add(alice.email)
    status, refused = renamed(scim, said, "gone@example.com", active=active)
    assert status == 409
    assert "break-glass" in refused["detail"]
    alice.refresh_from_db()
    assert (alice.email, alice.is_active) == ("alice@example.com", True)


def test_nobody_becomes_the_break_glass_account_by_a_new_address(scim, settings):
    settings.BREAK_GLASS = "glass@example.com"
    said = scim.add("ada@example.com")
    assert renamed(scim, said, "glass@example.com")[0] == 409


def test_a_group_holds_people_of_the_directory_alone(scim, robot, mallory, team):
    GroupMapping.objects.create(source="scim", value="eng", team=team, role="admin")
    gone = scim.add("gone@example.com")
    scim("DELETE", f"/Users/{gone['id']}")
    for stranger in (robot.pk, mallory.pk, gone["id"]):
        assert group_of(scim, stranger) == 400
    assert not DirectoryGroup.objects.exists()
    assert not Membership.objects.filter(team=team, role="admin").exists()


def test_who_was_let_back_in_and_then_ended_by_a_person_stays_out(scim, alice, ruth):
    said = scim.add(alice.email)
    set_active(scim, said, False)
    leases.end_orphaned()
    departures.reactivate(User.objects.get(pk=alice.pk), by=ruth)
    departures.deactivate(User.objects.get(pk=alice.pk), by=ruth)
    set_active(scim, said, True)
    assert not User.objects.get(pk=alice.pk).is_active


def test_who_is_ended_by_a_person_after_the_directory_did_stays_out(scim, alice, ruth):
    said = scim.add(alice.email)
    set_active(scim, said, False)
    for _ in range(2):
        departures.deactivate(User.objects.get(pk=alice.pk), by=ruth)
    set_active(scim, said, True)
    assert not User.objects.get(pk=alice.pk).is_active
    assert AuditEvent.objects.filter(action="person.deactivated", target_id=str(alice.pk)).count() == 1


def test_a_persons_own_act_is_not_listed_among_what_providers_took(client, alice, ruth, bearer):
    departures.deactivate(alice, by=ruth)
    client.force_login(ruth)
    assert "Taken away by a provider" not in client.get(f"/people/{alice.pk}/").content.decode()
    assert client.get("/api/v1/departures/", headers=bearer(ruth)).json()["results"] == []


def test_who_a_person_let_back_in_is_the_directorys_to_end_and_bring_back_again(scim, alice, ruth):
    said = scim.add(alice.email)
    departures.deactivate(alice, by=ruth)
    departures.reactivate(User.objects.get(pk=alice.pk), by=ruth)
    for active in (False, True):
        set_active(scim, said, active)
        assert User.objects.get(pk=alice.pk).is_active is active


def test_people_whom_a_person_ends_are_no_leavers_of_a_provider(scim, person, ruth, team):
    for n in range(5):
        departures.deactivate(person(f"p{n}"), by=ruth)
    ada = User.objects.get(pk=scim.add("ada@example.com")["id"])
    Membership.objects.create(team=team, user=ada, role="member")
    assert not departures.lost_by_provider(ada, team, by=DIRECTORY).held


def test_a_name_is_one_line_wherever_it_is_quoted(scim, team):
    said = scim.add("ada@example.com", displayName="Ada\n\nYour account\x1b[2K is\u2028closed.\r\n")
    ada = User.objects.get(pk=said["id"])
    assert ada.name == "Ada Your account [2K is closed."
    renamed(scim, said, "ada@example.com", displayName="Ada\nKing")
    ada.refresh_from_db()
    assert ada.name == "Ada King"
    Membership.objects.create(team=team, user=ada, role="admin", given_role="admin")
    invitations.invite(team, email="new@example.com", role=MemberRole.MEMBER, by=ada)
    assert "Ada King invites you" in Letter.objects.get().text
    assert scim("POST", "/Groups", {"schemas": [GROUP], "displayName": "eng\nops", "members": []})[0] == 400
