"""Pages of teams: who is in them, as what, and what they may spend."""

from __future__ import annotations

from typing import Any

from tests.permissions.scene import Scene

# nobody olga mallory vic alice carol bob ines audra ruth
PAGES = {
    ("get", "keys:team_end"): "302 404 404 403 403 403 403 403 403 200",
    ("post", "keys:team_end"): "302 404 404 403 403 403 403 403 403 302",
    ("get", "teams:list"): "302 200 200 200 200 200 200 200 200 200",
    ("get", "teams:new"): "302 403 403 403 403 403 403 403 403 200",
    ("post", "teams:new"): "302 403 403 403 403 403 403 403 403 422",
    ("get", "teams:team"): "302 404 404 200 200 200 200 200 200 200",
    ("get", "teams:edit"): "302 404 404 403 403 403 403 200 403 200",
    ("post", "teams:edit"): "302 404 404 403 403 403 403 302 403 422",
    ("post", "teams:member"): "302 404 404 403 403 403 403 302 403 302",
    ("get", "teams:holder_budget"): "302 404 404 403 403 403 403 200 403 200",
    ("post", "teams:holder_budget"): "302 404 404 403 403 403 403 302 403 302",
}


def arguments(scene: Scene) -> dict[str, list[Any]]:
    slug = scene.team.slug
    return {
        "keys:team_end": [slug],
        "teams:team": [slug],
        "teams:edit": [slug],
        "teams:member": [slug, scene.vic.pk],
        "teams:holder_budget": [slug, scene.vic.pk],
    }


def bodies(scene: Scene) -> dict[str, dict[str, Any]]:
    return {"teams:member": {"role": "viewer"}}
