"""The pages of API tokens: made, shown once, listed, ended."""

from __future__ import annotations

import html
import re

import pytest
from django.contrib.sessions.models import Session
from django.core import serializers

from teams.models import ApiToken
from teams.services import make_token
from tests.pages.conftest import form_of, text
from tests.teams.test_tokens import using

pytestmark = pytest.mark.django_db(transaction=True)
NEW, LIST = "/tokens/new/", "/tokens/"


def filled(client, path: str = NEW, **changes: object) -> dict[str, object]:
    """The form as a browser would send it."""
    return form_of(client.get(path)) | {"name": "ci job"} | changes


def plain_in(response) -> str:
    return re.search(r'id="secret">\s*(kd_[\w-]+)', response.content.decode()).group(1)


def test_a_token_is_made_and_shown_in_one_answer_that_nobody_may_keep(as_person, alice):
    client = as_person(alice)
    done = client.post(NEW, filled(client, scopes=["read", "keys:issue"], days="30", networks="10.0.0.0/8\n192.0.2.7"))
    plain = plain_in(done)
    assert done.status_code == 200
    assert "no-store" in done["Cache-Control"]
    assert 'hx-history="false"' in done.content.decode()
    assert done.content.decode().count(plain) == 1
    token = ApiToken.objects.usable(plain)
    assert token
    assert (token.owner, token.name, token.scopes) == (alice, "ci job", ["keys:issue", "read"])
    assert token.networks == ["10.0.0.0/8", "192.0.2.7/32"]
    assert 29 <= (token.expires_at - token.created_at).days <= 30
    rows = serializers.serialize("json", [*ApiToken.objects.all(), *Session.objects.all()])
    assert plain not in rows + client.get(LIST).content.decode()


def test_the_form_asks_for_90_days_and_to_see_and_offers_what_the_owner_can_have(as_person, alice, ruth):
    client = as_person(alice)
    sent = form_of(client.get(NEW))
    assert (sent["days"], sent["scopes"]) == ("90", "read")
    page = client.get(NEW).content.decode()
    assert 'value="team:manage"' in page
    assert "platform:" not in page
    assert 'value="platform:manage"' in as_person(ruth).get(NEW).content.decode()


def test_a_reload_shows_the_list_and_makes_no_second_token(as_person, alice):
    client = as_person(alice)
    sent = filled(client)
    client.post(NEW, sent)
    again = client.post(NEW, sent, follow=True)
    assert again.redirect_chain[-1][0] == LIST
    assert "already made its token" in text(again)
    assert ApiToken.objects.count() == 1


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"name": ""}, "id_name_error", "required"),
        ({"scopes": []}, "id_scopes_error", "required"),
        ({"days": "366"}, "id_days_error", "365"),
        ({"days": "0"}, "id_days_error", "1"),
        ({"networks": "10.0.0.0/8\nthe office"}, "id_networks_error", "the office is no network"),
        ({"networks": "10.1.2.3/8"}, "id_networks_error", "10.0.0.0/8"),
        ({"scopes": ["platform:manage"]}, "id_scopes_error", "platform:manage"),
    ],
)
def test_what_is_refused_is_said_at_its_field_and_the_input_stays(as_person, alice, changes, field, words):
    client = as_person(alice)
    refusal = client.post(NEW, filled(client, **{"name": "kept name"} | changes))
    page = html.unescape(refusal.content.decode())
    assert refusal.status_code == 422
    error = re.search(rf'id="{field}"(.*?)</p>', page, flags=re.DOTALL)
    assert error
    assert words in error.group(1)
    assert "No token was made." in page
    if "name" not in changes:
        assert "kept name" in page
    assert not ApiToken.objects.exists()


def test_the_list_says_what_each_may_from_where_until_when_and_with_what_it_was_made(as_person, alice):
    first, _ = make_token(alice, name="laptop", scopes=["read", "keys:issue"], networks=["10.0.0.0/8"], by=alice)
    make_token(alice, name="job", scopes=["read"], by=using(alice, first))
    page = text(as_person(alice).get(LIST))
    assert "Two tokens can act in your name" in page
    for words in ("Read, issue keys", "10.0.0.0/8", "90 days left", "not yet", "made with the token laptop"):
        assert words in page


def test_nobody_elses_token_is_listed_or_ended(as_person, alice, bob, ines):
    token, _ = make_token(alice, name="hers", scopes=["read"], by=alice)
    for other in (bob, ines):
        client = as_person(other)
        assert "hers" not in text(client.get(LIST))
        assert client.get(f"/tokens/{token.pk}/end/").status_code == 404
        assert client.post(f"/tokens/{token.pk}/end/").status_code == 404
    token.refresh_from_db()
    assert token.is_living


def test_ending_one_counts_what_was_made_with_it_first(as_person, alice):
    client = as_person(alice)
    first, _ = make_token(alice, name="laptop", scopes=["read"], by=alice)
    make_token(alice, name="job", scopes=["read"], by=using(alice, first))
    asked = text(client.get(f"/tokens/{first.pk}/end/"))
    assert "One token was made with it and ends too" in asked
    done = client.post(f"/tokens/{first.pk}/end/", follow=True)
    assert "laptop is ended, with one token that it made" in text(done)
    assert "No token acts in your name" in text(done)
    ended = text(client.get(f"{LIST}?state=ended"))
    assert "laptop" in ended
    assert "job" in ended
    assert "has ended" in text(client.get(f"/tokens/{first.pk}/end/"))


def test_a_stray_id_for_the_form_names_nobody_elses_token(as_person, alice, bob):
    """The form's own token becomes the id: one that is taken makes nothing, whoever took it."""
    client = as_person(alice)
    taken, _ = make_token(bob, name="his", scopes=["read"], by=bob)
    answer = client.post(NEW, filled(client, once=str(taken.pk)), follow=True)
    assert "his" not in text(answer).split("Menu")[0]
    assert ApiToken.objects.get().owner == bob
