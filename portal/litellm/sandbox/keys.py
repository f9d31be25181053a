"""Virtual keys: generate, update, delete, look up."""

from __future__ import annotations

import re
import secrets
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

from . import shapes
from .auth import SHORTEST, digest, hashed, only_admin, short
from .moves import check_team_of
from .refusals import LICENCE, Refusal, detail, failure, invalid, quoted, unauthorized, unlicensed
from .store import Exists, Row, Store, names
from .web import Request, route, shape, validated
from .windows import BadDuration, lifetime, next_reset, stamp, zulu

FIELDS = shape(
    text="key_alias duration user_id team_id agent_id organization_id project_id budget_duration budget_id "
    "rotation_interval",
    whole="max_parallel_requests tpm_limit rpm_limit tpd_limit",
    number="spend max_budget soft_budget",
    flag="blocked disable_global_guardrails auto_rotate",
    list="models budget_limits allowed_routes allowed_cache_controls tags guardrails policies prompts "
    "allowed_passthrough_routes denied_passthrough_routes",
    dict="aliases config metadata permissions model_max_budget model_rpm_limit model_tpm_limit mcp_rpm_limit "
    "tag_rpm_limit",
)
NEW = FIELDS | {"key": "text", "key_type": "text"}
CHANGE = FIELDS | {"key": "text"}
LICENSED = names(
    "tags guardrails policies prompts allowed_passthrough_routes denied_passthrough_routes disable_global_guardrails"
)
IN_METADATA = ("model_rpm_limit", "model_tpm_limit", "mcp_rpm_limit", "tag_rpm_limit")
KEY_TYPES: dict[str, list[str]] = {
    "default": [],
    "llm_api": ["llm_api_routes"],
    "management": ["management_routes"],
    "read_only": ["info_routes"],
}
NOT_COLUMNS = {"key", "duration", "soft_budget", "key_type", *LICENSED, *IN_METADATA}
ANY_TIME = datetime(2026, 1, 1, tzinfo=UTC)  # windows are checked before they are used
ONE_OF = "Value error, At least one of 'keys' or 'key_aliases' must be provided."


# --- making ---------------------------------------------------------------------------------------


@route("POST", "/key/generate", who="own", shape=NEW)
def generate(request: Request) -> Row:
    data, caller = request.body, request.caller
    if not caller.admin:
        self_service(request, data)
    return make(request, data)


@route("POST", "/key/service-account/generate", shape=NEW)
def generate_service_account(request: Request) -> Row:
    data = request.body
    if not data.get("team_id"):
        raise detail(400, "team_id is required for service account keys. Please specify `team_id` in the request body.")
    if request.db.get("teams", data["team_id"]) is None:
        raise detail(
            400,
            "team_id does not exist in the database. Please specify a valid `team_id` in the request body.",
        )
    account = data.get("key_alias") or str(uuid.uuid4())
    data |= {"user_id": None, "metadata": (data.get("metadata") or {}) | {"service_account_id": account}}
    return make(request, data)


def make(request: Request, data: Row) -> Row:
    """Check and insert a key.

    Nothing tells the caller that its hash was there before (LiteLLM 1.106.2, seen).
    """
    db, now = request.db, request.now
    chosen = data.get("key")
    if chosen is not None and not request.rules.allow_chosen_keys:
        raise quoted(403, "Custom API key values are disabled by your administrator. Keys must be auto-generated.")
    check_alias(db, data)
    check_licence(data)
    check_numbers(data)
    if chosen is not None:
        check_format(chosen)
    key = chosen or f"sk-{secrets.token_urlsafe(16)}"
    kind = data.get("key_type") or "default"
    if kind not in KEY_TYPES:
        raise invalid("enum", ["body", "key_type"], "Input should be 'llm_api', 'management', 'read_only' or 'default'")
    if data.get("budget_id"):
        raise quoted(500, "Internal Server Error.")  # no shared budgets here, so every id is unknown
    expires: datetime | None = None
    if data.get("duration") is not None:
        try:
            expires = now + lifetime(data["duration"], now)
        except BadDuration as problem:
            raise failure(500, str(problem)) from None

    row = shapes.KEY_ROW | {name: value for name, value in data.items() if value is not None and name in shapes.KEY_ROW}
    row |= {"policies": [], "metadata": with_limits(data, dict(row["metadata"])), "token": digest(key)}
    row |= {"key_name": short(key), "key_type": kind, "user_id": data.get("user_id") or None}
    row |= {
        "team_id": data.get("team_id") or None,
        "allowed_routes": data.get("allowed_routes") or KEY_TYPES[kind],
    }
    row |= {"expires": stamp(expires) if expires else None, "spend": float(data.get("spend") or 0.0)}
    row |= dict.fromkeys(("created_at", "updated_at"), stamp(now))
    row |= dict.fromkeys(("created_by", "updated_by"), request.caller.user_id)
    if row["budget_duration"]:
        row["budget_reset_at"] = stamp(next_reset(row["budget_duration"], now))
    if data.get("soft_budget") is not None:
        row["budget_id"] = str(uuid.uuid4())
        row["litellm_budget_table"] = shapes.shared_budget(row, data["soft_budget"])
    answer = shapes.generated_key(row, key, expires.isoformat() if expires else None)
    try:
        db.add("keys", row["token"], row)
    except Exists:  # an upsert that does nothing: the answer has the new values, the row keeps the old ones
        answer |= {"created_at": zulu(db.get("keys", row["token"]) or row)["created_at"]}
    return answer


def self_service(request: Request, data: Row) -> None:
    """What an internal user may make: keys for themselves, outside teams."""
    caller = request.caller
    if caller.role != "internal_user":
        raise only_admin(request)
    if data.get("user_id") not in {None, caller.user_id}:
        raise failure(
            403,
            f"User can only create keys for themselves. Got user_id={data['user_id']}, Your ID={caller.user_id}",
        )
    if data.get("team_id"):
        raise unauthorized(
            "Team member does not have permissions for endpoint: KeyManagementRoutes.KEY_GENERATE. You only "
            "have access to the following endpoints: ['/key/health', '/key/info'] for team "
            f"{data['team_id']}. To create keys for this team, please ask your proxy admin to check the "
            "team member permission settings and update the settings to allow team member users to create "
            "keys.",
            kind="team_member_permission_error",
            param=request.path,
        )
    data["user_id"] = caller.user_id


def check_alias(db: Store, data: Row, but: str = "") -> None:
    """Read, then write: two callers at once can both pass, as at the proxy."""
    alias = data.get("key_alias")
    if alias is None:
        return
    if ".." in alias.split("/") or re.search(r"[\x00-\x1f\x7f]", alias):
        raise failure(400, "Invalid key_alias", "bad_request_error", "key_alias")
    if db.count("keys", "$key_alias = ? AND id != ?", alias, but):
        raise failure(
            400,
            f"Key with alias '{alias}' already exists. Unique key aliases across all keys are required.",
            "bad_request_error",
            "key_alias",
        )


def check_format(key: str) -> None:
    if not key.startswith("sk-"):
        seen = f"{key[:4]}****{key[-4:]}" if len(key) > 8 else "****"
        raise quoted(400, f"Invalid key format. LiteLLM Virtual Key must start with 'sk-'. Received: {seen}")
    if len(key) < SHORTEST:
        raise quoted(400, f"Invalid key format. LiteLLM Virtual Key must be at least {SHORTEST} characters long.")


def check_licence(data: Row, kind: str = "internal_server_error", param: str | None = None) -> None:
    """Refuse what needs a licence; only truthy values trip it."""
    for name in LICENSED:
        if data.get(name):
            raise unlicensed(name, kind, param)
    if data.get("model_max_budget"):
        raise failure(
            500,
            "Invalid model_max_budget: You must have an enterprise license to set model_max_budget. "
            f"{LICENCE}. Example of valid model_max_budget: https://docs.litellm.ai/docs/proxy/users",
        )


def check_numbers(data: Row, refuse: Callable[[int, str], Refusal] = quoted) -> None:
    """Refuse a negative budget and a window that is none."""
    if (budget := data.get("max_budget")) is not None and not 0 <= budget < float("inf"):
        raise refuse(400, f"max_budget must be a non-negative finite number. Received: {budget}")
    if (window := data.get("budget_duration")) is not None:
        try:
            next_reset(window, ANY_TIME)
        except BadDuration:
            raise refuse(
                400, f"Invalid budget_duration '{window}'. Use a format like '1h', '24h', '7d', or '30d'."
            ) from None


def with_limits(data: Row, metadata: Row) -> Row:
    """The limits per model live in the metadata."""
    return metadata | {name: data[name] for name in IN_METADATA if data.get(name) is not None}


# --- changing -------------------------------------------------------------------------------------


def auth_quoted(status: int, text: str) -> Refusal:
    """Updates refuse with another type than generate does."""
    return quoted(status, text, "auth_error", "None")


@route("POST", "/key/update", shape=CHANGE)
def update(request: Request) -> Row:
    data = request.body
    if data.get("key") is None and data.get("key_alias") is None:
        raise invalid("value_error", ["body"], "Value error, either key or key_alias must be provided")
    sent = data.get("key")
    if sent is None:
        alias = data.pop("key_alias")
        found = request.db.find("keys", "$key_alias = ?", alias)
        if not found:
            raise missing(f"Key not found. No key with key_alias='{alias}'.", "key_alias")
        if len(found) > 1:
            raise failure(400, f"Multiple keys found with key_alias='{alias}'.", "bad_request_error", "key_alias")
        sent = found[0]["token"]
    row = change(request, hashed(sent), data)
    return {"key": sent, **row}


def change(request: Request, token: str, data: Row) -> Row:
    """Apply an update: an absent field stays, a null clears (LiteLLM 1.106.2, seen)."""
    db, now = request.db, request.now
    row = db.get("keys", token)
    if row is None:
        raise missing("Key not found.")
    check_alias(db, data, but=token)
    check_licence(data, "auth_error", "None")
    check_numbers(data, auth_quoted)
    if "models" in data and data["models"] is None:
        raise unauthorized(
            "Authentication Error, Unable to match input value to any allowed input type for the field. "
            "Parse errors: [`data.models`: A value is required but not set]",
            400,
        )
    check_team_of(db, row, data)
    change = {name: value for name, value in data.items() if name in shapes.KEY_ROW and name not in NOT_COLUMNS}
    if "duration" in data:
        change |= new_expiry(data["duration"], request)
    if "budget_duration" in data:
        window = data["budget_duration"]
        change["budget_reset_at"] = window and stamp(next_reset(window, now))
    if data.get("team_id") == "":
        del change["team_id"]
    return written(request, token, change, data)


def written(request: Request, token: str, change: Row, limits: Row) -> Row:
    """Write what is checked, whatever else happened to the row meanwhile; `limits` may go into the metadata."""
    db, now = request.db, stamp(request.now)
    with db.write():
        row = db.get("keys", token)
        if row is None:
            raise missing("Key not found.")
        if any(limits.get(name) is not None for name in IN_METADATA):
            change["metadata"] = with_limits(limits, change.get("metadata") or row["metadata"] or {})
        row |= change | {"updated_at": now, "settings_updated_at": now, "updated_by": request.caller.user_id}
        db.put("keys", token, row | {"metadata": row["metadata"] or {}})
    return row


def new_expiry(duration: str | None, request: Request) -> Row:
    """A new life counts from now, not from the old end; null and -1 are for ever, "" changes nothing."""
    if duration == "":
        return {}
    if duration in {None, "-1"}:
        return {"expires": None}
    try:
        return {"expires": stamp(request.now + lifetime(str(duration), request.now))}
    except BadDuration as problem:
        raise unauthorized(f"Authentication Error, {problem}", 400) from None


@route("POST", "/key/bulk_update", shape={"keys": "list!"})
def bulk_update(request: Request) -> Row:
    wanted, done, failed = request.body["keys"], [], []
    if not wanted:
        raise detail(400, {"error": "No keys provided for update"})
    for item in wanted:
        try:
            row = change(request, hashed(item["key"]), validated(item, CHANGE))
            key_info = {name: value for name, value in zulu(row).items() if name != "token"}
            done.append({"key": item["key"], "key_info": key_info})
        except Refusal as problem:
            reason = problem.body["error"]["message"] if "error" in problem.body else str(problem.body)
            failed.append({"key": item.get("key"), "key_info": None, "failed_reason": reason})
    return {"total_requested": len(wanted), "successful_updates": done, "failed_updates": failed}


def set_blocked(request: Request, blocked: bool) -> Row:
    caller = request.caller
    if not caller.admin and caller.role != "internal_user":
        raise only_admin(request)
    if not caller.admin:
        who = f"user_role={caller.role}, user_id={caller.user_id}"
        text = f"Only proxy admins, team admins, or org admins can call {request.path}. {who}"
        raise detail(403, {"error": text})
    sent = request.body["key"]
    if not sent.startswith("sk-") and not re.fullmatch(r"[0-9a-f]{64}", sent):
        raise failure(400, "Invalid key format.", "bad_request_error", "key")
    return written(request, hashed(sent), {"blocked": blocked}, {})  # also where an update finds no team


@route("POST", "/key/block", who="own", shape={"key": "text!"})
def block(request: Request) -> Row:
    return shapes.narrow_key(set_blocked(request, True))


@route("POST", "/key/unblock", who="own", shape={"key": "text!"})
def unblock(request: Request) -> Row:
    return zulu(set_blocked(request, False))


@route("POST", "/key/regenerate", "/key/{key}/regenerate")
def regenerate(request: Request, key: str = "") -> Row:
    raise failure(500, f"Regenerating Virtual Keys is an Enterprise feature, {LICENCE}")


@route("POST", "/key/{key}/reset_spend", shape={"reset_to": "number!"})
def reset_spend(request: Request, key: str) -> Row:
    token, target = hashed(key), request.body["reset_to"]
    with request.db.write():
        row = request.db.get("keys", token)
        if row is None:
            raise detail(404, {"error": f"Key {key} not found."})
        before = row["spend"]
        if target < 0:
            raise detail(400, {"error": "reset_to must be >= 0"})
        if target > before:
            raise detail(400, {"error": f"reset_to ({target}) must be <= current spend ({before})"})
        row["spend"] = target
        request.db.put("keys", token, row)
    return zulu({
        "key_hash": token, "spend": target, "previous_spend": before, "max_budget": row["max_budget"],
        "budget_reset_at": row["budget_reset_at"],
    })  # fmt: skip


# --- ending ---------------------------------------------------------------------------------------


@route("POST", "/key/delete", who="own", shape={"keys": "list", "key_aliases": "list"})
def delete(request: Request) -> Row:
    """Archive keys. A list with one known key echoes all of it as deleted (LiteLLM 1.106.2, seen)."""
    keys, aliases = request.body.get("keys"), request.body.get("key_aliases")
    if not keys and not aliases:
        raise invalid("value_error", ["body"], ONE_OF)
    db = request.db
    if keys:
        tokens = [hashed(str(key)) for key in keys]
    else:
        tokens = [row["token"] for alias in aliases for row in db.find("keys", "$key_alias = ?", alias)]
    found = [row for token in dict.fromkeys(tokens) if (row := db.get("keys", token))]
    if not request.caller.admin and request.caller.role != "internal_user":
        raise only_admin(request)
    if not request.caller.admin and any(not owns(request, row) for row in found):
        raise quoted(403, "You are not authorized to delete this key")
    with db.write():
        found = [row for row in found if db.get("keys", row["token"])]
        for row in found:
            archive(request, row)
    if not found:
        raise quoted(404, "No keys found")
    return {"deleted_keys": keys or aliases}


def archive(request: Request, row: Row) -> None:
    """Move a key to the table of deleted ones; inside the caller's transaction."""
    row |= {"id": str(uuid.uuid4()), "deleted_at": stamp(request.now), "deleted_by": request.caller.user_id}
    row |= {"deleted_by_api_key": request.caller.token, "litellm_changed_by": None}
    request.db.put("deleted_keys", row["id"], row)
    request.db.drop("keys", row["token"])


def owns(request: Request, row: Row) -> bool:
    caller = request.caller
    return bool(row["token"] == caller.token or (caller.user_id and row["user_id"] == caller.user_id))


def missing(text: str, param: str = "key") -> Refusal:
    return failure(404, text, "not_found_error", param)
