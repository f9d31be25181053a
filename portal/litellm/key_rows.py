"""What the proxy tells of a virtual key."""

# ruff: noqa: RUF009 - the functions of rows.py make dataclass fields
from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal

from portal.litellm import rows
from portal.litellm.rows import Row

KeyStatus = Literal["active", "expired", "revoked", "deleted"]
_HASH = re.compile(r"[0-9a-f]{64}")


def hash_key(secret: str) -> str:
    """LiteLLM's `token` of a key: sha256 of the whole plaintext, as lower-case hex."""
    return hashlib.sha256(secret.encode()).hexdigest()


def token_of(key: str) -> str:
    """The hash of a key given as plaintext or as hash."""
    return key if _HASH.fullmatch(key) else hash_key(key)


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedKey(Row):
    """A new key, with its plaintext: the only time it is seen. Money is USD, times are UTC."""

    key: str = rows.word("key", hide=True)
    token: str = rows.word("token", "token_id")
    name: str | None = rows.text("key_name")
    alias: str | None = rows.text("key_alias")
    expires: datetime | None = rows.when()
    max_budget: Decimal | None = rows.money()
    budget_duration: str | None = rows.text()
    models: tuple[str, ...] = rows.words()
    team_id: str | None = rows.text()
    user_id: str | None = rows.text()
    tpm_limit: int | None = rows.number()
    rpm_limit: int | None = rows.number()
    max_parallel_requests: int | None = rows.number()
    key_type: str | None = rows.text()
    allowed_routes: tuple[str, ...] = rows.words()
    metadata: Mapping[str, Any] = rows.table()
    created_at: datetime | None = rows.when()

    @classmethod
    def read(cls, data: Any, **known: Any) -> IssuedKey:
        issued = super(IssuedKey, cls).read(data, **known)
        if not issued.key:
            raise ValueError("a key was expected")  # a key that nobody can use would look like success
        return issued


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyInfo(Row):
    """A key as the proxy knows it. Money is USD, times are UTC. `token` is empty where the answer does not
    tell it.

    `spend` is the counter of the running window, with what was carried over; `total_spend` is what this hash
    itself has spent in all its life.
    """

    token: str = rows.word()
    alias: str | None = rows.text("key_alias")
    name: str | None = rows.text("key_name")
    status: KeyStatus = "active"
    expires: datetime | None = rows.when()
    created_at: datetime | None = rows.when()
    spend: Decimal = rows.total()
    total_spend: Decimal = rows.total()
    max_budget: Decimal | None = rows.money()
    budget_duration: str | None = rows.text()
    budget_reset_at: datetime | None = rows.when()
    budget_id: str | None = rows.text()
    models: tuple[str, ...] = rows.words()
    team_id: str | None = rows.text()
    user_id: str | None = rows.text()
    organization_id: str | None = rows.text("organization_id", "org_id")
    tpm_limit: int | None = rows.number()
    rpm_limit: int | None = rows.number()
    tpd_limit: int | None = rows.number()
    max_parallel_requests: int | None = rows.number()
    blocked: bool = rows.flag()
    metadata: Mapping[str, Any] = rows.table()
    aliases: Mapping[str, Any] = rows.table()
    config: Mapping[str, Any] = rows.table(hide=True)
    permissions: Mapping[str, Any] = rows.table()
    key_type: str | None = rows.text()
    allowed_routes: tuple[str, ...] = rows.words()
    last_active: datetime | None = rows.when()
    created_by: str | None = rows.text()
    updated_at: datetime | None = rows.when()
    settings_updated_at: datetime | None = rows.when()
    deleted_at: datetime | None = rows.when()

    @classmethod
    def read(cls, data: Any, **known: Any) -> KeyInfo:
        return super(KeyInfo, cls).read(data, status=_status(data), **known)


def _status(row: Any) -> KeyStatus:
    """The row's own status, or what LiteLLM would derive: only `/key/info` says it."""
    stated = row.get("status")
    if stated in ("active", "expired", "revoked", "deleted"):
        return stated  # type: ignore[no-any-return]
    if row.get("deleted_at"):
        return "deleted"
    if row.get("blocked") is True:
        return "revoked"
    expires = rows.to_time(row.get("expires"))
    return "expired" if expires and expires < datetime.now(UTC) else "active"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyHealth(Row):
    key: str = rows.word()
    logging_callbacks: Any = rows.raw()


@dataclass(frozen=True, slots=True, kw_only=True)
class SpendReset(Row):
    token: str = rows.word("key_hash")
    spend: Decimal = rows.total()
    previous_spend: Decimal = rows.total()
    max_budget: Decimal | None = rows.money()
    budget_reset_at: datetime | None = rows.when()


@dataclass(frozen=True, slots=True)
class BulkUpdate:
    """What a bulk update did: the rows it changed, and the reason for each hash that it did not."""

    updated: tuple[KeyInfo, ...]
    failed: Mapping[str, str]
