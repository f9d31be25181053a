"""Sums of the ledger: by key, user, tag, day, model, provider and team."""

# ruff: noqa: S608  columns are named here, and every value is bound

from __future__ import annotations

from .ledger import UNASSIGNED
from .refusals import detail, failure
from .store import Row
from .web import Request, route
from .windows import zulu


@route("GET", "/spend/keys")
def key_spend(request: Request) -> list[Row]:
    return [zulu(row) for row in request.db.find("keys", tail="ORDER BY $spend DESC")]


@route("GET", "/spend/users")
def user_spend(request: Request) -> list[Row | None]:
    if wanted := request.query.get("user_id"):
        return [request.db.get("users", wanted)]
    return list(request.db.find("users"))


def by_tag(request: Request) -> dict[str, tuple[float, int]]:
    """Spend and calls of each tag; a call with several tags counts for each."""
    sums: dict[str, tuple[float, int]] = {}
    for row in request.db.find("logs"):
        for tag in row["request_tags"]:
            spend, calls = sums.get(tag, (0.0, 0))
            sums[tag] = (spend + row["spend"], calls + 1)
    return sums


@route("GET", "/spend/tags")
def tag_spend(request: Request) -> list[Row]:
    return [
        {"individual_request_tag": tag, "log_count": calls, "total_spend": spend}
        for tag, (spend, calls) in by_tag(request).items()
    ]


def sums_by(request: Request, column: str, limit: int = -1) -> list[tuple[str, float]]:
    """The spend of each value of a column, the largest first."""
    statement = f"SELECT {column}, sum(spend) FROM daily GROUP BY 1 ORDER BY 2 DESC LIMIT ?"
    return [(row[0], row[1]) for row in request.db.sql(statement, limit)]


@route("GET", "/global/spend")
def all_spend(request: Request) -> Row:
    return {"spend": sum(spend for _, spend in sums_by(request, "day")), "max_budget": 0.0}


@route("GET", "/global/spend/logs")
def day_spend(request: Request) -> list[Row]:
    return [{"date": day, "spend": spend} for day, spend in sorted(sums_by(request, "day"))]


@route("GET", "/global/spend/keys")
def top_keys(request: Request) -> list[Row]:
    rows = []
    for token, spend in sums_by(request, "token", request.number("limit", 100)):
        key = request.db.get("keys", token) or {}
        names = {"key_alias": key.get("key_alias"), "key_name": key.get("key_name")}
        rows.append({"api_key": token, **names, "total_spend": spend})
    return rows


@route("GET", "/global/spend/models")
def top_models(request: Request) -> list[Row]:
    top = sums_by(request, "model", request.number("limit", 10))
    return [{"model": model, "total_spend": spend} for model, spend in top]


@route("GET", "/global/spend/provider")
def provider_spend(request: Request) -> list[Row]:
    if not request.query.get("start_date") or not request.query.get("end_date"):
        raise detail(400, {"error": "Please provide start_date and end_date"})
    return [{"provider": name, "spend": spend} for name, spend in sums_by(request, "provider") if name]


@route("GET", "/global/spend/tags")
def global_tags(request: Request) -> Row:
    if not request.query.get("start_date") or not request.query.get("end_date"):
        raise failure(400, "Please provide start_date and end_date", "bad_request")
    tags = by_tag(request).items()
    return {"spend_per_tag": [{"name": t, "spend": spend, "log_count": calls} for t, (spend, calls) in tags]}


@route("GET", "/global/spend/teams")
def team_spend(request: Request) -> Row:
    def name(team_id: str) -> str:
        team = request.db.get("teams", team_id) if team_id else None
        return str((team and team["team_alias"]) or team_id or UNASSIGNED)

    days: dict[str, Row] = {}
    for day, team_id, spend in request.db.sql("SELECT day, team_id, sum(spend) FROM daily GROUP BY 1, 2"):
        days.setdefault(day, {"date": day})[name(team_id)] = spend
    totals = [{"team_id": name(team), "total_spend": spend} for team, spend in sums_by(request, "team_id")]
    teams = [total["team_id"] for total in totals]
    return {"daily_spend": list(days.values()), "teams": teams, "total_spend_per_team": totals}
