"""Keys of another proxy, made anew here: their secrets are not known there either, so each gets a new one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from portal.litellm.durations import wire_duration
from portal.litellm.errors import AlreadyExists, Refused
from portal.litellm.key_rows import IssuedKey, KeyInfo

_SAME = (
    "models",
    "budget_duration",
    "team_id",
    "user_id",
    "tpm_limit",
    "rpm_limit",
    "tpd_limit",
    "max_parallel_requests",
    "blocked",
    "metadata",
    "aliases",
    "config",
    "permissions",
    "allowed_routes",
    "spend",
)

_ROUTES = {
    "llm_api": ("llm_api_routes",),
    "management": ("management_routes",),
    "read_only": ("info_routes",),
}


@dataclass(frozen=True, slots=True)
class ImportedKey:
    """One key of the other proxy: `outcome` says what became of it here. Only `key` holds the new secret."""

    alias: str | None
    source_token: str
    outcome: Literal["imported", "would import", "skipped", "failed"]
    reason: str = ""
    token: str | None = None
    key: str | None = field(default=None, repr=False)


def import_keys(
    source: Iterable[KeyInfo],
    issue: Callable[[dict[str, Any]], IssuedKey],
    *,
    created_since: datetime | None = None,
    dry_run: bool = False,
) -> Iterator[ImportedKey]:
    """Make keys like those of another proxy, one by one, while the caller iterates.

    Models, budgets, limits, spend, metadata and the rest of the lifetime come along. Expired keys, and
    aliases that exist here, are skipped; other refusals are reported and the next key is tried. A shared
    budget stays behind, as its id means nothing here. Raises NoAnswer if this proxy goes away.
    """
    for old in source:
        if created_since is None or (old.created_at is not None and old.created_at >= created_since):
            yield _import(old, issue, dry_run)


def _import(old: KeyInfo, issue: Callable[[dict[str, Any]], IssuedKey], dry_run: bool) -> ImportedKey:
    left = timedelta(seconds=(old.expires - datetime.now(UTC)) // timedelta(seconds=1)) if old.expires else None
    if left is not None and left <= timedelta():
        return ImportedKey(old.alias, old.token, "skipped", "expired")
    if dry_run:
        return ImportedKey(old.alias, old.token, "would import")
    try:
        made = issue(_body(old, left))
    except AlreadyExists as error:
        return ImportedKey(old.alias, old.token, "skipped", error.message)
    except Refused as error:
        return ImportedKey(old.alias, old.token, "failed", error.message)
    return ImportedKey(old.alias, old.token, "imported", token=made.token, key=made.key)


def _body(old: KeyInfo, left: timedelta | None) -> dict[str, Any]:
    """Sent as they are, not as our own grammar would have them: the other proxy took these values."""
    private = old.extra.get("litellm_budget_table") or {}
    body = {name: getattr(old, name) for name in _SAME}
    body |= {"key_alias": old.alias, "soft_budget": private.get("soft_budget")}
    body |= {"budget_limits": old.extra.get("budget_limits")}
    if _ROUTES.get(old.key_type or "") == old.allowed_routes:
        body["key_type"] = old.key_type  # the proxy would set the routes from it, so only where they are its own
    body = {name: value for name, value in body.items() if value}
    if old.max_budget is not None:
        body["max_budget"] = old.max_budget  # zero too: it blocks
    if left is not None:
        body["duration"] = wire_duration(left)
    return body
