"""Signed requests to other people's addresses, as Standard Webhooks has them: the audit stream's, and those of teams.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

import requests
from django.conf import settings
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError

from portal import addresses
from portal.litellm.transport import Adapter, Connection, SecureConnection
from portal.models import storable

T = TypeVar("T")
TIMEOUT = (3, 10)  # seconds to connect, and to answer: for all of the answer, however it drips
PREFIX = "whsec_"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the other side said: its status, and the beginning of its words."""

    status: int
    words: str = ""

    @property
    def is_taken(self) -> bool:
        return 200 <= self.status < 300


class Astray(Exception):
    """The address leads to a place that takes no events; the words are for people."""


def new_secret() -> str:
    """A secret to sign with, as the standard writes it: 32 random bytes."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def signature(secret: str, number: str, at: str, body: bytes) -> str:
    """`v1,` and the HMAC-SHA256 over id, time and body, in base64."""
    signed = hmac.digest(_key_of(secret), f"{number}.{at}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(signed).decode()}"


def send(
    url: str, body: bytes, *, secret: str, number: str, listen: int = 0, inside: bool = False, anywhere: bool = False
) -> Answer:
    """Send `body` under the id `number`; follows nothing, and reads at most `listen` characters of the answer.

    `inside`: see `wrong_address`. `anywhere`: the operator has said where, so every place will do.
    Raises requests.RequestException when there is no answer, and Astray.
    """
    at = str(int(time.time()))
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Keydesk",
        "webhook-id": number,
        "webhook-timestamp": at,
        "webhook-signature": signature(secret, number, at, body),
    }
    with requests.Session() as session:
        for prefix in addresses.PORTS:
            session.mount(f"{prefix}://", Adapter() if anywhere else _Adapter(inside=inside))
        with session.post(
            url, data=body, headers=headers, timeout=TIMEOUT, allow_redirects=False, stream=True, auth=_unchanged
        ) as answer:  # stream: no more of what it answers is read than is asked for
            words = b""
            if listen:
                with suppress(HTTPError, OSError):  # one look: who drips is not listened to
                    words = answer.raw.read1(4 * listen, decode_content=True)
            return Answer(answer.status_code, storable(words.decode("utf-8", "replace"))[:listen])


def wrong_address(url: str, *, inside: bool = False) -> str:
    """What is wrong with an address that events are to be sent to; empty: nothing.

    http and this machine are for development alone, where Keydesk itself is at localhost. KEYDESK_WEBHOOK_HOSTS counts.
    `inside`: it may be of the company's own network though that setting names no host; who made it runs the platform.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or addresses.PORTS.get(parts.scheme)
    except ValueError:
        return "This is no address."
    if parts.scheme not in addresses.PORTS or not host or parts.username or parts.password:
        return "A whole address without a password in it, like https://chat.example.com/hooks/keydesk."
    if parts.scheme != "https" and not (_at_home() and addresses.is_this_machine(host)):
        return "It must begin with https://: what is sent tells who does what."
    if only := addresses.outside(host, port, settings.WEBHOOK_HOSTS):
        return f"Webhooks may be at {only} only (KEYDESK_WEBHOOK_HOSTS)."
    return _no_place(host, inside)


def leads_astray(url: str, *, inside: bool = False) -> str:
    """What is wrong with where the address's name leads right now; empty: nothing, or nobody knows the name."""
    parts = urlsplit(url)
    try:
        found = addresses.resolved(parts.hostname or "", parts.port)
    except (OSError, UnicodeError):
        return ""  # sending says so better
    return next(filter(None, (_no_place(each, inside) for each in found)), "")


class _Adapter(Adapter):
    """Looks where a connection really leads: the name may lead elsewhere than a moment ago. Raises Astray."""

    def __init__(self, *, inside: bool) -> None:
        def there(sock: socket.socket, proxy: object) -> socket.socket:
            if proxy is None and (said := _no_place(sock.getpeername()[0], inside)):
                sock.close()
                raise Astray(said)
            return sock

        class Plain(Connection):
            def _new_conn(self) -> socket.socket:
                return there(super()._new_conn(), self.proxy)

        class Secure(SecureConnection):
            def _new_conn(self) -> socket.socket:
                return there(super()._new_conn(), self.proxy)

        class PlainPool(HTTPConnectionPool):
            ConnectionCls = Plain

        class SecurePool(HTTPSConnectionPool):
            ConnectionCls = Secure

        self.pools = {"http": PlainPool, "https": SecurePool}
        super().__init__()


def _unchanged(request: T) -> T:
    """No password is added from a .netrc of this machine."""
    return request


def _no_place(host: str, inside: bool) -> str:
    if addresses.is_link_local(host):
        return "Link-local addresses, like those where clouds keep credentials of their machines, take no events."
    if _at_home():
        return ""
    if addresses.is_this_machine(host):
        return "This leads to Keydesk's own machine."
    if addresses.is_inside(host) and not (inside or settings.WEBHOOK_HOSTS):
        return "This leads into the company's own network, where KEYDESK_WEBHOOK_HOSTS must name the host."
    return ""


def _at_home() -> bool:
    """Whether Keydesk is on the machine of who develops with it."""
    return settings.DEBUG or urlsplit(settings.URL).hostname == "localhost"


def _key_of(secret: str) -> bytes:
    """The key of the signature: behind `whsec_` it is base64, as the standard writes it."""
    kind, _, encoded = secret.partition(PREFIX)
    if not kind and encoded:
        try:
            return base64.b64decode(encoded, validate=True)
        except binascii.Error:
            pass
    return secret.encode()
