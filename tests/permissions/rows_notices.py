"""One's own letters; webhooks of a team, for who runs it, and of the platform, for its admins."""

from __future__ import annotations

from typing import Any

from teams.models import Delivery, Webhook
from tests.permissions.scene import Scene

# nobody olga mallory vic alice carol bob ines audra ruth
SHOWN = "302 404 404 404 404 404 404 200 404 200"
DONE = "302 404 404 404 404 404 404 302 404 302"
PAGES = {
    ("get", "notices"): "302 200 200 200 200 200 200 200 200 200",
    ("post", "notices"): "302 422 422 422 422 422 422 422 422 422",
    ("post", "language"): "302 302 302 302 302 302 302 302 302 302",
    ("get", "teams:webhooks"): "302 404 404 403 403 403 403 200 403 200",
    ("get", "teams:new_webhook"): "302 404 404 403 403 403 403 200 403 200",
    ("post", "teams:new_webhook"): "302 404 404 403 403 403 403 422 403 422",
    ("get", "webhooks:list"): "302 403 403 403 403 403 403 403 403 200",
    ("get", "webhooks:new"): "302 403 403 403 403 403 403 403 403 200",
    ("post", "webhooks:new"): "302 403 403 403 403 403 403 403 403 422",
    ("get", "webhooks:page"): SHOWN,
    ("get", "webhooks:edit"): SHOWN,
    ("post", "webhooks:edit"): "302 404 404 404 404 404 404 422 404 422",
    ("get", "webhooks:secret"): SHOWN,
    ("post", "webhooks:secret"): SHOWN,
    ("get", "webhooks:remove"): SHOWN,
    ("post", "webhooks:remove"): DONE,
    ("post", "webhooks:turn"): DONE,
    ("post", "webhooks:test"): DONE,
    ("post", "webhooks:send_again"): DONE,
}


def arguments(scene: Scene) -> dict[str, list[Any]]:
    told = {"name": "chat", "url": "https://chat.example.com/", "events": ["key"], "secret": "whsec_"}
    hook, _ = Webhook.objects.get_or_create(team=scene.team, defaults=told)
    sent, _ = Delivery.objects.get_or_create(webhook=hook, event_id=1, defaults={"event": "key.issued", "due_at": None})
    one = ("page", "edit", "secret", "remove", "turn", "test")
    return {
        "teams:webhooks": [scene.team.slug],
        "teams:new_webhook": [scene.team.slug],
        **{f"webhooks:{name}": [hook.pk] for name in one},
        "webhooks:send_again": [hook.pk, sent.pk],
    }


def bodies(scene: Scene) -> dict[str, dict[str, Any]]:
    return {"webhooks:turn": {"on": "1"}}
