"""Who may sign in with a password. With KEYDESK_SSO_ONLY that is one account, for when the provider is away."""

from __future__ import annotations

from typing import Any

from allauth.account.auth_backends import AuthenticationBackend
from django.conf import settings
from django.db import transaction
from django.http import HttpRequest

from portal import audit, mail
from teams.access import admin_addresses
from teams.models import User

# Pages for passwords, and the sign-in that asks no provider. By name: they are allauth's.
PAGES = frozenset(
    {
        "account_change_password",
        "account_set_password",
        "account_reset_password",
        "account_reset_password_done",
        "account_reset_password_from_key",
        "account_reset_password_from_key_done",
        "mfa_login_webauthn",  # a leaver's passkey would still open the door
    }
)


def may_use(user: Any) -> bool:
    """Whether this person may use a password at all."""
    if not settings.SSO_ONLY:
        return True
    return isinstance(user, User) and bool(user.email) and user.email == settings.BREAK_GLASS


class PasswordBackend(AuthenticationBackend):  # type: ignore[misc]
    """Refuses who may not use a password just as it refuses a wrong one: same words, same time."""

    def authenticate(self, request: HttpRequest | None, **credentials: Any) -> User | None:
        user: User | None = super().authenticate(request, **credentials)
        if not settings.SSO_ONLY:
            return user
        self.unstash_authenticated_user()  # else allauth says of a right password that its account is not active
        return user if user and may_use(user) else None


def glass_broken(user: User) -> None:
    """Write down, and tell every platform admin, that the emergency account was used."""
    with transaction.atomic():
        event = audit.record("sso.emergency_sign_in", user, by=user)
        mail.emergency_sign_in(
            admin_addresses(), f"emergency:{event.pk}", person=str(user.email), at=event.at,
            ip=event.ip or "an unknown address",
        )  # fmt: skip
