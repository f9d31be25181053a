"""Calls to identity providers: limits, no redirects, and the discovery document."""

from __future__ import annotations

import hashlib
from typing import Any
from urllib.parse import urlsplit

import requests
import structlog
from django.core.cache import cache
from django.utils.translation import gettext

from portal.providers import LOCAL, Provider
from teams.sso.troubles import ProviderAway

log = structlog.get_logger(__name__)

LIMITS = (3.0, 10.0)  # seconds: to connect, and for each answer; a person waits
KNOWN_FOR = 3600  # seconds that a discovery document is believed
AWAY_FOR = 10  # seconds in which nobody else waits for a provider that did not answer
WELL_KNOWN = "/.well-known/openid-configuration"  # OpenID Connect Discovery 1.0, section 4
NEEDED = ("authorization_endpoint", "token_endpoint", "jwks_uri")
ENDPOINTS = (*NEEDED, "userinfo_endpoint", "end_session_endpoint")


class Session(requests.Session):
    """Has limits, and follows no redirect: one of a token endpoint would carry the secret wherever it points."""

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        answer = super().request(*args, **{"timeout": LIMITS, **kwargs, "allow_redirects": False})
        if answer.is_redirect:
            raise requests.TooManyRedirects(f"{urlsplit(answer.url).hostname} answers with a redirect")
        return answer


def discovery(provider: Provider) -> dict[str, Any]:
    """What the provider says of itself, read once an hour. Raises ProviderAway."""
    key = f"sso:discovery:{hashlib.sha256(provider.issuer.encode()).hexdigest()}"
    found = cache.get(key)
    if found is None:
        try:
            found = read(provider)
        except (requests.RequestException, ValueError) as trouble:
            log.warning("provider_away", provider=provider.id, trouble=said(trouble))
            cache.set(key, {}, AWAY_FOR)
            raise away(provider) from None
        cache.set(key, found, KNOWN_FOR)
    if not found:
        raise away(provider)
    return dict(found)


def away(provider: Provider) -> ProviderAway:
    return ProviderAway(gettext("%(name)s does not answer as it should.") % {"name": provider.name})


def read(provider: Provider) -> dict[str, Any]:
    """Read it now. Raises RequestException, and ValueError when what is there is not this provider's own document."""
    with Session() as line:
        answer = line.get(f"{provider.issuer}{WELL_KNOWN}")
        answer.raise_for_status()
        told = answer.json()
    if not isinstance(told, dict) or str(told.get("issuer", "")).rstrip("/") != provider.issuer:
        raise ValueError("the document is of another issuer")
    for name in ENDPOINTS:
        if (name in NEEDED or name in told) and not _safe(told.get(name), provider):
            raise ValueError(f"{name} is no https address")
    return told


def _safe(url: object, provider: Provider) -> bool:
    """https, or plain http where the issuer itself is a local one."""
    if not isinstance(url, str):
        return False
    found = urlsplit(url)
    if found.scheme == "http":
        return provider.issuer.startswith("http://") and found.hostname in LOCAL
    return found.scheme == "https" and bool(found.hostname)


def said(trouble: Exception) -> str:
    """The kind of trouble; the words of `requests` may hold an address with a secret in it."""
    return str(trouble) if type(trouble) is ValueError else type(trouble).__name__
