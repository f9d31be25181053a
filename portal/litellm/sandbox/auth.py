"""Who calls, and what they may reach: the proxy's checks of a key, in its order."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime

from .refusals import Refusal, detail, no_team, quoted, unauthorized
from .store import Row, Store, names
from .web import Request

MASTER_TOKEN = "litellm_proxy_master_key"  # noqa: S105  how the proxy names the master key in its rows
MASTER_USER = "default_user_id"
INFO_ROUTES = names(
    "/key/info /key/health /key/list /v2/key/info /team/info /team/list /v2/team/list /team/available "
    "/user/info "
    "/v2/user/info /organization/list /models /v1/models /model/info /v1/model/info /model_group/info"
)
MANAGEMENT_ROUTES = ("/key/", "/team/", "/v2/team/", "/user/", "/model/", "/spend/logs")
SHORTEST = 16  # characters of a chosen key (LiteLLM 1.106.2, MINIMUM_CUSTOM_KEY_LENGTH)


def digest(key: str) -> str:
    """The proxy's identity of a key: sha256 of all of it, in lower case hex."""
    return hashlib.sha256(key.encode()).hexdigest()


def hashed(key: str) -> str:
    """What the caller sent, as a hash: anything that does not begin with `sk-` is taken for one."""
    return digest(key) if key.startswith("sk-") else key


def short(key: str) -> str:
    """`sk-...abcd`; a key too short to be real shows nothing."""
    return f"sk-...{key[-4:]}" if len(key) >= SHORTEST else "sk-..."


@dataclass(frozen=True)
class Caller:
    """The key behind a request. `key` is None for the master key."""

    key: Row | None = None
    team: Row | None = None
    user: Row | None = None

    @property
    def admin(self) -> bool:
        return self.key is None or bool(self.user and self.user["user_role"] == "proxy_admin")

    @property
    def role(self) -> str:
        return str((self.user and self.user["user_role"]) or "unknown")

    @property
    def token(self) -> str:
        return str(self.key["token"]) if self.key else MASTER_TOKEN

    @property
    def user_id(self) -> str | None:
        return self.key["user_id"] if self.key else MASTER_USER


def authenticate(request: Request) -> Caller:
    """The caller of a request; raises the proxy's 401, 403 and 404."""
    secret = bearer(request.headers)
    if not secret:
        raise unauthorized("Authentication Error, No api key passed in.")
    token = digest(secret)
    if hmac.compare_digest(token, request.rules.master_hash):
        return Caller()
    if not secret.startswith("sk-"):
        seen = f"{secret[:4]}****{secret[-4:]}" if len(secret) > 8 else "****"
        raise unauthorized(f"LiteLLM Virtual Key expected. Received={seen}, expected to start with 'sk-'.")
    key = request.db.get("keys", token)
    if key is None:
        raise unauthorized(
            f"Authentication Error, Invalid proxy server token passed. Received API Key = {short(secret)}, "
            f"Key Hash (Token) ={token}. Unable to find token in cache or `LiteLLM_VerificationTokenTable`",
            kind="token_not_found_in_db",
            param="key",
        )
    team = request.db.get("teams", key["team_id"]) if key["team_id"] else None
    if key["team_id"] and team is None:
        raise quoted(404, no_team(key["team_id"]), "auth_error", "None")
    check_team(team)
    if key["blocked"]:
        raise unauthorized("Authentication Error, Key is blocked. Update via `/key/unblock` if you're an admin.")
    user = request.db.get("users", key["user_id"]) if key["user_id"] else None
    return Caller(key, team, user)


def bearer(headers: dict[str, str]) -> str:
    """The key of a request, from any of the headers that the proxy reads."""
    for name in ("x-litellm-api-key", "authorization", "api-key", "x-api-key"):
        value = headers.get(name, "").strip()
        if not value:
            continue
        scheme, _, rest = value.partition(" ")
        if rest:
            return rest.strip() if scheme.lower() in {"bearer", "basic"} else value
        if name == "authorization":
            raise unauthorized("Authentication Error, Malformed API Key passed in. Ensure Key has `Bearer ` prefix.")
        return value
    return ""


def check_life(key: Row, now: datetime) -> None:
    """Refuse an expired key: 401 `expired_key`, on every route."""
    if key["expires"] and datetime.fromisoformat(key["expires"]) <= now:
        expiry = datetime.fromisoformat(key["expires"]).isoformat(sep=" ", timespec="microseconds")
        raise unauthorized(
            f"Authentication Error - Expired Key. Key Expiry time {expiry} and current time {now.isoformat(sep=' ')}",
            kind="expired_key",
            param=key["key_name"],
        )


def check_route(request: Request) -> None:
    """Refuse a route that the key was not made for (403), or that only an admin may call (401)."""
    caller, who = request.caller, request.route.who
    if caller.key is None:
        return
    allowed = caller.key["allowed_routes"]
    if allowed and not any(covers(rule, request.path, who) for rule in allowed):
        raise detail(
            403,
            f"Virtual key is not allowed to call this route. Only allowed to call routes: {allowed}. "
            f"Tried to call route: {request.path}",
        )
    if who == "admin" and not caller.admin:
        raise only_admin(request)


def only_admin(request: Request) -> Refusal:
    """The wrong role is a 401 here, not a 403."""
    return unauthorized(
        "Authentication Error, Only proxy admin can be used to generate, delete, update info for new "
        f"keys/users/teams. Route={request.path}. Your role={request.caller.role}. Your "
        f"user_id={masked(request.caller.user_id)}"
    )


def covers(rule: str, path: str, who: str) -> bool:
    """Whether one entry of `allowed_routes`, a path or the name of a group, covers a route."""
    if rule == "llm_api_routes":
        return who == "llm"
    if rule == "info_routes":
        return path in INFO_ROUTES
    if rule == "management_routes":
        return path.startswith(MANAGEMENT_ROUTES) and path != "/key/health"
    return (rule.endswith("*") and path.startswith(rule[:-1])) or rule == path


def check_team(team: Row | None) -> None:
    if team and team["blocked"]:
        raise unauthorized(
            f"Authentication Error, Team={team['team_id']} is blocked. Update via `/team/unblock` if you're an admin."
        )


def masked(user_id: str | None) -> str:
    seen = user_id or "unknown"
    return f"{seen[:6]}{'*' * (len(seen) - 8)}{seen[-2:]}" if len(seen) > 8 else "*" * len(seen)


def member(db: Store, team_id: str | None, user_id: str | None) -> bool:
    return bool(team_id and user_id and db.get("members", f"{team_id}/{user_id}"))
