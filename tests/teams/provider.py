"""A fake identity provider: its discovery, token and userinfo endpoints, and a person who comes back from it."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
import responses
from django.test import Client
from django.urls import reverse

from portal.providers import Provider

ISSUER = "https://okta.example.com"
CLIENT = "keydesk-at-okta"
SECRET = "the-client-secret"
TOKEN = "the-access-token"


def okta(**changes: Any) -> Provider:
    told = {
        "id": "okta",
        "name": "Okta",
        "issuer": ISSUER,
        "client_id": CLIENT,
        "client_secret": SECRET,
        "groups_claim": "groups",
        "domains": frozenset({"example.com"}),
    }
    return Provider(**told | changes)


class FakeProvider:
    """What Okta would answer; `claims` is whoever comes next."""

    def __init__(self, calls: responses.RequestsMock) -> None:
        self.calls = calls
        self.claims: dict[str, Any] = {}
        self.userinfo: dict[str, Any] | None = None  # None: it says the same as the ID token
        self.issuer = ISSUER
        self.document: dict[str, Any] = {
            "issuer": ISSUER,
            "authorization_endpoint": f"{ISSUER}/authorize",
            "token_endpoint": f"{ISSUER}/token",
            "userinfo_endpoint": f"{ISSUER}/userinfo",
            "jwks_uri": f"{ISSUER}/keys",
            "end_session_endpoint": f"{ISSUER}/logout",
        }
        calls.add_callback("GET", f"{ISSUER}/.well-known/openid-configuration", lambda _: self._json(self.document))
        calls.add_callback("POST", f"{ISSUER}/token", self._token)
        calls.add_callback("GET", f"{ISSUER}/userinfo", lambda _: self._json(self.userinfo or self.claims))
        self.sent: dict[str, list[str]] = {}  # to the token endpoint
        self.asked: dict[str, list[str]] = {}  # in the address line

    def asked_for(self, path: str) -> int:
        return sum(1 for call in self.calls.calls if urlsplit(call.request.url).path == path)

    def _token(self, request: Any) -> tuple[int, dict[str, str], str]:
        self.sent = parse_qs(request.body)
        said = {"iss": self.issuer, "aud": CLIENT, "exp": 4_000_000_000, "iat": 1_700_000_000, **self.claims}
        token = jwt.encode(said, "x" * 32, algorithm="HS256")
        return self._json({"access_token": TOKEN, "token_type": "Bearer", "id_token": token, "refresh_token": "r"})

    @staticmethod
    def _json(body: Any) -> tuple[int, dict[str, str], str]:
        import json

        return 200, {"content-type": "application/json"}, json.dumps(body)

    def go(self, client: Client, provider: str = "okta", **body: str) -> dict[str, list[str]]:
        """Press "Continue with Okta"; answers what Okta is asked."""
        page = client.post(reverse("openid_connect_login", args=[provider]), body)
        assert page.status_code == 200, page.status_code
        return self.way(page)

    def way(self, page: Any) -> dict[str, list[str]]:
        found = re.search(r'content="0; url=([^"]+)"', page.content.decode())
        assert found, page.content.decode()[:3000]
        self.asked = parse_qs(urlsplit(html.unescape(found[1])).query)
        return self.asked

    def back(self, client: Client, state: str, provider: str = "okta", **changes: str) -> Any:
        query = {"code": "the-code", "state": state} | changes
        return client.get(reverse("openid_connect_callback", args=[provider]), query)

    def come(self, client: Client, **claims: Any) -> Any:
        """Sign in as whoever `claims` says; answers the page one comes back to."""
        self.claims = {"sub": "okta-1", "email": "carla@example.com", "email_verified": True, "name": "Carla Diaz"}
        self.claims = {name: value for name, value in (self.claims | claims).items() if value is not None}
        return self.back(client, self.go(client)["state"][0])


def verifier_fits(asked: dict[str, list[str]], sent: dict[str, list[str]]) -> bool:
    """Whether the code's verifier is the one whose digest was announced (RFC 7636)."""
    digest = hashlib.sha256(sent["code_verifier"][0].encode()).digest()
    made = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    return asked["code_challenge_method"] == ["S256"] and asked["code_challenge"] == [made]


@pytest.fixture
def provider(settings):
    """Okta, answering; it is the one provider configured."""
    settings.SSO_PROVIDERS = {"okta": okta()}
    with responses.RequestsMock(assert_all_requests_are_fired=False) as calls:
        yield FakeProvider(calls)
