"""Logins of the command line: anybody may ask for one, who is signed in lets it in, and a token ends itself."""

from __future__ import annotations

from typing import Any

from teams.services import devices
from tests.permissions.scene import Scene

# nobody olga mallory vic alice carol bob ines audra ruth
PAGES = {
    ("get", "device"): "302 200 200 200 200 200 200 200 200 200",
    ("post", "device"): "302 200 200 200 200 200 200 200 200 200",  # without a code: the page that asks for one
}
# nobody olga mallory vic alice carol bob ines audra ruth robot reader
REST = {
    ("get", "api:me"): "401 200 200 200 200 200 200 200 200 200 200 200",
    ("post", "api:device"): "201 201 201 201 201 201 201 201 201 201 201 201",
    ("post", "api:device_token"): "400 400 400 400 400 400 400 400 400 400 400 400",  # nobody has confirmed it
    ("post", "api:token_refresh"): "401 409 409 409 409 409 409 409 409 409 409 409",  # tokens that are no logins
    ("post", "api:token_end_current"): "401 204 204 204 204 204 204 204 204 204 204 204",
}


def bodies(scene: Scene) -> dict[str, Any]:
    return {
        "api:device": {"machine": "laptop"},
        "api:device_token": {"device_code": devices.begin("laptop")[1]},
    }
