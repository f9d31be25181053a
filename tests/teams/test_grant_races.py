"""Providers, directories and people who act at the same moment."""

from __future__ import annotations

from functools import partial

import pytest

from teams import grants, services
from teams.gifts import standing
from teams.models import DirectoryGroup, GroupMapping, Membership, User
from teams.roles import MemberRole
from tests.scim.conftest import TOKEN, Scim
from tests.threads import together

pytestmark = pytest.mark.django_db(transaction=True)


def test_of_two_last_platform_admins_who_lose_their_group_together_one_stays(person):
    GroupMapping.objects.create(value="ops", platform_role="admin")
    both = [person(name) for name in ("carol", "dora")]
    for user in both:
        grants.follow(user, "okta", ["ops"])
    done = together(*[lambda user=user: grants.follow(User.objects.get(pk=user.pk), "okta", []) for user in both])
    assert [type(each) for each in done] == [grants.Outcome, grants.Outcome]
    assert User.objects.filter(platform_role="admin").count() == 1


def test_who_is_put_into_a_team_while_a_provider_takes_them_out_is_as_what_stands_says(team, ines, person):
    GroupMapping.objects.create(value="eng", team=team, role="viewer")
    for n in range(5):
        carol = person(f"carol{n}")
        grants.follow(carol, "okta", ["eng"])
        together(
            partial(grants.follow, User.objects.get(pk=carol.pk), "okta", []),
            partial(services.put_member, team, email=carol.email, role=MemberRole.MEMBER, by=ines),
        )
        assert Membership.objects.get(team=team, user=carol).role == standing(carol, team) == "member"


def test_two_members_added_to_a_group_together_are_both_in_it(settings):
    settings.SCIM_TOKEN = TOKEN
    scim = Scim()
    people = [scim.add(f"p{n}@example.com") for n in range(2)]
    group = scim.add_group("eng")
    add = [{"op": "add", "path": "members", "value": [{"value": each["id"]}]} for each in people]
    together(*[lambda one=one: Scim().patch(f"/Groups/{group['id']}", one) for one in add])
    assert DirectoryGroup.objects.get().people.count() == 2
