"""Service accounts, API tokens, and handing a key over."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from teams.services import make_token
from tests.permissions.scene import Scene

EVERYBODY = "302 200 200 200 200 200 200 200 200 200"
MANAGES = "302 404 404 403 403 403 403 200 403 200"
# nobody olga mallory vic alice carol bob ines audra ruth
PAGES = {
    ("get", "tokens:list"): EVERYBODY,
    ("get", "tokens:new"): EVERYBODY,
    ("post", "tokens:new"): EVERYBODY,
    ("get", "tokens:end"): "302 404 404 404 404 404 404 200 403 200",  # the service account's
    ("post", "tokens:end"): "302 404 404 404 404 404 404 302 403 302",
    ("get", "teams:service_token"): MANAGES,
    ("post", "teams:service_token"): MANAGES,
    ("get", "keys:service_accounts"): "302 404 404 200 200 200 200 200 200 200",
    ("post", "keys:service_accounts"): "302 404 404 403 403 403 403 302 403 302",
    ("get", "keys:service_account"): "302 404 404 200 200 200 200 200 200 200",
    ("get", "keys:service_account_edit"): MANAGES,
    ("post", "keys:service_account_edit"): "302 404 404 403 403 403 403 302 403 302",
    ("get", "keys:service_account_end"): MANAGES,
    ("post", "keys:service_account_end"): "302 404 404 403 403 403 403 302 403 302",
    ("get", "keys:transfer"): "302 404 404 404 403 404 403 200 403 200",
    ("post", "keys:transfer"): "302 404 404 404 403 404 403 302 403 302",
}
REST = {  # and then robot, and alice who may only read
    ("post", "api:transfer"): "401 404 404 404 403 404 403 200 403 200 404 403",
}


def arguments(scene: Scene) -> dict[str, list[Any]]:
    slug, robot = scene.team.slug, scene.robot
    token, _ = make_token(robot, name="cron", scopes=["read"], by=scene.ines)
    one = ("keys:service_account", "keys:service_account_edit", "keys:service_account_end", "teams:service_token")
    return {
        "tokens:end": [token.pk],
        "keys:service_accounts": [slug],
        **{name: [slug, robot.pk] for name in one},
        "keys:transfer": [scene.lease.pk],
        "api:transfer": [scene.lease.pk],
    }


def bodies(scene: Scene) -> dict[str, dict[str, Any]]:
    token = {"name": "ci", "scopes": ["read"], "days": "90", "once": str(uuid4())}
    return {
        "tokens:new": token,
        "teams:service_token": token,
        "keys:service_accounts": {"name": "labels"},
        "keys:service_account_edit": {"name": "labels"},
        "keys:transfer": {"to": str(scene.carol.pk)},
        "api:transfer": {"to": scene.carol.email},
    }
