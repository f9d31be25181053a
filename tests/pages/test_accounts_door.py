"""The front door under attack: fixation, guessing, asking who is there, and being led astray."""

from __future__ import annotations

import pytest
from django.core import mail
from django.urls import reverse

from tests.conftest import PASSWORD
from tests.pages.accounts import AGAIN, LOGIN, code, events, give_app, is_signed_in, sign_in
from tests.pages.conftest import text

pytestmark = pytest.mark.django_db(transaction=True)
RESET = "/accounts/password/reset/"
ASTRAY = [
    "https://evil.example/", "//evil.example/", "/\\evil.example", "https:evil.example", "javascript:alert(1)",
    "http://127.0.0.1:9/", "https://testserver.evil.example/", "http://testserver@evil.example/", "\thttps://evil.example",
]  # fmt: skip


def test_a_session_that_was_set_before_signing_in_is_worthless_after(client, alice):
    client.get(LOGIN)
    session = client.session
    session["planted"] = "yes"
    session.save()
    planted = session.session_key
    client.cookies["keydesk_session"] = planted
    sign_in(client, alice)
    assert client.session.session_key != planted
    client.cookies["keydesk_session"] = planted
    assert not is_signed_in(client)


def test_the_second_step_changes_the_session_once_more(client, alice):
    give_app(alice)
    sign_in(client, alice)
    halfway = client.session.session_key
    client.post(reverse("mfa_authenticate"), {"code": code()})
    client.cookies["keydesk_session"] = halfway
    assert not is_signed_in(client)


def test_signing_in_answers_the_same_whether_there_is_an_account_or_not(client, alice):
    there = client.post(LOGIN, {"login": "alice@example.com", "password": "wrong"})
    nobody = client.post(LOGIN, {"login": "nobody@example.com", "password": "wrong"})
    assert there.status_code == nobody.status_code
    assert text(there) == text(nobody)


def test_who_is_not_active_learns_so_only_with_the_right_password(client, alice):
    alice.is_active = False
    alice.save()
    wrong = text(client.post(LOGIN, {"login": "alice@example.com", "password": "wrong"}))
    nobody = text(client.post(LOGIN, {"login": "nobody@example.com", "password": "wrong"}))
    assert wrong == nobody
    assert sign_in(client, alice)["Location"] == "/accounts/inactive/"


def test_a_password_letter_is_promised_the_same_whether_there_is_an_account_or_not(client, alice):
    answers = [client.post(RESET, {"email": f"{name}@example.com"}, follow=True) for name in ("alice", "nobody")]
    assert len({(each.status_code, text(each), str(each.redirect_chain)) for each in answers}) == 1
    assert [letter.to for letter in mail.outbox] == [["alice@example.com"], ["nobody@example.com"]]


def test_a_password_is_guessed_five_times_from_anywhere(client, alice):
    for n in range(5):
        client.post(LOGIN, {"login": "alice@example.com", "password": "wrong"}, REMOTE_ADDR=f"192.0.2.{n}")
    page = client.post(LOGIN, {"login": "ALICE@example.com", "password": PASSWORD}, REMOTE_ADDR="192.0.2.99")
    assert "Too many tries." in text(page)
    assert not is_signed_in(client)
    assert len(events("person.sign_in_failed")) == 5


def test_an_address_guesses_ten_times_whatever_the_account(client, alice):
    for n in range(10):
        client.post(LOGIN, {"login": f"somebody{n}@example.com", "password": "wrong"})
    assert "Too many tries." in text(sign_in(client, alice))
    assert events("person.sign_in_failed") == []


def test_what_is_typed_for_no_account_is_written_down_nowhere(client, alice, caplog):
    client.post(LOGIN, {"login": "my secret password", "password": "wrong"})
    client.post(LOGIN, {"login": "typo@example.com", "password": "wrong"})
    assert events("person.sign_in_failed") == []
    assert "my secret password" not in caplog.text
    assert "typo@example.com" not in caplog.text


def test_a_failed_and_a_good_sign_in_are_written_down(client, alice):
    client.post(LOGIN, {"login": "Alice@Example.com", "password": "wrong"})
    sign_in(client, alice)
    failed, good = events("person.sign_in_failed")[0], events("person.signed_in")[0]
    assert (failed.actor_kind, failed.target_id, failed.ip) == ("stranger", str(alice.pk), "127.0.0.1")
    assert (good.actor, good.facts) == ("alice@example.com", {"methods": ["password"]})


def test_password_letters_are_limited_for_each_address(client, alice):
    statuses = [client.post(RESET, {"email": "alice@example.com"}).status_code for _ in range(7)]
    assert statuses == [302] * 5 + [429] * 2
    assert "Wait a few minutes" in text(client.post(RESET, {"email": "alice@example.com"}))
    assert len(mail.outbox) == 5


@pytest.mark.parametrize("url", ASTRAY)
def test_no_next_leads_away(client, alice, url):
    assert sign_in(client, alice, next=url)["Location"] == "/"
    assert client.post(AGAIN, {"password": PASSWORD, "next": url})["Location"] == "/"
    assert client.get(LOGIN, {"next": url})["Location"] == "/"
    assert "evil" not in client.post("/accounts/logout/", {"next": url})["Location"]
    give_app(alice)
    sign_in(client, alice, next=url)
    assert client.post(reverse("mfa_authenticate"), {"code": code()})["Location"] == "/"
    assert client.post("/accounts/reauthenticate/code/", {"code": code(), "next": url}).get("Location", "/") == "/"


def test_a_host_that_we_answer_to_is_no_place_to_lead_to(client, alice, settings):
    settings.ALLOWED_HOSTS = ["testserver", "old.example.com"]
    assert sign_in(client, alice, next="https://old.example.com/")["Location"] == "/"


def test_a_client_without_an_address_may_sign_in(client, alice):
    client.post(LOGIN, {"login": "alice@example.com", "password": PASSWORD}, REMOTE_ADDR="")
    assert is_signed_in(client)


@pytest.mark.parametrize("path", ["signup/passkey/", "2fa/", "trust/", "phone/change/", "login/code/", "email/"])
def test_pages_of_allauth_that_are_not_ours_are_not_there(client, alice, path):
    client.force_login(alice)
    assert client.get(f"/accounts/{path}").status_code == 404
