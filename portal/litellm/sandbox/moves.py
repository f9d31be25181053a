"""Which team a key may belong to, and whether it may move there."""

from __future__ import annotations

from .models import allowed, denied
from .refusals import no_team, quoted, unauthorized
from .store import Row, Store


def check_team_of(db: Store, key: Row, data: Row) -> None:
    """Refuse an update of a key whose team is not there, or that does not suit the team it moves to.

    A move is judged by the key as it was, not as the same update makes it (LiteLLM 1.106.2, seen): limits
    first, then the move. Even the way out of a missing team is closed, the way into another is not.
    """
    team_id = data.get("team_id") or key["team_id"]
    if not team_id:
        return
    team = db.get("teams", team_id)
    if team is None:
        raise quoted(404, no_team(team_id), "auth_error", "None")
    if team_id == key["team_id"]:
        return
    for model in key["models"]:
        if model != "all-team-models" and not allowed(team["models"], model):
            raise denied(model, "team")
    # As at the proxy, requests a minute are compared only where the key limits its tokens too.
    for limit in ("tpm_limit", "rpm_limit") if key["tpm_limit"] is not None else ():
        if team[limit] and (key[limit] or 0) > team[limit]:
            most = f"which is greater than the team's {limit}={team[limit]}."
            raise unauthorized(f"Key={key['token']} has a {limit}={key[limit]} {most}", 403)
    if key["user_id"] is not None and key["user_id"] not in {p["user_id"] for p in team["members_with_roles"]}:
        who = f"User={key['user_id']} is not a member of the team={team_id}."
        raise unauthorized(f"{who} Check team members via `/team/info`.", 403)
