"""Pages of group mappings, as platform admins and auditors read them."""

from __future__ import annotations

import json

import pytest

from portal.models import AuditEvent
from teams import grants, services
from teams.models import GroupMapping, Membership, ToldGroups
from tests.pages.conftest import text

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def okta(settings):
    from portal.providers import Provider

    settings.SSO_PROVIDERS = {
        "okta": Provider(id="okta", name="Okta", issuer="https://okta.example", client_id="c", client_secret="s",
                         groups_claim="groups")
    }  # fmt: skip


def test_a_group_is_mapped_and_whoever_is_in_it_is_told_of(okta, as_person, ruth, person, team):
    grants.follow(person("carol"), "okta", ["eng"])
    client = as_person(ruth)
    assert "No group gives anything yet" in text(client.get("/mappings/"))
    sent = {"source": "okta", "value": "eng", "gives": "approver", "team": team.pk}
    said = text(client.post("/mappings/new/", sent, follow=True))
    assert "eng is mapped." in said
    assert "One person has other roles now." in said
    assert "Approver in Search Platform" in said
    assert Membership.objects.get(team=team).role == "approver"


@pytest.mark.parametrize(
    ("sent", "wrong"),
    [
        ({"value": "eng", "gives": "member"}, "Choose the team."),
        ({"value": "eng", "gives": "platform:admin", "team": True}, "A role on the platform is for no single team."),
        ({"value": "", "gives": "platform:admin"}, "This field is required."),
        ({"value": "eng", "gives": "owner"}, "owner is not one of the available choices"),
    ],
)
def test_a_mapping_that_makes_no_sense_is_not_made(as_person, ruth, team, sent, wrong):
    if sent.get("team"):
        sent |= {"team": team.pk}
    answer = as_person(ruth).post("/mappings/new/", sent)
    assert answer.status_code == 422
    assert wrong in text(answer)
    assert not GroupMapping.objects.exists()


def test_removing_a_mapping_says_first_who_loses_what(as_person, ruth, person, team):
    mapping = GroupMapping.objects.create(value="eng", team=team, role="member")
    grants.follow(person("carol"), "okta", ["eng"])
    client = as_person(ruth)
    said = text(client.get(f"/mappings/{mapping.pk}/remove/"))
    assert "One person loses Search Platform" in said
    assert "Carol" in said
    assert "eng gives this no more." in text(client.post(f"/mappings/{mapping.pk}/remove/", follow=True))
    assert not Membership.objects.filter(team=team).exists()


def test_claims_are_tried_without_leaving_anything_behind(okta, as_person, audra, team):
    GroupMapping.objects.create(source="okta", value="eng", team=team, role="member")
    client = as_person(audra)
    claims = json.dumps({"sub": "ada", "email": "ada@example.com", "groups": ["eng", "choir"]})
    answer = client.post("/mappings/try/", {"source": "okta", "claims": claims})
    said = text(answer)
    assert "Member in Search Platform , by eng" in said
    assert "Not mapped: choir" in said
    assert answer["Cache-Control"] == "no-store"
    overage = json.dumps({"_claim_names": {"groups": "src1"}})
    assert "Too many groups for the token" in text(client.post("/mappings/try/", {"source": "okta", "claims": overage}))
    assert client.post("/mappings/try/", {"claims": ""}).status_code == 422
    assert not ToldGroups.objects.exists()
    assert not AuditEvent.objects.filter(action__startswith="mapping").exists()


def test_people_whose_groups_could_not_be_read_are_listed_with_what_was_wrong(okta, as_person, audra, person, settings):
    settings.SCIM_TOKEN = "x" * 40
    carol = person("carol")
    grants.follow(carol, "okta", None, trouble="overage")
    said = text(as_person(audra).get("/mappings/"))
    assert "Groups that could not be read" in said
    assert "carol@example.com Too many groups for the token" in said
    assert "Sign-in Okta" in said
    assert "/scim/v2" in said
    assert "x" * 40 not in said
    assert "Map a group" not in said
    grants.follow(carol, "okta", [])
    assert "Groups that could not be read" not in text(as_person(audra).get("/mappings/"))


def test_what_a_provider_gave_that_is_gone_from_the_settings_is_listed_until_a_hand_takes_it(
    okta, as_person, audra, ines, person, team, settings
):
    GroupMapping.objects.create(source="okta", value="eng", team=team, role="member")
    carol = person("carol")
    grants.follow(carol, "okta", ["eng"])
    assert "Left behind" not in text(as_person(audra).get("/mappings/"))
    settings.SSO_PROVIDERS = {}
    assert "Left behind Carol: Member in Search Platform (okta)" in text(as_person(audra).get("/mappings/"))
    services.remove_member(carol.memberships.get(), by=ines)
    assert "Left behind" not in text(as_person(audra).get("/mappings/"))


def test_applying_again_says_when_there_was_nothing_to_do(as_person, ruth):
    assert "Everybody has what the mappings give." in text(as_person(ruth).post("/mappings/apply/", follow=True))
