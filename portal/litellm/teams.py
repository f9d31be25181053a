"""Teams on the proxy, and who is in them. Seen on 1.106.2."""

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
from portal.litellm.key_rows import KeyInfo, token_of
from portal.litellm.keys import Money
from portal.litellm.rows import UNSET, Page, Row, Unset

LARGEST_PAGE = 100
MemberRole = Literal["user", "admin"]  # making an admin needs a licence: LicenceNeeded


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamMember(Row):
    user_id: str | None = rows.text()
    email: str | None = rows.text("user_email")
    role: str = rows.word()


@dataclass(frozen=True, slots=True, kw_only=True)
class Team(Row):
    """A team as the proxy knows it. Money is USD, times are UTC."""

    team_id: str = rows.word()
    alias: str | None = rows.text("team_alias")
    organization_id: str | None = rows.text()
    members: tuple[TeamMember, ...] = rows.rows(TeamMember, "members_with_roles")
    models: tuple[str, ...] = rows.words()
    spend: Decimal = rows.total()
    max_budget: Decimal | None = rows.money()
    soft_budget: Decimal | None = rows.money()
    budget_duration: str | None = rows.text()
    budget_reset_at: datetime | None = rows.when()
    tpm_limit: int | None = rows.number()
    rpm_limit: int | None = rows.number()
    tpd_limit: int | None = rows.number()
    max_parallel_requests: int | None = rows.number()
    blocked: bool = rows.flag()
    metadata: Mapping[str, Any] = rows.table()
    created_at: datetime | None = rows.when()
    updated_at: datetime | None = rows.when()
    members_count: int | None = rows.number()
    keys_count: int | None = rows.number()


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership(Row):
    """What one member's keys have spent in a team (USD), and may spend there.

    `spend` is of the running window, `total_spend` of all time. A `user_id` that only `member_update` named is
    here too, although it is no member and perhaps no user.
    """

    user_id: str = rows.word()
    team_id: str = rows.word()
    budget_id: str | None = rows.text()
    spend: Decimal = rows.total()
    total_spend: Decimal = rows.total()
    max_budget: Decimal | None
    budget_duration: str | None
    budget_reset_at: datetime | None
    budget: Mapping[str, Any] = rows.table("litellm_budget_table")  # all that the proxy keeps of it

    @classmethod
    def read(cls, data: Any, **known: Any) -> Membership:
        budget = data.get("litellm_budget_table") or {}
        return super(Membership, cls).read(
            data,
            max_budget=rows.to_money(budget.get("max_budget")),
            budget_duration=rows.to_text(budget.get("budget_duration")),
            budget_reset_at=rows.to_time(budget.get("budget_reset_at")),
            **known,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamInfo(Row):
    team_id: str = rows.word()
    keys: tuple[KeyInfo, ...] = rows.rows(KeyInfo)
    memberships: tuple[Membership, ...] = rows.rows(Membership, "team_memberships")
    team: Team

    @classmethod
    def read(cls, data: Any, **known: Any) -> TeamInfo:
        return super(TeamInfo, cls).read(data, team=Team.read(data["team_info"]), **known)


class Teams:
    def __init__(self, http: Http) -> None:
        self._http = http

    def list(self, *, user_id: str | None = None, organization_id: str | None = None) -> tuple[Team, ...]:
        """All teams at once, with their keys in `extra`: heavy, prefer `list_v2`. Not a proxy admin: own
        `user_id`.
        """
        params = {"user_id": user_id, "organization_id": organization_id}
        return self._http.fetch(_teams, "GET", "/team/list", params=params, limit=LISTS)

    def list_v2(self, **only: Any) -> Iterator[Team]:
        """Every team that matches: `team_id`, `team_alias` (contains), `user_id`, `organization_id`,
        `search`.
        """
        return rows.walk(lambda page: self.list_v2_page(page, **{"sort_by": "team_id", **only}))

    def list_v2_page(self, page: int = 1, page_size: int = LARGEST_PAGE, **only: Any) -> Page[Team]:
        """One page of at most 100 teams; filters as in `list_v2`, and `sort_by`, `sort_order`,
        `status="deleted"`.
        """
        params = {"page": page, "page_size": page_size, **only}
        return self._http.fetch(_team_page, "GET", "/v2/team/list", params=params, limit=LISTS)

    def available(self) -> tuple[Team, ...]:
        """Teams that the caller may join."""
        return self._http.fetch(_teams, "GET", "/team/available", limit=LISTS)

    def info(self, team_id: str, *, key_limit: int | None = None) -> TeamInfo:
        """A team with its members and all its keys, or `key_limit` of them, at least 1; members are never cut.

        Raises TeamNotFound, Forbidden.
        """
        params = {"team_id": team_id, "key_limit": key_limit}
        return self._http.fetch(TeamInfo.read, "GET", "/team/info", params=params, limit=LISTS)

    def new(self, *, team_id: str | None = None, alias: str | None = None, **fields: Any) -> Team:
        """Make a team; fields as LiteLLM calls them: `models`, `max_budget`, `budget_duration`, `tpm_limit`,
        ...

        Raises AlreadyExists, also when another maker was quicker.
        """
        body = _wire({"team_id": team_id, "team_alias": alias, **fields})
        body = {name: value for name, value in body.items() if value is not None}
        return self._http.fetch(Team.read, "POST", "/team/new", json=body)

    def update(self, team_id: str, **fields: Any) -> Team:
        """Change a team; what is left out stays, None clears, `metadata` is replaced whole. Raises
        TeamNotFound.
        """
        if "alias" in fields:
            fields["team_alias"] = fields.pop("alias")
        body = {**_wire(fields), "team_id": team_id}
        return self._http.fetch(lambda data: Team.read(data["data"]), "POST", "/team/update", json=body)

    def delete(self, team_ids: str | Iterable[str]) -> tuple[str, ...]:
        """Delete teams **and all their keys**, whoever made them. Raises TeamNotFound if any is unknown."""
        ids = [team_ids] if isinstance(team_ids, str) else list(team_ids)
        return self._http.fetch(
            lambda data: rows.to_words(data["deleted_teams"]), "POST", "/team/delete", json={"team_ids": ids}
        )

    def block(self, team_id: str) -> Team:
        """Refuse calls with the team's keys, once the proxy's cache notices (up to 60 s). Raises
        TeamNotFound.
        """
        return self._http.fetch(Team.read, "POST", "/team/block", json={"team_id": team_id})

    def unblock(self, team_id: str) -> Team:
        return self._http.fetch(Team.read, "POST", "/team/unblock", json={"team_id": team_id})

    def member_add(
        self,
        team_id: str,
        *,
        user_id: str | None = None,
        email: str | None = None,
        role: MemberRole = "user",
        max_budget_in_team: Money | None = None,
        budget_duration: str | None = None,
        **more: Any,
    ) -> Team:
        """Add one person, who is made if unknown. Raises AlreadyExists, TeamNotFound, LicenceNeeded (role
        admin).

        A budget that `member_update` gave before stays, whatever is sent here.
        """
        member = {**_who(user_id, email), "role": role}
        limits = {"max_budget_in_team": max_budget_in_team, "budget_duration": budget_duration}
        body = {"team_id": team_id, "member": member, **_wire(limits), **more}
        body = {name: value for name, value in body.items() if value is not None}
        return self._http.fetch(Team.read, "POST", "/team/member_add", json=body)

    def member_update(
        self,
        team_id: str,
        *,
        user_id: str | None = None,
        email: str | None = None,
        role: MemberRole | Unset = UNSET,
        max_budget_in_team: Money | Unset | None = UNSET,
        budget_duration: str | Unset | None = UNSET,
        **more: Any,
    ) -> Mapping[str, Any]:
        """Change what somebody's keys may spend in a team; what is left out stays, None clears. It answers with
        what was asked, and holds from the next call on.

        Whoever is named by `user_id` need not be a member, nor a user. The proxy reads all keys of the team for
        it. Raises TeamNotFound, Invalid (unknown e-mail), LicenceNeeded (role admin).
        """
        named = {"role": role, "max_budget_in_team": max_budget_in_team, "budget_duration": budget_duration}
        fields = {name: value for name, value in {**named, **more}.items() if value is not UNSET}
        body = {**_wire(fields), **_who(user_id, email), "team_id": team_id}
        return self._http.fetch(rows.to_table, "POST", "/team/member_update", json=body)

    def member_delete(self, team_id: str, *, user_id: str | None = None, email: str | None = None) -> Team:
        """Remove a member **and delete that member's keys in the team**. Raises Invalid if not a member."""
        body = {**_who(user_id, email), "team_id": team_id}
        return self._http.fetch(Team.read, "POST", "/team/member_delete", json=body)

    def assign_key(self, team_id: str, key: str | None = None) -> KeyInfo:
        """Move a key, or the client's own, into a team. Raises KeyNotFound, TeamNotFound, Forbidden."""
        token = token_of(key or self._http.api_key or "")
        return self._http.fetch(KeyInfo.read, "POST", "/key/update", json={"key": token, "team_id": team_id})


def _who(user_id: str | None, email: str | None) -> dict[str, str]:
    if (user_id is None) == (email is None):
        raise TypeError("give the user_id or the email")
    return {"user_id": user_id} if user_id is not None else {"user_email": email or ""}


def _wire(fields: Mapping[str, Any]) -> dict[str, Any]:
    sent = dict(fields)
    for name in ("budget_duration", "team_member_budget_duration"):
        if sent.get(name) is not None:
            sent[name] = BudgetWindow.parse(sent[name]).value
    return sent


def _teams(data: Any) -> tuple[Team, ...]:
    return tuple(Team.read(row) for row in data)


def _team_page(data: Any) -> Page[Team]:
    return Page.read((Team.read(row) for row in data["teams"]), data)
