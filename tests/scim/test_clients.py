"""Conversations as Okta and Entra have them, and how lists are asked for."""

from __future__ import annotations

import pytest

from teams.models import GroupMapping, Membership, User
from tests.scim.conftest import GROUP, PATCH, USER

pytestmark = pytest.mark.django_db(transaction=True)
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


def test_a_conversation_with_okta(scim, team, ruth):
    """Source: developer.okta.com/docs/api/openapi/okta-scim/guides/scim-20, the requests as printed there."""
    GroupMapping.objects.create(source="scim", value="Test SCIMv2", team=team, role="member")
    status, said = scim("GET", "/Users", filter='userName eq "test.user@okta.local"', startIndex=1, count=100)
    assert (status, said["totalResults"], said["Resources"], said["startIndex"]) == (200, 0, [], 1)
    user = {
        "schemas": [USER], "userName": "test.user@okta.local", "name": {"givenName": "Test", "familyName": "User"},
        "emails": [{"primary": True, "value": "test.user@okta.local", "type": "work"}], "displayName": "Test User",
        "locale": "en-US", "externalId": "00ujl29u0le5T6Aj10h7", "groups": [], "password": "1mz050nq", "active": True,
    }  # fmt: skip
    status, made = scim("POST", "/Users", user)
    assert status == 201
    assert "password" not in made
    assert made["externalId"] == "00ujl29u0le5T6Aj10h7"
    status, said = scim("POST", "/Users", user)
    assert (status, said["scimType"]) == (409, "uniqueness")
    path = f"/Users/{made['id']}"
    assert scim("GET", path)[1]["userName"] == "test.user@okta.local"

    put = user | {"id": made["id"], "name": {"givenName": "Another", "middleName": "", "familyName": "User"},
                  "meta": {"resourceType": "User"}}  # fmt: skip
    assert scim("PUT", path, put)[1]["name"]["givenName"] == "Another"

    status, group = scim("POST", "/Groups", {"schemas": [GROUP], "displayName": "Test SCIMv2", "members": []})
    assert status == 201
    where = f"/Groups/{group['id']}"
    renamed = {"op": "replace", "value": {"id": group["id"], "displayName": "Test SCIMv2"}}
    assert scim.patch(where, renamed)[0] == 200
    added = {"op": "add", "path": "members", "value": [{"value": made["id"], "display": "test.user@okta.local"}]}
    assert scim.patch(where, added)[0] == 200
    assert Membership.objects.get(team=team).user_id == User.objects.get(email="test.user@okta.local").pk
    removed = {"op": "remove", "path": f'members[value eq "{made["id"]}"]'}
    assert scim.patch(where, removed)[1].get("members", []) == []
    assert not Membership.objects.filter(team=team).exists()
    assert scim.patch(where, {"op": "replace", "path": "members", "value": [{"value": made["id"]}]})[0] == 200

    assert scim.patch(path, {"op": "replace", "value": {"active": False}})[1]["active"] is False
    assert not User.objects.get(pk=made["id"]).is_active
    assert scim.patch(path, {"op": "replace", "value": {"active": True}})[1]["active"] is True
    assert User.objects.get(pk=made["id"]).is_active
    assert scim("DELETE", where)[0] == 204


def test_a_conversation_with_entra(scim, team, ruth):
    """Source: learn.microsoft.com/entra/identity/app-provisioning/use-scim-to-provision-users-and-groups."""
    GroupMapping.objects.create(source="scim", value="Group1DisplayName", team=team, role="member")
    assert scim("GET", "/Users", filter='userName eq "5d48a0a8-e9aa-4008-b8b9-8d0a6c0d1e4f"')[1]["totalResults"] == 0
    made = scim(
        "POST", "/Users",
        {
            "schemas": [USER, ENTERPRISE], "externalId": "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef",
            "userName": "Test_User_ab6490ee@testuser.com", "active": True,
            "emails": [{"primary": True, "type": "work", "value": "Test_User_fd0ea19b@testuser.com"}],
            "meta": {"resourceType": "User"},
            "name": {"formatted": "givenName familyName", "familyName": "familyName", "givenName": "givenName"},
            "roles": [], ENTERPRISE: {"department": "x", "manager": {"value": "1"}},
        },
    )  # fmt: skip
    assert made[0] == 201
    user = made[1]
    path = f"/Users/{user['id']}"
    status, said = scim.patch(
        path,
        {"op": "Replace", "path": 'emails[type eq "work"].value', "value": "updatedEmail@microsoft.com"},
        {"op": "Replace", "path": "name.familyName", "value": "updatedFamilyName"},
        {"op": "Add", "path": f"{ENTERPRISE}:employeeNumber", "value": "12"},
        {"op": "Replace", "path": "title", "value": "not kept"},
    )
    assert status == 200
    assert said["name"]["familyName"] == "updatedFamilyName"
    assert said["emails"][0]["value"] == "updatedEmail@microsoft.com"
    assert User.objects.get(pk=user["id"]).email == "test_user_ab6490ee@testuser.com"  # the user name is the login
    assert scim.patch(path, {"op": "Add", "path": 'emails[type eq "home"].value', "value": "b@x.com"})[0] == 200
    assert scim.patch(path, {"op": "Add", "value": {"name.givenName": "New", "displayName": "New One"}})[1][
        "displayName"
    ] == "New One"  # fmt: skip
    assert scim.patch(path, {"op": "Replace", "path": "userName", "value": "5b50642d@testuser.com"})[0] == 200
    assert User.objects.get(pk=user["id"]).email == "5b50642d@testuser.com"

    status, group = scim("POST", "/Groups", {
        "schemas": [GROUP, "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"],
        "externalId": "8aa1a0c0-c4c3-4bc0-b4a5-2ef676900159", "displayName": "Group1DisplayName",
        "meta": {"resourceType": "Group"},
    })  # fmt: skip
    assert status == 201
    where = f"/Groups/{group['id']}"
    assert "members" not in scim("GET", where, excludedAttributes="members")[1]
    found = scim("GET", "/Groups", excludedAttributes="members", filter='displayName eq "Group1DisplayName"')[1]
    assert [each["id"] for each in found["Resources"]] == [group["id"]]
    added = {"op": "Add", "path": "members", "value": [{"$ref": None, "value": user["id"]}]}
    assert scim.patch(where, added)[0] == 200
    assert Membership.objects.filter(team=team).count() == 1
    beside = {"op": "Remove", "path": "members", "value": [{"$ref": None, "value": user["id"]}]}
    assert scim.patch(where, beside)[0] == 200
    assert not Membership.objects.filter(team=team).exists()

    assert scim.patch(path, {"op": "Replace", "path": "active", "value": "False"})[1]["active"] is False
    assert not User.objects.get(pk=user["id"]).is_active
    assert scim.patch(path, {"op": "Replace", "path": "active", "value": "True"})[1]["active"] is True
    assert scim("DELETE", where)[0] == scim("DELETE", path)[0] == 204


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ('userName eq "ADA@example.com"', {"ada"}),
        ('externalId eq "x2"', {"bob"}),
        ('emails.value eq "bob@example.com"', {"bob"}),
        ('emails[type eq "work" and value eq "bob@example.com"]', {"bob"}),
        ('displayName eq "ada l"', {"ada"}),
        ('userName eq "ada@example.com" or externalId eq "x2"', {"ada", "bob"}),
        ('userName eq "ada@example.com" and active eq true', {"ada"}),
        ('userName eq "ada@example.com" and active eq false', set()),
        ("not (active eq true)", set()),
        ('userName sw "b"', {"bob"}),
        ('displayName co "Ü"', {"bob"}),
        ('displayName eq "bü"', {"bob"}),
        ('id eq "nobody"', set()),
        ('userName eq "a\\"b"', set()),
    ],
)  # fmt: skip
def test_filters_find_whom_they_name(scim, asked, found):
    scim.add("ada@example.com", displayName="Ada L", externalId="x1")
    scim.add(
        "bob@example.com", displayName="BÜ", externalId="x2", emails=[{"type": "work", "value": "bob@example.com"}]
    )
    status, said = scim("GET", "/Users", filter=asked)
    assert status == 200, said
    assert {each["userName"].partition("@")[0] for each in said["Resources"]} == found
    assert said["totalResults"] == len(found)


def test_lists_come_in_pages(scim):
    for n in range(5):
        scim.add(f"p{n}@example.com")
    first = scim("GET", "/Users", startIndex=1, count=2)[1]
    last = scim("GET", "/Users", startIndex=5, count=2)[1]
    assert (first["totalResults"], first["itemsPerPage"], len(first["Resources"])) == (5, 2, 2)
    assert [each["userName"] for each in last["Resources"]] == ["p4@example.com"]
    assert scim("GET", "/Users", count=0)[1]["Resources"] == []
    assert scim("GET", "/Users", count=-3, startIndex=-1)[1]["startIndex"] == 1
    assert len(scim("GET", "/Users", attributes="userName")[1]["Resources"][0]) == 3  # with schemas and id


def test_a_patch_that_fails_in_its_middle_changes_nothing(scim):
    ada = scim.add("ada@example.com", displayName="Ada")
    status, _ = scim("PATCH", f"/Users/{ada['id']}", {"schemas": [PATCH], "Operations": [
        {"op": "replace", "path": "displayName", "value": "Changed"},
        {"op": "replace", "path": "id", "value": "00000000-0000-4000-8000-000000000000"},
    ]})  # fmt: skip
    assert status == 400
    assert scim("GET", f"/Users/{ada['id']}")[1]["displayName"] == "Ada"
