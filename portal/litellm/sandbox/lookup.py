"""Looking virtual keys up: one, many, lists and aliases."""

from __future__ import annotations

from . import shapes
from .auth import hashed, member
from .keys import ONE_OF, missing
from .refusals import Refusal, failure, invalid, quoted
from .store import Row, names
from .web import Request, route
from .windows import stamp, zulu

SORTABLE = names("spend max_budget created_at updated_at token key_alias")  # the proxy's error names only these
SORTABLE_TOO = names("expires last_active budget_reset_at total_spend tpm_limit rpm_limit")


@route("GET", "/key/info", who="read")
def info(request: Request) -> Row:
    sent = request.query.get("key") or request.caller.token
    row = request.db.get("keys", hashed(sent))
    if row is None:
        archived = request.db.find("deleted_keys", "$token = ?", hashed(sent), tail="ORDER BY rowid DESC LIMIT 1")
        if not archived or not request.caller.admin:
            raise missing("Key not found in database")
        body = {name: value for name, value in shapes.archived_key(archived[0]).items() if name != "token"}
        return {"key": sent, "info": body | {"status": "deleted"}}
    if not sees(request, row):
        raise failure(403, f"You are not allowed to access this key's info. Your role={request.caller.role}")
    return {"key": sent, "info": without_token(row) | {"status": status(row, request)}}


def status(row: Row, request: Request) -> str:
    if row["blocked"]:
        return "revoked"
    return "expired" if row["expires"] and row["expires"] <= request.now.isoformat() else "active"


def sees(request: Request, row: Row) -> bool:
    caller = request.caller
    # Two keys without a user count as one owner's (LiteLLM 1.106.2, seen).
    return caller.admin or row["user_id"] == caller.user_id or member(request.db, row["team_id"], caller.user_id)


def without_token(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != "token"}


@route("POST", "/v2/key/info", who="read", shape={"keys": "list", "key_aliases": "list"})
def info_of_many(request: Request) -> Row:
    """Rows without the hash, in the table's order and not in the request's."""
    keys, aliases = request.body.get("keys"), request.body.get("key_aliases")
    if not keys and not aliases:
        raise invalid("value_error", ["body"], ONE_OF)
    wanted = {hashed(str(key)) for key in keys or ()}
    wanted |= {row["token"] for alias in aliases or () for row in request.db.find("keys", "$key_alias = ?", alias)}
    marks = ",".join("?" * len(wanted))
    rows = request.db.find("keys", f"id IN ({marks})", *wanted)
    return {"key": keys, "info": [without_token(row) for row in rows if sees(request, row)]}


@route("POST", "/key/health", who="read")
def health(request: Request) -> Row:
    return {"key": "healthy", "logging_callbacks": None}


@route("GET", "/key/list", who="read")
def list_keys(request: Request) -> Row:
    page, size = request.number("page", 1), request.number("size", 10, most=100)
    query, now = request.query, stamp(request.now)
    table, where, values = "keys", ["1"], []
    kind, life = query.get("status"), query.get("expires")
    if kind not in {None, "", "active", "expired", "revoked", "deleted"}:
        raise list_error("Invalid status value. Supported: 'active', 'expired', 'revoked', 'deleted'.")
    if life not in {None, "", "active", "expired"}:
        raise list_error("Invalid expires value. Supported: 'active', 'expired'.")
    if kind == "deleted":
        table = "deleted_keys"
    elif kind == "revoked":
        where.append("$blocked = 1")
    if kind == "active":
        where.append("( $blocked IS NULL OR $blocked = 0 )")
    if "active" in {kind, life}:
        where.append("( $expires IS NULL OR $expires > ? )")
        values.append(now)
    if "expired" in {kind, life}:
        where.append("$expires <= ?")
        values.append(now)
    for name, column in (("user_id", "user_id"), ("team_id", "team_id"), ("key_hash", "token")):
        if query.get(name):
            where.append(f"${column} = ?")
            values.append(query[name])
    if query.get("key_alias"):
        part = request.flag("substring_matching")
        where.append("instr( lower( $key_alias ) , lower( ? ) )" if part else "$key_alias = ?")
        values.append(query["key_alias"])
    if query.get("search"):
        where.append("( $token = ? OR instr( lower( $key_alias ) , lower( ? ) ) )")
        values += [query["search"]] * 2
    if not request.caller.admin:
        if request.caller.user_id is None:
            raise failure(
                403,
                "You are not authorized to access this endpoint. No 'user_id' is associated with your API key.",
                "bad_request_error",
                "user_id",
            )
        where.append("$user_id = ?")
        values.append(request.caller.user_id)
    condition = " AND ".join(where)
    total = request.db.count(table, condition, *values)
    window = f"{ordering(query, table)} LIMIT {size} OFFSET {(page - 1) * size}"
    rows = request.db.find(table, condition, *values, tail=window)
    shape = (lambda row: zulu(shapes.archived_key(row))) if table == "deleted_keys" else shapes.listed_key
    whole = request.flag("return_full_object")
    return {
        "keys": [shape(row) if whole else row["token"] for row in rows],
        "total_count": total,
        "current_page": page,
        "total_pages": -(-total // size),
    }


def ordering(query: dict[str, str], table: str) -> str:
    """Newest first unless asked; equal values have no order, so pages by a time can skip rows."""
    column = query.get("sort_by") or ("deleted_at" if table == "deleted_keys" else "created_at")
    if query.get("sort_by") and column not in {*SORTABLE, *SORTABLE_TOO}:
        raise list_error(f"Invalid sort column. Must be one of: {', '.join(SORTABLE)}")
    direction = "ASC" if query.get("sort_order", "desc").lower() == "asc" else "DESC"
    nulls = "LAST" if direction == "ASC" else "FIRST"
    return f"ORDER BY ${column} {direction} NULLS {nulls}"


def list_error(text: str) -> Refusal:
    return quoted(400, text, param="None")


@route("GET", "/key/aliases")
def aliases(request: Request) -> Row:
    page, size = request.number("page", 1), request.number("size", 50, most=100)
    where, values = ["$key_alias IS NOT NULL AND $key_alias != ''"], []
    if request.query.get("search"):
        where.append("instr( lower( $key_alias ) , lower( ? ) )")
        values.append(request.query["search"])
    if request.query.get("team_id"):
        where.append("$team_id = ?")
        values.append(request.query["team_id"])
    rows = request.db.find("keys", " AND ".join(where), *values, tail="ORDER BY $key_alias")
    names = list(dict.fromkeys(row["key_alias"] for row in rows))
    shown = names[(page - 1) * size : page * size]
    pages = -(-len(names) // size)
    return {
        "aliases": shown,
        "total_count": len(names),
        "current_page": page,
        "total_pages": pages,
        "size": size,
    }
