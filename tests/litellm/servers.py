"""A proxy played by a bare socket, for what `responses` cannot do, and what both share."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Any

import requests
import responses
import urllib3

from portal.litellm import errors

BASE = "http://litellm.test"
MASTER = "sk-example-master"


def sent(proxy: responses.RequestsMock, index: int = -1) -> Any:
    """The JSON body of a request that the proxy got."""
    return json.loads(proxy.calls[index].request.body or "null")


@contextlib.contextmanager
def bare_server(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that hands each connection to `answer`; yields its base URL."""
    listening = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            with contextlib.suppress(OSError):
                connection, _ = listening.accept()
                threading.Thread(target=run, args=(connection,), daemon=True).start()

    def run(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            answer(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        stop.set()
        with contextlib.suppress(OSError):
            socket.create_connection(listening.getsockname(), 1).close()
        listening.close()
        thread.join(2)


def read_request(connection: socket.socket) -> bytes:
    """One whole request."""
    got, length = b"", 0
    while b"\r\n\r\n" not in got or len(got.split(b"\r\n\r\n", 1)[1]) < length:
        more = connection.recv(65536)
        if not more:
            raise OSError("the client went away")
        got += more
        if found := re.search(rb"(?i)content-length: (\d+)", got):
            length = int(found[1])
    return got


POOL = urllib3.HTTPConnectionPool("litellm.test")
CONNECTION = urllib3.connection.HTTPConnection("litellm.test")


def wrapped(reason: Exception) -> requests.ConnectionError:
    return requests.ConnectionError(urllib3.exceptions.MaxRetryError(POOL, "/", reason))


UNTRUSTED = urllib3.exceptions.SSLError(ssl.SSLCertVerificationError())
REFUSED = urllib3.exceptions.NewConnectionError(CONNECTION, "refused")
RESET = urllib3.exceptions.ProtocolError("x", ConnectionResetError())
NETWORK = {
    "refused": (wrapped(REFUSED), errors.Unreachable, False),
    "refused, bare": (requests.ConnectionError(ConnectionRefusedError()), errors.Unreachable, False),
    "no such name": (requests.ConnectionError(socket.gaierror(-2, "unknown")), errors.Unreachable, False),
    "http proxy away": (requests.exceptions.ProxyError("away"), errors.Unreachable, False),
    "connect time-out": (requests.ConnectTimeout(), errors.TimedOut, False),
    "read time-out": (requests.ReadTimeout(), errors.TimedOut, None),
    "reset": (requests.ConnectionError(RESET), errors.ConnectionLost, None),
    "broken chunks": (requests.exceptions.ChunkedEncodingError(), errors.ConnectionLost, None),
    "certificate": (requests.exceptions.SSLError(wrapped(UNTRUSTED)), errors.Unreachable, False),
    "tls later": (requests.exceptions.SSLError(ssl.SSLError()), errors.ConnectionLost, None),
    "bad gzip": (requests.exceptions.ContentDecodingError(), errors.BadAnswer, None),
}  # fmt: skip
