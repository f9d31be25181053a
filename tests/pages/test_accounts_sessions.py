"""Where one is signed in: listed, ended; and what a new password does to the rest."""

from __future__ import annotations

import pytest
from allauth.usersessions.models import UserSession
from django.core.cache import caches
from django.test import Client
from django.urls import reverse

from portal.models import Letter
from tests.conftest import PASSWORD
from tests.pages.accounts import events, is_signed_in, later, sign_in
from tests.pages.conftest import text

pytestmark = pytest.mark.django_db(transaction=True)
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
SAFARI = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 Version/19.0 Safari/604.1"


@pytest.fixture
def phone() -> Client:
    return Client(headers={"User-Agent": SAFARI}, REMOTE_ADDR="192.0.2.9")


@pytest.fixture
def desk() -> Client:
    return Client(headers={"User-Agent": FIREFOX})


def test_ones_own_sessions_are_listed_and_nobody_elses(desk, phone, alice, bob):
    sign_in(desk, alice)
    sign_in(phone, alice)
    sign_in(Client(headers={"User-Agent": "curl/8.1"}), bob)
    said = text(desk.get("/accounts/"))
    assert "Firefox on Linux (this one)" in said
    assert "Safari on iPhone" in said
    assert "192.0.2.9" in said
    assert "curl" not in said
    assert "Two sessions are open." in said


def test_a_session_is_ended_from_another_one(desk, phone, alice):
    sign_in(desk, alice)
    sign_in(phone, alice)
    there = UserSession.objects.get(ip="192.0.2.9")
    done = desk.post(reverse("account_end_session", args=[there.pk]), follow=True)
    assert "Safari on iPhone is signed out." in text(done)
    assert not is_signed_in(phone)
    assert is_signed_in(desk)
    assert [event.facts["address"] for event in events("person.session_ended")] == ["192.0.2.9"]


def test_all_the_others_are_ended_at_once(desk, phone, alice, bob):
    others = [phone, Client(), Client()]
    for client in (desk, *others):
        sign_in(client, alice)
    stranger = Client()
    sign_in(stranger, bob)
    assert "Three other sessions signed out." in text(desk.post(reverse("account_end_other_sessions"), follow=True))
    assert [is_signed_in(client) for client in (*others, desk, stranger)] == [False, False, False, True, True]


def test_nobody_ends_a_session_of_somebody_else(desk, alice, bob):
    sign_in(desk, alice)
    theirs = Client()
    sign_in(theirs, bob)
    session = UserSession.objects.get(user=bob)
    assert desk.post(reverse("account_end_session", args=[session.pk])).status_code == 404
    assert is_signed_in(theirs)


def test_last_use_is_noted_every_few_minutes(desk, alice):
    sign_in(desk, alice)
    first = UserSession.objects.get().last_seen_at
    caches["near"].clear()
    with later(minutes=7):
        desk.get("/teams/", REMOTE_ADDR="192.0.2.77")
    session = UserSession.objects.get()
    assert (session.last_seen_at - first).total_seconds() > 400
    assert session.ip == "192.0.2.77"


def test_signing_in_again_gives_the_session_another_key_and_keeps_its_place(desk, alice):
    sign_in(desk, alice)
    before = desk.session.session_key
    desk.post("/accounts/reauthenticate/", {"password": PASSWORD})
    assert desk.session.session_key != before
    assert "Firefox on Linux (this one)" in text(desk.get("/accounts/"))
    stolen = Client()
    stolen.cookies["keydesk_session"] = before
    assert not is_signed_in(stolen)


def test_signing_out_is_written_down_and_ends_it(desk, alice):
    sign_in(desk, alice)
    desk.post("/accounts/logout/")
    assert not is_signed_in(desk)
    assert [event.target for event in events("person.signed_out")] == ["Alice"]


def test_a_new_password_ends_the_other_sessions_and_tells_the_person(desk, phone, alice):
    sign_in(desk, alice)
    sign_in(phone, alice)
    new = "quite another few words"
    sent = {"oldpassword": PASSWORD, "password1": new, "password2": new}
    assert desk.post("/accounts/password/change/", sent).status_code == 302
    assert (is_signed_in(desk), is_signed_in(phone)) == (True, False)
    assert [event.facts["by_letter"] for event in events("person.password_changed")] == [False]
    assert Letter.objects.get(subject="Keydesk: your password was changed").to == ["alice@example.com"]
    assert "One session is open." in text(desk.get("/accounts/"))
