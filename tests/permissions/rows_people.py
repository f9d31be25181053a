"""Invitations, people, and leaving."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone

from keys.services import offboarding
from teams.access import SYSTEM
from teams.models import Invitation
from tests.permissions.scene import Scene

WATCHES = "302 403 403 403 403 403 403 403 200 200"
NOBODYS = "404 404 404 404 404 404 404 404 404 404"  # without the letter's link there is nothing to accept
ANYBODYS = "302 302 302 302 302 302 302 302 302 302"
# nobody olga mallory vic alice carol bob ines audra ruth
PAGES = {
    ("get", "invitations:open"): ANYBODYS,
    ("get", "invitations:accept"): NOBODYS,
    ("post", "invitations:accept"): NOBODYS,
    ("post", "invitations:switch"): ANYBODYS,
    ("post", "teams:invitation"): "302 404 404 403 403 403 403 302 403 302",
    ("get", "keys:people"): WATCHES,
    ("get", "keys:person"): WATCHES,
    ("get", "keys:platform_role"): "302 403 403 403 403 403 403 403 403 302",  # after a fresh sign-in: to the person
    ("post", "keys:platform_role"): "302 403 403 403 403 403 403 403 403 302",
    ("get", "keys:person_leaving"): "302 403 403 200 403 403 403 403 200 200",  # vic's own, to look at
    ("post", "keys:person_leaving"): "302 403 403 403 403 403 403 403 403 302",
    ("get", "keys:member_leaving"): "302 404 404 200 403 403 403 200 200 200",
    ("post", "keys:member_leaving"): "302 404 404 302 403 403 403 302 403 302",
}


def arguments(scene: Scene) -> dict[str, list[Any]]:
    slug, vic = scene.team.slug, scene.vic.pk
    waits = Invitation.objects.create(
        team=scene.team, email="new@example.com", digest="d", invited_by=scene.ines,
        expires_at=timezone.now() + timedelta(days=1),
    )  # fmt: skip
    one = ("keys:person", "keys:platform_role", "keys:person_leaving")
    return {name: [vic] for name in one} | {
        "invitations:open": ["x" * 43],
        "teams:invitation": [slug, waits.pk],
        "keys:member_leaving": [slug, vic],
    }


def bodies(scene: Scene) -> dict[str, dict[str, Any]]:
    seen = {team: offboarding.plan(scene.vic, team=team, by=SYSTEM).mark for team in (None, scene.team)}
    return {
        "teams:invitation": {"act": "withdraw"},
        "keys:platform_role": {"role": ""},
        "keys:person_leaving": {"seen": seen[None]},
        "keys:member_leaving": {"seen": seen[scene.team]},
    }
