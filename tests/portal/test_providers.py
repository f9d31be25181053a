"""What the environment says of identity providers, and what stops the start."""

from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured

from portal import providers

OIDC = {
    "KEYDESK_OIDC_ISSUER": "https://id.example.com/realms/it/",
    "KEYDESK_OIDC_CLIENT_ID": "keydesk",
    "KEYDESK_OIDC_CLIENT_SECRET": "secret",
}
TENANT = "3f1a0c3e-7c2d-4a5b-9e8f-001122334455"


def of(known: str, **more: str) -> dict[str, str]:
    return {f"KEYDESK_{known}_{name}": value for name, value in more.items()}


def test_one_provider_needs_three_variables():
    found = providers.read(OIDC)["oidc"]
    assert (found.id, found.name, found.issuer) == ("oidc", "single sign-on", "https://id.example.com/realms/it")
    assert (found.scopes, found.groups_claim) == (("openid", "profile", "email"), "groups")
    assert (found.domains, found.trust_email) == (frozenset(), False)


def test_several_go_by_their_suffix():
    okta = {f"{name}_OKTA_EU": value for name, value in OIDC.items()}
    found = providers.read(OIDC | okta | {"KEYDESK_OIDC_NAME": "Keycloak"})
    assert {provider.id: provider.name for provider in found.values()} == {"oidc": "Keycloak", "okta_eu": "Okta Eu"}


def test_what_else_may_be_said_of_one():
    more = of("OIDC", SCOPES="profile,email groups", GROUPS_CLAIM="roles", DOMAINS="@Example.com, example.org",
              TRUST_EMAIL="yes")  # fmt: skip
    found = providers.read(OIDC | more)["oidc"]
    assert found.scopes == ("openid", "profile", "email", "groups")
    assert (found.groups_claim, found.domains, found.trust_email) == (
        "roles",
        frozenset({"example.com", "example.org"}),
        True,
    )


@pytest.mark.parametrize(
    ("address", "speaks"),
    [("a@example.com", True), ("a@EXAMPLE.com", True), ("a@sub.example.com", False), ("example.com", True),
     ("a@example.com@evil.org", False), ("a@notexample.com", False)],
)  # fmt: skip
def test_a_provider_speaks_for_its_own_domains_only(address, speaks):
    found = providers.read(OIDC | of("OIDC", DOMAINS="example.com"))["oidc"]
    assert found.speaks_for(address) is speaks


def test_the_three_well_known_ones_need_their_ids():
    told = {
        **of("GITHUB", CLIENT_ID="a", CLIENT_SECRET="b", DOMAINS="example.com"),
        **of("GOOGLE", CLIENT_ID="c", CLIENT_SECRET="d"),
        **of("MICROSOFT", CLIENT_ID="e", CLIENT_SECRET="f", TENANT=TENANT),
    }
    found = providers.read(told)
    assert {each.id: (each.issuer, each.groups_claim, each.protocol) for each in found.values()} == {
        "github": ("https://github.com", "", "github"),
        "google": ("https://accounts.google.com", "", "openid_connect"),
        "microsoft": (f"https://login.microsoftonline.com/{TENANT}/v2.0", "groups", "openid_connect"),
    }


def test_a_blank_variable_is_none():
    assert providers.read(dict.fromkeys(OIDC, " ")) == {}


def test_the_secret_is_not_shown():
    assert "secret'" not in repr(providers.read(OIDC))


@pytest.mark.parametrize(
    ("told", "names"),
    [
        ({"KEYDESK_OIDC_ISSUER": "https://id.example.com"}, "KEYDESK_OIDC_CLIENT_ID must be set"),
        (OIDC | {"KEYDESK_OIDC_CLIENT_SECRET": ""}, "KEYDESK_OIDC_CLIENT_SECRET must be set"),
        ({"KEYDESK_OIDC_NAME_OKTA": "Okta"}, "KEYDESK_OIDC_ISSUER_OKTA must be set"),
        (OIDC | {"KEYDESK_OIDC_ISSUER": "http://id.example.com"}, "must begin with https"),
        (OIDC | {"KEYDESK_OIDC_ISSUER": "id.example.com"}, "whole address"),
        (OIDC | {"KEYDESK_OIDC_ISSUER": "https://a:b@id.example.com"}, "whole address"),
        (OIDC | {"KEYDESK_OIDC_NAME_github": "x"}, "cannot name a provider"),
        (OIDC | {"KEYDESK_OIDC_NAME_SCIM": "x"}, "cannot name a provider"),
        (OIDC | {"KEYDESK_OIDC_NAME_A__B": "x"}, "cannot name a provider"),
        (OIDC | {f"KEYDESK_OIDC_NAME_{'X' * 41}": "x"}, "cannot name a provider"),
        (OIDC | {"KEYDESK_OIDC_CLENT_ID": "x"}, "KEYDESK_OIDC_CLENT_ID is no setting"),
        (OIDC | {"KEYDESK_OIDC_DOMAINS": "*"}, "no mail domain"),
        (OIDC | {"KEYDESK_OIDC_TRUST_EMAIL": "1"}, "set KEYDESK_OIDC_DOMAINS as well"),
        (of("GITHUB", CLIENT_ID="a"), "KEYDESK_GITHUB_CLIENT_SECRET must be set"),
        (of("MICROSOFT", CLIENT_ID="a", CLIENT_SECRET="b"), "KEYDESK_MICROSOFT_TENANT"),
        (of("MICROSOFT", CLIENT_ID="a", CLIENT_SECRET="b", TENANT="common"), "KEYDESK_MICROSOFT_TENANT"),
    ],
)
def test_what_is_set_by_halves_stops_the_start_and_says_what_to_set(told, names):
    with pytest.raises(ImproperlyConfigured, match=names):
        providers.read(told)


def test_a_provider_on_this_machine_may_speak_plain_http():
    assert providers.read(OIDC | {"KEYDESK_OIDC_ISSUER": "http://localhost:9400"})["oidc"].issuer.startswith("http://")


def test_single_sign_on_alone_needs_a_provider_and_somebody_for_when_it_is_away():
    with pytest.raises(ImproperlyConfigured, match="no identity provider is configured"):
        providers.check_only(True, "ruth@example.com", [])
    with pytest.raises(ImproperlyConfigured, match="Set KEYDESK_BREAK_GLASS"):
        providers.check_only(True, "", providers.read(OIDC).values())
    providers.check_only(True, "ruth@example.com", providers.read(OIDC).values())
    providers.check_only(False, "", [])
