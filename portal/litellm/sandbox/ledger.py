# ruff: noqa: S608  columns are named here, and every value is bound
"""What calls cost: written at once to key, team, member, user, log and day, and read back from there."""

from __future__ import annotations

import uuid
from contextlib import suppress
from datetime import UTC, date, datetime
from typing import Any

from .models import Model
from .refusals import detail, failure
from .store import Row, names
from .web import Request, route
from .windows import stamp, zulu

UNASSIGNED = "Unassigned"


def record(
    request: Request, endpoint: str, group: str, model: Model | None, id_: str = "",
    prompt: int = 0, completion: int = 0, cost: float = 0.0, failed: bool = False,
) -> None:  # fmt: skip
    """Charge one call, in one transaction; a refused one costs nothing and is counted."""
    db, caller, now = request.db, request.caller, stamp(request.now)
    key, team_id = caller.key or {}, (caller.key or {}).get("team_id")
    target = model.target if model else "unknown-model"
    provider = model.provider if model else ""
    with db.write():
        for table, row_id, lifetime_too in (
            ("keys", caller.token, True),
            ("teams", team_id, False),
            ("members", f"{team_id}/{caller.user_id}", True),
            ("users", caller.user_id, False),
        ):
            row = db.get(table, row_id) if row_id and not failed else None
            if row is None:
                continue
            row["spend"] += cost
            if lifetime_too:
                row["total_spend"] += cost
            if table == "keys":
                row |= {"last_active": now, "updated_at": now}
            db.put(table, row_id or "", row)
        db.sql(
            "INSERT INTO daily VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
            "spend = spend + excluded.spend, prompt_tokens = prompt_tokens + excluded.prompt_tokens, "
            "completion_tokens = completion_tokens + excluded.completion_tokens, "
            "succeeded = succeeded + excluded.succeeded, failed = failed + excluded.failed",
            *(
                request.now.date().isoformat(),
                caller.user_id or "",
                team_id or "",
                caller.token,
                target,
                group,
            ),
            *(provider, endpoint, cost, prompt, completion, int(not failed), int(failed)),
        )
        metadata: Row = {"status": "failure" if failed else "success", "user_api_key": caller.token}
        metadata |= {"user_api_key_alias": key.get("key_alias"), "user_api_key_team_id": team_id}
        metadata |= {"user_api_key_user_id": caller.user_id}
        log: Row = {
            "request_id": id_ or str(uuid.uuid4()),
            "call_type": "acompletion",
            "api_key": caller.token,
        }
        log |= {"spend": cost, "total_tokens": prompt + completion, "prompt_tokens": prompt}
        log |= {"completion_tokens": completion, "startTime": now, "endTime": now, "completionStartTime": now}
        log |= {"model": target, "model_id": model.deployment if model else "", "model_group": group}
        log |= {
            "custom_llm_provider": provider,
            "api_base": "",
            "user": caller.user_id or "",
            "metadata": metadata,
        }
        log |= {
            "cache_hit": "None",
            "cache_key": "Cache OFF",
            "team_id": team_id or "",
            "organization_id": "",
        }
        log |= {"request_tags": [*((key.get("metadata") or {}).get("tags") or []), *agents(request)], "end_user": ""}
        log |= {"status": metadata["status"], "request_duration_ms": 1}
        db.add("logs", log["request_id"], log)


def agents(request: Request) -> list[str]:
    """The tags that the proxy adds by itself: the caller's user agent, without and with its version."""
    agent = request.headers.get("user-agent", "")
    return [f"User-Agent: {name}" for name in dict.fromkeys((agent.partition("/")[0], agent)) if name]


# --- activity -------------------------------------------------------------------------------------

COUNTED = names("spend prompt_tokens completion_tokens total_tokens api_requests successful_requests failed_requests")
NEVER_COUNTED = names(
    "flat_cost cache_read_input_tokens cache_creation_input_tokens compression_saved_tokens "
    "compression_savings_spend prompt_caching_savings_spend gateway_injected_caching_savings_spend "
    "autorouter_savings_spend total_response_time_ms timed_requests"
)
COLUMNS = names("day user_id team_id token model model_group provider endpoint")
BREAKDOWN = {
    "models": "model",
    "model_groups": "model_group",
    "providers": "provider",
    "endpoints": "endpoint",
}


@route("GET", "/user/daily/activity", who="read")
def user_activity(request: Request) -> Row:
    if not request.caller.admin and request.caller.user_id is None:
        advice = "Use a user-bound key, or call as a proxy admin."
        raise detail(403, {"error": f"Service-account keys cannot query user analytics. {advice}"})
    return activity(request, "user_id", 50)


@route("GET", "/team/daily/activity")
def team_activity(request: Request) -> Row:
    return activity(request, "team_id", 10)


def activity(request: Request, entity: str, default_size: int) -> Row:
    """Rows by UTC day; a page cuts through the rows of a day, so a reader must add all pages up."""
    query, db = request.query, request.db
    if not query.get("start_date") or not query.get("end_date"):
        raise detail(400, {"error": "Please provide start_date and end_date"})
    try:
        days = [date.fromisoformat(query[name]).isoformat() for name in ("start_date", "end_date")]
    except ValueError:
        raise detail(400, {"error": "start_date and end_date must be valid YYYY-MM-DD dates"}) from None
    page = request.number("page", 1)
    size = request.number("page_size", default_size, most=1000)
    where, values = ["day BETWEEN ? AND ?"], list(days)
    filters = {"user_id": query.get("user_id"), "model": query.get("model"), "token": query.get("api_key")}
    if not request.caller.admin:
        filters["user_id"] = request.caller.user_id
    for column, value in filters.items():
        if value:
            where.append(f"{column} = ?")  # one value each: a list of keys finds none (LiteLLM 1.106.2, seen)
            values.append(value)
    if teams := query.get("team_ids"):
        where.append(f"team_id IN ({','.join('?' * len(teams.split(',')))})")
        values += teams.split(",")
    condition = " AND ".join(where)
    total = db.sql(f"SELECT count(*) FROM daily WHERE {condition}", *values)[0][0]
    rows = db.sql(
        f"SELECT * FROM daily WHERE {condition} ORDER BY day DESC, rowid LIMIT {size} OFFSET {(page - 1) * size}",
        *values,
    )
    results: dict[str, Row] = {}
    sums = blank()
    for row in rows:
        line = dict(zip(COLUMNS, row, strict=False))
        day = results.setdefault(line["day"], new_day(line["day"]))
        counts = dict(zip(("spend", "prompt_tokens", "completion_tokens", "succeeded", "failed"), row[8:], strict=True))
        card = key_card(request, line)
        parts = {name: line[column] for name, column in BREAKDOWN.items()}
        parts["entities"] = line[entity] or UNASSIGNED
        for name, value in parts.items():
            part = day["breakdown"][name].setdefault(value, new_part())
            count(part["metrics"], counts)
            held = part["api_key_breakdown"].setdefault(line["token"], {"metrics": blank(), "metadata": card})
            count(held["metrics"], counts)
        own = day["breakdown"]["api_keys"].setdefault(line["token"], {"metrics": blank(), "metadata": card})
        count(own["metrics"], counts)
        count(day["metrics"], counts)
        count(sums, counts)
    pages = -(-total // size)
    metadata: Row = {name if name.startswith("total_") else f"total_{name}": value for name, value in sums.items()}
    metadata |= {"page": page, "total_pages": pages, "has_more": page < pages}
    metadata |= dict.fromkeys(("api_key_limit", "total_api_keys", "entity_total_api_keys"))
    return {"results": list(results.values()), "metadata": metadata}


def blank() -> Row:
    sums: Row = dict.fromkeys((*COUNTED, *NEVER_COUNTED), 0)
    return sums | {"spend": 0.0, "flat_cost": 0.0}


def new_part() -> Row:
    return {"metrics": blank(), "metadata": {}, "api_key_breakdown": {}}


def new_day(day: str) -> Row:
    breakdown: Row = {name: {} for name in ("mcp_servers", *BREAKDOWN, "api_keys", "entities")}
    return {"date": day, "metrics": blank(), "breakdown": breakdown}


def count(metrics: Row, counts: dict[str, Any]) -> None:
    metrics["spend"] += counts["spend"]
    metrics["prompt_tokens"] += counts["prompt_tokens"]
    metrics["completion_tokens"] += counts["completion_tokens"]
    metrics["total_tokens"] += counts["prompt_tokens"] + counts["completion_tokens"]
    metrics["successful_requests"] += counts["succeeded"]
    metrics["timed_requests"] += counts["succeeded"]
    metrics["failed_requests"] += counts["failed"]
    metrics["api_requests"] += counts["succeeded"] + counts["failed"]


def key_card(request: Request, line: Row) -> Row:
    """Who a key is or was: deleted keys stay in the ledger."""
    live = request.db.get("keys", line["token"])
    known = live or next(iter(request.db.find("deleted_keys", "$token = ?", line["token"])), None) or {}
    card = {
        "key_alias": known.get("key_alias"),
        "team_id": line["team_id"] or None,
        "user_id": line["user_id"] or None,
    }
    return card | {"user_email": None, "key_exists": live is not None}


# --- logs and sums --------------------------------------------------------------------------------


@route("GET", "/spend/logs")
def logs(request: Request) -> list[Row]:
    """Raw rows; with dates and without `summarize=false`, sums by day."""
    query = request.query
    where, values = ["1"], []
    for name, column in (("api_key", "api_key"), ("user_id", "user"), ("request_id", "request_id")):
        if query.get(name):
            where.append(f"${column} = ?")
            values.append(query[name])
    dated = query.get("start_date") and query.get("end_date")
    if dated:
        where.append("$startTime >= ? AND $startTime <= ?")
        try:
            values += [day_of(query["start_date"]), day_of(query["end_date"])]
        except ValueError as problem:
            raise failure(500, f"/spend/logs Error{problem}", "internal_error", "None") from None
    rows = request.db.find("logs", " AND ".join(where), *values, tail="ORDER BY $startTime DESC")
    if not dated or query.get("summarize") == "false":
        return [zulu(row) for row in rows]
    days: dict[str, Row] = {}
    for row in reversed(rows):
        day = days.setdefault(row["startTime"][:10], {"spend": 0.0, "users": {}, "models": {}})
        day["spend"] += row["spend"]
        day[row["api_key"]] = day.get(row["api_key"], 0.0) + row["spend"]
        for sums, name in ((day["users"], row["user"]), (day["models"], row["model"])):
            sums[name] = sums.get(name, 0.0) + row["spend"]
    return [day | {"startTime": name} for name, day in days.items()]


def day_of(text: str) -> str:
    return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).isoformat()


@route("GET", "/spend/logs/v2")
def page_logs(request: Request) -> Row:
    query = request.query
    if not query.get("start_date") or not query.get("end_date"):
        raise failure(400, "Start date and end date are required", "bad_request", "None")
    page, size = request.number("page", 1), request.number("page_size", 50, most=1000)
    where = ["$startTime >= ? AND $startTime <= ?"]
    values: list[str] = [moment(query["start_date"]), moment(query["end_date"])]
    columns = {name: name for name in names("api_key team_id request_id model model_group")}
    for name, column in (columns | {"user_id": "user", "status_filter": "status"}).items():
        if query.get(name):
            where.append(f"${column} = ?")
            values.append(query[name])
    condition = " AND ".join(where)
    total = request.db.count("logs", condition, *values)
    direction = "ASC" if query.get("sort_order") == "asc" else "DESC"
    by = query.get("sort_by", "")
    order = by if by in {"spend", "total_tokens", "endTime"} else "startTime"
    tail = f"ORDER BY ${order} {direction} LIMIT {size} OFFSET {(page - 1) * size}"
    rows = request.db.find("logs", condition, *values, tail=tail)
    pages = {"page": page, "page_size": size, "total_pages": -(-total // size), "total_is_capped": False}
    return {"data": rows, "total": total} | pages


def moment(text: str) -> str:
    """A day or a second, as it is stored."""
    for form in ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d"):
        with suppress(ValueError):
            return datetime.strptime(text, form).replace(tzinfo=UTC).isoformat()
    raise failure(400, f"Invalid date format: {text}. Expected: 'YYYY-MM-DD' or 'YYYY-MM-DD HH:MM:SS'")
