"""Whether the proxy is up, which version it is, and what its licence allows. Seen on 1.106.2."""

# ruff: noqa: RUF009 - the functions of rows.py make dataclass fields
from __future__ import annotations

from dataclasses import dataclass

from portal.litellm import rows
from portal.litellm.http import Http
from portal.litellm.rows import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness(Row):
    status: str = rows.word()
    db: str = rows.word()


@dataclass(frozen=True, slots=True, kw_only=True)
class Details(Row):
    status: str = rows.word()
    db: str = rows.word()
    version: str = rows.word("litellm_version")


@dataclass(frozen=True, slots=True, kw_only=True)
class Licence(Row):
    has_license: bool = rows.flag()
    license_type: str = rows.word()
    expiration_date: str | None = rows.text()
    allowed_features: tuple[str, ...] = rows.words()
    limits: dict[str, int | None] = rows.table()


class Health:
    def __init__(self, http: Http) -> None:
        self._http = http

    def liveliness(self) -> str:
        """The proxy's sign of life; needs no key."""
        return self._http.fetch(str, "GET", "/health/liveliness")

    def readiness(self) -> Readiness:
        """Whether the proxy and its database work; needs no key. Raises ServerError (503) if the database is
        away.
        """
        return self._http.fetch(Readiness.read, "GET", "/health/readiness")

    def details(self) -> Details:
        """Readiness and version; needs an administrator's key."""
        return self._http.fetch(Details.read, "GET", "/health/readiness/details")

    def server_version(self) -> str:
        return self.details().version

    def licence(self) -> Licence:
        """Which features of LiteLLM Enterprise work; needs an administrator's key."""
        return self._http.fetch(Licence.read, "GET", "/health/license")
