"""Bearer tokens at the API."""

from __future__ import annotations

from dataclasses import replace

from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from portal.audit import origin
from teams.models import ApiToken, User
from teams.roles import Scope


class TokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer kd_…`: the owner acts, within the token's scopes."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        kind, _, plain = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer":
            return None
        token = ApiToken.objects.usable(plain.strip())
        if token is None:
            raise AuthenticationFailed("This token is not known, has expired, or its owner is not active.")
        token.used(timezone.now())
        token.owner.scopes = frozenset(Scope(scope) for scope in token.scopes)
        origin.set(replace(origin.get(), token_id=str(token.pk)))
        return token.owner, token

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"
