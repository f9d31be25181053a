"""What pages of signing in and out have to know of providers."""

from __future__ import annotations

from typing import Any

from django import template
from django.conf import settings
from django.urls import reverse

from portal.errors import PortalError
from portal.providers import Provider
from teams.sso import sign_out
from teams.sso.adapters import came_by

register = template.Library()


@register.simple_tag
def providers() -> list[Provider]:
    return sorted(settings.SSO_PROVIDERS.values(), key=lambda each: each.name.lower())


@register.filter
def begins_at(provider: Provider) -> str:
    """Where a form that signs in with it is sent."""
    if provider.protocol == "github":
        return reverse("github_login")
    return reverse("openid_connect_login", args=[provider.id])


@register.simple_tag
def password_form(request: Any, form: Any) -> bool:
    """Whether the sign-in page shows the form: always, or with single sign-on alone when somebody asks for it."""
    return not settings.SSO_ONLY or "emergency" in request.GET or bool(form.errors)


@register.simple_tag
def passwords_are_off() -> bool:
    return bool(settings.SSO_ONLY)


@register.simple_tag
def signs_out_at(request: Any) -> Provider | None:
    """The provider that brought this session in, where signing out can reach it."""
    note = came_by(request, request.user)
    try:
        there = sign_out.address(note) if note else ""
    except PortalError:
        return None
    found: Provider | None = settings.SSO_PROVIDERS.get(note["provider"]) if note and there else None
    return found
