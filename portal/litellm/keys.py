"""Virtual keys on the proxy.

A key is named by its plaintext or its hash; a plaintext is hashed here, so that it never stands in a URL, in
the proxy's access log, or in an error. What is said of the proxy was seen on 1.106.2.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

from portal.litellm import rows
from portal.litellm.durations import BudgetWindow, parse_duration, wire_duration
from portal.litellm.errors import redact
from portal.litellm.http import LISTS, Http
from portal.litellm.imports import ImportedKey, import_keys
from portal.litellm.key_rows import (
    BulkUpdate,
    IssuedKey,
    KeyHealth,
    KeyInfo,
    KeyStatus,
    SpendReset,
    token_of,
)
from portal.litellm.rows import UNSET, Page, Unset

if TYPE_CHECKING:
    from portal.litellm.client import Client

BATCH = 100  # keys in one question; 1,000 in one delete took 8.6 s, 100 took 0.4 s
LARGEST_PAGE = 100

Lifetime = str | int | timedelta  # text in LiteLLM's grammar, seconds, or a timedelta
Money = Decimal | float | int
KeyType = Literal["default", "llm_api", "management", "read_only"]


class KeyFilter(TypedDict, total=False):
    user_id: str
    team_id: str
    organization_id: str
    project_id: str
    access_group_id: str
    agent_id: str
    key_hash: str
    alias: str
    search: str  # hash is, or alias contains
    status: KeyStatus
    expires: Literal["active", "expired"]
    include_team_keys: bool
    include_created_by_keys: bool
    substring_matching: bool


class Keys:
    def __init__(self, http: Http) -> None:
        self._http = http

    def generate(
        self,
        *,
        key: str | None = None,
        alias: str | None = None,
        duration: Lifetime | None = None,
        models: Iterable[str] | None = None,
        max_budget: Money | None = None,
        budget_duration: str | None = None,
        budget_limits: Sequence[Mapping[str, Any]] | None = None,
        soft_budget: Money | None = None,
        budget_id: str | None = None,
        tpm_limit: int | None = None,
        rpm_limit: int | None = None,
        tpd_limit: int | None = None,
        max_parallel_requests: int | None = None,
        model_rpm_limit: Mapping[str, int] | None = None,
        model_tpm_limit: Mapping[str, int] | None = None,
        user_id: str | None = None,
        team_id: str | None = None,
        organization_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        key_type: KeyType | None = None,
        allowed_routes: Iterable[str] | None = None,
        permissions: Mapping[str, Any] | None = None,
        aliases: Mapping[str, str] | None = None,
        config: Mapping[str, Any] | None = None,
        spend: Money | None = None,
        blocked: bool | None = None,
        tags: Iterable[str] | None = None,
        **more: Any,
    ) -> IssuedKey:
        """Make a key; what is left out, or None, takes the proxy's default.

        No `models` means every model, `max_budget=0` blocks the key, no `duration` means for ever (all
        LiteLLM's rules). A repeat with the same `key` makes no second key, yet answers with the new values.
        Money is USD. Raises AlreadyExists (alias), Invalid, InvalidDuration, LicenceNeeded (tags),
        ChosenKeysRefused.
        """
        return self._issue("/key/generate", {**_named(locals()), **more})

    def generate_service_account(self, *, team_id: str, **fields: Any) -> IssuedKey:
        """Make a key that belongs to a team and to no user; fields as in `generate`."""
        return self._issue("/key/service-account/generate", {"team_id": team_id, **fields})

    def regenerate(self, key: str, **fields: Any) -> IssuedKey:
        """Give a key a new secret; fields as in `generate`, and `new_key`, `grace_period`. Raises
        LicenceNeeded.
        """
        return self._issue(f"/key/{token_of(key)}/regenerate", fields)

    def _issue(self, path: str, fields: Mapping[str, Any]) -> IssuedKey:
        body = {name: value for name, value in _wire(fields).items() if value is not None}
        return self._http.fetch(IssuedKey.read, "POST", path, json=body)

    def update(
        self,
        key: str | None = None,
        *,
        by_alias: str | None = None,
        alias: str | Unset | None = UNSET,
        duration: Lifetime | Unset | None = UNSET,
        models: Iterable[str] | Unset | None = UNSET,
        max_budget: Money | Unset | None = UNSET,
        budget_duration: str | Unset | None = UNSET,
        budget_limits: Sequence[Mapping[str, Any]] | Unset | None = UNSET,
        soft_budget: Money | Unset | None = UNSET,
        budget_id: str | Unset | None = UNSET,
        tpm_limit: int | Unset | None = UNSET,
        rpm_limit: int | Unset | None = UNSET,
        tpd_limit: int | Unset | None = UNSET,
        max_parallel_requests: int | Unset | None = UNSET,
        model_rpm_limit: Mapping[str, int] | Unset | None = UNSET,
        model_tpm_limit: Mapping[str, int] | Unset | None = UNSET,
        user_id: str | Unset | None = UNSET,
        team_id: str | Unset | None = UNSET,
        organization_id: str | Unset | None = UNSET,
        metadata: Mapping[str, Any] | Unset | None = UNSET,
        allowed_routes: Iterable[str] | Unset | None = UNSET,
        permissions: Mapping[str, Any] | Unset | None = UNSET,
        aliases: Mapping[str, str] | Unset | None = UNSET,
        config: Mapping[str, Any] | Unset | None = UNSET,
        spend: Money | Unset | None = UNSET,
        blocked: bool | Unset | None = UNSET,
        tags: Iterable[str] | Unset | None = UNSET,
        **more: Any,
    ) -> KeyInfo:
        """Change a key; what is left out stays, None clears.

        `duration` counts from now and revives an expired key; `metadata` is replaced whole, with the
        per-model limits in it; `spend` sets the counter of the window and leaves `total_spend`; the same
        `budget_duration` again starts no new window (LiteLLM's rules). A new `team_id` is held against the
        models, limits and user that the key had **before** this call: set those first, in a call of their own.
        Raises KeyNotFound, TeamNotFound (the key's team is missing), AlreadyExists, Invalid, Forbidden (the
        key does not suit the team).
        """
        named = _named(locals(), but={"key", "by_alias"})
        if (key is None) == (by_alias is None):
            raise TypeError("give the key or its alias")
        which = {"key": token_of(key)} if key is not None else {"key_alias": by_alias}
        fields = {name: value for name, value in {**named, **more}.items() if value is not UNSET}
        if by_alias is not None and "alias" in fields:
            raise TypeError("renaming needs the key: an alias names it here")
        return self._http.fetch(KeyInfo.read, "POST", "/key/update", json={**_wire(fields), **which})

    def bulk_update(self, changes: Iterable[Mapping[str, Any]]) -> BulkUpdate:
        """Change up to 500 keys: each `{"key": ..., budget_id, max_budget, team_id, tags,
        object_permission}`.
        """
        body = {"keys": [{**_wire(change), "key": token_of(change["key"])} for change in changes]}
        return self._http.fetch(_bulk, "POST", "/key/bulk_update", json=body, limit=LISTS)

    def delete(self, keys: str | Iterable[str] = (), *, aliases: str | Iterable[str] = ()) -> tuple[str, ...]:
        """Delete keys by plaintext or hash, or by alias (all that bear it); 100 at a time is quick.

        Raises KeyNotFound if none matched. If some did, the proxy names all of them as deleted, unknown ones
        too: only a look afterwards is proof.
        """
        tokens = [token_of(key) for key in ([keys] if isinstance(keys, str) else keys)]
        names = [aliases] if isinstance(aliases, str) else list(aliases)
        if bool(tokens) == bool(names):
            raise TypeError("give keys or aliases: LiteLLM would ignore the aliases")
        body = {"keys": tokens} if tokens else {"key_aliases": names}
        return self._http.fetch(lambda data: rows.to_words(data["deleted_keys"]), "POST", "/key/delete", json=body)

    def info(self, key: str | None = None) -> KeyInfo:
        """One key, the client's own if none is given. A deleted key is found too, with that status.

        Raises KeyNotFound, Forbidden.
        """
        token = token_of(key or self._http.api_key or "")
        params = {"key": token} if key else {}
        return self._http.fetch(lambda data: KeyInfo.read(data["info"], token=token), "GET", "/key/info", params=params)

    def info_many(self, keys: Iterable[str]) -> tuple[KeyInfo, ...]:
        """Many keys, 100 a question. Unknown ones are missing, the order is not ours, and no row tells its
        hash: match by metadata or alias.
        """
        tokens = [token_of(key) for key in keys]
        found: list[KeyInfo] = []
        for start in range(0, len(tokens), BATCH):
            body = {"keys": tokens[start : start + BATCH]}
            found += self._http.fetch(_infos, "POST", "/v2/key/info", json=body, reads=True, limit=LISTS)
        return tuple(found)

    def list(self, *, sort_by: str = "token", sort_order: str = "asc", **only: Unpack[KeyFilter]) -> Iterator[KeyInfo]:
        """Every key that matches, expired ones too, in the one order that no write disturbs.

        Sorted by a time, pages skip rows: one flush stamps many alike (tried: 55 of 260 unseen).
        """
        return rows.walk(
            lambda page: self.list_page(page, LARGEST_PAGE, sort_by=sort_by, sort_order=sort_order, **only)
        )

    def list_page(
        self,
        page: int = 1,
        size: int = LARGEST_PAGE,
        *,
        sort_by: str | None = None,
        sort_order: str | None = None,
        **only: Unpack[KeyFilter],
    ) -> Page[KeyInfo]:
        """One page of at most 100 keys."""
        params = {
            "page": page,
            "size": size,
            "return_full_object": True,
            "sort_by": sort_by,
            "sort_order": sort_order,
        }
        return self._http.fetch(_key_page, "GET", "/key/list", params={**params, **_filter(only)}, limit=LISTS)

    def hashes_page(self, page: int = 1, size: int = LARGEST_PAGE, **only: Unpack[KeyFilter]) -> Page[str]:
        """One page of hashes alone, newest first."""
        params = {"page": page, "size": size, **_filter(only)}
        return self._http.fetch(
            lambda data: Page.read(rows.to_words(data["keys"]), data),
            "GET",
            "/key/list",
            params=params,
            limit=LISTS,
        )

    def aliases(self, *, search: str | None = None, team_id: str | None = None) -> Iterator[str]:
        def page_of(page: int) -> Page[str]:
            params = {"page": page, "size": LARGEST_PAGE, "search": search, "team_id": team_id}
            return self._http.fetch(
                lambda data: Page.read(rows.to_words(data["aliases"]), data),
                "GET",
                "/key/aliases",
                params=params,
            )

        return rows.walk(page_of)

    def block(self, key: str) -> KeyInfo:
        """Refuse calls with a key from now on. Safe to repeat, also when it expired. Raises KeyNotFound (deleted)."""
        return self._http.fetch(KeyInfo.read, "POST", "/key/block", json={"key": token_of(key)})

    def unblock(self, key: str) -> KeyInfo:
        """Allow calls again. Safe to repeat, also when it was never blocked. Raises KeyNotFound (deleted)."""
        return self._http.fetch(KeyInfo.read, "POST", "/key/unblock", json={"key": token_of(key)})

    def health(self) -> KeyHealth:
        """Whether the client's own key works."""
        return self._http.fetch(KeyHealth.read, "POST", "/key/health", json={}, reads=True)

    def reset_spend(self, key: str, to: Money = 0) -> SpendReset:
        """Set the spend counter (USD), at most to where it stands or to the budget: Invalid above."""
        path = f"/key/{token_of(key)}/reset_spend"
        return self._http.fetch(SpendReset.read, "POST", path, json={"reset_to": to})

    def import_from(
        self, source: Client, *, created_since: datetime | None = None, dry_run: bool = False
    ) -> Iterator[ImportedKey]:
        """Make keys here like those of another proxy; see imports.py."""
        return import_keys(source.keys.list(), self._generate, created_since=created_since, dry_run=dry_run)

    def _generate(self, body: Mapping[str, Any]) -> IssuedKey:
        return self._http.fetch(IssuedKey.read, "POST", "/key/generate", json=body)


_RENAMED = {"alias": "key_alias"}


def _named(arguments: Mapping[str, Any], but: Iterable[str] = ()) -> dict[str, Any]:
    """A method's own arguments, from `locals()`: its signature is the list of fields, written once."""
    return {name: value for name, value in arguments.items() if name not in {"self", "more", *but}}


def _wire(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields as LiteLLM calls and writes them. Raises InvalidDuration."""
    sent = {_RENAMED.get(name, name): value for name, value in fields.items()}
    if sent.get("duration") is not None:
        sent["duration"] = wire_duration(parse_duration(sent["duration"]))
    if sent.get("budget_duration") is not None:
        sent["budget_duration"] = BudgetWindow.parse(sent["budget_duration"]).value
    for name in ("models", "allowed_routes", "tags"):
        if sent.get(name) is not None:
            sent[name] = list(sent[name])
    return sent


def _filter(only: KeyFilter) -> dict[str, Any]:
    return {"key_alias" if name == "alias" else name: value for name, value in only.items()}


def _infos(data: Any) -> list[KeyInfo]:
    return [KeyInfo.read(row) for row in data["info"]]


def _key_page(data: Any) -> Page[KeyInfo]:
    return Page.read((KeyInfo.read(row) for row in data["keys"]), data)


def _bulk(data: Any) -> BulkUpdate:
    return BulkUpdate(
        tuple(KeyInfo.read(item["key_info"], token=item["key"]) for item in data["successful_updates"]),
        {item["key"]: redact(item["failed_reason"]) for item in data["failed_updates"]},
    )
