"""Pages of proposals: what waits for a second platform admin. This one is audra's, who was one."""

from __future__ import annotations

from typing import Any

from keys.models import Proposal
from keys.services.second import pack
from tests.permissions.scene import Scene

# nobody olga mallory vic alice carol bob ines audra ruth
PAGES = {
    ("get", "keys:proposals"): "302 403 403 403 403 403 403 403 200 200",
    ("post", "keys:proposal"): "302 403 403 403 403 403 403 403 403 302",
}


def arguments(scene: Scene) -> dict[str, list[Any]]:
    made = Proposal.objects.create(
        verb=Proposal.Verb.GATEWAY_CHANGE,
        name="sandbox",
        gateway=scene.gateway,
        target_version=scene.gateway.version,
        payload=pack({"public_url": "https://llm.example.com"}),
        after={"public_url": "https://llm.example.com"},
        proposed_by=scene.audra,
    )
    return {"keys:proposal": [made.pk]}


def bodies(scene: Scene) -> dict[str, dict[str, Any]]:
    return {"keys:proposal": {"act": "reject", "reason": "a test"}}
