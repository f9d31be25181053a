"""oidc-provider-mock as a process of its own, made to require PKCE: `python tests/browser/oidc_process.py PORT`."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import sys
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs, urlsplit

os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"  # it is on this machine

import oidc_provider_mock  # type: ignore[import-untyped]
from werkzeug.serving import run_simple


class WithPKCE:
    """Refuses codes without a challenge, and challenges without their verifier (RFC 7636, S256 alone)."""

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self.app = app
        self.challenges: dict[str, str] = {}  # code -> challenge

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        path, asked = environ["PATH_INFO"], parse_qs(environ.get("QUERY_STRING", ""))
        if path == "/oauth2/authorize":
            if asked.get("code_challenge_method") != ["S256"] or "code_challenge" not in asked:
                return self._refuse(start, "invalid_request")
            return self.app(environ, self._noting(start, asked["code_challenge"][0]))
        if path == "/oauth2/token":
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            environ["wsgi.input"] = io.BytesIO(body)
            sent = parse_qs(body.decode())
            digest = hashlib.sha256(sent.get("code_verifier", [""])[0].encode()).digest()
            challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
            if self.challenges.pop(sent.get("code", [""])[0], None) != challenge:
                return self._refuse(start, "invalid_grant")
        return self.app(environ, start)

    def _noting(self, start: Callable[..., Any], challenge: str) -> Callable[..., Any]:
        def noting(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            there = dict(headers).get("Location", "")
            for code in parse_qs(urlsplit(there).query).get("code", []):
                self.challenges[code] = challenge
            return start(status, headers, *rest)

        return noting

    @staticmethod
    def _refuse(start: Callable[..., Any], error: str) -> Iterable[bytes]:
        start("400 Bad Request", [("Content-Type", "application/json")])
        return [b'{"error": "%s"}' % error.encode()]


if __name__ == "__main__":
    run_simple("127.0.0.1", int(sys.argv[1]), WithPKCE(oidc_provider_mock.app()), threaded=True)
