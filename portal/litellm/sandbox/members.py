"""Who is in a team, and what each of them may spend there."""

from __future__ import annotations

import math
import uuid
from typing import Any

from . import shapes
from .auth import MASTER_USER
from .keys import archive, check_numbers
from .refusals import LICENCE, Refusal, detail, failure, invalid, no_team
from .store import Row, Store
from .users import ensure_user
from .web import Request, route, shape
from .windows import next_reset, stamp, zulu

ADMIN_ROLE = f"Assigning team admins is a premium feature. {LICENCE}"
MEMBERSHIP = shape(
    text="user_id user_email role budget_duration",
    whole="tpm_limit rpm_limit",
    number="max_budget_in_team",
    list="allowed_models",
) | {"team_id": "text!"}
# What is sent, and what it is called in the member's budget
LIMITS = {
    "max_budget_in_team": "max_budget",
    "budget_duration": "budget_duration",
    "tpm_limit": "tpm_limit",
    "rpm_limit": "rpm_limit",
    "allowed_models": "allowed_models",
}


def member_of(item: Any) -> Row:
    if not isinstance(item, dict) or item.get("role") not in {"admin", "user"}:
        raise invalid("literal_error", ["body", "role"], "Input should be 'admin' or 'user'")
    return {"user_id": item.get("user_id"), "user_email": item.get("user_email"), "role": item["role"]}


@route("POST", "/team/member_add", who="own", shape=MEMBERSHIP | {"member": "any!"})
def add_member(request: Request) -> Row:
    data, db, team_id = request.body, request.db, request.body["team_id"]
    asked = data["member"] if isinstance(data["member"], list) else [data["member"]]
    people = [member_of(item) for item in asked]
    check_window(data)
    team = db.get("teams", team_id)
    if team is None:
        raise detail(404, {"error": no_team(team_id)})
    if not request.caller.admin:
        raise detail(403, {"error": "Only proxy admins, team admins, or org admins can call /team/member_add."})
    if any(person["role"] == "admin" for person in people):
        raise detail(400, {"error": ADMIN_ROLE})
    users, memberships = [], []
    with db.write():
        team = db.get("teams", team_id) or team
        for person in people:
            if person["user_id"] and person["user_id"] in {p["user_id"] for p in team["members_with_roles"]}:
                raise already_in(team, person)
            user, membership = join(request, team_id, person, data)
            team["members_with_roles"].append(person | {"user_id": user["user_id"], "user_email": user["user_email"]})
            users.append(zulu(user) | {"organization_memberships": None, "object_permission": None})
            memberships.append(shapes.membership(membership))
        team["updated_at"] = stamp(request.now)
        db.put("teams", team_id, team)
    return zulu(team) | {"updated_users": users, "updated_team_memberships": memberships}


def already_in(team: Row, person: Row) -> Refusal:
    there = ", ".join(
        f"Member(user_id={p['user_id']!r}, user_email={p['user_email']!r}, role={p['role']!r})"
        for p in team["members_with_roles"]
    )
    return failure(
        400,
        f"User already in team. Member: user_id={person['user_id']}, user_email={person['user_email']}. "
        f"Existing members=[{there}]",
        "team_member_already_in_team",
        "member",
    )


def check_window(data: Row) -> None:
    """Only the window is checked: a budget below zero passes (LiteLLM 1.106.2, seen)."""
    window = {"budget_duration": data.get("budget_duration")}
    check_numbers(window, lambda status, text: detail(status, {"error": text}))


def join(request: Request, team_id: str, person: Row, data: Row) -> tuple[Row, Row]:
    """Make the user if missing and the membership; inside the caller's transaction.

    A membership that an update made before keeps its budget, whatever is sent (LiteLLM 1.106.2, seen).
    """
    db = request.db
    user = ensure_user(request, person["user_id"], person["user_email"])
    if user["user_id"] != MASTER_USER and team_id not in user["teams"]:
        user["teams"].append(team_id)
        db.put("users", user["user_id"], user)
    row = db.get("members", f"{team_id}/{user['user_id']}")
    if row is None:
        sent = {name: data[name] for name in LIMITS if data.get(name) is not None}
        row = limited(request, new_membership(team_id, user["user_id"]), sent)
        db.put("members", f"{team_id}/{user['user_id']}", row)
    return user, row


def new_membership(team_id: str, user_id: str) -> Row:
    row: Row = {"user_id": user_id, "team_id": team_id, "spend": 0.0, "total_spend": 0.0}
    return row | {"budget_id": None, "litellm_budget_table": None}


def limited(request: Request, row: Row, sent: Row) -> Row:
    """A membership with changed limits: what was not sent stays, null clears, and no limit is no budget row."""
    id_ = row["budget_id"] or str(uuid.uuid4())
    budget = row["litellm_budget_table"] or shapes.budget(id_, stamp(request.now))
    budget |= {LIMITS[name]: value for name, value in sent.items()}
    if "budget_duration" in sent:
        window = sent["budget_duration"]
        budget["budget_reset_at"] = window and stamp(next_reset(window, request.now))
    if all(budget[column] in (None, []) for column in LIMITS.values()):
        return row | {"budget_id": None, "litellm_budget_table": None}
    return row | {"budget_id": id_, "litellm_budget_table": budget}


@route("POST", "/team/member_update", shape=MEMBERSHIP)
def update_member(request: Request) -> Row:
    """Change limits. They need no member, not even a user: the row is made (LiteLLM 1.106.2, seen)."""
    data, db, team_id = request.body, request.db, request.body["team_id"]
    if not data.get("user_id") and not data.get("user_email"):
        raise invalid("value_error", ["body"], "Value error, Either user id or user email must be provided")
    if data.get("role") == "admin":
        raise detail(400, ADMIN_ROLE.replace("/enterprise#trial. \n", "/#trial. "))
    check_window(data)
    sent = {name: data[name] for name in LIMITS if name in data}
    with db.write():
        team = db.get("teams", team_id)
        if team is None:
            raise detail(400, {"error": f"Team id={team_id} does not exist in db"})
        people = team["members_with_roles"]
        user_id = data.get("user_id") or next(
            (person["user_id"] for person in people if person["user_email"] == data["user_email"]), None
        )
        if user_id is None:
            raise detail(400, {"error": f"User id doesn't exist in team table. Data=user_email={data['user_email']!r}"})
        if data.get("role") and user_id not in {person["user_id"] for person in people}:
            raise detail(404, {"error": f"User {user_id} is not a member of team {team_id}"})
        known = db.get("members", f"{team_id}/{user_id}")
        row = limited(request, known or new_membership(team_id, user_id), sent)
        if known or row["budget_id"]:
            db.put("members", f"{team_id}/{user_id}", row)
    shown = "user_id user_email team_id max_budget_in_team tpm_limit rpm_limit budget_duration allowed_models"
    blank = dict.fromkeys(("temp_budget_increase", "temp_budget_expiry"))
    return {name: data.get(name) for name in shown.split()} | {"user_id": user_id} | blank


@route("POST", "/team/{team_id}/member/{user_id}/reset_spend", shape={"reset_to": "number!"})
def reset_member_spend(request: Request, team_id: str, user_id: str) -> Row:
    db, target = request.db, request.body["reset_to"]
    if not 0 <= target < math.inf:
        raise detail(400, {"error": "reset_to must be a finite number >= 0"})
    with db.write():
        if db.get("teams", team_id) is None:
            raise detail(404, {"error": no_team(team_id)})
        row = db.get("members", f"{team_id}/{user_id}")
        if row is None:
            raise detail(404, {"error": f"User {user_id} is not a member of team {team_id}."})
        before, most = row["spend"], (row["litellm_budget_table"] or {}).get("max_budget")
        if target > before:
            raise detail(400, {"error": f"reset_to ({target}) must be <= current spend ({before})"})
        if most is not None and target > most:
            raise detail(400, {"error": f"reset_to ({target}) must be <= budget ({most})"})
        db.put("members", f"{team_id}/{user_id}", row | {"spend": target})
    who = {"team_id": team_id, "user_id": user_id}
    return who | {"spend": target, "previous_spend": before, "max_budget": most}


@route("POST", "/team/member_delete", shape=MEMBERSHIP)
def delete_member(request: Request) -> Row:
    """Take somebody out of a team; the keys they hold in it are deleted (LiteLLM 1.106.2, seen)."""
    data, db, team_id = request.body, request.db, request.body["team_id"]
    with db.write():
        team = db.get("teams", team_id)
        if team is None:
            raise detail(400, {"error": f"Team id={team_id} does not exist in db"})
        gone = [
            person
            for person in team["members_with_roles"]
            if (data.get("user_id") and person["user_id"] == data["user_id"])
            or (data.get("user_email") and person["user_email"] == data["user_email"])
        ]
        if not gone:
            raise detail(400, {"error": "User not found in team"})
        for person in gone:
            for key in db.find("keys", "$team_id = ? AND $user_id = ?", team_id, person["user_id"]):
                archive(request, key)
            leave(db, team_id, person["user_id"])
        team["members_with_roles"] = [person for person in team["members_with_roles"] if person not in gone]
        team["updated_at"] = stamp(request.now)
        db.put("teams", team_id, team)
    return zulu(team)


def leave(db: Store, team_id: str, user_id: str) -> None:
    db.drop("members", f"{team_id}/{user_id}")
    if user := db.get("users", user_id):
        user["teams"] = [team for team in user["teams"] if team != team_id]
        db.put("users", user_id, user)
