"""A directory that speaks SCIM over HTTP, as Okta and Entra do."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

TOKEN = "a-token-of-a-directory-that-is-long-enough"
USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


class Scim:
    """Calls at the door. Answers are (status, body); the last response stays in `last`."""

    def __init__(self, token: str = TOKEN) -> None:
        self.client, self.token = Client(raise_request_exception=False), token

    def __call__(self, method: str, path: str, body: Any = None, **query: Any) -> tuple[int, dict[str, Any]]:
        address = path if path.startswith("/scim") else f"/scim/v2{path}"
        self.last = self.client.generic(
            method, address, b"" if body is None else json.dumps(body).encode(), "application/scim+json",
            query_params=query or None, headers={"Authorization": f"Bearer {self.token}"} if self.token else {},
        )  # fmt: skip
        return self.last.status_code, json.loads(self.last.content) if self.last.content else {}

    def add(self, address: str, **more: Any) -> dict[str, Any]:
        status, said = self("POST", "/Users", {"schemas": [USER], "userName": address, "active": True, **more})
        assert status == 201, said
        return said

    def add_group(self, name: str, *people: dict[str, Any]) -> dict[str, Any]:
        members = [{"value": each["id"]} for each in people]
        status, said = self("POST", "/Groups", {"schemas": [GROUP], "displayName": name, "members": members})
        assert status == 201, said
        return said

    def patch(self, path: str, *operations: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        return self("PATCH", path, {"schemas": [PATCH], "Operations": list(operations)})


@pytest.fixture
def scim(db, settings) -> Scim:
    settings.SCIM_TOKEN = TOKEN
    return Scim()
