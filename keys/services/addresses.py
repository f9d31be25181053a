"""Where a gateway may be: an admin's typing error, or worse, must not send the master key to a place that is none."""

from __future__ import annotations

import socket
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

from django.conf import settings

from keys.models.gateway import SANDBOX_URL

PORTS = {"http": 80, "https": 443}
# What clouds hand out their machines' credentials at beside 169.254.0.0/16. Source: AWS, IMDS over IPv6.
METADATA = {IPv6Address("fd00:ec2::254")}


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
        return "This is no address."
    if parts.scheme not in PORTS or not host or parts.username or parts.password:
        return "A whole address without a password in it, like https://llm.example.com."
    if _is_link_local(host):
        return "Link-local addresses, like those where clouds keep credentials of their machines, are never a gateway."
    patterns = [pattern.strip().lower() for pattern in settings.GATEWAY_HOSTS if pattern.strip()]
    if called and patterns and not any(_fits(host, port, pattern) for pattern in patterns):
        return f"Gateways may be at {', '.join(patterns)} only (KEYDESK_GATEWAY_HOSTS)."
    return ""


def free_name(url: str, taken: set[str]) -> str:
    """A name for a gateway there, after its host."""
    host = (urlsplit(url).hostname or "").replace(":", "-").strip("-") or "gateway"
    return next(name for name in (host, *(f"{host}-{n}" for n in range(2, 1000))) if name not in taken)


def _fits(host: str, port: int | None, pattern: str) -> bool:
    return any(fnmatchcase(each, pattern) for each in (host, f"{host}:{port}", f"[{host}]", f"[{host}]:{port}"))


def _is_link_local(host: str) -> bool:
    """Whether a host written as an address, in whatever notation a resolver takes, is link-local."""
    address = _address_of(host.rstrip("."))
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    return address is not None and (address.is_link_local or address in METADATA)


def _address_of(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(host))  # 2852039166, 0xa9.254.0251.0376: all one place
    except (OSError, UnicodeError):
        return None
