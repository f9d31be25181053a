"""The way of an invited person, through the link of the letter; without script."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest
import time_machine
from django.conf import settings
from django.contrib.sessions.models import Session
from django.core import mail as django_mail
from django.urls import reverse
from django.utils import timezone

from portal import mail
from portal.log import scrub
from teams.models import Invitation, User
from teams.roles import MemberRole
from teams.services.invitations import invite
from tests.conftest import PASSWORD
from tests.pages.conftest import form_of, text

pytestmark = pytest.mark.django_db(transaction=True)

HERE = reverse("invitations:accept")
WORD = "a new word for bea 42"


@pytest.fixture
def link(team, ines):
    """The path in the letter to bea."""
    return letter_to(team, ines, "bea@example.com")


def letter_to(team, by, email, role=MemberRole.MEMBER):
    invite(team, email=email, role=role, by=by)
    django_mail.outbox.clear()
    mail.send_due()
    word = next(word for word in django_mail.outbox[-1].body.split() if "/invitations/" in word)
    return word.removeprefix(settings.URL)


def secret_of(link):
    return link.split("/")[2]


def test_the_link_is_opened_and_its_secret_is_gone_from_the_address(client, link):
    answer = client.get(link)
    assert (answer.status_code, answer["Location"]) == (302, HERE)
    page = client.get(link, follow=True)
    assert page.redirect_chain == [(HERE, 302)]
    assert secret_of(link) not in page.content.decode()
    assert page["Referrer-Policy"] == "same-origin"
    assert "no-store" in page["Cache-Control"]


def test_no_session_and_no_log_line_keeps_the_secret(client, link, caplog):
    with caplog.at_level(logging.DEBUG):
        client.get(link, follow=True)
        client.get(link[:-2] + "x/", follow=True)
    secret = secret_of(link)
    assert secret not in str([session.get_decoded() for session in Session.objects.all()])
    assert secret not in scrub(caplog.text)
    assert scrub(f"GET {link} 302") == "GET /invitations/[hidden]/ 302"
    assert scrub(f"GET {HERE} 200") == f"GET {HERE} 200"


def test_opening_it_says_who_asks_for_what_until_when_and_changes_nothing(client, link):
    page = client.get(link, follow=True)
    said = text(page)
    until = Invitation.objects.get().expires_at
    assert "Ines invites you to the team" in said
    assert "Member . You get keys within what the team allows" in said
    assert f"{until:%H:%M} UTC" in said
    assert Invitation.objects.get().accepted_at is None


def test_a_new_person_makes_an_account_and_is_in_the_team(client, link, team):
    page = client.get(link, follow=True)
    done = client.post(HERE, form_of(page) | {"name": "Bea Lund", "password": WORD}, follow=True)
    assert done.redirect_chain[-1][0] == reverse("teams:team", args=[team.slug])
    assert "Bea Lund" in text(done)
    assert client.get("/").wsgi_request.user.email == "bea@example.com"
    assert client.login(email="bea@example.com", password=WORD)


def test_a_weak_password_is_said_at_its_field_and_the_invitation_waits(client, link):
    page = client.get(link, follow=True)
    again = client.post(HERE, form_of(page) | {"name": "Bea", "password": "short"})
    assert again.status_code == 422
    assert "id_password_error" in again.content.decode()
    assert "No account was made." in text(again)
    assert client.post(HERE, {"name": "Bea", "password": WORD}).status_code == 302


def test_a_used_link_says_on_which_day_and_lets_nobody_in(client, link):
    client.get(link)
    client.post(HERE, {"name": "Bea", "password": WORD})
    client.logout()
    page = client.get(link, follow=True)
    assert page.status_code == 410
    today = timezone.now()
    assert f"This invitation was used on {today:%a} {today.day} {today:%b %Y}" in text(page)
    assert client.post(HERE, {"name": "Eve", "password": WORD}).status_code == 410
    assert User.objects.filter(email="bea@example.com").get().name == "Bea"


def test_an_expired_and_a_withdrawn_link_say_so(client, link, team, ines, as_person):
    with time_machine.travel(timezone.now() + timedelta(days=8)):
        page = client.get(link, follow=True)
        assert page.status_code == 410
        assert "was good until" in text(page)
    row = reverse("teams:invitation", args=[team.slug, Invitation.objects.get().pk])
    as_person(ines).post(row, {"act": "withdraw"})
    client.logout()
    page = client.get(link, follow=True)
    assert (page.status_code, "was withdrawn" in text(page)) == (410, True)


def test_an_unknown_link_and_no_link_look_alike(client, link):
    none = client.get(HERE)
    wrong = client.get(f"/invitations/{'x' * 43}/", follow=True)
    short = client.get("/invitations/x/", follow=True)
    assert {page.status_code for page in (none, wrong, short)} == {404}
    assert len({text(page).partition("request")[0] for page in (none, wrong, short)}) == 1


def test_who_has_an_account_signs_in_and_comes_back_to_join(client, link, team, person):
    bea = person("bea")
    page = client.get(link, follow=True)
    assert "There is an account with this address." in text(page)
    door = f"{reverse('account_login')}?next={HERE}"
    assert door in page.content.decode()
    before = client.session.session_key
    back = client.post(door, {"login": bea.email, "password": PASSWORD, "next": HERE}, follow=True)
    assert back.redirect_chain[-1][0] == HERE
    assert client.session.session_key != before  # a session that somebody else fixed is worth nothing
    done = client.post(HERE, form_of(back), follow=True)
    assert "You are in Search Platform now, as member." in text(done)
    assert team.memberships.filter(user=bea).exists()


def test_a_new_account_comes_in_with_a_new_session_key(client, link):
    client.get(link)
    before = client.session.session_key
    client.post(HERE, {"name": "Bea", "password": WORD})
    assert client.session.session_key != before
    assert "invitation" not in client.session


def test_somebody_else_is_told_and_signs_out_to_go_on(client, link, team, mallory, as_person):
    as_person(mallory)
    page = client.get(link, follow=True)
    assert "You are signed in as mallory@example.com , and this invitation is for bea@example.com." in text(page)
    assert "Join Search Platform</button>" not in page.content.decode()
    refused = client.post(HERE)
    assert refused.status_code == 403
    assert "invitation_for_another" in text(refused)
    assert not team.memberships.filter(user=mallory).exists()
    on = client.post(reverse("invitations:switch"), follow=True)
    assert on.redirect_chain[-1][0] == HERE
    assert "Make account and join" in text(on)
    assert not on.wsgi_request.user.is_authenticated


def test_where_only_a_provider_signs_in_there_is_no_password_to_choose(client, link, settings):
    settings.SSO_ONLY = True
    page = client.get(link, follow=True)
    assert "Sign in to join" in text(page)
    assert 'type="password"' not in page.content.decode()
    assert client.post(HERE, {"name": "Bea", "password": WORD}).status_code == 403
    assert not User.objects.filter(email="bea@example.com").exists()


def test_an_invitation_is_taken_only_by_a_form_of_ours(link, team):
    from django.test import Client

    client = Client(enforce_csrf_checks=True)
    client.get(link)
    assert client.post(HERE, {"name": "Bea", "password": WORD}).status_code == 403
    assert not team.memberships.filter(user__email="bea@example.com").exists()


def test_team_admins_see_who_is_invited_and_others_do_not(link, team, ines, alice, as_person):
    said = text(as_person(ines).get(reverse("teams:members", args=[team.slug])))
    assert "Invited, not here yet" in said
    assert "bea@example.com Member Ines" in said
    assert "bea@example.com" not in text(as_person(alice).get(reverse("teams:members", args=[team.slug])))


def test_an_invitation_is_sent_again_from_the_teams_page(link, team, ines, as_person):
    row = reverse("teams:invitation", args=[team.slug, Invitation.objects.get().pk])
    with time_machine.travel(timezone.now() + timedelta(days=2)):
        done = as_person(ines).post(row, {"act": "resend"}, follow=True)
        assert "Sent to bea@example.com again" in text(done)
        mail.send_due()
    assert django_mail.outbox[-1].body.count(secret_of(link)) == 1
    assert "There is no such act." in text(as_person(ines).post(row, {"act": "eat"}, follow=True))


def test_invitations_of_another_team_are_not_there(link, other_team, mallory, ines, alice, as_person):
    pk = Invitation.objects.get().pk
    for who, slug, status in ((mallory, "search", 404), (mallory, "mobile", 404), (alice, "search", 403)):
        url = reverse("teams:invitation", args=[slug, pk])
        assert as_person(who).post(url, {"act": "withdraw"}).status_code == status
    assert Invitation.objects.get().withdrawn_at is None


def test_too_many_invitations_are_said_at_the_form(team, ines, settings, as_person):
    settings.INVITATIONS_AN_HOUR = 1
    client, url = as_person(ines), reverse("teams:members", args=[team.slug])
    client.post(url, {"email": "bea@example.com", "role": "member"})
    again = client.post(url, {"email": "eve@example.com", "role": "member"})
    assert again.status_code == 429
    assert "You have sent 1 invitation within an hour; that is the most." in text(again)


def test_the_api_answers_202_for_an_address_without_an_account(client, team, ines, alice, bearer, settings):
    settings.INVITATIONS_AN_HOUR = 1

    def put(email):
        url = reverse("api:members", args=[team.slug])
        body = {"email": email, "role": "approver"}
        return client.post(url, body, content_type="application/json", headers=bearer(ines))

    answer = put("Bea@example.com")
    invitation = Invitation.objects.get()
    assert answer.status_code == 202
    assert answer.json() == {
        "invitation": {
            "email": "bea@example.com",
            "role": "approver",
            "expires_at": invitation.expires_at.isoformat().replace("+00:00", "Z"),
        }
    }
    assert put("alice@example.com").status_code == 200
    refused = put("eve@example.com")
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "too_many_invitations")
    assert int(refused["Retry-After"]) == refused.json()["error"]["details"]["retry_after"]
