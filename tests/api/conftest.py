"""One way to call the API, as a script would."""

from __future__ import annotations

import pytest

from teams.models import User


@pytest.fixture
def call(client, bearer):
    """Send JSON as somebody; answers the response."""

    def send(method: str, path: str, body: object = None, *, by: User | None, scopes: list[str] | None = None):
        sent = {"content_type": "application/json", "headers": bearer(by, scopes) if by else {}}
        if body is not None:
            sent["data"] = body
        return getattr(client, method)(f"/api/v1/{path}", **sent)

    return send
