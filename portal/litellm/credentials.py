"""The provider credentials that the proxy keeps; their values come back masked, and never stand in a repr."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from portal.litellm import rows
from portal.litellm.http import LISTS, Http, segment
from portal.litellm.rows import UNSET, Row, Unset


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential(Row):
    name: str = rows.word("credential_name")
    display_name: str | None = rows.text()
    info: Mapping[str, Any] = rows.table("credential_info")
    values: Mapping[str, Any] = rows.table("credential_values", hide=True)
    source: str | None = rows.text()


class Credentials:
    def __init__(self, http: Http) -> None:
        self._http = http

    def list(self) -> tuple[Credential, ...]:
        return self._http.fetch(
            lambda data: tuple(Credential.read(row) for row in data["credentials"]),
            "GET",
            "/credentials",
            limit=LISTS,
        )

    def get(self, name: str) -> Credential:
        """Raises NotFound."""
        return self._http.fetch(Credential.read, "GET", f"/credentials/by_name/{segment(name)}")

    def create(
        self,
        name: str,
        values: Mapping[str, str],
        *,
        info: Mapping[str, Any] | None = None,
        display_name: str | None = None,
    ) -> None:
        """Raises AlreadyExists."""
        body: dict[str, Any] = {
            "credential_name": name,
            "credential_values": values,
            "credential_info": info or {},
        }
        if display_name is not None:
            body["display_name"] = display_name
        self._http.request("POST", "/credentials", json=body)

    def update(
        self,
        name: str,
        *,
        values: Mapping[str, str] | None = None,
        info: Mapping[str, Any] | None = None,
        display_name: str | Unset | None = UNSET,
    ) -> None:
        """Change values, info, or the label (None clears it); the name stays. Raises NotFound."""
        body: dict[str, Any] = {"credential_name": name, "credential_info": info or {}}  # both are required
        if values is not None:
            body["credential_values"] = values
        if display_name is not UNSET:
            body["display_name"] = display_name
        self._http.request("PATCH", f"/credentials/{segment(name)}", json=body)

    def delete(self, name: str) -> None:
        """Raises NotFound."""
        self._http.request("DELETE", f"/credentials/{segment(name)}")
