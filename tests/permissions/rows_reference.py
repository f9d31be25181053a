"""What the REST API says about itself: the schema and the errors to anybody, the page to whoever is signed in."""

from __future__ import annotations

from typing import Any

from tests.permissions.scene import Scene

# nobody olga mallory vic alice carol bob ines audra ruth
ANYBODY = "200 200 200 200 200 200 200 200 200 200"
PAGES = {
    ("get", "reference:schema"): ANYBODY,
    ("get", "reference:docs"): "302 200 200 200 200 200 200 200 200 200",
    ("get", "reference:errors"): ANYBODY,
    ("get", "reference:error"): ANYBODY,
}


def arguments(scene: Scene) -> dict[str, list[Any]]:
    return {"reference:error": ["over_limit"]}
