"""Signing in, out, and one's own account; and what probes ask."""

from __future__ import annotations

from typing import Any

from tests.permissions.scene import Scene

# nobody olga mallory vic alice carol bob ines audra ruth
ALL_200 = "200 200 200 200 200 200 200 200 200 200"
PAGES = {
    ("get", "healthz"): ALL_200,
    ("get", "account_login"): "200 302 302 302 302 302 302 302 302 302",
    ("post", "account_login"): "200 302 302 302 302 302 302 302 302 302",
    ("get", "account_logout"): "302 200 200 200 200 200 200 200 200 200",
    ("post", "account_logout"): "302 302 302 302 302 302 302 302 302 302",
    ("get", "account_signup"): "200 302 302 302 302 302 302 302 302 302",
    ("post", "account_signup"): "200 302 302 302 302 302 302 302 302 302",
    ("get", "account_inactive"): ALL_200,
    ("get", "account_reauthenticate"): "302 200 200 200 200 200 200 200 200 200",
    ("post", "account_reauthenticate"): "302 200 200 200 200 200 200 200 200 200",
    ("get", "account_change_password"): "302 302 302 302 302 302 302 302 302 302",
    ("post", "account_change_password"): "302 302 302 302 302 302 302 302 302 302",
    ("get", "account_set_password"): "302 200 200 200 200 200 200 200 200 200",
    ("post", "account_set_password"): "302 200 200 200 200 200 200 200 200 200",
    ("get", "account_reset_password"): ALL_200,
    ("post", "account_reset_password"): ALL_200,
    ("get", "account_reset_password_done"): ALL_200,
    ("get", "account_reset_password_from_key"): ALL_200,
    ("post", "account_reset_password_from_key"): ALL_200,
    ("get", "account_reset_password_from_key_done"): ALL_200,
    ("get", "/accounts/email/"): "404 404 404 404 404 404 404 404 404 404",
    ("get", "/accounts/confirm-email/"): "404 404 404 404 404 404 404 404 404 404",
    ("get", "/accounts/confirm-email/<path:key>/"): "404 404 404 404 404 404 404 404 404 404",
    ("get", "account_email"): "404 404 404 404 404 404 404 404 404 404",
    ("get", "account_confirm_email"): "404 404 404 404 404 404 404 404 404 404",
    ("get", "account_confirm_login_code"): "404 404 404 404 404 404 404 404 404 404",
    ("get", "account_email_verification_sent"): "404 404 404 404 404 404 404 404 404 404",
}


def arguments(scene: Scene) -> dict[str, list[Any]]:
    return {
        "/accounts/confirm-email/<path:key>/": ["/accounts/confirm-email/key/"],
        "account_confirm_email": ["key"],
        "account_reset_password_from_key": ["1", "key"],
    }
