"""The connections below http.py: pooled, with deadlines that hold, and checked settings."""

from __future__ import annotations

import io
import os
import re
import socket
import time
from collections.abc import Mapping
from http.client import HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from portal.litellm import errors


class _Watched(io.RawIOBase):
    """A socket's reading end whose time-out counts for the whole answer.

    A socket's own time-out starts anew with every byte, so a server that drips bytes would never exceed it.
    """

    def __init__(self, source: io.RawIOBase, sock: socket.socket) -> None:
        self._source, self._sock = source, sock
        seconds = sock.gettimeout()
        self._end = None if seconds is None else time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._source.fileno()

    def readinto(self, buffer: Any) -> int | None:
        if self._end is not None:
            left = self._end - time.monotonic()
            if left <= 0:
                raise TimeoutError("the answer did not end in time")
            self._sock.settimeout(left)
        return self._source.readinto(buffer)

    def close(self) -> None:
        self._source.close()
        super().close()


class _Response(HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **more: Any) -> None:
        super().__init__(sock, *args, **more)
        self.fp = io.BufferedReader(_Watched(self.fp.detach(), sock))


class Connection(HTTPConnection):
    response_class = _Response


class SecureConnection(HTTPSConnection):
    response_class = _Response


class _Pool(HTTPConnectionPool):
    ConnectionCls = Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = SecureConnection


class Adapter(HTTPAdapter):
    """Makes connections whose read time-out counts for the whole answer; `pools`: what makes them, by scheme."""

    pools: dict[str, type[HTTPConnectionPool]] = {"http": _Pool, "https": _SecurePool}

    def init_poolmanager(self, *args: Any, **more: Any) -> None:
        super().init_poolmanager(*args, **more)
        self.poolmanager.pool_classes_by_scheme = self.pools

    def proxy_manager_for(self, proxy: str, **more: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **more)
        manager.pool_classes_by_scheme = self.pools
        return manager


def open_session(pool_size: int, adapters: Mapping[str, BaseAdapter]) -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    for prefix in ("http://", "https://"):
        session.mount(prefix, Adapter(pool_connections=4, pool_maxsize=pool_size))
    for prefix, adapter in adapters.items():
        session.mount(prefix if "://" in prefix else f"{prefix}://", adapter)
    return session


def checked_base_url(base_url: str | None, adapters: Mapping[str, BaseAdapter]) -> str:
    """The base URL without its last slash. Raises ConfigurationError."""
    if not base_url:
        raise errors.ConfigurationError(
            "No base URL of a LiteLLM proxy is set.",
            action="Give base_url, or set LITELLM_BASE_URL, for example http://127.0.0.1:4000.",
        )
    try:
        parts = urlsplit(base_url.strip())
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
        parts = urlsplit("")
    schemes = {"http", "https", *(name.split("://")[0].lower() for name in adapters)}
    if not host or parts.scheme not in schemes or not re.match(r"https?\b", parts.scheme):
        raise errors.ConfigurationError("The base URL must be a whole http:// or https:// address.")
    if "@" in parts.netloc:
        raise errors.ConfigurationError("The base URL holds a user or password; give the key as api_key.")
    if parts.query or parts.fragment:
        raise errors.ConfigurationError("The base URL ends with its path: no '?' and no '#'.")
    return base_url.strip().rstrip("/")


def checked_header(value: str | None, name: str) -> str | None:
    """A key or id that is safe as a header; raises ConfigurationError without quoting it."""
    if value is not None and not re.fullmatch(r"[\x21-\x7e]+", value):
        raise errors.ConfigurationError(f"The {name} is empty, or holds spaces or characters that no header can carry.")
    return value


def verification(ca_bundle: str | os.PathLike[str] | None) -> str | bool:
    chosen = os.fspath(ca_bundle) if ca_bundle else os.environ.get("REQUESTS_CA_BUNDLE")
    if chosen and not Path(chosen).exists():
        raise errors.ConfigurationError(f"There is no CA bundle at {chosen}.", action="Give the path of a PEM file.")
    return chosen or True
