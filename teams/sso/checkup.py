"""What `manage.py doctor` says of signing in: each provider, and the account that breaks the glass."""

from __future__ import annotations

from collections.abc import Iterator

import requests
from django.conf import settings
from django.urls import reverse

from portal.providers import Provider
from teams.access import platform_admins
from teams.models import User
from teams.roles import PlatformRole
from teams.sso import calls

Said = tuple[str, str, str]  # the part, how it stands, what to do about it (empty when it is well)


def findings() -> Iterator[Said]:
    for provider in settings.SSO_PROVIDERS.values():
        yield _of(provider)
    if settings.SSO_ONLY:
        yield "break glass", settings.BREAK_GLASS, _break_glass()


def _of(provider: Provider) -> Said:
    if provider.protocol != "openid_connect":
        back = f"{settings.URL}{reverse(f'{provider.protocol}_callback')}"
        return "provider", f"{provider.name}, which sends people back to {back}", ""
    back = f"{settings.URL}{reverse('openid_connect_callback', args=[provider.id])}"
    try:
        told = calls.read(provider)
    except (requests.RequestException, ValueError) as trouble:
        said = f"{provider.name}, {provider.issuer}: {calls.said(trouble)}"
        return "provider", said, f"Check its issuer, and that this host reaches {provider.issuer}{calls.WELL_KNOWN}."
    ends = "ends" if told.get("end_session_endpoint") else "does not end"
    return "provider", f"{provider.name} answers, sends people back to {back}; signing out {ends} its own session", ""


def _break_glass() -> str:
    user = User.objects.filter(email=settings.BREAK_GLASS, kind=User.Kind.PERSON).first()
    if user is None:
        return "There is no such account: the one of KEYDESK_ADMIN_EMAIL is made at the first start."
    if not platform_admins().filter(pk=user.pk).exists():
        return "It is no active platform admin, so it could mend nothing. Make it one, or name another."
    if user.given_platform_role != PlatformRole.ADMIN:
        return "A provider's group alone makes it a platform admin. Give it that role by hand, or name another."
    if not user.has_usable_password():
        return f"It has no password: manage.py changepassword {user.email}"
    return ""
