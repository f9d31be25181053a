"""Mappings of groups: made, removed with their reach counted first, and applied at once."""

from __future__ import annotations

import pytest

from keys.models import Lease, State
from portal.errors import Invalid, NotAllowed
from portal.models import AuditEvent
from teams import departures, grants
from teams.models import Departure, GroupMapping, Membership, ToldGroups, User
from teams.services import mappings

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def known(settings):
    """Two providers that name groups."""
    from portal.providers import Provider

    settings.SSO_PROVIDERS = {
        name: Provider(id=name, name=name.title(), issuer=f"https://{name}.example", client_id="c", client_secret="s",
                       groups_claim="groups")
        for name in ("okta", "entra")
    }  # fmt: skip


@pytest.fixture
def carol(person) -> User:
    return person("carol")


def role_of(user: User, team) -> str:
    return Membership.objects.filter(user=user, team=team).values_list("role", flat=True).first() or ""


def test_a_new_mapping_is_applied_at_once_to_whoever_is_in_the_group(known, team, carol, bob, ruth):
    grants.follow(carol, "okta", ["eng"])
    grants.follow(bob, "okta", ["other"])
    mapping, applied = mappings.add_mapping(source="okta", value=" eng ", team=team, role="member", by=ruth)
    assert (applied.people, applied.held, applied.left) == (1, 0, 0)
    assert role_of(carol, team) == "member"
    event = AuditEvent.objects.get(action="mapping.added")
    assert (event.target, event.actor) == ("eng", ruth.email)
    assert mappings.people_by_mapping([mapping]) == {mapping.pk: 1}


def test_a_removed_mapping_takes_what_only_it_gave(known, sandbox, team, carol, alice, bob, ruth, make_key):
    mapping = GroupMapping.objects.create(value="eng", team=team, role="member")
    GroupMapping.objects.create(value="leads", team=team, role="viewer")
    for user, groups in ((carol, ["eng"]), (alice, ["eng"]), (bob, ["eng", "leads"])):
        grants.follow(user, "okta", groups)
    dora = User.objects.create_user("dora@example.com", name="Dora")
    grants.follow(dora, "okta", ["eng", "leads"])
    issued = make_key(holder=carol)

    found = mappings.reach(mapping)
    assert (found.loses, found.lowered, found.kept) == (("Carol",), ("Dora",), 2)
    departures.MOST, before = 100, departures.MOST
    try:
        applied = mappings.remove_mapping(mapping, by=ruth)
    finally:
        departures.MOST = before
    assert applied.people == 4
    assert role_of(carol, team) == ""
    assert Lease.objects.get(pk=issued.lease.pk).state == State.PAUSED
    assert (role_of(alice, team), role_of(bob, team), role_of(dora, team)) == ("member", "approver", "viewer")
    assert Departure.objects.get(user=carol).held is False
    assert mappings.remove_mapping(mapping, by=ruth) == mappings.Applied()


def test_a_removed_mapping_that_many_had_is_held(known, team, other_team, ruth):
    mapping = GroupMapping.objects.create(value="eng", team=team, role="member")
    people = [User.objects.create_user(f"p{n}@example.com") for n in range(15)]
    for user in people:
        grants.follow(user, "okta", ["eng"])
    applied = mappings.remove_mapping(mapping, by=ruth)
    assert (applied.people, applied.held) == (2, 13)
    assert Membership.objects.filter(team=team).count() == 13


def test_whom_the_time_did_not_reach_is_reached_by_applying_again(known, team, carol, ruth, monkeypatch):
    grants.follow(carol, "okta", ["eng"])
    monkeypatch.setattr(mappings, "APPLYING", -1.0)
    assert mappings.add_mapping(value="eng", team=team, role="member", by=ruth)[1].left == 1
    assert role_of(carol, team) == ""
    monkeypatch.undo()
    assert mappings.apply_all(by=ruth).people == 1
    assert role_of(carol, team) == "member"
    assert mappings.apply_all(by=ruth) == mappings.Applied()


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"value": ""}, "value"),
        ({"value": "x" * 201}, "value"),
        ({"source": "nobody"}, "source"),
        ({"role": "owner"}, "role"),
        ({"team": None}, "platform_role"),
        ({"team": None, "role": "", "platform_role": "root"}, "platform_role"),
        ({"team": None, "role": ""}, "platform_role"),
        ({"platform_role": "admin"}, "role"),
    ],
)
def test_a_mapping_that_makes_no_sense_is_refused(known, team, ruth, fields, wrong):
    with pytest.raises(Invalid) as refused:
        mappings.add_mapping(**{"value": "eng", "team": team, "role": "member", "by": ruth} | fields)
    assert wrong in refused.value.details
    assert not GroupMapping.objects.exists()


def test_a_group_gives_one_thing_in_one_place(known, team, ruth):
    mappings.add_mapping(value="eng", team=team, role="member", by=ruth)
    with pytest.raises(mappings.Mapped):
        mappings.add_mapping(value="eng", team=team, role="admin", by=ruth)
    mappings.add_mapping(value="eng", platform_role="auditor", by=ruth)
    with pytest.raises(mappings.Mapped):
        mappings.add_mapping(value="eng", platform_role="admin", by=ruth)


def test_only_platform_admins_change_mappings(known, team, ines, audra):
    mapping = GroupMapping.objects.create(value="eng", team=team, role="member")
    for somebody in (ines, audra):
        with pytest.raises(NotAllowed):
            mappings.add_mapping(value="x", team=team, role="member", by=somebody)
        with pytest.raises(NotAllowed):
            mappings.remove_mapping(mapping, by=somebody)
        with pytest.raises(NotAllowed):
            mappings.apply_all(by=somebody)


def test_pasted_claims_show_what_they_would_give_and_leave_nothing_behind(known, team, other_team):
    GroupMapping.objects.create(source="okta", value="eng", team=team, role="member")
    GroupMapping.objects.create(source="entra", value="eng", team=other_team, role="member")
    GroupMapping.objects.create(value="ops", platform_role="auditor")
    found, claim = mappings.preview_of_claims('{"groups": ["eng", "ops", "new"]}', source="okta", claim="")
    assert [str(gift) for gift in found.gifts] == ["Auditor", "Member in Search Platform"]
    assert (found.unmapped, claim) == (("new",), "groups")
    assert mappings.preview_of_claims('{"hasgroups": true}', source="entra", claim="")[0].trouble == "overage"
    assert not ToldGroups.objects.exists()
    assert not AuditEvent.objects.exists()
