"""The proxy's own users. Seen on 1.106.2."""

# ruff: noqa: RUF009 - the functions of rows.py make dataclass fields
from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from portal.litellm import rows
from portal.litellm.durations import BudgetWindow
from portal.litellm.http import LISTS, Http
from portal.litellm.key_rows import KeyInfo
from portal.litellm.rows import Page, Row
from portal.litellm.teams import Team

LARGEST_PAGE = 100
UserRole = Literal["proxy_admin", "proxy_admin_viewer", "internal_user", "internal_user_viewer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class User(Row):
    """A user as the proxy knows it. Money is USD, times are UTC."""

    user_id: str = rows.word()
    email: str | None = rows.text("user_email")
    alias: str | None = rows.text("user_alias")
    role: str | None = rows.text("user_role")
    sso_user_id: str | None = rows.text()
    teams: tuple[str, ...] = rows.words()
    models: tuple[str, ...] = rows.words()
    spend: Decimal = rows.total()
    max_budget: Decimal | None = rows.money()
    budget_duration: str | None = rows.text()
    budget_reset_at: datetime | None = rows.when()
    tpm_limit: int | None = rows.number()
    rpm_limit: int | None = rows.number()
    metadata: Mapping[str, Any] = rows.table()
    key_count: int | None = rows.number()
    created_at: datetime | None = rows.when()
    updated_at: datetime | None = rows.when()


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedUser(User):
    """A new user, with the plaintext of the key that the proxy made along with it, if it was asked to."""

    key: str | None = rows.text(hide=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class UserInfo(Row):
    user: User
    user_id: str = rows.word()
    keys: tuple[KeyInfo, ...] = rows.rows(KeyInfo)
    teams: tuple[Team, ...] = rows.rows(Team)

    @classmethod
    def read(cls, data: Any, **known: Any) -> UserInfo:
        return super(UserInfo, cls).read(data, user=User.read(data["user_info"] or {}), **known)


class Users:
    def __init__(self, http: Http) -> None:
        self._http = http

    def list(self, **only: Any) -> Iterator[User]:
        """Every user that matches: `role`, `user_ids`, `user_email` (contains), `team`, `search`,
        `sso_user_ids`.
        """
        return rows.walk(lambda page: self.list_page(page, **{"sort_by": "user_id", **only}))

    def list_page(self, page: int = 1, page_size: int = LARGEST_PAGE, **only: Any) -> Page[User]:
        """One page of at most 100; filters as in `list`, and `sort_by`, `sort_order`. Raises Forbidden."""
        params = {"page": page, "page_size": page_size, **only}
        ids = params.get("user_ids")
        if ids is not None and not isinstance(ids, str):
            params["user_ids"] = ",".join(ids)
        return self._http.fetch(_user_page, "GET", "/user/list", params=params, limit=LISTS)

    def get(self, user_id: str) -> UserInfo:
        """A user with keys and teams. Raises NotFound, Forbidden."""
        return self._http.fetch(UserInfo.read, "GET", "/user/info", params={"user_id": user_id}, limit=LISTS)

    def get_v2(self, user_id: str) -> User:
        """The user alone, cheap. Raises NotFound, Forbidden."""
        return self._http.fetch(User.read, "GET", "/v2/user/info", params={"user_id": user_id})

    def create(
        self,
        *,
        user_id: str | None = None,
        email: str | None = None,
        alias: str | None = None,
        role: UserRole | None = None,
        auto_create_key: bool = False,
        **more: Any,
    ) -> CreatedUser:
        """Make a user. Raises AlreadyExists (id, or e-mail in any case).

        `auto_create_key` is False here and True at the proxy, which would mint an unnamed key without limits.
        """
        body = {
            "user_id": user_id,
            "user_email": email,
            "user_alias": alias,
            "user_role": role,
            **_wire(more),
        }
        body = {name: value for name, value in body.items() if value is not None}
        body["auto_create_key"] = auto_create_key
        return self._http.fetch(_created, "POST", "/user/new", json=body)

    def update(self, user_id: str, **fields: Any) -> User:
        """Change a user; what is left out stays, None clears. Fields as LiteLLM calls them (`user_email`,
        ...).
        """
        body = {**_wire(fields), "user_id": user_id}
        return self._http.fetch(lambda data: User.read(data["data"] or {}), "POST", "/user/update", json=body)

    def delete(self, user_ids: str | Iterable[str]) -> int:
        """Delete users **and, without a trace, their keys**; answers how many users. NotFound if any is
        unknown.
        """
        ids = [user_ids] if isinstance(user_ids, str) else [*user_ids]
        return self._http.fetch(lambda data: rows.to_number(data) or 0, "POST", "/user/delete", json={"user_ids": ids})


def _created(data: Any) -> CreatedUser:
    return CreatedUser.read({**data, "key": data.get("key") or None})  # "" when no key was made


def _user_page(data: Any) -> Page[User]:
    return Page.read((User.read(row) for row in data["users"]), data)


def _wire(fields: Mapping[str, Any]) -> dict[str, Any]:
    sent = dict(fields)
    if sent.get("budget_duration") is not None:
        sent["budget_duration"] = BudgetWindow.parse(sent["budget_duration"]).value
    return sent
