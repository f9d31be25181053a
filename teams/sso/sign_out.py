"""Signing out at the provider too. Source: OpenID Connect RP-Initiated Logout 1.0."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.urls import reverse

from teams.sso import calls


def address(note: Mapping[str, Any]) -> str:
    """Where the session ends at the provider that `note` names; blank: it has no such page. Raises ProviderAway.

    No `id_token_hint`: the ID token is not kept, as it tells all about a person and would travel in an address line.
    Instead the provider learns the client and a hint whom it is about; some ask the person once more.
    """
    provider = settings.SSO_PROVIDERS.get(str(note.get("provider")))
    if provider is None or provider.protocol != "openid_connect":
        return ""
    there = calls.discovery(provider).get("end_session_endpoint")
    if not there:
        return ""
    identity = SocialAccount.objects.filter(provider=provider.id, uid=note.get("uid")).first()
    asked = {
        "client_id": provider.client_id,
        "post_logout_redirect_uri": f"{settings.URL}{reverse('account_login')}",
        "logout_hint": identity.extra_data.get("shown", "") if identity else "",
    }
    query = urlencode({name: value for name, value in asked.items() if value})
    return f"{there}{'&' if '?' in there else '?'}{query}"
