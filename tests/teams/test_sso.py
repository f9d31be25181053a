"""Whom an identity at a provider opens an account for, and whom not."""

from __future__ import annotations

import pytest
from allauth.socialaccount.models import SocialAccount, SocialToken
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse

from portal.models import AuditEvent
from teams.models import Grant, GroupMapping, Membership, ToldGroups, User
from teams.roles import MemberRole
from tests.teams.provider import SECRET, TOKEN, okta, provider, verifier_fits

__all__ = ["provider"]
pytestmark = pytest.mark.django_db


def signed_in(client: Client) -> str | None:
    return client.session.get("_auth_user_id")


def refusal() -> AuditEvent:
    return AuditEvent.objects.get(action="sso.refused")


def test_a_first_sign_in_makes_the_account_of_a_verified_address_of_the_providers_domain(client, provider):
    page = provider.come(client)
    carla = User.objects.get(email="carla@example.com")
    assert (page.status_code, page.url, signed_in(client)) == (302, "/", str(carla.pk))
    assert (carla.name, carla.has_usable_password(), carla.platform_role) == ("Carla Diaz", False, "")
    assert AuditEvent.objects.get(action="sso.account_made").facts["how"] == "domain"
    assert AuditEvent.objects.get(action="sso.linked").actor == "carla@example.com"


def test_the_code_is_bound_to_a_verifier(client, provider):
    provider.come(client)
    assert verifier_fits(provider.asked, provider.sent)


def test_nothing_of_the_providers_tokens_is_kept(client, provider):
    provider.come(client)
    assert not SocialToken.objects.exists()
    kept = [str(Session.objects.get().get_decoded()), str(SocialAccount.objects.get().extra_data)]
    assert not [text for text in kept if TOKEN in text or SECRET in text or "eyJ" in text]
    assert SocialAccount.objects.get().extra_data == {
        "issuer": "https://okta.example.com",
        "shown": "carla@example.com",
    }


def test_the_second_sign_in_opens_the_same_account_whatever_the_address_is_now(client, provider):
    provider.come(client)
    provider.come(Client(), email="carla.smith@elsewhere.org", email_verified=False, name="Carla Smith")
    carla = User.objects.get()
    assert (carla.email, carla.name) == ("carla@example.com", "Carla Diaz")


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"email_verified": False}, "unverified"),
        ({"email_verified": "false"}, "unverified"),
        ({"email_verified": None}, "unverified"),
        ({"email": "carla@elsewhere.org"}, "not_invited"),
        ({"email": "carla@sub.example.com"}, "not_invited"),
        ({"email": None}, "no_address"),
        ({"email": "\u212aate@example.com"}, "no_address"),  # a KELVIN SIGN, whose small letter is a k
        ({"email": "ru\u017fs@example.com"}, "no_address"),
        ({"email": "kate@\u00e9xample.com"}, "no_address"),
    ],
)
def test_others_get_no_account_and_are_told_what_to_do(client, provider, claims, reason):
    page = provider.come(client, **claims)
    assert (page.status_code, signed_in(client), User.objects.count()) == (403, None, 0)
    assert refusal().facts["reason"] == reason
    assert refusal().facts["provider"] == "okta"


def test_who_is_not_vouched_for_reads_the_same_whether_there_is_an_account_or_not(client, provider, alice):
    there = provider.come(client, email="alice@example.com", email_verified=False).content.decode()
    nowhere = provider.come(Client(), email="nobody@example.com", email_verified=False).content.decode()
    assert "connect Okta from Your account" in there
    assert the_words(there) == the_words(nowhere)


def the_words(page: str) -> str:
    return page.partition('<p class="page-lead">')[2].partition("</p>")[0]


def test_a_provider_may_be_trusted_to_send_no_word_of_verification(client, provider, settings):
    settings.SSO_PROVIDERS = {"okta": okta(trust_email=True)}
    provider.come(client, email_verified=None)
    assert signed_in(client)


@pytest.mark.parametrize(
    "claims", [{"email_verified": False}, {"email": "carla@elsewhere.org", "email_verified": None}]
)
def test_that_trust_ends_at_a_no_and_at_the_domains(client, provider, settings, claims):
    settings.SSO_PROVIDERS = {"okta": okta(trust_email=True)}
    assert provider.come(client, **claims).status_code == 403


def test_an_account_is_linked_by_a_verified_address_of_a_trusted_domain(client, provider, alice):
    provider.come(client, email="Alice@Example.com")
    assert signed_in(client) == str(alice.pk)
    assert AuditEvent.objects.get(action="sso.linked").facts["how"] == "address"


@pytest.mark.parametrize(("name", "like"), [
    ("kate", "\u212aate@example.com"), ("russ", "ru\u017fs@example.com"), ("admin", "adm\u0131n@example.com"),
])  # fmt: skip
def test_an_address_that_only_looks_like_an_accounts_opens_it_not(client, provider, person, name, like):
    person(name)
    page = provider.come(client, email=like)
    assert (page.status_code, signed_in(client), SocialAccount.objects.count()) == (403, None, 0)


@pytest.mark.parametrize("claims", [
    {"sub": "a\ud800"}, {"sub": "a\0"}, {"name": "C\ud800\0"}, {"groups": ["\ud800"]}, {"groups": ["a\0"]},
    {"auth_time": 10**400}, {"auth_time": -(10**400)}, {"auth_time": float("nan")}, {"email": "carla@exam\0ple.com"},
])  # fmt: skip
def test_what_cannot_be_stored_of_a_provider_breaks_nothing(client, provider, claims):
    client.raise_request_exception = False
    assert provider.come(client, **claims).status_code in {302, 403, 503}
    assert client.get("/accounts/").status_code in {200, 302}
    for each in (SocialAccount.objects.all(), ToldGroups.objects.all(), User.objects.all()):
        assert not [row for row in each.values_list() if "\\ud800" in repr(row) or "\\x00" in repr(row)]


def test_an_account_of_another_domain_is_connected_from_inside_only(client, provider, alice):
    alice.email = "alice@elsewhere.org"
    alice.save()
    page = provider.come(client, email="alice@elsewhere.org")
    assert (page.status_code, signed_in(client), SocialAccount.objects.count()) == (403, None, 0)
    assert refusal().facts["reason"] == "connect_first"
    assert "Sign in as before, then connect Okta" in page.content.decode()


def test_an_address_that_was_given_to_somebody_else_brings_no_account_along(client, provider):
    provider.come(Client())
    page = provider.come(client, sub="okta-2")
    assert (page.status_code, signed_in(client)) == (403, None)
    assert refusal().facts["reason"] == "other_identity"


def test_a_provider_that_is_pointed_elsewhere_takes_no_account_over(client, provider, settings):
    provider.come(Client())
    SocialAccount.objects.update(extra_data={"issuer": "https://old.example.com", "shown": "carla@example.com"})
    page = provider.come(client)
    assert (page.status_code, signed_in(client)) == (403, None)
    assert refusal().facts["reason"] == "issuer_changed"
    assert SocialAccount.objects.get().extra_data["issuer"] == "https://old.example.com"


def test_who_is_not_active_stays_out(client, provider, alice):
    provider.come(Client(), email="alice@example.com")
    User.objects.update(is_active=False)
    page = provider.come(client, email="alice@example.com")
    assert (page.status_code, signed_in(client)) == (403, None)
    assert refusal().facts["reason"] == "inactive"
    assert not User.objects.get().is_active


def test_a_service_account_is_never_signed_in(client, provider, robot):
    SocialAccount.objects.create(
        user=robot, provider="okta", uid="okta-1", extra_data={"issuer": "https://okta.example.com"}
    )
    assert provider.come(client).status_code == 403
    assert refusal().facts["reason"] == "service_account"


@pytest.mark.parametrize("userinfo", [{"sub": "somebody-else", "email": "carla@example.com"}, {"email": "x@y.z"}, []])
def test_userinfo_of_somebody_else_is_no_answer(client, provider, userinfo):
    provider.userinfo = userinfo or ["nothing"]
    page = provider.come(client)
    assert (page.status_code, signed_in(client), User.objects.count()) == (503, None, 0)


@pytest.mark.parametrize("wrong", [{"iss": "https://evil.example.com"}, {"aud": "another"}, {"exp": 1}, {"sub": None}])
def test_an_id_token_that_is_not_for_us_is_no_answer(client, provider, wrong):
    assert provider.come(client, **wrong).status_code == 503
    assert not User.objects.exists()


class TestInvited:
    @pytest.fixture
    def ticket(self, client, team, ines):
        from portal import links, mail
        from teams.services import invitations

        sent = invitations.invite(team, email="guest@partner.org", role=MemberRole.MEMBER, by=ines)
        session = client.session
        session["invitation"] = invitations.ticket_of(links.secret_of(mail.INVITATION, sent.pk))
        session.save()

    @pytest.mark.parametrize("verified", [True, False])
    def test_the_invited_address_gets_an_account_by_the_letters_link(self, client, provider, ticket, verified):
        provider.come(client, email="Guest@partner.org", email_verified=verified)
        assert signed_in(client) == str(User.objects.get(email="guest@partner.org").pk)
        assert client.session["invitation"]

    def test_another_address_gets_none_by_it(self, client, provider, ticket):
        assert provider.come(client, email="mallory@partner.org").status_code == 403

    def test_an_account_that_exists_is_not_opened_by_it(self, client, provider, ticket):
        User.objects.create_user("guest@partner.org")
        assert provider.come(client, email="guest@partner.org").status_code == 403
        assert refusal().facts["reason"] == "connect_first"


class TestGroups:
    @pytest.fixture(autouse=True)
    def mapped(self, team):
        GroupMapping.objects.create(source="okta", value="search-devs", team=team, role="member")

    def test_they_are_followed_at_every_sign_in(self, client, provider, team):
        provider.come(client, groups=["search-devs"])
        carla = User.objects.get()
        assert Membership.objects.get(user=carla, team=team).role == "member"
        assert Grant.objects.get().source == "okta"
        provider.come(client, groups=[])
        assert not Membership.objects.filter(user=carla).exists()

    def test_of_userinfo_and_id_token_either_may_tell_them(self, client, provider):
        provider.userinfo = {"sub": "okta-1", "email": "carla@example.com", "email_verified": True}
        provider.come(client, groups=["search-devs"])
        assert Membership.objects.count() == 1

    def test_a_claim_that_is_missing_changes_nothing(self, client, provider):
        provider.come(client, groups=["search-devs"])
        provider.come(client)
        assert Membership.objects.count() == 1
        assert ToldGroups.objects.get().trouble == "missing"

    def test_a_provider_without_groups_is_not_asked_for_them(self, client, provider, settings):
        settings.SSO_PROVIDERS = {"okta": okta(groups_claim="")}
        provider.come(client)
        assert not ToldGroups.objects.exists()


def test_the_answer_to_a_form_leads_to_the_provider_by_a_page_of_our_own(client, provider):
    page = client.post(reverse("openid_connect_login", args=["okta"]))
    assert (page.status_code, page["Cache-Control"]) == (200, "max-age=0, no-cache, no-store, must-revalidate, private")
    assert "Going to Okta" in page.content.decode()
    assert "okta.example.com" not in page["Content-Security-Policy"]
