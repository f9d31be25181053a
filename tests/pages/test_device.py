"""The page where a person lets the command line of a machine sign in."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from teams.models import DeviceLogin
from teams.services import devices
from tests.pages.conftest import form_of, text

pytestmark = pytest.mark.django_db(transaction=True)
PAGE = "/device/"


@pytest.fixture
def waiting(db) -> DeviceLogin:
    return devices.begin("build host 7")[0]


def test_the_page_shows_who_asks_and_says_what_to_look_at(as_person, alice, waiting):
    client = as_person(alice)
    page = client.get(PAGE, {"code": waiting.shown_code.lower()})
    said = text(page)
    assert page["Cache-Control"].startswith("max-age=0")
    for words in (waiting.shown_code, "build host 7", "keydesk on this machine would act as alice@example.com",
                  "Confirm only if you began this yourself", "Everything that you may do"):  # fmt: skip
        assert words in said
    assert devices.find(waiting.code, by=alice).state == "open"  # looking at it decides nothing


def test_who_began_it_elsewhere_is_warned_about(as_person, alice, waiting):
    client, warned = as_person(alice), "It was begun at another address than yours."
    assert warned in text(client.get(PAGE, {"code": waiting.code}))  # begun without one, here
    DeviceLogin.objects.update(ip="127.0.0.1")
    assert warned not in text(client.get(PAGE, {"code": waiting.code}))


@pytest.mark.parametrize(("act", "state", "said"), [
    ("confirm", "confirmed", "Go back to your terminal"), ("refuse", "refused", "Nobody was signed in"),
])  # fmt: skip
def test_one_press_decides(as_person, alice, waiting, act, state, said):
    client = as_person(alice)
    form = form_of(client.get(PAGE, {"code": waiting.code}))
    done = client.post(PAGE, {**form, "act": act}, follow=True)
    waiting.refresh_from_db()
    assert (waiting.state, waiting.person) == (state, alice)
    assert said in text(done)
    again = client.post(PAGE, {**form, "act": "confirm"})
    assert (again.status_code, "No login waits with this code." in text(again)) == (404, True)


def test_only_look_is_only_look(as_person, alice, waiting):
    client = as_person(alice)
    client.post(PAGE, {**form_of(client.get(PAGE, {"code": waiting.code})), "may": "read", "act": "confirm"})
    waiting.refresh_from_db()
    assert waiting.scopes == ["read"]


def test_a_wrong_code_is_said_at_its_field_and_too_many_are_held_up(as_person, alice):
    client = as_person(alice)
    page = client.get(PAGE, {"code": "<b>X</b>"})
    assert (page.status_code, 'aria-invalid="true"' in page.content.decode()) == (404, True)
    assert "<b>X</b>" not in page.content.decode()
    for _ in range(devices.TRIES):
        page = client.get(PAGE, {"code": "CCCC-CCCC"})
    assert (page.status_code, "That was too often." in text(page)) == (429, True)


def test_a_stranger_signs_in_first_and_comes_back_with_the_code(client, alice, waiting):
    there = client.get(PAGE, {"code": waiting.shown_code})
    assert there.status_code == 302
    assert there["Location"] == f"/accounts/login/?next=/device/%3Fcode%3D{waiting.shown_code}"


def test_a_sign_in_that_is_old_is_not_enough(as_person, alice, waiting, settings):
    client = as_person(alice)
    with time_machine.travel(timezone.now() + settings.REAUTH_AFTER + timedelta(minutes=1), tick=False):
        DeviceLogin.objects.update(expires_at=timezone.now() + timedelta(minutes=5))
        for sent in (
            client.get(PAGE, {"code": waiting.code}),
            client.post(PAGE, {"code": waiting.code, "act": "confirm"}),
        ):
            assert sent.status_code == 302
            assert "reauthenticate" in sent["Location"]
    waiting.refresh_from_db()
    assert waiting.state == "open"
