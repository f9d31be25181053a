"""Teams; who is in them is in members.py."""

from __future__ import annotations

import re
import uuid

from . import shapes
from .auth import member
from .keys import archive, check_numbers
from .members import join, leave, member_of
from .refusals import LICENCE, Refusal, detail, failure, invalid, quoted, unauthorized, unlicensed
from .store import Exists, Row, names
from .users import with_keys
from .web import Request, route, shape
from .windows import next_reset, stamp, zulu

FIELDS = shape(
    text="team_alias organization_id budget_duration",
    whole="tpm_limit rpm_limit tpd_limit",
    number="max_budget soft_budget",
    flag="blocked",
    list="members_with_roles models budget_limits team_member_permissions tags guardrails policies prompts logging",
    dict="metadata model_max_budget",
)
LICENSED = names("tags guardrails policies prompts logging")
NOT_COLUMNS = {*LICENSED, "members_with_roles", "model_max_budget"}
EXTRA = names(
    "team_member_budget_table access_group_models access_group_mcp_server_ids access_group_agent_ids "
    "access_group_details organization_models"
)
SORTABLE = names("team_id team_alias created_at spend max_budget tpm_limit rpm_limit updated_at")


@route("POST", "/team/new", shape=FIELDS | {"team_id": "text"})
def new_team(request: Request) -> Row:
    data, db = request.body, request.db
    for name in LICENSED:
        if data.get(name):
            raise unlicensed(name)
    check_numbers(data)
    team_id = data.get("team_id") or str(uuid.uuid4())
    if db.get("teams", team_id):
        raise quoted(400, f"Team id = {team_id} already exists. Please use a different team id.")
    creator: Row = {"user_id": request.caller.user_id, "user_email": None, "role": "admin"}
    given = [member_of(item) for item in data.get("members_with_roles") or []]
    row = shapes.TEAM_ROW | columns(data) | {"team_id": team_id, "members_with_roles": [*given, creator]}
    row |= {
        "blocked": bool(data.get("blocked")),
        "created_at": stamp(request.now),
        "updated_at": stamp(request.now),
    }
    row = {name: shapes.TEAM_ROW[name] if value is None else value for name, value in row.items()}
    if row["budget_duration"]:
        row["budget_reset_at"] = stamp(next_reset(row["budget_duration"], request.now))
    try:
        with db.write():
            db.add("teams", team_id, row)
            for person in row["members_with_roles"]:
                join(request, team_id, person, {})
    except Exists:  # another caller won between our look and our insert
        raise failure(500, "Unique constraint failed on the fields: (`team_id`)") from None
    return zulu(row)


def columns(data: Row) -> Row:
    return {name: value for name, value in data.items() if name in shapes.TEAM_ROW and name not in NOT_COLUMNS}


@route("POST", "/team/update", who="own", shape=FIELDS | {"team_id": "text!"})
def update_team(request: Request) -> Row:
    data, team_id = request.body, request.body["team_id"]
    if not request.caller.admin:
        raise failure(403, "You do not have access to this team")
    if request.db.get("teams", team_id) is None:
        raise quoted(404, f"Team not found, passed team_id={team_id}")
    if any(data.get(name) for name in LICENSED):
        raise quoted(403, f"This feature is only available for LiteLLM Enterprise users. {LICENCE}")
    check_numbers(data)
    change = columns(data)
    if "budget_duration" in data:
        window = data["budget_duration"]
        change["budget_reset_at"] = window and stamp(next_reset(window, request.now))
    return {"team_id": team_id, "data": changed(request, team_id, change)}


def changed(request: Request, team_id: str, change: Row) -> Row:
    with request.db.write():
        row = request.db.get("teams", team_id)
        if row is None:
            raise detail(404, {"error": f"Team not found, passed team_id={team_id}"})
        row |= change | {"updated_at": stamp(request.now)}
        request.db.put("teams", team_id, row)
    return zulu(row | shapes.UPDATED_TEAM)


@route("POST", "/team/block", shape={"team_id": "text!"})
def block_team(request: Request) -> Row:
    return changed(request, request.body["team_id"], {"blocked": True})


@route("POST", "/team/unblock", shape={"team_id": "text!"})
def unblock_team(request: Request) -> Row:
    return changed(request, request.body["team_id"], {"blocked": False})


@route("POST", "/team/delete", shape={"team_ids": "list!"})
def delete_teams(request: Request) -> Row:
    """Delete teams; their keys go with them. One unknown id refuses the whole list."""
    db, ids = request.db, request.body["team_ids"]
    for team_id in ids:
        if db.get("teams", team_id) is None:
            raise detail(404, {"error": f"Team not found, passed team_id={team_id}"})
    with db.write():
        for team_id in ids:
            for key in db.find("keys", "$team_id = ?", team_id):
                archive(request, key)
            for person in db.find("members", "$team_id = ?", team_id):
                leave(db, team_id, person["user_id"])
            db.drop("teams", team_id)
    return {"deleted_teams": ids}


# --- looking --------------------------------------------------------------------------------------


@route("GET", "/team/info", who="read")
def team_info(request: Request) -> Row:
    team_id = request.query.get("team_id")
    if not team_id:
        raise team_error(422, "Malformed request. No team id passed in.")
    row = request.db.get("teams", team_id)
    if row is None:
        raise team_error(404, f"Team not found, passed team id: {team_id}.")
    if not request.caller.admin and not member(request.db, team_id, request.caller.user_id):
        raise unauthorized("Authentication Error, You are not allowed to access this team's info", 403)
    access = "unrestricted" if request.caller.admin else "none"
    people = [person | {"user_alias": None} for person in row["members_with_roles"]]
    extra = dict.fromkeys(EXTRA)
    shown = row | {"members_with_roles": people} | extra
    shown |= {"model_max_budget_usage": {}, "caller_edit_access": {"kind": access}}
    memberships = [
        shapes.membership(person) | {"budget_source": "custom" if person["budget_id"] else "none"}
        for person in request.db.find("members", "$team_id = ?", team_id)
    ]
    return {
        "team_id": team_id,
        "team_info": zulu(shown),
        "keys": [zulu(key) for key in request.db.find("keys", "$team_id = ?", team_id, tail=most_keys(request))],
        "team_memberships": memberships,
    }


def team_error(status: int, text: str) -> Refusal:
    return failure(status, str({"message": text}), "auth_error", "None")


def most_keys(request: Request) -> str:
    """`key_limit`, from 1: it cuts the keys of the answer, and no other part of it (LiteLLM 1.106.2, seen)."""
    if "key_limit" not in request.query:
        return "ORDER BY rowid"
    if re.fullmatch(r"0+|-\d+", request.query["key_limit"]):
        raise invalid("greater_than", ["query", "key_limit"], "Input should be greater than 0")
    return f"ORDER BY rowid LIMIT {request.number('key_limit', 1)}"


@route("GET", "/team/list", who="read")
def list_teams(request: Request) -> list[Row]:
    """All teams with their keys, in one answer."""
    return [with_keys(request.db, team) for team in visible(request)]


def visible(request: Request) -> list[Row]:
    """The teams a caller may list: all for admins, one's own with one's own user id."""
    user_id = request.query.get("user_id")
    if not request.caller.admin and (not user_id or user_id != request.caller.user_id):
        role = request.caller.role.replace("unknown", "internal_user")
        raise detail(401, {"error": f"Only admin users can query all teams/other teams. Your user role={role}"})
    teams = request.db.find("teams")
    return [team for team in teams if not user_id or member(request.db, team["team_id"], user_id)]


@route("GET", "/v2/team/list", who="read")
def page_teams(request: Request) -> Row:
    query, db = request.query, request.db
    page, size = request.number("page", 1), request.number("page_size", 10, most=100)
    teams = visible(request)
    if query.get("team_id"):
        teams = [team for team in teams if team["team_id"] == query["team_id"]]
    if part := (query.get("team_alias") or "").lower():
        teams = [team for team in teams if part in (team["team_alias"] or "").lower()]
    if part := (query.get("search") or "").lower():
        teams = [team for team in teams if part in team["team_id"].lower() + " " + (team["team_alias"] or "").lower()]
    if (column := query.get("sort_by")) in SORTABLE:
        teams.sort(
            key=lambda team: (
                team[column] is None,
                team[column] or 0 if team[column] is None else team[column],
            ),
            reverse=query.get("sort_order") == "desc",
        )
    shown = [
        zulu(team)
        | {
            "members_count": len(team["members_with_roles"]),
            "keys_count": db.count("keys", "$team_id = ?", team["team_id"]),
            **dict.fromkeys(("access_group_models", "access_group_mcp_server_ids", "access_group_agent_ids")),
        }
        for team in teams[(page - 1) * size : page * size]
    ]
    pages = -(-len(teams) // size)
    return {"teams": shown, "total": len(teams), "page": page, "page_size": size, "total_pages": pages}


@route("GET", "/team/available", who="read")
def available_teams(request: Request) -> list[Row]:
    return []
