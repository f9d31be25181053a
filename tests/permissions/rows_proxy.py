"""The proxy of a gateway: what it has is seen by the platform's people, and changed by its admins."""

from __future__ import annotations

from typing import Any

from tests.permissions.scene import Scene

# nobody olga mallory vic alice carol bob ines audra ruth robot reader
SEEN = "401 403 403 403 403 403 403 403 200 200 403 403"
REST = {
    ("get", "api:proxy_models"): SEEN,
    ("post", "api:proxy_models"): "401 403 403 403 403 403 403 403 403 201 403 403",
    ("get", "api:proxy_model"): SEEN,
    ("patch", "api:proxy_model"): "401 403 403 403 403 403 403 403 403 409 403 403",  # it is in the configuration file
    ("delete", "api:proxy_model"): "401 403 403 403 403 403 403 403 403 409 403 403",  # of the configuration file
    ("get", "api:model_groups"): SEEN,
    ("get", "api:credentials"): SEEN,
    ("post", "api:credentials"): "401 403 403 403 403 403 403 403 403 201 403 403",
    ("get", "api:credential"): "401 403 403 403 403 403 403 403 404 404 403 403",
    ("patch", "api:credential"): "401 403 403 403 403 403 403 403 403 404 403 403",
    ("delete", "api:credential"): "401 403 403 403 403 403 403 403 403 404 403 403",
    ("get", "api:proxy_users"): SEEN,
    ("post", "api:proxy_users"): "401 403 403 403 403 403 403 403 403 201 403 403",
    ("get", "api:proxy_user"): "401 403 403 403 403 403 403 403 404 404 403 403",
    ("delete", "api:proxy_user"): "401 403 403 403 403 403 403 403 403 404 403 403",
}


def arguments(scene: Scene) -> dict[str, list[Any]]:
    gateway = scene.gateway.name
    return {
        **{f"api:{name}": [gateway] for name in ("proxy_models", "model_groups", "credentials", "proxy_users")},
        "api:proxy_model": [gateway, "gpt-4o"],
        "api:credential": [gateway, "eu/openai"],
        "api:proxy_user": [gateway, "somebody"],
    }


def bodies(scene: Scene) -> dict[str, dict[str, Any]]:
    return {
        "api:proxy_models": {"name": "new", "params": {"model": "openai/gpt-4o"}},
        "api:proxy_model": {"blocked": True},
        "api:credentials": {"name": "new", "values": {"api_key": "example-value"}},
        "api:credential": {"label": "Europe"},
        "api:proxy_users": {"id": "new"},
    }
