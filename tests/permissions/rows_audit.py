"""The audit trail: of the teams that one administers, or all of it."""

from __future__ import annotations

from typing import Any

from tests.permissions.scene import Scene

# nobody olga mallory vic alice carol bob ines audra ruth
PAGES = {
    ("get", "audit:page"): "302 403 200 403 403 403 403 200 200 200",  # mallory sees her own team's
    ("post", "audit:secret"): "302 403 302 403 403 403 403 302 302 302",  # finds nothing in what one may not see
    ("post", "audit:export"): "302 403 200 403 403 403 403 200 200 200",
}


def arguments(scene: Scene) -> dict[str, list[Any]]:
    return {"audit:export": ["csv"]}


def bodies(scene: Scene) -> dict[str, dict[str, Any]]:
    return {"audit:secret": {"secret": "kd_of-somebody"}}
