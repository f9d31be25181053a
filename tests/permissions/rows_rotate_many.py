"""REST: many keys rotated at once."""

from __future__ import annotations

from typing import Any

from tests.permissions.scene import Scene

# nobody olga mallory vic alice carol bob ines audra ruth robot reader
REST = {("post", "api:rotate_many"): "401 404 404 200 200 200 200 200 200 200 200 200"}


def bodies(scene: Scene) -> dict[str, dict[str, Any]]:
    return {"api:rotate_many": {"team": "search"}}
