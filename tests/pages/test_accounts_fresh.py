"""Acts that want a fresh sign-in, and how one signs in again."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from allauth.socialaccount.models import SocialAccount
from django.urls import reverse

from keys.services import gateways, leases
from portal.errors import SignInAgain
from portal.providers import Provider
from teams.roles import PlatformRole
from teams.services import mappings, people
from teams.sessions import NEVER
from tests.conftest import PASSWORD
from tests.pages.accounts import AGAIN, code, events, give_app, later
from tests.pages.conftest import HTMX, text

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def forms(make_key, alice):
    """Every form that wants one, and who may fill it in."""
    lease = make_key().lease
    return {
        "alice": [reverse("keys:rotate", args=[lease.pk]), reverse("tokens:new")],
        "ruth": [
            reverse("keys:gateway_new"),
            reverse("keys:gateway_edit", args=[lease.gateway_id]),
            reverse("keys:person_factors", args=[alice.pk]),
            reverse("mappings:new"),
        ],
    }


def test_a_form_that_wants_a_fresh_sign_in_asks_before_anything_is_typed(as_person, forms, alice, ruth):
    for who, urls in ((alice, forms["alice"]), (ruth, forms["ruth"])):
        client = as_person(who)
        for url in urls:
            assert client.get(url).status_code == 200, url
        with later():
            for url in urls:
                for ask in (client.get, client.post):
                    assert ask(url)["Location"] == f"{AGAIN}?next={url.replace('/', '%2F')}", url


def test_a_platform_role_wants_one_and_leads_back_to_the_person(as_person, ruth, alice):
    url, page = reverse("keys:platform_role", args=[alice.pk]), reverse("keys:person", args=[alice.pk])
    client = as_person(ruth)
    with later():
        assert client.post(url, {"role": "admin"})["Location"] == f"{AGAIN}?next={url.replace('/', '%2F')}"
    alice.refresh_from_db()
    assert alice.platform_role == ""
    assert client.get(url)["Location"] == page
    client.post(url, {"role": "admin"})
    alice.refresh_from_db()
    assert alice.platform_role == "admin"


def test_htmx_is_sent_there_as_a_whole_page(as_person, make_key, alice):
    url = reverse("keys:rotate", args=[make_key().lease.pk])
    client = as_person(alice)
    with later():
        assert client.post(url, headers=HTMX)["HX-Redirect"].startswith(AGAIN)


def test_the_password_makes_it_fresh_and_leads_back_to_the_form(as_person, make_key, alice):
    lease = make_key().lease
    url = f"{reverse('keys:rotate', args=[lease.pk])}?replace=1"
    client = as_person(alice)
    with later():
        where = client.get(url)["Location"]
        page = client.get(where)
        assert "Sign in again" in text(page)
        assert "That was not it." in text(client.post(where, {"password": "wrong", "next": url}))
        before = client.session.session_key
        assert client.post(AGAIN, {"password": PASSWORD, "next": url})["Location"] == url
        assert client.session.session_key != before
        assert client.get(url).status_code == 200
    assert [event.facts["method"] for event in events("person.signed_in_again")] == ["password"]
    assert [event.facts["again"] for event in events("person.sign_in_failed")] == [True]


def test_a_code_makes_it_fresh_too(as_person, alice):
    give_app(alice)
    client = as_person(alice)
    with later():
        where = client.get("/tokens/new/")["Location"]
        assert "Use a code from your app" in text(client.get(where))
        sent = {"code": code(), "next": "/tokens/new/"}
        assert client.post("/accounts/reauthenticate/code/", sent)["Location"] == "/tokens/new/"
        assert client.get("/tokens/new/").status_code == 200


def test_who_has_no_password_is_asked_for_what_they_have(as_person, alice):
    give_app(alice)
    alice.set_unusable_password()
    alice.save()
    client = as_person(alice)
    assert client.get(f"{AGAIN}?next=/teams/")["Location"] == "/accounts/reauthenticate/code/?next=%2Fteams%2F"


def test_who_came_by_a_provider_signs_in_again_there(settings, as_person, alice):
    settings.SSO_PROVIDERS = {
        name: Provider(name, name.title(), f"https://{name}.example", "id", "secret") for name in ("corp", "other")
    }
    SocialAccount.objects.create(user=alice, provider="corp", uid="1")
    alice.set_unusable_password()
    alice.save()
    page = as_person(alice).get(AGAIN, {"next": "/tokens/new/"})
    assert "Sign in again with Corp" in text(page)
    assert "Sign in again with Other" not in text(page)
    assert 'name="next" value="/tokens/new/"' in page.content.decode()


def test_second_factors_themselves_want_a_fresh_sign_in(as_person, alice):
    give_app(alice)
    client = as_person(alice)
    for name in ("mfa_deactivate_totp", "mfa_add_webauthn", "mfa_generate_recovery_codes", "mfa_view_recovery_codes"):
        with later():
            assert client.get(reverse(name))["Location"].startswith(AGAIN), name


def test_a_first_password_wants_a_fresh_sign_in(as_person, alice):
    alice.set_unusable_password()
    alice.save()
    client = as_person(alice)
    assert client.get("/accounts/password/set/").status_code == 200
    with later():
        assert client.get("/accounts/password/set/")["Location"].startswith(AGAIN)


def test_rest_with_a_session_says_so_and_with_a_token_does_not_ask(as_person, bearer, make_key, alice):
    lease = make_key().lease
    url = f"/api/v1/keys/{lease.pk}/rotate/"
    headers, client = bearer(alice), as_person(alice)
    with later():
        refused = client.post(url, json.dumps({}), content_type="application/json")
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "sign_in_again")
        assert client.post(url, "{}", content_type="application/json", headers=headers).status_code == 200


def test_services_ask_it_whatever_door_forgets(make_key, alice, ruth, sandbox):
    lease = make_key().lease
    alice.signed_in_at = ruth.signed_in_at = NEVER
    with pytest.raises(SignInAgain):
        leases.rotate(lease, by=alice)
    with pytest.raises(SignInAgain):
        gateways.change(sandbox.gateway, by=ruth, name="other")
    with pytest.raises(SignInAgain):
        people.set_platform_role(alice, PlatformRole.ADMIN, by=ruth)
    with pytest.raises(SignInAgain):
        mappings.add_mapping(value="admins", platform_role=PlatformRole.ADMIN, by=ruth)


def test_a_session_from_before_sign_ins_were_noted_is_not_fresh(as_person, alice):
    client = as_person(alice)
    session = client.session
    del session["account_authentication_methods"]
    session.save()
    assert client.get("/tokens/new/")["Location"].startswith(AGAIN)


def test_how_long_a_sign_in_is_fresh_can_be_set(settings, as_person, alice):
    settings.REAUTH_AFTER = timedelta(hours=1)
    client = as_person(alice)
    with later(minutes=59):
        assert client.get("/tokens/new/").status_code == 200
    with later(minutes=61):
        assert client.get("/tokens/new/").status_code == 302
