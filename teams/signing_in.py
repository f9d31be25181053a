"""Passwords and sign-ins: allauth's adapter with our rules. `teams/sso.py` adds those for identity providers."""

from __future__ import annotations

from typing import Any

import structlog
from allauth.account.adapter import DefaultAccountAdapter
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext_lazy

from portal import audit, mail
from portal.middleware import client_ip
from teams.access import require_fresh
from teams.models import User

log = structlog.get_logger(__name__)

NO_ADDRESS = "0.0.0.0"  # noqa: S104  (a client without one, at a Unix socket)


class SigningIn(DefaultAccountAdapter):  # type: ignore[misc]
    """What allauth asks us while people sign in, sign in again, or change their password."""

    error_messages = DefaultAccountAdapter.error_messages | {
        "incorrect_password": gettext_lazy("This is not your password."),
        "too_many_login_attempts": gettext_lazy("Too many tries. Wait five minutes, then try again."),
        "rate_limited": gettext_lazy("Too many tries. Wait a few minutes, then try again."),
    }

    def get_client_ip(self, request: HttpRequest) -> str:
        """Whose tries are counted: the same address that the audit trail notes."""
        found = client_ip(request.META.get("REMOTE_ADDR", ""), request.headers.get("X-Forwarded-For", ""))
        return found or NO_ADDRESS

    def is_safe_url(self, url: str | None) -> bool:
        """Every `next` stays on the host that was asked: allauth would also take each of ALLOWED_HOSTS."""
        request = self.request
        return url_has_allowed_host_and_scheme(url, {request.get_host()}, require_https=request.is_secure())

    def is_reauthentication_required(self, *, app: str, **kwargs: Any) -> bool:
        """One rule of what is fresh, for allauth's acts as for ours. Raises SignInAgain."""
        require_fresh(self.request.user)
        return False

    def set_password(self, user: User, password: str) -> None:
        """Change it, by whichever way. Every other session of that person ends: each is bound to the password."""
        with transaction.atomic():
            super().set_password(user, password)
            by_letter = not self.request.user.is_authenticated
            audit.record("person.password_changed", user, by=user, by_letter=by_letter)
            mail.password_changed(user.email or "", f"password:{user.pk}:{timezone.now():%Y%m%d%H%M%S%f}")

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        """Note a wrong password for an account that exists. What else is typed there is nobody's business."""
        user = User.objects.filter(email__iexact=credentials.get("email") or "", kind=User.Kind.PERSON).first()
        if user is None:
            log.info("sign_in_failed", account=None)
            return
        by = request.user if isinstance(request.user, User) else audit.STRANGER
        with transaction.atomic():
            audit.record("person.sign_in_failed", user, by=by, method="password", again=by is not audit.STRANGER)
