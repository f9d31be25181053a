"""allauth's OpenID Connect and GitHub, as we use them: limits, checks that it leaves to us, and little is kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialLogin, SocialToken
from allauth.socialaccount.providers.github.provider import GitHubProvider
from allauth.socialaccount.providers.github.views import GitHubOAuth2Adapter
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.conf import settings
from django.http import HttpRequest

from portal.models import storable
from portal.providers import Provider
from teams.sso import calls, identities

LONGEST_SUBJECT = 191  # characters: SocialAccount.uid


class Ours:
    """What both have in common. Nothing of the address line reaches the provider but what we put there."""

    app: Any
    pkce_enabled_default = True  # always: a stolen code is worth nothing without the verifier (RFC 7636, S256)

    @property
    def configured(self) -> Provider:
        found: Provider = settings.SSO_PROVIDERS[self.app.provider_id or self.app.provider]
        return found

    def get_scope(self) -> list[str]:
        return list(self.configured.scopes)

    def cleanup_email_addresses(self, email: Any, addresses: list[EmailAddress], **more: Any) -> str | None:
        """Leave out what is not plain ASCII: lower case makes a `k` of the KELVIN SIGN, and so another's address."""
        addresses[:] = [each for each in addresses if _plain(each.email)]
        found: str | None = super().cleanup_email_addresses(email if _plain(email) else None, addresses, **more)  # type: ignore[misc]
        return found

    def extract_extra_data(self, data: dict[str, Any]) -> dict[str, Any]:
        """All that is kept with the identity: whose it is, and how to name it on a page."""
        shown = storable(str(data.get("email") or data.get("login") or ""))
        return {"issuer": self.configured.issuer, "shown": shown[:254]}


def _plain(address: Any) -> bool:
    return isinstance(address, str) and address.isascii()


@contextmanager
def understood() -> Iterator[None]:
    """What has another shape than the protocol says is no answer. Raises OAuth2Error, which allauth looks for."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise OAuth2Error(f"{type(error).__name__} in an answer") from None


class Reads:
    """Where answers of a token endpoint are read."""

    def get_access_token_data(self, *args: Any, **kwargs: Any) -> Any:
        with understood():
            return super().get_access_token_data(*args, **kwargs)  # type: ignore[misc]

    def parse_token(self, data: Any) -> Any:
        with understood():
            return super().parse_token(data)  # type: ignore[misc]


class OpenIDConnectAdapter(Reads, OpenIDConnectOAuth2Adapter):  # type: ignore[misc]
    @property
    def openid_config(self) -> dict[str, Any]:
        return calls.discovery(settings.SSO_PROVIDERS[self.provider_id])

    def complete_login(self, request: HttpRequest, app: Any, token: SocialToken, **kwargs: Any) -> SocialLogin:
        with understood():
            claims = self._claims(app, token, kwargs["response"])
            identities.same_issuer(settings.SSO_PROVIDERS[self.provider_id], claims["sub"])
            login = self.get_provider().sociallogin_from_response(request, claims)
        login.claims = claims
        return login

    def _claims(self, app: Any, token: SocialToken, answer: dict[str, Any]) -> dict[str, Any]:
        """Who it is: by the ID token, and by userinfo if that speaks of the same subject.

        Raises OAuth2Error. Source: OpenID Connect Core 1.0, sections 3.1.3.7 and 5.3.2.
        """
        said = self._decode_id_token(app, str(answer.get("id_token") or ""))
        subject = said.get("sub")
        if not isinstance(subject, str) or not 0 < len(subject) <= LONGEST_SUBJECT or not subject.isprintable():
            raise OAuth2Error("the ID token has no subject that can be kept")
        more = self._fetch_user_info(token.token) if "userinfo_endpoint" in self.openid_config else {}
        if not isinstance(more, dict) or (more and more.get("sub") != subject):
            raise OAuth2Error("userinfo is of somebody else")
        return {**said, **more}


class GitHubAdapter(Reads, GitHubOAuth2Adapter):  # type: ignore[misc]
    def complete_login(self, *args: Any, **kwargs: Any) -> Any:
        with understood():
            return super().complete_login(*args, **kwargs)


class OpenIDConnect(Ours, OpenIDConnectProvider):  # type: ignore[misc]
    oauth2_adapter_class = OpenIDConnectAdapter

    def extract_email_addresses(self, data: dict[str, Any]) -> list[EmailAddress]:
        """The address, verified only if the provider says so, or is trusted to send no other ones.

        Some write "true" as text; allauth takes any text for it, "false" too.
        """
        address = data.get("email")
        if not isinstance(address, str) or not address:
            return []
        verified = data.get("email_verified") in (True, "true")
        if "email_verified" not in data and self.configured.trust_email:
            verified = self.configured.speaks_for(address)
        return [EmailAddress(email=address, verified=verified, primary=True)]


class GitHub(Ours, GitHubProvider):  # type: ignore[misc]
    """OAuth 2 without ID token: who it is comes from GitHub's API, verified addresses too."""

    oauth2_adapter_class = GitHubAdapter


provider_classes = [OpenIDConnect, GitHub]
