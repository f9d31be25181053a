"""The gallery: key roles as products, for everybody who may use them; and a first day that ends."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from keys.models import KeyRole
from teams.models import Team
from teams.roles import MemberRole
from teams.services import invitations
from tests.pages.conftest import text

pytestmark = pytest.mark.django_db


def test_a_member_reads_what_each_role_gives_costs_and_needs(as_person, make_role, alice, team):
    make_role(description="For code.", approval="two", excess="platform", auto_ttl=timedelta(days=1), auto_budget=5)
    said = text(as_person(alice).get(reverse("keys:gallery")))
    for words in (
        "For code.",
        "gpt-4o-mini gpt-4o",
        "$50.00 a month",
        "30 days at a time, up to 90 days by renewing",
        "Two approvers of the team decide; up to $5.00 and 24 hours at once",
        "A platform admin decides about more",
        "Most it can cost $150.00",
        "Renewed to the last $250.00",
        "Version 1",
    ):
        assert words in said, words


def test_the_button_leads_to_a_team_for_which_one_may_get_it(as_person, make_role, alice, vic, ruth, audra, other_team):
    role = make_role(all_teams=False, teams=[other_team, Team.objects.get(slug="search")])
    page = as_person(alice).get(reverse("keys:gallery"))
    assert f"?team=search&amp;role={role.pk}" in page.content.decode()
    assert "Mobile Assist" not in text(page)
    chosen = as_person(alice).get(reverse("keys:issue"), {"team": "search", "role": role.pk})
    assert f'value="{role.pk}"\n' in chosen.content.decode()
    assert "Get a key of coding" in text(as_person(ruth).get(reverse("keys:gallery")))
    for user in (vic, audra):
        assert "Get a key of coding" not in text(as_person(user).get(reverse("keys:gallery")))


def test_nobody_sees_a_role_that_is_not_open_to_a_team_of_theirs(as_person, make_role, alice, mallory, person, team):
    make_role(all_teams=False, teams=[team])
    ended = make_role(name="gone")
    KeyRole.objects.filter(pk=ended.pk).update(ended_at=ended.created_at)
    said = text(as_person(alice).get(reverse("keys:gallery")))
    assert "coding" in said
    assert "gone" not in said
    for user in (mallory, person("olga")):
        assert "coding" not in text(as_person(user).get(reverse("keys:gallery")))


def test_the_gallery_costs_the_same_queries_with_one_role_and_with_thirty(as_person, make_role, alice, team):
    client, url = as_person(alice), reverse("keys:gallery")
    make_role()

    def queries() -> int:
        client.get(url)
        with CaptureQueriesContext(connection) as seen:
            client.get(url)
        return len(seen)

    few = queries()
    for number in range(30):
        make_role(name=f"role-{number}", all_teams=False, teams=[team])
    assert queries() == few


def test_the_rail_and_the_counter_lead_to_it(as_person, make_role, alice):
    make_role()
    for path in ("/", reverse("keys:issue")):
        assert f'href="{reverse("keys:gallery")}"' in as_person(alice).get(path).content.decode()


def test_the_first_day_of_a_platform_admin_ends_when_somebody_else_can_get_a_key(as_person, sandbox, make_role, ruth):
    client, team = as_person(ruth), Team.objects.get()
    assert "Two steps are left" in text(client.get("/"))
    role = make_role(all_teams=False)
    assert "Two steps are left" in text(client.get("/")), "a role that no team may use opens nothing"
    role.teams.add(team)
    team.memberships.create(user=ruth, role="admin")
    said = text(client.get("/"))
    assert "One step is left" in said
    assert "Invite people to Search Platform" in said
    invitations.put_or_invite(team, email="new@example.com", role=MemberRole.MEMBER, by=ruth)
    assert "First things" not in text(client.get("/"))
