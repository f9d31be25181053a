"""Where a gateway may be: an admin's typing error, or worse, must not send the master key to a place that is none."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.conf import settings
from django.utils.translation import gettext as _

from keys.models.gateway import SANDBOX_URL
from portal.addresses import PORTS, is_link_local, outside


def wrong_address(url: str, *, called: bool) -> str:
    """What is wrong with the address of a gateway; empty: nothing. The sandbox is always there.

    `called`: calls go there with the master key, so KEYDESK_GATEWAY_HOSTS counts.
    """
    if not url or url == SANDBOX_URL:
        return ""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or PORTS.get(parts.scheme)
    except ValueError:
        return _("This is no address.")
    if parts.scheme not in PORTS or not host or parts.username or parts.password:
        return _("A whole address without a password in it, like https://llm.example.com.")
    if is_link_local(host):
        return _(
            "Link-local addresses, like those where clouds keep credentials of their machines, are never a gateway."
        )
    if called and (only := outside(host, port, settings.GATEWAY_HOSTS)):
        return _("Gateways may be at %(only)s only (KEYDESK_GATEWAY_HOSTS).") % {"only": only}
    return ""


def free_name(url: str, taken: set[str]) -> str:
    """A name for a gateway there, after its host."""
    host = (urlsplit(url).hostname or "").replace(":", "-").strip("-") or "gateway"
    return next(name for name in (host, *(f"{host}-{n}" for n in range(2, 1000))) if name not in taken)
