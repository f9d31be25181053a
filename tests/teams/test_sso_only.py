"""KEYDESK_SSO_ONLY: passwords are off, but for the one account that breaks the glass."""

from __future__ import annotations

import contextlib

import pytest
from django.contrib.auth.tokens import default_token_generator
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils.html import strip_tags

from portal.models import AuditEvent, Letter
from teams.models import User
from teams.sso import checkup
from tests.conftest import PASSWORD
from tests.teams.provider import okta, provider

__all__ = ["provider"]
pytestmark = pytest.mark.django_db
PASSWORD_PAGES = [
    "/accounts/password/change/",
    "/accounts/password/set/",
    "/accounts/password/reset/",
    "/accounts/password/reset/done/",
    "/accounts/password/reset/key/1-set-password/",
    "/accounts/password/reset/key/done/",
]


@pytest.fixture(autouse=True)
def only(settings):
    settings.SSO_ONLY, settings.BREAK_GLASS = True, "ruth@example.com"
    settings.SSO_PROVIDERS = {"okta": okta()}


def sign_in(client: Client, email: str, password: str = PASSWORD):
    return client.post("/accounts/login/", {"login": email, "password": password})


def words(page) -> str:
    return " ".join(strip_tags(page.content.decode()).split())


def test_the_sign_in_page_offers_the_provider_and_no_password(client):
    page = words(client.get("/accounts/login/"))
    assert "Continue with Okta" in page
    assert "Password" not in page
    assert "Emergency sign-in" in page
    assert "Continue with Okta" not in words(client.get("/accounts/login/?emergency=1"))
    assert "Password" in words(client.get("/accounts/login/?emergency=1"))


def test_a_right_password_of_anybody_else_is_refused_as_a_wrong_one_is(client, alice, ruth):
    right, wrong, unknown = (
        sign_in(Client(), *who)
        for who in (("alice@example.com",), ("alice@example.com", "x" * 20), ("no@example.com",))
    )
    assert right.status_code == wrong.status_code == unknown.status_code == 200
    said = {words(page).replace("alice@", "no@") for page in (right, wrong, unknown)}
    assert len(said) == 1
    assert "You are not signed in" in said.pop()


def test_that_holds_for_somebody_who_is_not_active(client, alice):
    User.objects.update(is_active=False)
    assert "You are not signed in" in words(sign_in(client, "alice@example.com"))


def test_the_break_glass_account_comes_in_and_every_platform_admin_is_told(client, ruth, person):
    person("root", "admin")
    assert sign_in(client, "Ruth@example.com").status_code == 302
    assert client.session["_auth_user_id"] == str(ruth.pk)
    assert AuditEvent.objects.get(action="sso.emergency_sign_in").actor == "ruth@example.com"
    letter = Letter.objects.get(subject="Keydesk: emergency sign-in")
    assert sorted(letter.to) == ["root@example.com", "ruth@example.com"]
    assert "127.0.0.1" in letter.text


def test_by_single_sign_on_it_is_no_emergency(client, provider, ruth):
    provider.come(client, email="ruth@example.com")
    assert client.session["_auth_user_id"] == str(ruth.pk)
    assert not AuditEvent.objects.filter(action="sso.emergency_sign_in").exists()


@pytest.mark.parametrize("path", PASSWORD_PAGES)
@pytest.mark.parametrize("method", ["get", "post"])
def test_there_are_no_pages_for_passwords(client, alice, path, method):
    assert getattr(client, method)(path).status_code == 404
    client.force_login(alice)
    assert getattr(client, method)(path).status_code == 404


def test_a_reset_link_that_was_sent_before_opens_nothing(client, alice):
    from allauth.account.utils import user_pk_to_url_str

    path = f"/accounts/password/reset/key/{user_pk_to_url_str(alice)}-{default_token_generator.make_token(alice)}/"
    assert client.get(path).status_code == 404
    assert (
        client.post(path, {"password1": "another long one 42", "password2": "another long one 42"}).status_code == 404
    )
    alice.refresh_from_db()
    assert alice.check_password(PASSWORD)


def test_the_break_glass_account_changes_its_own_password(client, ruth):
    sign_in(client, "ruth@example.com")
    assert client.get("/accounts/password/change/").status_code == 200


def test_a_passkey_does_not_go_round_the_provider(client):
    assert client.get(reverse("mfa_login_webauthn")).status_code == 404


def test_no_other_way_of_allauth_goes_round_it(rf, alice):
    from allauth.account.adapter import get_adapter
    from django.contrib.sessions.backends.db import SessionStore

    from teams.sso.troubles import SignInRefused

    request = rf.post("/")
    request.session, request.user = SessionStore(), alice
    with pytest.raises(SignInRefused):
        get_adapter(request).pre_login(request, alice, signal_kwargs=None)


def test_with_passwords_on_they_stand_below_the_provider(client, settings):
    settings.SSO_ONLY = False
    page = words(client.get("/accounts/login/"))
    assert page.index("Continue with Okta") < page.index("Password")
    assert "Emergency" not in page


class TestDoctor:
    """What `manage.py doctor` says of signing in."""

    @staticmethod
    def said() -> dict[str, tuple[str, str]]:
        return {part: (how, do) for part, how, do in checkup.findings()}

    def test_a_provider_that_answers_is_well_and_says_where_people_come_back(self, provider, ruth):
        how, do = self.said()["provider"]
        assert "http://localhost:8000/accounts/oidc/okta/login/callback/" in how
        assert ("signing out ends its own session" in how, do) == (True, "")
        del provider.document["end_session_endpoint"]
        assert "signing out does not end" in self.said()["provider"][0]

    def test_one_that_does_not_answer_is_named(self, provider):
        provider.document["issuer"] = "https://elsewhere.example.com"
        how, do = self.said()["provider"]
        assert ("another issuer" in how, "Check its issuer" in do) == (True, True)

    def test_the_break_glass_account_has_to_be_good_for_something(self, provider, ruth):
        assert self.said()["break glass"] == ("ruth@example.com", "")
        for change, says in (
            ({"password": "!"}, "changepassword ruth@example.com"),
            ({"given_platform_role": ""}, "by hand"),
            ({"platform_role": ""}, "no active platform admin"),
            ({"email": "ruth@elsewhere.org"}, "no such account"),
        ):
            User.objects.filter(pk=ruth.pk).update(**change)
            assert says in self.said()["break glass"][1]

    def test_the_command_shows_it(self, provider, ruth, capsys):
        with contextlib.suppress(SystemExit):
            call_command("doctor")
        assert "break glass    ruth@example.com" in capsys.readouterr().out
