"""What was spent: USD as Decimal, days and times in UTC. Seen on 1.106.2."""

# ruff: noqa: RUF009 - the functions of rows.py make dataclass fields
from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, TypeVar

from portal.litellm import rows
from portal.litellm.http import LISTS, Http
from portal.litellm.key_rows import KeyInfo, token_of
from portal.litellm.rows import Page, Row
from portal.litellm.users import User

LARGEST_PAGE = 1000

R = TypeVar("R", bound=Row)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpendLog(Row):
    """One call to a model. `api_key` is the key's hash."""

    request_id: str = rows.word()
    api_key: str = rows.word()
    model: str = rows.word()
    model_group: str | None = rows.text()
    user_id: str | None = rows.text("user")
    team_id: str | None = rows.text()
    spend: Decimal = rows.total()
    prompt_tokens: int = rows.count()
    completion_tokens: int = rows.count()
    total_tokens: int = rows.count()
    started_at: datetime | None = rows.when("startTime")
    ended_at: datetime | None = rows.when("endTime")
    status: str | None = rows.text()
    metadata: Mapping[str, Any] = rows.table(hide=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics(Row):
    spend: Decimal = rows.total()
    prompt_tokens: int = rows.count()
    completion_tokens: int = rows.count()
    total_tokens: int = rows.count()
    api_requests: int = rows.count()
    successful_requests: int = rows.count()
    failed_requests: int = rows.count()


@dataclass(frozen=True, slots=True)
class KeyModelDay:
    """The metrics of one key (by hash) and model on one UTC day, or a part of them."""

    day: date
    token: str
    model: str
    metrics: Metrics
    alias: str | None = None  # as it is now; a deleted key keeps its last one
    team_id: str | None = None
    user_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyActivity(Row):
    """One UTC day as one page tells it: a day may go on over several pages, then its parts add up."""

    day: date
    metrics: Metrics
    breakdown: Mapping[str, Any]

    @classmethod
    def read(cls, data: Any, **known: Any) -> DailyActivity:
        rest = dict(data)
        return cls(
            day=date.fromisoformat(rest.pop("date")),
            metrics=Metrics.read(rest.pop("metrics")),
            breakdown=rest.pop("breakdown", None) or {},
            extra=rest,
        )

    def by_key_and_model(self) -> Iterator[KeyModelDay]:
        for model, part in (self.breakdown.get("models") or {}).items():
            for token, of_key in (part.get("api_key_breakdown") or {}).items():
                who = of_key.get("metadata") or {}
                names = (who.get("key_alias"), who.get("team_id"), who.get("user_id"))
                yield KeyModelDay(self.day, token, model, Metrics.read(of_key["metrics"]), *names)


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalSpend(Row):
    spend: Decimal = rows.total()
    max_budget: Decimal | None = rows.money()


@dataclass(frozen=True, slots=True, kw_only=True)
class SpendTotal(Row):
    """The spend of one key, model, provider, tag or day, `name` saying which."""

    name: str = rows.word("api_key", "model", "provider", "individual_request_tag", "name", "date")
    spend: Decimal = rows.total("total_spend", "spend")
    alias: str | None = rows.text("key_alias")


class Spend:
    def __init__(self, http: Http) -> None:
        self._http = http

    def logs(
        self,
        *,
        key: str | None = None,
        user_id: str | None = None,
        request_id: str | None = None,
        start_date: date | None = None,
        end_date: date | None = None,
    ) -> tuple[SpendLog, ...]:
        """The calls that match, at most 10,000; without a limit on time this is heavy, prefer `logs_v2`."""
        params: dict[str, Any] = {
            "api_key": token_of(key) if key else None,
            "user_id": user_id,
            "request_id": request_id,
            "start_date": start_date,
            "end_date": end_date,
            "summarize": False,
        }
        return self._many(SpendLog, "/spend/logs", params)

    def logs_v2(self, start: date | datetime, end: date | datetime, **only: Any) -> Iterator[SpendLog]:
        """Every call between two UTC times; filters `api_key` (hash), `user_id`, `team_id`, `model`,
        `search`, ...

        Sorted by start unless `sort_by` says otherwise: calls of the same instant may fall between two pages,
        so for a ledger use `daily_activity`.
        """

        def page_of(page: int) -> Page[SpendLog]:
            params = {"start_date": _moment(start), "end_date": _moment(end), "sort_by": "startTime", **only}
            params |= {"page": page, "page_size": LARGEST_PAGE}
            return self._http.fetch(_log_page, "GET", "/spend/logs/v2", params=params, limit=LISTS)

        return rows.walk(page_of)

    def daily_activity(self, start: date, end: date, **only: Any) -> Iterator[DailyActivity]:
        """Each UTC day from `start` to `end`, both included, page by page; filters `user_id`, `model`,
        `api_key` (one hash).

        Refused calls are there too, with a failure and no spend, and so are deleted keys. Add up the parts: a
        day, even one key and model of it, may stand on two pages, and the proxy's own totals are of one page.
        A row that is new since the first page may push one over to the next, told twice: walk again later.
        Raises Invalid.
        """

        def page_of(page: int) -> Page[DailyActivity]:
            params = {"start_date": start, "end_date": end, "page": page, "page_size": LARGEST_PAGE, **only}
            return self._http.fetch(_activity_page, "GET", "/user/daily/activity", params=params, limit=LISTS)

        return rows.walk(page_of)

    def keys(self) -> tuple[KeyInfo, ...]:
        """Every key with its spend, in one answer."""
        return self._many(KeyInfo, "/spend/keys", {})

    def users(self, user_id: str | None = None) -> tuple[User, ...]:
        return self._many(User, "/spend/users", {"user_id": user_id})

    def tags(self) -> tuple[SpendTotal, ...]:
        """Spend by tag; a call with several tags counts for each, so these do not add up."""
        return self._many(SpendTotal, "/spend/tags", {})

    def global_total(self) -> GlobalSpend:
        """The last 30 days."""
        return self._http.fetch(GlobalSpend.read, "GET", "/global/spend")

    def global_days(self) -> tuple[SpendTotal, ...]:
        return self._many(SpendTotal, "/global/spend/logs", {})

    def global_keys(self, limit: int = 100) -> tuple[SpendTotal, ...]:
        return self._many(SpendTotal, "/global/spend/keys", {"limit": limit})

    def global_models(self, limit: int = 100) -> tuple[SpendTotal, ...]:
        return self._many(SpendTotal, "/global/spend/models", {"limit": limit})

    def global_providers(self, start: date, end: date) -> tuple[SpendTotal, ...]:
        return self._many(SpendTotal, "/global/spend/provider", {"start_date": start, "end_date": end})

    def global_tags(self, start: date, end: date) -> tuple[SpendTotal, ...]:
        params = {"start_date": start, "end_date": end}
        return self._many(SpendTotal, "/global/spend/tags", params, "spend_per_tag")

    def global_teams(self) -> Mapping[str, Any]:
        return self._http.fetch(rows.to_table, "GET", "/global/spend/teams", limit=LISTS)

    def global_report(self, start: date, end: date, group_by: str = "team") -> Any:
        """Raises LicenceNeeded."""
        params = {"start_date": start, "end_date": end, "group_by": group_by}
        return self._http.request("GET", "/global/spend/report", params=params, limit=LISTS)

    def _many(self, kind: type[R], path: str, params: Mapping[str, Any], under: str | None = None) -> tuple[R, ...]:
        def read(data: Any) -> tuple[R, ...]:
            return tuple(kind.read(row) for row in (data[under] if under else data))

        return self._http.fetch(read, "GET", path, params=params, limit=LISTS)


def _moment(value: date | datetime) -> str:
    """As `/spend/logs/v2` reads it, in UTC; a naive time is taken as UTC."""
    if isinstance(value, datetime):
        return (value.astimezone(UTC) if value.tzinfo else value).strftime("%Y-%m-%d %H:%M:%S")
    return value.isoformat()


def _log_page(data: Any) -> Page[SpendLog]:
    return Page.read((SpendLog.read(row) for row in data["data"]), data)


def _activity_page(data: Any) -> Page[DailyActivity]:
    return Page.read((DailyActivity.read(row) for row in data["results"]), data["metadata"])
