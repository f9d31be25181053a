"""Which hosts Keydesk calls: what every rule about an address that somebody has typed stands on."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

PORTS = {"http": 80, "https": 443}
# What clouds hand out their machines' credentials at beside 169.254.0.0/16. Source: AWS, IMDS over IPv6.
METADATA = {IPv6Address("fd00:ec2::254")}
NAT64 = IPv6Network("64:ff9b::/96")  # an IPv4 address stands in its end. Source: RFC 6052


def is_link_local(host: str) -> bool:
    """Whether a host written as an address, in whatever notation a resolver takes, is link-local."""
    address = _address_of(host)
    return address is not None and (address.is_link_local or address in METADATA)


def is_inside(host: str) -> bool:
    """Whether a host written as an address is not of the public internet: of a company's own network, or nowhere."""
    address = _address_of(host)
    return address is not None and (not address.is_global or address.is_multicast)


def is_this_machine(host: str) -> bool:
    """Whether it is the machine itself, by name or as an address."""
    address = _address_of(host)
    if address is not None:
        return address.is_loopback or address.is_unspecified
    plain = host.rstrip(".").lower()
    return plain == "localhost" or plain.endswith(".localhost")


def resolved(host: str, port: int | None) -> set[str]:
    """The addresses behind a name. Raises OSError when it has none."""
    return {str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}


def outside(host: str, port: int | None, allowed: Iterable[str]) -> str:
    """The patterns that are allowed, when none of them fits; empty: one does, or all hosts are allowed.

    A pattern is a host or host:port in which * fits anything.
    """
    patterns = [pattern.strip().lower() for pattern in allowed if pattern.strip()]
    fits = not patterns or any(_fits(host, port, pattern) for pattern in patterns)
    return "" if fits else ", ".join(patterns)


def _fits(host: str, port: int | None, pattern: str) -> bool:
    pattern = pattern.replace("[", "[[]")  # of an IPv6 address, not of fnmatch
    return any(fnmatchcase(each, pattern) for each in (host, f"{host}:{port}", f"[{host}]", f"[{host}]:{port}"))


def _address_of(host: str) -> IPv4Address | IPv6Address | None:
    """A host that is written as an address; None: it is a name."""
    plain = host.rstrip(".")
    try:
        address = ip_address(plain.partition("%")[0])
    except ValueError:
        try:
            return IPv4Address(socket.inet_aton(plain))  # 2852039166, 0xa9.254.0251.0376: all one place
        except (OSError, UnicodeError):
            return None
    if isinstance(address, IPv4Address):
        return address
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
