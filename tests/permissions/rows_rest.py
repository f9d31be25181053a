"""REST: the same acts for tokens."""

from __future__ import annotations

from typing import Any

from tests.permissions.scene import Scene

# nobody olga mallory vic alice carol bob ines audra ruth robot reader
REST = {
    ("get", "api:teams"): "401 200 200 200 200 200 200 200 200 200 200 200",
    ("post", "api:teams"): "401 403 403 403 403 403 403 403 403 201 403 403",
    ("get", "api:team"): "401 404 404 200 200 200 200 200 200 200 200 200",
    ("patch", "api:team"): "401 404 404 403 403 403 403 200 403 200 403 403",
    ("get", "api:members"): "401 404 404 200 200 200 200 200 200 200 200 200",
    ("post", "api:members"): "401 404 404 403 403 403 403 200 403 200 403 403",
    ("get", "api:roles"): "401 200 200 200 200 200 200 200 200 200 200 200",
    ("post", "api:roles"): "401 403 403 403 403 403 403 403 403 201 403 403",
    ("get", "api:keys"): "401 200 200 200 200 200 200 200 200 200 200 200",
    ("post", "api:keys"): "401 422 422 403 201 201 201 201 403 201 201 403",
    ("get", "api:key"): "401 404 404 404 200 404 200 200 200 200 404 200",
    ("post", "api:renew"): "401 404 404 404 200 404 403 403 403 403 404 403",
    ("post", "api:rotate"): "401 404 404 404 200 404 403 403 403 403 404 403",
    ("post", "api:pause"): "401 404 404 404 200 404 200 200 403 200 404 403",
    ("post", "api:resume"): "401 404 404 404 200 404 200 200 403 200 404 403",
    ("post", "api:revoke"): "401 404 404 404 200 404 200 200 403 200 404 403",
    ("post", "api:revoke_many"): "401 404 404 200 200 200 200 200 200 200 200 200",
    ("get", "api:key_spend"): "401 404 404 404 200 404 200 200 200 200 404 200",
    ("get", "api:team_spend"): "401 404 404 200 200 200 200 200 200 200 200 200",
    ("put", "api:member_budget"): "401 404 404 403 403 403 403 200 403 200 403 403",
    ("get", "api:role"): "401 404 404 200 200 200 200 200 200 200 200 200",
    ("delete", "api:role"): "401 404 404 403 403 403 403 403 403 200 403 403",
    ("get", "api:gateways"): "401 403 403 403 403 403 403 403 200 200 403 403",
    ("get", "api:gateway"): "401 403 403 403 403 403 403 403 200 200 403 403",
    ("post", "api:reconcile"): "401 403 403 403 403 403 403 403 403 202 403 403",
    ("get", "api:release"): "401 403 403 403 403 403 403 403 200 200 403 403",
    ("post", "api:release"): "401 403 403 403 403 403 403 403 403 200 403 403",
    ("get", "api:unmanaged_keys"): "401 403 403 403 403 403 403 403 200 200 403 403",
    ("post", "api:adopt_key"): "401 403 403 403 403 403 403 403 403 422 403 403",
    ("get", "api:intents"): "401 403 403 403 403 403 403 403 200 200 403 403",
    ("post", "api:intent_retry"): "401 403 403 403 403 403 403 403 403 200 403 403",
    ("post", "api:intent_force"): "401 403 403 403 403 403 403 403 403 409 403 403",
    ("post", "api:intent_forget"): "401 403 403 403 403 403 403 403 403 200 403 403",
    ("get", "api:sweeps"): "401 403 403 403 403 403 403 403 200 200 403 403",
    ("get", "api:findings"): "401 403 403 403 403 403 403 403 200 200 403 403",
    ("post", "api:finding_restore"): "401 403 403 403 403 403 403 403 403 200 403 403",
    ("post", "api:finding_adopt"): "401 403 403 403 403 403 403 403 403 200 403 403",
    ("post", "api:finding_ignore"): "401 403 403 403 403 403 403 403 403 200 403 403",
    ("post", "api:finding_revoke"): "401 403 403 403 403 403 403 403 403 409 403 403",
    ("get", "api:departures"): "401 403 403 403 403 403 403 403 200 200 403 403",
    ("post", "api:departure_decide"): "401 403 403 403 403 403 403 403 403 200 403 403",
}

ON = {  # what stands in the path of which
    "lease": ("key", "renew", "rotate", "pause", "resume", "revoke", "key_spend"),
    "promise": ("intent_retry", "intent_force", "intent_forget"),
    "noted": ("finding_restore", "finding_adopt", "finding_ignore", "finding_revoke"),
    "foreign": ("adopt_key",),
    "held": ("departure_decide",),
}


def arguments(scene: Scene) -> dict[str, list[Any]]:
    return {
        **{f"api:{name}": [getattr(scene, thing).pk] for thing, names in ON.items() for name in names},
        **{f"api:{name}": [scene.gateway.name] for name in ("gateway", "reconcile", "release")},
        **{f"api:{name}": [scene.team.slug] for name in ("team", "members", "team_spend")},
        "api:member_budget": [scene.team.slug, "vic@example.com"],
        "api:role": [scene.role.name],
    }


def bodies(scene: Scene) -> dict[str, dict[str, Any]]:
    return {
        "api:keys": {"team": "search", "role": "coding"},
        "api:teams": {"name": "New"},
        "api:members": {"email": "vic@example.com", "role": "viewer"},
        "api:roles": {"name": "new", "models": ["gpt-4o"], "all_teams": True},
        "api:team": {"max_budget": "10.00"},
        "api:revoke_many": {"team": "search"},
        "api:member_budget": {"max_budget": "5.00"},
        "api:intent_force": {"reason": "a test"},
        "api:intent_forget": {"reason": "a test"},
        "api:finding_ignore": {"reason": "a test"},
        "api:departure_decide": {"go_on": False},
    }
