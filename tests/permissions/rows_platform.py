"""Pages of the platform: key roles, gateways, what is open on them. And the sandbox, which is no page of ours."""

from __future__ import annotations

from typing import Any

from tests.permissions.scene import Scene

# nobody olga mallory vic alice carol bob ines audra ruth
PAGES = {
    ("get", "keys:roles"): "302 403 403 403 403 403 403 403 200 200",
    ("get", "keys:role_new"): "302 403 403 403 403 403 403 403 403 200",
    ("post", "keys:role_new"): "302 403 403 403 403 403 403 403 403 422",
    ("get", "keys:role"): "302 403 403 403 403 403 403 403 200 200",
    ("get", "keys:role_edit"): "302 403 403 403 403 403 403 403 403 200",
    ("post", "keys:role_edit"): "302 403 403 403 403 403 403 403 403 422",
    ("get", "keys:role_end"): "302 403 403 403 403 403 403 403 403 200",
    ("post", "keys:role_end"): "302 403 403 403 403 403 403 403 403 302",
    ("get", "keys:gateways"): "302 403 403 403 403 403 403 403 200 200",
    ("get", "keys:gateway_new"): "302 403 403 403 403 403 403 403 403 200",
    ("post", "keys:gateway_new"): "302 403 403 403 403 403 403 403 403 422",
    ("get", "keys:gateway"): "302 403 403 403 403 403 403 403 200 200",
    ("get", "keys:gateway_edit"): "302 403 403 403 403 403 403 403 403 200",
    ("post", "keys:gateway_edit"): "302 403 403 403 403 403 403 403 403 422",
    ("post", "keys:gateway_check"): "302 403 403 403 403 403 403 403 403 302",
    ("get", "keys:operations"): "302 403 403 403 403 403 403 403 200 200",
    ("post", "keys:intent_retry"): "302 403 403 403 403 403 403 403 403 302",
    ("get", "keys:intent_force"): "302 403 403 403 403 403 403 403 403 200",
    ("post", "keys:intent_force"): "302 403 403 403 403 403 403 403 403 422",
    ("get", "keys:intent_forget"): "302 403 403 403 403 403 403 403 403 200",
    ("post", "keys:intent_forget"): "302 403 403 403 403 403 403 403 403 422",
    ("get", "keys:departures"): "302 403 403 403 403 403 403 403 200 200",
    ("post", "keys:departures"): "302 403 403 403 403 403 403 403 403 422",
    ("get", "keys:findings"): "302 403 403 403 403 403 403 403 200 200",
    ("get", "keys:finding"): "302 403 403 403 403 403 403 403 200 200",
    ("post", "keys:finding"): "302 403 403 403 403 403 403 403 403 422",
    ("get", "keys:unmanaged"): "302 403 403 403 403 403 403 403 200 200",
    ("get", "keys:unmanaged_import"): "302 403 403 403 403 403 403 403 403 200",
    ("post", "keys:unmanaged_import"): "302 403 403 403 403 403 403 403 403 422",
    ("post", "keys:gateway_compare"): "302 403 403 403 403 403 403 403 403 302",
    ("get", "keys:gateway_end"): "302 403 403 403 403 403 403 403 200 200",
    ("post", "keys:gateway_end"): "302 403 403 403 403 403 403 403 403 302",
    ("get", "keys:gateway_hold"): "302 403 403 403 403 403 403 403 200 200",
    ("post", "keys:gateway_hold"): "302 403 403 403 403 403 403 403 403 422",
    ("post", "keys:gateway_measure"): "302 403 403 403 403 403 403 403 403 302",
    # LiteLLM's own door: its keys open it.
    ("get", "keys:sandbox"): "200 200 200 200 200 200 200 200 200 200",
}


def arguments(scene: Scene) -> dict[str, list[Any]]:
    of_gateway = ("", "_edit", "_check", "_compare", "_end", "_hold", "_measure")
    return {
        **{f"keys:role{act}": [scene.role.pk] for act in ("", "_edit", "_end")},
        **{f"keys:gateway{act}": [scene.gateway.pk] for act in of_gateway},
        **{f"keys:intent_{act}": [scene.promise.pk] for act in ("retry", "force", "forget")},
        "keys:finding": [scene.noted.pk],
        "keys:unmanaged_import": [scene.foreign.pk],
        "keys:sandbox": ["health/liveliness"],
    }
