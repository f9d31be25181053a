"""The way to a provider and back: what may go wrong on it, connecting from inside, and signing out at both ends."""

from __future__ import annotations

import logging
import re
import time

import pytest
import requests
import responses
from allauth.socialaccount.models import SocialAccount
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from portal.models import AuditEvent, Letter
from portal.providers import Provider
from teams.models import Grant, GroupMapping, Membership, User
from teams.sso import calls
from tests.conftest import PASSWORD
from tests.teams.provider import ISSUER, SECRET, TOKEN, okta, provider

__all__ = ["provider"]
pytestmark = pytest.mark.django_db
CONNECTIONS = "/accounts/3rdparty/"
WELL_KNOWN = f"{ISSUER}/.well-known/openid-configuration"


def by_password(client: Client, email: str, password: str = PASSWORD):
    return client.post("/accounts/login/", {"login": email, "password": password})


def text(page) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page.content.decode()).split())


def test_a_provider_nobody_has_configured_is_no_page(client, db):
    for path in ("/accounts/oidc/okta/login/", "/accounts/github/login/"):
        assert client.post(path).status_code == 404
        assert client.get(f"{path}callback/", {"code": "x", "state": "y"}).status_code == 404


def test_signing_in_begins_by_post_alone(client, provider):
    assert client.get("/accounts/oidc/okta/login/").status_code == 405


def test_one_is_asked_for_no_more_than_what_is_configured(client, provider):
    asked = provider.go(client)
    assert sorted(asked["scope"][0].split()) == ["email", "openid", "profile"]
    page = client.post("/accounts/oidc/okta/login/?scope=admin&auth_params=prompt%3Dnone&process=connect")
    assert sorted(provider.way(page)["scope"][0].split()) == ["email", "openid", "profile"]
    assert "prompt" not in provider.asked


def test_a_provider_can_be_made_to_ask_again(client, provider):
    assert provider.go(client, again="1")["prompt"] == ["login"]


@pytest.mark.parametrize(("ago", "fresh"), [(60, True), (3600, False), (-600, True)])
def test_a_sign_in_is_as_fresh_as_the_provider_says(client, provider, ago, fresh):
    provider.come(client, auth_time=int(time.time()) - ago)
    page = client.post(CONNECTIONS, {"disconnect": "0"})
    assert page.status_code == (404 if fresh else 302)


@pytest.mark.parametrize(("there", "lands"), [("/teams/", "/teams/"), ("https://evil.example.com/", "/")])
def test_one_comes_back_to_a_page_of_this_desk(client, provider, there, lands):
    provider.claims = {"sub": "okta-1", "email": "carla@example.com", "email_verified": True}
    assert provider.back(client, provider.go(client, next=there)["state"][0]).url == lands


def test_another_browser_cannot_finish_what_this_one_began(client, provider):
    state = provider.go(client)["state"][0]
    page = provider.back(Client(), state)
    assert (page.status_code, provider.asked_for("/token")) == (400, 0)
    assert "Start again from the sign-in page" in text(page)


def test_a_code_is_good_once(client, provider):
    provider.come(client)
    again = provider.back(client, provider.asked["state"][0])
    assert (again.status_code, provider.asked_for("/token")) == (400, 1)


@pytest.mark.parametrize("error", ["access_denied", "server_error"])
def test_who_is_turned_away_at_the_provider_reads_why(client, provider, error):
    state = provider.go(client)["state"][0]
    page = client.get(
        reverse("openid_connect_callback", args=["okta"]),
        {"state": state, "error": error, "error_description": "<script>"},
    )
    assert (page.status_code, "Okta did not sign you in" in text(page)) == (403, True)
    assert "script>alert" not in page.content.decode()


@pytest.mark.parametrize("trouble", [requests.ConnectTimeout(), requests.ReadTimeout(), requests.ConnectionError()])
def test_a_provider_that_is_away_is_said_to_be_and_nobody_else_waits_for_it(client, settings, trouble):
    settings.SSO_PROVIDERS = {"okta": okta()}
    with responses.RequestsMock() as away:
        away.get(WELL_KNOWN, body=trouble)
        assert client.post("/accounts/oidc/okta/login/").status_code == 503
        assert "Okta does not answer" in text(client.post("/accounts/oidc/okta/login/"))
        assert len(away.calls) == 1


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 500},
        {"status": 302, "headers": {"Location": "http://127.0.0.1/"}},
        {"body": "<html>"},
        {"json": ["no document"]},
        {"json": {"issuer": "https://evil.example.com"}},
        {"json": {"issuer": ISSUER, "authorization_endpoint": f"{ISSUER}/a", "token_endpoint": "http://x.org/t"}},
    ],
)
def test_what_is_no_discovery_document_of_this_issuer_is_not_believed(settings, answer):
    settings.SSO_PROVIDERS = {"okta": okta()}
    with responses.RequestsMock() as wrong:
        wrong.get(WELL_KNOWN, **answer)
        with pytest.raises(calls.ProviderAway):
            calls.discovery(okta())


@pytest.mark.parametrize(
    "answer",
    [
        {"json": {"access_token": TOKEN, "expires_in": "soon"}},
        {"json": [TOKEN]},
        {"json": {"access_token": TOKEN, "id_token": "no.token"}},
        {"status": 400, "json": {"error": "invalid_client", "error_description": SECRET}},
        {"body": "access_token", "content_type": "text/html"},
    ],
)
def test_a_token_answer_that_is_none_lets_nobody_in(client, provider, answer):
    provider.calls.replace("POST", f"{ISSUER}/token", **answer)
    page = provider.come(client)
    assert (page.status_code, User.objects.count()) == (503, 0)
    assert SECRET not in page.content.decode()


def test_discovery_is_read_once_an_hour(client, provider):
    provider.come(client)
    provider.come(Client())
    assert provider.asked_for("/.well-known/openid-configuration") == 1
    cache.clear()
    provider.come(Client())
    assert provider.asked_for("/.well-known/openid-configuration") == 2


def test_calls_have_limits_and_follow_no_redirect(monkeypatch):
    seen = {}

    def send(_, request, **kwargs):
        seen.update(kwargs)
        return redirect()

    monkeypatch.setattr(requests.Session, "send", send)
    with pytest.raises(requests.TooManyRedirects), calls.Session() as line:
        line.post("https://okta.example.com/token", data={"client_secret": "x"})
    assert (seen["timeout"], seen["allow_redirects"]) == ((3.0, 10.0), False)


def redirect() -> requests.Response:
    found = requests.Response()
    found.status_code, found.url, found.headers["Location"] = 307, ISSUER, "https://elsewhere.example.com"
    return found


def test_no_secret_of_the_way_reaches_the_log(client, provider, caplog):
    provider.calls.replace("GET", f"{ISSUER}/userinfo", status=500, body="no")
    page = provider.come(client)
    assert page.status_code == 503
    lines = logging.getLogger().handlers[0].formatter
    seen = "".join(lines.format(record) for record in caplog.records) + page.content.decode()
    assert "sign_in_failed" in seen
    assert not [secret for secret in (SECRET, TOKEN, "the-code", "eyJ") if secret in seen]


class TestConnect:
    def connect(self, client: Client, provider, **claims):
        provider.claims = {"sub": "okta-9", "email": "a.private@elsewhere.org", "email_verified": False} | claims
        page = client.post(CONNECTIONS, {"connect": "okta"})
        return provider.back(client, provider.way(page)["state"][0])

    def test_from_inside_any_identity_is_connected(self, client, provider, alice):
        by_password(client, "alice@example.com")
        assert "Connect Okta" in text(client.get(CONNECTIONS))
        assert self.connect(client, provider).url == CONNECTIONS
        assert SocialAccount.objects.get().user == alice
        assert AuditEvent.objects.get(action="sso.linked").facts["how"] == "from inside"
        assert "a.private@elsewhere.org" in text(client.get(CONNECTIONS))
        provider.claims["email"] = "other@elsewhere.org"
        other = Client()
        provider.back(other, provider.go(other)["state"][0])
        assert other.session["_auth_user_id"] == str(alice.pk)

    def test_who_can_sign_in_by_another_way_now_is_told_so_and_again_when_it_goes(self, client, provider, alice):
        by_password(client, "alice@example.com")
        self.connect(client, provider)
        letter = Letter.objects.get()
        assert (letter.to, letter.subject) == (["alice@example.com"], "Keydesk: Okta was connected to your account")
        assert "a.private@elsewhere.org" in letter.text
        assert "set a new password" in letter.text
        client.post(CONNECTIONS, {"disconnect": SocialAccount.objects.get().pk})
        letter = Letter.objects.latest("pk")
        assert letter.subject == "Keydesk: Okta was disconnected from your account"
        self.connect(client, provider)
        assert Letter.objects.count() == 3

    def test_an_account_that_is_linked_by_its_address_is_told_and_a_new_one_is_not(self, client, provider, alice):
        provider.come(client)
        assert not Letter.objects.exists()
        provider.come(Client(), sub="okta-2", email="alice@example.com")
        assert Letter.objects.get().to == ["alice@example.com"]

    def test_who_signed_in_long_ago_signs_in_again_first(self, client, provider, alice):
        import time_machine

        by_password(client, "alice@example.com")
        with time_machine.travel("2026-11-21 23:59", tick=False):
            client.force_login(alice)
        session = client.session
        session["account_authentication_methods"] = []
        session.save()
        page = client.post(CONNECTIONS, {"connect": "okta"})
        assert (page.status_code, page.url) == (302, "/accounts/reauthenticate/?next=%2Faccounts%2F3rdparty%2F")

    def test_what_is_somebody_elses_stays_theirs(self, client, provider, alice, bob):
        SocialAccount.objects.create(user=bob, provider="okta", uid="okta-9", extra_data={"issuer": ISSUER})
        by_password(client, "alice@example.com")
        assert self.connect(client, provider).status_code == 403
        assert SocialAccount.objects.get().user == bob
        assert AuditEvent.objects.get(action="sso.refused").facts["reason"] == "connected_elsewhere"

    def test_there_is_one_identity_a_provider(self, client, provider, alice):
        SocialAccount.objects.create(user=alice, provider="okta", uid="okta-1", extra_data={"issuer": ISSUER})
        by_password(client, "alice@example.com")
        assert self.connect(client, provider).status_code == 403

    def test_a_session_that_ended_on_the_way_connects_nothing(self, client, provider, alice):
        by_password(client, "alice@example.com")
        state = provider.way(client.post(CONNECTIONS, {"connect": "okta"}))["state"][0]
        session = client.session
        del session["_auth_user_id"]
        session.save()
        provider.claims = {"sub": "okta-9"}
        assert provider.back(client, state).status_code == 400
        assert not SocialAccount.objects.exists()


class TestDisconnect:
    def test_what_its_groups_gave_goes_with_it(self, client, provider, team, alice):
        GroupMapping.objects.create(source="okta", value="devs", team=team, role="approver")
        by_password(client, "alice@example.com")
        TestConnect().connect(client, provider)
        provider.come(client, sub="okta-9", groups=["devs"])
        assert Membership.objects.get(user=alice).role == "approver"
        client.post(CONNECTIONS, {"disconnect": SocialAccount.objects.get().pk})
        assert not SocialAccount.objects.exists()
        assert not Grant.objects.exists()
        assert Membership.objects.get(user=alice).role == "member"
        assert AuditEvent.objects.get(action="sso.unlinked").facts["provider"] == "okta"

    def test_the_last_way_in_stays(self, client, provider):
        provider.come(client)
        page = client.post(CONNECTIONS, {"disconnect": SocialAccount.objects.get().pk})
        assert (page.status_code, SocialAccount.objects.count()) == (409, 1)

    def test_a_password_that_is_off_is_no_way_in(self, client, provider, alice, settings):
        settings.SSO_ONLY = True
        provider.come(client, email="alice@example.com")
        assert client.post(CONNECTIONS, {"disconnect": SocialAccount.objects.get().pk}).status_code == 409

    @pytest.mark.parametrize("number", ["9" * 5000, "9" * 30, "\u0663", "-1", "x", ""])
    def test_what_is_no_identity_is_not_there(self, client, provider, alice, number):
        by_password(client, "alice@example.com")
        assert client.post(CONNECTIONS, {"disconnect": number}).status_code in {404, 422}

    def test_somebody_elses_is_not_there(self, client, provider, alice, bob):
        theirs = SocialAccount.objects.create(user=bob, provider="okta", uid="okta-9")
        by_password(client, "alice@example.com")
        assert client.post(CONNECTIONS, {"disconnect": theirs.pk}).status_code == 404
        assert client.post(CONNECTIONS, {"disconnect": "all"}).status_code == 422


class TestSignOut:
    def test_one_is_signed_out_at_both_ends(self, client, provider):
        provider.come(client)
        assert "Sign out here and at Okta" in text(client.get("/accounts/logout/"))
        page = client.post("/accounts/logout/")
        asked = provider.way(page)
        assert "_auth_user_id" not in client.session
        assert asked["client_id"] == ["keydesk-at-okta"]
        assert asked["post_logout_redirect_uri"] == ["http://localhost:8000/accounts/login/"]
        assert (asked["logout_hint"], "id_token_hint" in asked) == (["carla@example.com"], False)

    def test_or_here_alone(self, client, provider):
        provider.come(client)
        page = client.post("/accounts/logout/", {"here_only": "1"})
        assert (page.status_code, page.url, "_auth_user_id" in client.session) == (302, "/", False)

    def test_who_came_by_password_leaves_here_alone(self, client, provider, alice):
        by_password(client, "alice@example.com")
        assert "Okta" not in text(client.get("/accounts/logout/")).partition("Sign out?")[2]
        assert client.post("/accounts/logout/").url == "/"

    def test_a_provider_that_is_away_keeps_nobody_in(self, client, provider):
        provider.come(client)
        cache.clear()
        provider.calls.replace("GET", WELL_KNOWN, status=500)
        page = client.post("/accounts/logout/", follow=True)
        assert "_auth_user_id" not in client.session
        assert "there you may still be signed in" in text(page)

    def test_a_provider_without_such_a_page_is_not_offered(self, client, provider):
        del provider.document["end_session_endpoint"]
        provider.come(client)
        assert "Sign out here and at" not in text(client.get("/accounts/logout/"))


class TestGitHub:
    @pytest.fixture
    def github(self, settings):
        settings.SSO_PROVIDERS = {
            "github": Provider(
                id="github", name="GitHub", issuer="https://github.com", client_id="gh", client_secret=SECRET,
                scopes=("read:user", "user:email"), domains=frozenset({"example.com"}), protocol="github",
            )
        }  # fmt: skip
        with responses.RequestsMock(assert_all_requests_are_fired=False) as hub:
            hub.post("https://github.com/login/oauth/access_token", json={"access_token": TOKEN})
            hub.get("https://api.github.com/user", json={"id": 7, "login": "carla", "name": "Carla", "email": None})
            yield hub

    def come(self, client: Client, github, *addresses: tuple[str, bool, bool]):
        told = [{"email": email, "primary": primary, "verified": verified} for email, primary, verified in addresses]
        github.get("https://api.github.com/user/emails", json=told)
        page = client.post("/accounts/github/login/").content.decode()
        state = re.search(r"state=(\w+)", page)
        assert "code_challenge_method=S256" in page
        return client.get("/accounts/github/login/callback/", {"code": "c", "state": state[1] if state else ""})

    def test_of_several_addresses_the_proven_one_of_our_domain_counts(self, client, github):
        self.come(client, github, ("carla@home.org", True, True), ("carla@example.com", False, True))
        assert User.objects.get().email == "carla@example.com"
        assert SocialAccount.objects.get().extra_data == {"issuer": "https://github.com", "shown": "carla"}

    def test_one_that_is_not_proven_does_not(self, client, github):
        page = self.come(client, github, ("carla@home.org", True, True), ("carla@example.com", False, False))
        assert (page.status_code, User.objects.count()) == (403, 0)
