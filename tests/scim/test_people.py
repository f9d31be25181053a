"""What becomes of people whom a directory adds, changes, ends and brings back."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from keys.models import Lease, State
from portal.models import AuditEvent, Letter
from teams import departures
from teams.models import Departure, DirectoryEntry, GroupMapping, Membership, User
from tests.scim.conftest import GROUP, USER

pytestmark = pytest.mark.django_db(transaction=True)


def state(issued) -> str:
    return Lease.objects.get(pk=issued.lease.pk).state


@pytest.fixture
def many(other_team):
    """So many memberships that a few leavers are no disaster."""
    people = [User(email=f"many{n}@example.com", kind=User.Kind.PERSON) for n in range(300)]
    User.objects.bulk_create(people)
    Membership.objects.bulk_create(
        Membership(team=other_team, user=user, role="member", given_role="member") for user in people
    )
    return people


def test_a_new_user_is_an_account_that_cannot_use_a_password(scim):
    said = scim.add("Ada@Example.com", name={"givenName": "Ada", "familyName": "Lovelace"}, externalId="00u1")
    ada = User.objects.get(email="ada@example.com")
    assert (said["id"], ada.name, ada.is_active) == (str(ada.pk), "Ada Lovelace", True)
    assert not ada.has_usable_password()
    assert said["emails"] == [{"value": "Ada@Example.com", "primary": True}]
    assert said["meta"]["location"].endswith(f"/scim/v2/Users/{ada.pk}")
    event = AuditEvent.objects.get(action="directory.person_added")
    assert (event.actor, event.actor_kind, event.target_id) == ("SCIM", "directory", str(ada.pk))


def test_an_account_with_that_address_is_taken_over_and_stays_what_it_was(scim, alice, team):
    said = scim.add("ALICE@example.com")
    assert said["id"] == str(alice.pk)
    assert alice.memberships.get().role == "member"


def test_a_user_name_that_is_no_address_needs_an_email(scim):
    said = scim.add("ada", emails=[{"value": "x@example.com"}, {"value": "ada@example.com", "primary": True}])
    assert User.objects.get(pk=said["id"]).email == "ada@example.com"


def test_a_second_user_of_the_same_name_or_account_is_a_conflict(scim):
    scim.add("ada@example.com")
    for body in ({"userName": "ADA@example.com"}, {"userName": "ada2", "emails": [{"value": "ada@example.com"}]}):
        status, said = scim("POST", "/Users", {"schemas": [USER], **body})
        assert (status, said["scimType"]) == (409, "uniqueness")


def test_a_deactivated_user_loses_every_key_at_once(proxy, scim, alice, many, make_key):
    issued = make_key()
    said = scim.add(alice.email)
    status, said = scim.patch(f"/Users/{said['id']}", {"op": "replace", "path": "active", "value": False})
    assert (status, said["active"]) == (200, False)
    assert not User.objects.get(pk=alice.pk).is_active
    assert state(issued) == State.REVOKED
    assert proxy.status_of(issued.secret) == 401


def test_keys_blocked_for_a_lost_group_are_gone_with_the_deactivation(sandbox, scim, team, many, make_key):
    GroupMapping.objects.create(source="scim", value="eng", team=team, role="member")
    ada = scim.add("ada@example.com")
    group = scim.add_group("eng", ada)
    issued = make_key(holder=User.objects.get(pk=ada["id"]))
    scim.patch(f"/Groups/{group['id']}", {"op": "remove", "path": f'members[value eq "{ada["id"]}"]'})
    assert state(issued) == State.PAUSED
    scim.patch(f"/Users/{ada['id']}", {"op": "replace", "value": {"active": False}})
    assert state(issued) == State.REVOKED


def test_a_reactivated_user_is_back_in_the_teams_of_their_groups(scim, team, many):
    GroupMapping.objects.create(source="scim", value="eng", team=team, role="approver")
    ada = scim.add("ada@example.com")
    scim.add_group("eng", ada)
    user = User.objects.get(pk=ada["id"])
    for active in (False, True):
        scim.patch(f"/Users/{ada['id']}", {"op": "replace", "path": "active", "value": active})
        user.refresh_from_db()
        assert user.is_active is active
    assert user.memberships.get(team=team).role == "approver"


def test_who_was_made_inactive_by_a_person_stays_so_whatever_the_directory_says(scim, alice, ruth, many):
    said = scim.add(alice.email)
    departures.deactivate(alice, by=ruth)
    for active in (True, False, True):
        scim.patch(f"/Users/{said['id']}", {"op": "replace", "path": "active", "value": active})
        assert not User.objects.get(pk=alice.pk).is_active


def test_a_deleted_user_is_hidden_and_comes_back_as_who_they_were(scim, alice, team, many):
    said = scim.add(alice.email)
    path = f"/Users/{said['id']}"
    assert scim("DELETE", path)[0] == 204
    assert scim("GET", path)[0] == scim("DELETE", path)[0] == scim("PUT", path, {})[0] == 404
    assert scim("GET", "/Users", filter=f'userName eq "{alice.email}"')[1]["totalResults"] == 0
    assert not User.objects.get(pk=alice.pk).is_active
    assert DirectoryEntry.objects.count() == 1

    again = scim.add(alice.email, externalId="new")
    assert again["id"] == said["id"]
    assert User.objects.get(pk=alice.pk).is_active
    assert alice.memberships.get().role == "member"


def test_too_many_deactivations_are_held_and_the_directory_is_told_what_it_said(sandbox, scim, many, ruth, make_key):
    entries = [scim.add(user.email) for user in many[:12]]
    issued = make_key(holder=many[11], team=many[11].memberships.get().team)
    for entry in entries:
        status, said = scim.patch(f"/Users/{entry['id']}", {"op": "replace", "value": {"active": False}})
        assert (status, said["active"]) == (200, False)
    assert User.objects.filter(pk__in=[user.pk for user in many[:12]], is_active=True).count() == 2
    assert state(issued) == State.ACTIVE
    assert Letter.objects.filter(to=[ruth.email], key__startswith="departures-held").exists()

    departures.decide(Departure.objects.get(user=many[11]), go_on=True, by=ruth)
    assert state(issued) == State.REVOKED

    scim.patch(f"/Users/{entries[10]['id']}", {"op": "replace", "value": {"active": True}})
    assert Departure.objects.get(user=many[10]).outcome == "came back"
    assert User.objects.get(pk=many[10].pk).is_active


def test_the_last_active_platform_admin_is_never_deactivated(scim, ruth, many):
    said = scim.add(ruth.email)
    path = f"/Users/{said['id']}"
    off = {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{"op": "replace", "value": {"active": False}}],
    }
    for method, body in (("PATCH", off), ("DELETE", None)):
        status, refused = scim(method, path, body)
        assert status == 409
        assert "last active platform admin" in refused["detail"]
    assert User.objects.get(pk=ruth.pk).is_active
    assert scim("GET", path)[1]["active"] is True
    assert AuditEvent.objects.filter(action="directory.refused", target_id=str(ruth.pk)).count() == 2

    User.objects.create_user("other@example.com", platform_role="admin", given_platform_role="admin")
    assert scim("DELETE", path)[0] == 204


def test_the_break_glass_account_is_never_deactivated(scim, alice, ruth, settings):
    settings.BREAK_GLASS = alice.email
    said = scim.add(alice.email)
    status, refused = scim("DELETE", f"/Users/{said['id']}")
    assert status == 409
    assert "break-glass" in refused["detail"]


def test_a_new_address_is_the_login_and_the_old_one_is_nobodys(scim, mallory):
    said = scim.add("ada@example.com")
    body = {"schemas": [USER], "userName": "ada.king@example.com", "active": True}
    assert scim("PUT", f"/Users/{said['id']}", body)[0] == 200
    assert User.objects.get(pk=said["id"]).email == "ada.king@example.com"
    status, refused = scim("PUT", f"/Users/{said['id']}", body | {"userName": mallory.email})
    assert (status, refused["scimType"]) == (409, "uniqueness")
    assert User.objects.get(pk=said["id"]).email == "ada.king@example.com"


def test_a_user_who_is_made_inactive_is_no_leaver(scim, team):
    for n in range(20):
        said = scim.add(f"new{n}@example.com", active=False)
        assert not User.objects.get(pk=said["id"]).is_active
    assert not Departure.objects.filter(held=True).exists()
    scim.patch(f"/Users/{said['id']}", {"op": "replace", "value": {"active": True}})
    assert User.objects.get(pk=said["id"]).is_active


def test_groups_of_a_user_are_seen_and_cannot_be_written_there(scim):
    ada = scim.add("ada@example.com")
    group = scim.add_group("eng", ada)
    assert scim("GET", f"/Users/{ada['id']}")[1]["groups"][0]["display"] == "eng"
    body = {"schemas": [USER], "userName": "ada@example.com", "active": True, "groups": []}
    assert scim("PUT", f"/Users/{ada['id']}", body)[1]["groups"][0]["value"] == group["id"]


def test_a_team_that_loses_its_last_admin_by_a_deactivation_does_not_lose_it_unseen(scim, ines, ruth, many, team):
    said = scim.add(ines.email)
    scim("DELETE", f"/Users/{said['id']}")
    assert AuditEvent.objects.filter(action="team.without_admin", team_id=str(team.pk)).exists()


def test_renaming_and_deleting_a_group_is_followed_for_all_its_people(scim, team, other_team, many):
    GroupMapping.objects.create(source="scim", value="eng", team=team, role="member")
    GroupMapping.objects.create(source="scim", value="mobile", team=other_team, role="viewer")
    people = [scim.add(f"p{n}@example.com") for n in range(3)]
    group = scim.add_group("eng", *people)
    assert Membership.objects.filter(team=team).count() == 3
    scim.patch(f"/Groups/{group['id']}", {"op": "replace", "path": "displayName", "value": "mobile"})
    assert not Membership.objects.filter(team=team).exists()
    assert Membership.objects.filter(team=other_team, role="viewer").count() == 3
    with time_machine.travel(timezone.now() + timedelta(hours=2)):
        assert scim("DELETE", f"/Groups/{group['id']}")[0] == 204
    assert not Membership.objects.filter(team=other_team, role="viewer").exists()


def test_members_that_nobody_knows_are_refused_and_nothing_is_changed(scim):
    ada = scim.add("ada@example.com")
    members = [{"value": ada["id"]}, {"value": "00000000-0000-4000-8000-000000000000"}]
    status, said = scim("POST", "/Groups", {"schemas": [GROUP], "displayName": "eng", "members": members})
    assert (status, said["scimType"]) == (400, "invalidValue")
    assert scim("GET", "/Groups")[1]["totalResults"] == 0
