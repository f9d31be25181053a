"""Single sign-on. No provider is configured here, so the ways to one are no pages: tests/teams/test_sso*.py."""

from __future__ import annotations

from typing import Any

from allauth.socialaccount.models import SocialAccount

from tests.permissions.scene import Scene

NOT_THERE = "404 404 404 404 404 404 404 404 404 404"
# nobody olga mallory vic alice carol bob ines audra ruth
PAGES = {
    ("get", "socialaccount_connections"): "302 200 200 200 200 200 200 200 200 200",
    ("post", "socialaccount_connections"): "302 404 404 404 409 404 404 404 404 404",  # alice's, her last way in
    ("post", "openid_connect_login"): NOT_THERE,
    ("get", "openid_connect_callback"): NOT_THERE,
    ("post", "github_login"): NOT_THERE,
    ("get", "github_callback"): NOT_THERE,
}


def arguments(scene: Scene) -> dict[str, list[Any]]:
    return {"openid_connect_login": ["okta"], "openid_connect_callback": ["okta"]}


def bodies(scene: Scene) -> dict[str, dict[str, Any]]:
    identity, _ = SocialAccount.objects.get_or_create(user=scene.people["alice"], provider="okta", uid="okta-1")
    return {"socialaccount_connections": {"disconnect": str(identity.pk)}}
