"""Pages of requests: one of alice's waits, and one of carol's is approved and hers to claim."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from keys.services import requests
from keys.services.terms import Ask
from tests.permissions.scene import Scene

# nobody olga mallory vic alice carol bob ines audra ruth
PAGES = {
    ("get", "keys:requests"): "302 200 200 200 200 200 200 200 200 200",
    ("get", "keys:request"): "302 404 404 404 200 404 200 200 200 200",
    ("post", "keys:request_approve"): "302 404 404 404 403 404 302 302 403 302",
    ("post", "keys:request_deny"): "302 404 404 404 403 404 302 302 403 302",
    ("post", "keys:request_cancel"): "302 404 404 404 302 404 403 403 403 403",
    ("post", "keys:request_say"): "302 404 404 404 302 404 302 302 403 302",
    ("post", "keys:request_claim"): "302 404 404 404 404 200 403 403 403 403",
    ("get", "keys:rise"): "302 404 404 404 200 404 403 403 403 403",
    ("post", "keys:rise"): "302 404 404 404 302 404 403 403 403 403",
}


def arguments(scene: Scene) -> dict[str, list[Any]]:
    scene.role.excess = "team"
    scene.role.save()
    month = timedelta(days=30)
    waits = requests.submit(
        Ask(scene.team, scene.role, ttl=2 * month, name="ranker", purpose="A test."), holder=scene.alice, by=scene.alice
    )
    carols = Ask(scene.team, scene.role, max_budget=Decimal(60), purpose="A test.")
    approved = requests.submit(carols, holder=scene.carol, by=scene.carol)
    requests.approve(approved, by=scene.bob)
    acts = ("request", "request_approve", "request_deny", "request_cancel", "request_say")
    return {
        **{f"keys:{act}": [waits.pk] for act in acts},
        "keys:request_claim": [approved.pk],
        "keys:rise": [scene.lease.pk],
    }


def bodies(scene: Scene) -> dict[str, dict[str, Any]]:
    return {
        "keys:request_approve": {"ttl": "60d", "max_budget": "50", "models": scene.role.models},
        "keys:request_deny": {"reason": "A test."},
        "keys:request_say": {"text": "A word."},
        "keys:rise": {"max_budget": "80", "lasts": "7d", "purpose": "A test."},
    }
