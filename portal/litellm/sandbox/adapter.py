"""A requests adapter that answers `http+sandbox://` from the sandbox in this process."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote, urlsplit

import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class SandboxAdapter(BaseAdapter):
    """Calls a WSGI application instead of the network; streamed answers stay streams."""

    def __init__(self, app: App) -> None:
        super().__init__()
        self._app = app

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> requests.Response:
        environ = environ_of(request)
        started: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
            started.append((status, headers))

        chunks = self._app(environ, start_response)
        status, headers = started[-1]
        return respond(request, int(status[:3]), dict(headers), chunks, stream)

    def close(self) -> None:
        """Nothing is kept open between requests."""


def respond(
    request: requests.PreparedRequest,
    status: int,
    headers: dict[str, str],
    chunks: Iterable[bytes],
    stream: bool,
) -> requests.Response:
    """A response as requests builds it from the network."""
    response = requests.Response()
    response.status_code, response.reason = status, HTTPStatus(status).phrase
    response.headers = CaseInsensitiveDict(headers)
    response.encoding = requests.utils.get_encoding_from_headers(response.headers)
    response.raw, response.request, response.url = Body(chunks), request, request.url or ""
    if not stream:
        response.content  # noqa: B018  reads it all, as requests does for an answer that is not streamed
        response.close()
    return response


class Body(io.RawIOBase):
    """The body of an answer as a file: read in pieces as the application yields them."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._source, self._chunks, self._rest = chunks, iter(chunks), b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            try:
                self._rest = next(self._chunks)
            except StopIteration:
                return 0
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size

    def stream(self, size: int, decode_content: bool = False) -> Iterator[bytes]:
        """What `Response.iter_content` calls, as on urllib3's responses."""
        yield from iter(lambda: self.read(size) or b"", b"")

    def close(self) -> None:
        if not self.closed and hasattr(self._source, "close"):
            self._source.close()  # WSGI: whoever stops reading says so
        super().close()

    def release_conn(self) -> None:
        """There is no connection to give back."""


def environ_of(request: requests.PreparedRequest) -> dict[str, Any]:
    """The WSGI environment of a prepared request."""
    url = urlsplit(request.url or "")
    sent: Any = request.body or b""  # text, bytes, or an iterable of bytes
    raw = sent.encode() if isinstance(sent, str) else sent if isinstance(sent, bytes) else b"".join(sent)
    environ = {
        "REQUEST_METHOD": request.method or "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote(url.path, "latin-1") or "/",
        "QUERY_STRING": url.query,
        "CONTENT_TYPE": request.headers.get("Content-Type", ""),
        "CONTENT_LENGTH": str(len(raw)),
        "SERVER_NAME": url.hostname or "local",
        "SERVER_PORT": str(url.port or 80),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(raw),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    sent_as_is = {"content-type", "content-length"}
    return environ | {
        f"HTTP_{name.upper().replace('-', '_')}": value
        for name, value in request.headers.items()
        if name.lower() not in sent_as_is
    }
