"""People for the platform, and the pages of leaving."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from keys.models import State
from teams.models import Departure, Grant, GroupMapping, Membership, ToldGroups, User
from teams.roles import MemberRole
from tests.pages.conftest import HTMX, form_of, text
from tests.teams.provider import okta

pytestmark = pytest.mark.django_db(transaction=True)


def person_url(name, user):
    return reverse(f"keys:{name}", args=[user.pk])


def leaving_url(user, slug="search"):
    return reverse("keys:member_leaving", args=[slug, user.pk])


# --- the list and the person ----------------------------------------------------------------------


def test_the_platform_lists_everybody_with_what_matters(make_key, team, alice, audra, ruth, as_person):
    make_key()
    alice.last_login = timezone.now() - timedelta(hours=3)
    alice.save()
    said = text(as_person(audra).get(reverse("keys:people")))
    assert "Alice alice@example.com none none 3 hours ago" in said
    assert "Ruth ruth@example.com Platform admin" in said
    assert "Three people." in said


def test_people_are_found_by_name_and_by_address(alice, bob, ruth, as_person):
    client = as_person(ruth)
    for words in ("alic", "ALICE@"):
        said = text(client.get(reverse("keys:people"), {"q": words}, headers=HTMX))
        assert "alice@example.com" in said
        assert "bob@example.com" not in said
    assert "Nobody like “zzz”" in text(client.get(reverse("keys:people"), {"q": "zzz\0"}))


def test_people_are_listed_by_whether_they_are_active_and_by_platform_role(alice, bob, ruth, as_person):
    User.objects.filter(pk=bob.pk).update(is_active=False)
    client = as_person(ruth)
    inactive = text(client.get(reverse("keys:people"), {"show": "inactive"}, headers=HTMX))
    assert ("bob@" in inactive, "alice@" in inactive) == (True, False)
    platform = text(client.get(reverse("keys:people"), {"show": "platform"}, headers=HTMX))
    assert ("ruth@" in platform, "alice@" in platform) == (True, False)


def test_the_list_needs_as_many_queries_for_fifty_people_as_for_one(
    ruth, person, as_person, team, django_assert_max_num_queries
):
    for number in range(50):
        Membership.objects.create(team=team, user=person(f"p{number}"), role=MemberRole.MEMBER)
    client = as_person(ruth)
    with django_assert_max_num_queries(20):
        assert client.get(reverse("keys:people")).status_code == 200


def test_a_service_account_is_no_person(robot, ruth, as_person):
    client = as_person(ruth)
    assert "nightly" not in text(client.get(reverse("keys:people")))
    assert client.get(person_url("person", robot)).status_code == 404
    assert client.get(person_url("person_leaving", robot)).status_code == 404


def test_the_person_page_says_what_gives_each_place(team, other_team, alice, audra, as_person):
    GroupMapping.objects.create(source="okta", value="mobile-devs", team=other_team, role=MemberRole.VIEWER)
    ToldGroups.objects.create(user=alice, source="okta", values=["mobile-devs"], told_at=timezone.now())
    Grant.objects.create(user=alice, source="okta", team=other_team, role=MemberRole.VIEWER)
    Membership.objects.create(team=other_team, user=alice, role=MemberRole.VIEWER)
    now = timezone.now()
    Departure.objects.create(user=alice, team=team, at=now, due_at=now, closed_at=now, outcome="came back")
    said = text(as_person(audra).get(person_url("person", alice)))
    assert "Mobile Assist Viewer mobile-devs (okta)" in said
    assert "Search Platform Member by hand" in said
    assert "From Search Platform: came back." in said
    assert "Change platform role" not in said


def test_a_platform_role_is_given_and_taken_by_hand(alice, ruth, as_person):
    client = as_person(ruth)
    done = client.post(person_url("platform_role", alice), {"role": "auditor"}, follow=True)
    assert "Alice is auditor now." in text(done)
    assert form_of(done, "")["role"] == "auditor"
    client.post(person_url("platform_role", alice), {"role": ""})
    alice.refresh_from_db()
    assert (alice.platform_role, alice.given_platform_role) == ("", "")
    assert "They cannot have such a platform role." in text(
        client.post(person_url("platform_role", alice), {"role": "emperor"}, follow=True)
    )


def test_the_last_platform_admin_keeps_the_role(ruth, as_person):
    done = as_person(ruth).post(person_url("platform_role", ruth), {"role": ""}, follow=True)
    assert "last active platform admin" in text(done)
    ruth.refresh_from_db()
    assert ruth.platform_role == "admin"


# --- leaving Keydesk ------------------------------------------------------------------------------


def test_the_rehearsal_says_that_nothing_changes_and_counts(make_key, alice, audra, as_person):
    make_key(name="laptop")
    page = as_person(audra).get(person_url("person_leaving", alice))
    said = text(page)
    assert "If Alice leaves today" in said
    assert "A rehearsal: nothing changes while you look. One live key would end at once." in said
    assert "laptop" in said
    assert 'name="seen"' not in page.content.decode()  # an auditor looks
    alice.refresh_from_db()
    assert alice.is_active


def test_a_platform_admin_deactivates_from_the_rehearsal_and_reactivates(make_key, alice, ruth, as_person):
    lease, client = make_key().lease, as_person(ruth)
    page = client.get(person_url("person_leaving", alice))
    assert "Deactivate Alice and end one key" in text(page)
    done = client.post(person_url("person_leaving", alice), form_of(page), follow=True)
    assert "Alice is deactivated, with one live key." in text(done)
    lease.refresh_from_db()
    assert lease.state == State.REVOKED
    page = client.get(person_url("person_leaving", alice))
    assert "Alice is not active" in text(page)
    back = client.post(person_url("person_leaving", alice), {"act": "reactivate"}, follow=True)
    assert "Alice may sign in again. Keys that ended stay ended." in text(back)


def test_what_changed_since_the_rehearsal_is_shown_again_and_nothing_done(make_key, alice, ruth, as_person):
    client = as_person(ruth)
    page = client.get(person_url("person_leaving", alice))
    make_key(name="newer")
    again = client.post(person_url("person_leaving", alice), form_of(page))
    assert again.status_code == 409
    assert "What this ends has changed since you looked." in text(again)
    assert "newer" in text(again)
    alice.refresh_from_db()
    assert alice.is_active


def test_the_last_admin_of_a_team_is_named_before_a_deactivation(team, ines, ruth, as_person):
    client = as_person(ruth)
    page = client.get(person_url("person_leaving", ines))
    assert "Search Platform has no other team admin" in text(page)
    assert "The platform admins get a letter." in text(page)
    assert client.post(person_url("person_leaving", ines), form_of(page)).status_code == 302


def test_everybody_may_rehearse_their_own_leaving_and_not_do_it(alice, as_person):
    client = as_person(alice)
    page = client.get(person_url("person_leaving", alice))
    assert "If you leave today" in text(page)
    assert "A platform admin can do it." in text(page)
    assert client.post(person_url("person_leaving", alice), {"seen": ""}).status_code == 403
    assert client.post(person_url("person_leaving", alice), {"act": "reactivate"}).status_code == 403


# --- leaving a team -------------------------------------------------------------------------------


def test_a_member_leaves_from_the_teams_page(make_key, team, alice, as_person):
    lease, client = make_key().lease, as_person(alice)
    assert leaving_url(alice) in client.get(reverse("teams:members", args=[team.slug])).content.decode()
    page = client.get(leaving_url(alice))
    assert "Leave Search Platform and end one key" in text(page)
    done = client.post(leaving_url(alice), form_of(page), follow=True)
    assert done.redirect_chain[-1][0] == reverse("teams:list")
    assert "You are out of Search Platform, with one live key." in text(done)
    lease.refresh_from_db()
    assert lease.state == State.REVOKED


def test_a_member_cannot_look_at_what_another_ones_leaving_ends(alice, bob, as_person):
    assert as_person(alice).get(leaving_url(bob)).status_code == 403
    assert as_person(alice).post(leaving_url(bob), {"seen": ""}).status_code == 403


def test_a_place_that_a_provider_gives_has_no_button(team, alice, ines, as_person, settings):
    settings.SSO_PROVIDERS = {"okta": okta()}
    GroupMapping.objects.create(source="okta", value="search-devs", team=team, role=MemberRole.MEMBER)
    ToldGroups.objects.create(user=alice, source="okta", values=["search-devs"], told_at=timezone.now())
    Grant.objects.create(user=alice, source="okta", team=team, role=MemberRole.MEMBER)
    page = as_person(ines).get(leaving_url(alice))
    assert "search-devs of the identity provider gives the place in Search Platform" in text(page)
    assert 'name="seen"' not in page.content.decode()
