"""Bearer tokens at the API."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

import structlog
from django.conf import settings
from django.core.cache import cache
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, Throttled
from rest_framework.request import Request

from portal.audit import origin
from portal.counts import MINUTE, counted
from teams.models import ApiToken, User
from teams.roles import Scope
from teams.services.logins import note_copy
from teams.services.tokens import refused_from_there

log = structlog.get_logger(__name__)

# One text for every reason: whoever found a token does not learn that it would work from elsewhere.
REFUSED = "This token is not known, has ended, may not be used from here, or its owner is not active."


class TokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer kd_…`: the owner acts, within the token's scopes and from its networks."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        kind, _, plain = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer":
            return None
        here = origin.get()
        token = ApiToken.objects.usable(plain.strip())
        if token is None or not token.may_come_from(here.ip):
            if token and _first_in_a_minute(f"token-refused:{token.pk}"):
                refused_from_there(token)
            if token is None:
                note_copy(plain.strip())
            slow_down(here.ip)
            raise AuthenticationFailed(REFUSED)
        token.used(timezone.now())
        owner = token.owner
        owner.scopes, owner.token = frozenset(Scope(scope) for scope in token.scopes), token
        origin.set(replace(here, token_id=str(token.pk)))
        return owner, token

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


def slow_down(ip: str | None) -> None:
    """Count a wrong token of this address, in the cache that all processes share. Raises Throttled.

    A token that is right is never held up: 256 random bits are not found by trying, and neighbours share addresses.
    """
    now = timezone.now().timestamp()
    try:
        wrong = counted(f"wrong-token:{ip}:{int(now // MINUTE)}")
    except Exception:  # no cache, no count: a wrong token is refused all the same
        log.warning("wrong_tokens_not_counted", exc_info=True)
        return
    if wrong > settings.WRONG_TOKENS:
        raise Throttled(wait=ceil(MINUTE - now % MINUTE), detail="Too many wrong tokens came from this address.")


def _first_in_a_minute(key: str) -> bool:
    try:
        return bool(cache.add(key, 1, MINUTE))
    except Exception:
        log.warning("cache_away", exc_info=True)
        return True
