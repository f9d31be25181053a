"""Pages of keys: what a holder does with one, and who may look."""

from __future__ import annotations

from typing import Any

from tests.permissions.scene import Scene

# nobody olga mallory vic alice carol bob ines audra ruth
PAGES = {
    ("get", "keys:home"): "302 200 200 200 200 200 200 200 200 200",
    ("get", "keys:issue"): "302 200 200 200 200 200 200 200 200 200",
    ("post", "keys:issue"): "302 404 404 403 200 200 200 200 403 200",
    ("get", "keys:lease"): "302 404 404 404 200 404 200 200 200 200",
    ("get", "keys:renew"): "302 404 404 404 200 404 403 403 403 403",
    ("post", "keys:renew"): "302 404 404 404 302 404 403 403 403 403",
    ("get", "keys:rotate"): "302 404 404 404 200 404 403 403 403 403",
    ("post", "keys:rotate"): "302 404 404 404 200 404 403 403 403 403",
    ("get", "keys:pause"): "302 404 404 404 200 404 200 200 403 200",
    ("post", "keys:pause"): "302 404 404 404 302 404 302 302 403 302",
    ("get", "keys:resume"): "302 404 404 404 200 404 200 200 403 200",
    ("post", "keys:resume"): "302 404 404 404 302 404 302 302 403 302",
    ("get", "keys:revoke_many"): "302 404 404 404 200 404 200 200 403 200",
    ("post", "keys:revoke_many"): "302 404 404 404 200 404 200 200 403 200",
    ("get", "keys:pause_many"): "302 404 404 404 200 404 200 200 403 200",
    ("post", "keys:pause_many"): "302 404 404 404 200 404 200 200 403 200",
    ("get", "keys:resume_many"): "302 404 404 404 200 404 200 200 403 200",
    ("post", "keys:resume_many"): "302 404 404 404 200 404 200 200 403 200",
    ("get", "keys:renew_many"): "302 404 404 404 200 404 403 403 403 403",
    ("post", "keys:renew_many"): "302 404 404 404 200 404 403 403 403 403",
    ("get", "keys:revoke"): "302 404 404 404 200 404 200 200 403 200",
    ("post", "keys:revoke"): "302 404 404 404 302 404 302 302 403 302",
}


def arguments(scene: Scene) -> dict[str, list[Any]]:
    return {f"keys:{act}": [scene.lease.pk] for act in ("lease", "renew", "rotate", "pause", "resume", "revoke")}


def bodies(scene: Scene) -> dict[str, dict[str, Any]]:
    return {
        "keys:issue": {"team": scene.team.slug, "role": str(scene.role.pk)},
        "keys:renew": {"ttl": "30d"},
        "keys:rotate": {"grace": "24h", "replaces": "1"},
        **{f"keys:{act}_many": {"id": str(scene.lease.pk)} for act in ("revoke", "pause", "resume", "renew")},
    }


def queries(scene: Scene) -> dict[str, dict[str, Any]]:
    return {f"keys:{act}_many": {"id": str(scene.lease.pk)} for act in ("revoke", "pause", "resume", "renew")}
