"""REST: what a key is good for, and the models that somebody may have keys for."""

from __future__ import annotations

from typing import Any

from tests.permissions.scene import Scene

# nobody olga mallory vic alice carol bob ines audra ruth robot reader
REST = {
    ("get", "api:bundle"): "401 404 404 404 200 404 200 200 200 200 404 200",
    ("get", "api:models"): "401 200 200 200 200 200 200 200 200 200 200 200",
}


def arguments(scene: Scene) -> dict[str, list[Any]]:
    return {"api:bundle": [scene.lease.pk]}
