"""Group mappings, and SCIM's door."""

from __future__ import annotations

from typing import Any

from teams.models import GroupMapping
from tests.permissions.scene import Scene

# nobody olga mallory vic alice carol bob ines audra ruth
PAGES = {
    ("get", "mappings:list"): "302 403 403 403 403 403 403 403 200 200",
    ("get", "mappings:new"): "302 403 403 403 403 403 403 403 403 200",
    ("post", "mappings:new"): "302 403 403 403 403 403 403 403 403 302",
    ("get", "mappings:remove"): "302 403 403 403 403 403 403 403 403 200",
    ("post", "mappings:remove"): "302 403 403 403 403 403 403 403 403 302",
    ("post", "mappings:apply"): "302 403 403 403 403 403 403 403 403 302",
    ("get", "mappings:try"): "302 403 403 403 403 403 403 403 200 200",
    ("post", "mappings:try"): "302 403 403 403 403 403 403 403 200 200",
}

# Without KEYDESK_SCIM_TOKEN there is no such door; with it, nobody but the directory comes in: tests/scim/test_door.py.
CLOSED = " ".join(["404"] * 12)
READ = ("config", "types", "type", "schemas", "schema", "root", "nothing")
REST = (
    {("get", f"scim:{name}"): CLOSED for name in READ}
    | {(method, f"scim:{name}"): CLOSED for name in ("users", "groups") for method in ("get", "post")}
    | {(method, f"scim:{name}"): CLOSED for name in ("user", "group") for method in ("get", "put", "patch", "delete")}
    | {("post", f"scim:{name}"): CLOSED for name in ("search", "user_search", "group_search")}
)


def arguments(scene: Scene) -> dict[str, list[Any]]:
    mapping = GroupMapping.objects.create(value="eng", team=scene.team, role="member")
    return {
        "mappings:remove": [mapping.pk],
        "scim:type": ["User"],
        "scim:schema": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "scim:user": [scene.alice.pk],
        "scim:group": [scene.team.pk],
        "scim:nothing": ["Me"],
    }


def bodies(scene: Scene) -> dict[str, dict[str, Any]]:
    return {
        "mappings:new": {"value": "leads", "gives": "approver", "team": scene.team.pk},
        "mappings:try": {"claims": "eng"},
    }
