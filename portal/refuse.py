"""What the environment must not say. Each rule stops the start, and says what to set instead."""

from __future__ import annotations

from collections.abc import Collection

from django.core.exceptions import ImproperlyConfigured

SHORTEST_STAY = 90  # days that the audit trail is kept at least
SHORTEST_SECRET = 32  # characters


def audit(*, keep_days: int, stream: str, webhook: str, webhook_secret: str) -> None:
    """Raises ImproperlyConfigured."""
    if keep_days and keep_days < SHORTEST_STAY:
        raise ImproperlyConfigured(
            f"KEYDESK_AUDIT_KEEP_DAYS must be at least {SHORTEST_STAY}, or 0 to keep the audit trail for ever."
        )
    if stream not in {"", "stdout"}:
        raise ImproperlyConfigured(
            "KEYDESK_AUDIT_STREAM can only be stdout. For another host, set KEYDESK_AUDIT_WEBHOOK."
        )
    if stream and webhook:
        raise ImproperlyConfigured("Set KEYDESK_AUDIT_STREAM or KEYDESK_AUDIT_WEBHOOK: one of them has the trail.")
    if webhook and (not webhook.startswith("https://") or not webhook_secret):
        raise ImproperlyConfigured(
            "KEYDESK_AUDIT_WEBHOOK must begin with https://, with KEYDESK_AUDIT_WEBHOOK_SECRET set."
        )


def second_factors(roles: Collection[str]) -> None:
    """Raises ImproperlyConfigured."""
    if unknown := set(roles) - {"admin", "auditor", "all"}:
        named = ", ".join(sorted(unknown))
        raise ImproperlyConfigured(f"KEYDESK_MFA_REQUIRED names platform roles, or all; not {named}.")


def scim(token: str) -> None:
    """Raises ImproperlyConfigured."""
    if token and len(token) < SHORTEST_SECRET:
        raise ImproperlyConfigured(
            f"KEYDESK_SCIM_TOKEN takes people in and out: give it at least {SHORTEST_SECRET} random characters."
        )


def digest_hour(hour: int) -> None:
    """Raises ImproperlyConfigured."""
    if not 0 <= hour <= 23:
        raise ImproperlyConfigured("KEYDESK_DIGEST_HOUR must be an hour of the day in UTC, from 0 to 23.")
