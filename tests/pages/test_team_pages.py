"""Teams: who is in them, and who may change that."""

from __future__ import annotations

import pytest
from django.core import mail
from django.urls import reverse

from keys.models import State
from keys.services import offboarding
from portal.mail import send_due
from portal.models import AuditEvent
from teams.models import Team
from tests.pages.conftest import form_of, text

pytestmark = pytest.mark.django_db(transaction=True)


def team_url(name="team", *more):
    return reverse(f"teams:{name}", args=["search", *more])


def test_a_platform_admin_makes_a_team_and_a_stranger_gets_a_letter(ruth, as_person):
    client = as_person(ruth)
    sent = form_of(client.get(reverse("teams:new"))) | {"name": "Search Platform", "max_budget": "$2,400"}
    client.post(reverse("teams:new"), sent)
    assert Team.objects.get().max_budget == 2400
    page = client.get(reverse("teams:members", args=["search-platform"]))
    assert "Nobody is in it yet." in text(page)
    added = client.post(
        reverse("teams:members", args=["search-platform"]),
        {"email": "Zoe@example.com", "role": "admin"},
        follow=True,
    )
    assert "Invited zoe@example.com; the link is good until" in text(added)
    assert "Invited, not here yet" in text(added)
    send_due()
    assert mail.outbox[0].to == ["zoe@example.com"]
    assert "/invitations/" in mail.outbox[0].body


def test_a_taken_short_name_is_said_at_its_field(team, ruth, as_person):
    answer = as_person(ruth).post(reverse("teams:new"), {"name": "Other", "slug": "search", "budget_duration": "1mo"})
    assert answer.status_code == 409
    assert "Taken already." in text(answer)
    assert 'value="Other"' in answer.content.decode()


def test_an_address_that_is_none_is_said_at_its_field(team, ines, as_person):
    answer = as_person(ines).post(team_url("members"), {"email": "nobody", "role": "member"})
    assert answer.status_code == 422
    assert "id_email_error" in answer.content.decode()
    assert "Nobody was added." in text(answer)


def test_a_member_sees_who_is_there_and_no_way_to_change_it(team, alice, bob, as_person):
    page = as_person(alice).get(team_url("members"))
    assert "Bob" in text(page)
    assert "Take out" not in text(page)
    assert as_person(alice).post(team_url("members"), {"email": "x@example.com", "role": "member"}).status_code == 403


def test_a_member_sees_their_own_keys_there_and_an_approver_all(make_key, alice, bob, as_person):
    make_key(name="hers")
    make_key(name="his", holder=bob)
    assert "his" not in text(as_person(alice).get(team_url("keys"))).split()
    page = text(as_person(bob).get(team_url("keys")))
    assert "hers" in page
    assert "his" in page


def leaving_url(person):
    return reverse("keys:member_leaving", args=["search", person.pk])


@pytest.mark.parametrize("door", ["member", "members"])
def test_a_role_that_holds_no_keys_shows_first_what_it_ends(make_key, team, ines, alice, as_person, door):
    issued, client = make_key(name="laptop"), as_person(ines)
    url = team_url(door, *([alice.pk] if door == "member" else []))
    page = client.post(url, {"email": "Alice@example.com", "role": "viewer"}, follow=True)
    assert page.redirect_chain == [(f"{leaving_url(alice)}?role=viewer", 302)]
    said = text(page)
    assert "If Alice becomes viewer of Search Platform" in said
    assert "One live key would end at once." in said
    assert "laptop" in said
    issued.lease.refresh_from_db()
    assert (team.memberships.get(user=alice).role, issued.lease.state) == ("member", State.ACTIVE)
    done = client.post(leaving_url(alice), form_of(page), follow=True)
    assert "Alice is viewer now; one live key ended." in text(done)
    issued.lease.refresh_from_db()
    assert (team.memberships.get(user=alice).role, issued.lease.state) == ("viewer", State.REVOKED)
    event = AuditEvent.objects.get(action="member.changed")
    assert (event.facts["keys"], event.before) == (1, "member")


def test_what_a_role_ends_is_shown_again_when_it_has_changed(make_key, team, ines, alice, as_person):
    make_key()
    client = as_person(ines)
    sent = form_of(client.get(leaving_url(alice), {"role": "viewer"}))
    make_key()
    again = client.post(leaving_url(alice), sent)
    assert again.status_code == 409
    assert "Two live keys would end at once." in text(again)
    assert team.memberships.get(user=alice).role == "member"


def test_nothing_is_shown_first_where_no_key_ends(team, ines, alice, as_person):
    client = as_person(ines)
    assert "Alice is viewer now." in text(client.post(team_url("member", alice.pk), {"role": "viewer"}, follow=True))
    for role in ("member", "owner"):
        assert client.get(leaving_url(alice), {"role": role}).status_code == 404


def test_a_member_does_not_lower_anybody_there(make_key, team, alice, as_person):
    make_key()
    client, role = as_person(alice), {"role": "viewer"}
    assert 'name="seen"' not in client.get(leaving_url(alice), role).content.decode()
    assert client.post(team_url("member", alice.pk), role).status_code == 403
    assert client.post(leaving_url(alice), role).status_code == 403


def test_removing_somebody_counts_the_keys_that_end_and_ends_them(make_key, alice, ines, as_person):
    lease = make_key().lease
    client = as_person(ines)
    assert leaving_url(alice) in client.get(team_url("members")).content.decode()
    page = client.get(leaving_url(alice))
    assert "One live key would end at once." in text(page)
    assert "Take Alice out of Search Platform and end one key" in text(page)
    done = client.post(leaving_url(alice), form_of(page), follow=True)
    assert "Alice is out of Search Platform, with one live key." in text(done)
    lease.refresh_from_db()
    assert lease.state == State.REVOKED


def test_the_last_admin_stays_and_is_told_whom_to_make_admin(team, ines, bob, as_person):
    client = as_person(ines)
    page = client.get(leaving_url(ines))
    assert "Choose the next team admin" in text(page)
    assert 'name="seen"' not in page.content.decode()
    refused = client.post(leaving_url(ines), {"seen": offboarding.plan(ines, team=team, by=ines).mark})
    assert refused.status_code == 409
    assert "Make somebody else a team admin first, like Bob." in text(refused)
    assert team.memberships.filter(user=ines).exists()


def test_a_role_that_does_not_exist_changes_nothing(team, alice, ines, as_person):
    page = as_person(ines).post(team_url("member", alice.pk), {"role": "emperor"}, follow=True)
    assert "There is no such member role." in text(page)
    assert team.memberships.get(user=alice).role == "member"


def test_a_team_admin_sets_the_budget_but_not_the_name(team, ines, as_person):
    client = as_person(ines)
    page = client.get(team_url("edit"))
    assert 'name="name"' not in page.content.decode()
    client.post(team_url("edit"), form_of(page) | {"max_budget": "100", "name": "Sneaky"})
    team.refresh_from_db()
    assert (team.max_budget, team.name) == (100, "Search Platform")


def test_a_team_that_one_is_not_in_is_not_there(team, mallory, as_person):
    client = as_person(mallory)
    for url in (team_url(), team_url("keys"), team_url("members"), team_url("edit")):
        assert client.get(url).status_code == 404
    assert "Search Platform" not in text(client.get(reverse("teams:list")))
