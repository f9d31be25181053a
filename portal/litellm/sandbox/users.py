"""Users, as rows that keys and budgets hang on."""

from __future__ import annotations

import uuid

from . import shapes
from .keys import check_numbers, make
from .refusals import Refusal, detail, failure, invalid, quoted, unauthorized
from .store import Row, Store, names
from .web import Request, route, shape
from .windows import next_reset, stamp, zulu

FIELDS = shape(
    text="user_id user_email user_alias user_role budget_duration sso_user_id",
    whole="tpm_limit rpm_limit max_parallel_requests",
    number="max_budget",
    list="models",
    dict="metadata",
)
NEW = FIELDS | shape(text="key_alias duration team_id", flag="auto_create_key blocked", list="teams", dict="aliases")
ROLES = ("proxy_admin", "proxy_admin_viewer", "internal_user", "internal_user_viewer")
ROLES_IN_WORDS = (
    "<LitellmUserRoles.PROXY_ADMIN: 'proxy_admin'>, <LitellmUserRoles.PROXY_ADMIN_VIEW_ONLY: "
    "'proxy_admin_viewer'>, <LitellmUserRoles.INTERNAL_USER: 'internal_user'> or "
    "<LitellmUserRoles.INTERNAL_USER_VIEW_ONLY: 'internal_user_viewer'>"
)
SORTABLE = names("user_id user_email created_at spend user_alias user_role")
CARD = names(
    "user_id user_email user_alias user_role spend max_budget tpm_limit rpm_limit models budget_duration "
    "budget_reset_at metadata created_at updated_at sso_user_id teams object_permission model_max_budget"
)


@route("POST", "/user/new", shape=NEW)
def new_user(request: Request) -> Row:
    """Make a user, and a key without any limit unless `auto_create_key` is false."""
    data, db = request.body, request.db
    check_role(data)
    check_numbers(data)
    user_id = data.get("user_id") or str(uuid.uuid4())
    with db.write():
        if db.get("users", user_id):
            raise quoted(409, f"User with id {user_id} already exists")
        if (email := data.get("user_email")) and db.count("users", "lower( $user_email ) = lower( ? )", email):
            raise quoted(409, f"User with email {email.lower()} already exists")
        add_user(request, user_id, data)
    answer = dict.fromkeys(shapes.GENERATED_KEY) | {"user_id": user_id, "key": ""}
    answer |= {"models": [], "spend": 0.0, "metadata": {}, "config": {}, "permissions": {}, "aliases": {}}
    answer |= {"allowed_cache_controls": [], "allowed_routes": []}
    if data.get("auto_create_key") is not False:
        key_fields = ("key_alias", "duration", "models", "aliases", "team_id", "blocked", "metadata")
        key = make(request, {name: data.get(name) for name in key_fields} | {"user_id": user_id})
        nameless = dict.fromkeys(("key_type", "created_by", "updated_by"))
        with db.write():
            if row := db.get("keys", key["token"]):
                db.put("keys", key["token"], row | nameless)
        answer = key | nameless | dict.fromkeys(("token_id", "token"))
    shown = (
        "max_budget",
        "models",
        "metadata",
        "budget_duration",
        "tpm_limit",
        "rpm_limit",
        "max_parallel_requests",
    )
    answer |= {name: data[name] for name in shown if data.get(name) is not None}
    return answer | {name: data.get(name) for name in ("user_email", "user_role", "teams", "user_alias")}


def check_role(data: Row) -> None:
    if data.get("user_role") not in {None, *ROLES}:
        raise invalid("literal_error", ["body", "user_role"], f"Input should be {ROLES_IN_WORDS}")


def add_user(request: Request, user_id: str, data: Row) -> Row:
    """Insert the row; inside the caller's transaction."""
    given = {name: value for name, value in data.items() if name in shapes.USER_ROW and value is not None}
    row = shapes.USER_ROW | given | {"user_id": user_id, "teams": []}
    row |= {"created_at": stamp(request.now), "updated_at": stamp(request.now)}
    if row["budget_duration"]:
        row["budget_reset_at"] = stamp(next_reset(row["budget_duration"], request.now))
    request.db.add("users", user_id, row)
    return row


def ensure_user(request: Request, user_id: str | None, email: str | None = None) -> Row:
    """The user with this id or e-mail, made if missing; inside the caller's transaction."""
    if user_id is None and email:
        for found in request.db.find("users", "lower( $user_email ) = lower( ? )", email):
            return found
    user_id = user_id or str(uuid.uuid4())
    data = {"user_email": email, "user_role": "internal_user"}
    return request.db.get("users", user_id) or add_user(request, user_id, data)


@route("POST", "/user/update", shape=FIELDS)
def update_user(request: Request) -> Row:
    """Change a user; an unknown one is made (LiteLLM 1.106.2, seen)."""
    data, db = request.body, request.db
    if not data.get("user_id") and not data.get("user_email"):
        raise invalid("value_error", ["body"], "Value error, Either user id or user email must be provided")
    check_role(data)
    check_numbers(data)
    with db.write():
        row = db.get("users", data["user_id"]) if data.get("user_id") else None
        if row is None and not data.get("user_id"):
            row = next(iter(db.find("users", "lower( $user_email ) = lower( ? )", data["user_email"])), None)
        row = row or add_user(request, data.get("user_id") or str(uuid.uuid4()), {})
        row |= {name: value for name, value in data.items() if name != "user_id"} | {"updated_at": stamp(request.now)}
        if "budget_duration" in data:
            window = data["budget_duration"]
            row["budget_reset_at"] = window and stamp(next_reset(window, request.now))
        db.put("users", row["user_id"], row)
    shown = {"verified_subjects": None} | zulu(row) | shapes.USER_RELATIONS
    return {"user_id": row["user_id"], "data": shown}


@route("POST", "/user/delete", shape={"user_ids": "list!"})
def delete_users(request: Request) -> int:
    """Delete users and, without any archive, their keys."""
    db, ids = request.db, request.body["user_ids"]
    for user_id in ids:
        if db.get("users", user_id) is None:
            raise detail(404, {"error": f"User not found, passed user_id={user_id}"})
    with db.write():
        for user_id in ids:
            for key in db.find("keys", "$user_id = ?", user_id):
                db.drop("keys", key["token"])
            for person in db.find("members", "$user_id = ?", user_id):
                db.drop("members", f"{person['team_id']}/{user_id}")
                if team := db.get("teams", person["team_id"]):
                    team["members_with_roles"] = [p for p in team["members_with_roles"] if p["user_id"] != user_id]
                    db.put("teams", team["team_id"], team)
            db.drop("users", user_id)
    return len(ids)


@route("GET", "/user/info", who="read")
def user_info(request: Request) -> Row:
    user_id, db = asked(request), request.db
    row = db.get("users", user_id) if user_id else None
    if row is None:
        raise failure(404, f"User {user_id} not found")
    shown = {"verified_subjects": None} | zulu(row) | shapes.USER_RELATIONS
    shown |= {"organization_memberships": [], "model_max_budget_usage": {}}
    keys = []
    for key in db.find("keys", "$user_id = ?", user_id):
        team = db.get("teams", key["team_id"]) if key["team_id"] else None
        keys.append(zulu(key) | {"team_alias": team["team_alias"] if team else "None"})
    teams = [with_keys(db, team) for team_id in row["teams"] if (team := db.get("teams", team_id))]
    return {"user_id": user_id, "user_info": shown, "keys": keys, "teams": teams}


def with_keys(db: Store, team: Row) -> Row:
    """A team with its members and keys, as the older lists show it."""
    people = db.find("members", "$team_id = ?", team["team_id"])
    keys = db.find("keys", "$team_id = ?", team["team_id"])
    memberships = [shapes.membership(person) for person in people]
    return zulu(team) | {"team_memberships": memberships, "keys": [zulu(key) for key in keys]}


def asked(request: Request) -> str | None:
    """The user a request is about; one's own for those who are no admin."""
    user_id = request.query.get("user_id") or request.caller.user_id
    if not request.caller.admin and user_id != request.caller.user_id:
        raise not_yours(user_id, request.caller.user_id)
    return user_id


def not_yours(wanted: str | None, own: str | None) -> Refusal:
    text = f"key not allowed to access this user's info. user_id={wanted}, key's user_id={own}"
    return unauthorized(text, 403)


@route("GET", "/v2/user/info", who="read")
def user_card(request: Request) -> Row:
    user_id = asked(request)
    if user_id is None:
        text = "user_id is required. Either pass it as a query parameter or authenticate with a user-bound key."
        raise failure(400, text)
    row = request.db.get("users", user_id)
    if row is None:
        raise failure(404, f"User not found: {user_id}")
    return {name: zulu(row).get(name) for name in CARD} | {"model_max_budget_usage": {}}


@route("GET", "/user/list", who="read")
def list_users(request: Request) -> Row:
    query, db = request.query, request.db
    if not request.caller.admin:
        raise detail(403, {"error": "Only proxy admins and organization admins can list users."})
    page, size = request.number("page", 1), request.number("page_size", 25, most=100)
    column = query.get("sort_by") or "created_at"
    if column not in SORTABLE:
        raise detail(400, {"error": f"Invalid sort column. Must be one of: {', '.join(SORTABLE)}"})
    where, values = ["1"], []
    wanted = [part.strip() for part in query.get("user_ids", "").split(",") if part.strip()]
    if len(wanted) == 1:
        where.append("instr( $user_id , ? )")
    elif wanted:
        where.append(f"id IN ({','.join('?' * len(wanted))})")
    values += wanted
    if query.get("role"):
        where.append("$user_role = ?")
        values.append(query["role"])
    if query.get("user_email"):
        where.append("instr( lower( $user_email ) , lower( ? ) )")
        values.append(query["user_email"])
    if query.get("search"):
        where.append("( instr( $user_id , ? ) OR instr( lower( $user_email ) , lower( ? ) ) )")
        values += [query["search"]] * 2
    condition = " AND ".join(where)
    direction = "ASC" if query.get("sort_by") and query.get("sort_order", "asc") == "asc" else "DESC"
    tail = f"ORDER BY ${column} {direction} LIMIT {size} OFFSET {(page - 1) * size}"
    rows = db.find("users", condition, *values, tail=tail)
    extra = {"organization_memberships": None, "object_permission": None}
    users = [zulu(row) | extra | {"key_count": db.count("keys", "$user_id = ?", row["user_id"])} for row in rows]
    total = db.count("users", condition, *values)
    return {"users": users, "total": total, "page": page, "page_size": size, "total_pages": -(-total // size)}
