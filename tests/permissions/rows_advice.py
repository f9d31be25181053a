"""Why a call was refused, and right-sizing: what is proposed for alice's key."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone

from keys.models import Advice
from tests.permissions.scene import Scene

# nobody olga mallory vic alice carol bob ines audra ruth
PAGES = {
    ("get", "keys:why"): "302 404 404 404 200 404 200 200 200 200",
    ("post", "keys:why"): "302 200 200 200 200 200 200 200 200 200",
    ("get", "keys:advice"): "302 200 200 200 200 200 200 200 200 200",
    ("get", "keys:advice_one"): "302 404 404 404 200 404 200 200 200 200",
    ("post", "keys:advice_one"): "302 404 404 404 302 404 302 302 403 302",
}


def arguments(scene: Scene) -> dict[str, list[Any]]:
    now = timezone.now()
    fields = {"facts": {"days": 30}, "proposed": {"end": True}, "first_seen_at": now, "seen_at": now}
    found, _ = Advice.objects.get_or_create(lease=scene.lease, kind=Advice.Kind.UNUSED, defaults=fields)
    return {"keys:advice_one": [found.pk]}


def bodies(scene: Scene) -> dict[str, dict[str, Any]]:
    until = timezone.now().date() + timedelta(days=7)
    return {
        "keys:why": {"error": '{"error": {"message": "Key is blocked.", "type": "auth_error", "code": "401"}}'},
        "keys:advice_one": {"act": "snooze", "until": until.isoformat(), "reason": "a test"},
    }


def queries(scene: Scene) -> dict[str, dict[str, Any]]:
    return {"keys:why": {"key": str(scene.lease.pk)}}
