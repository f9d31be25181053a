"""The gallery, the search box and the list of keys: pages for everybody, each showing what one may see."""

from __future__ import annotations

from typing import Any

from tests.permissions.scene import Scene

# nobody olga mallory vic alice carol bob ines audra ruth
PAGES = {
    ("get", "keys:gallery"): "302 200 200 200 200 200 200 200 200 200",
    ("get", "keys:list"): "302 200 200 200 200 200 200 200 200 200",
    ("get", "keys:find"): "302 200 200 200 200 200 200 200 200 200",
    # The id of alice's key: who may see it is led to it, everybody else to what else has these words.
    ("post", "keys:find"): "302 302 302 302 302 302 302 302 302 302",
}


def bodies(scene: Scene) -> dict[str, dict[str, Any]]:
    return {"keys:find": {"q": str(scene.lease.pk)}}


def queries(scene: Scene) -> dict[str, dict[str, Any]]:
    return {"keys:find": {"q": "coding"}, "keys:list": {"team": scene.team.slug}}
