"""One's own account: what one signs in with, and where one is signed in. Nobody's address names somebody else's."""

from __future__ import annotations

from typing import Any

from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession

from tests.pages.accounts import give_passkey
from tests.permissions.scene import Scene

# nobody olga mallory vic alice carol bob ines audra ruth
OWN = "302 200 200 200 200 200 200 200 200 200"
LEADS = "302 302 302 302 302 302 302 302 302 302"
ALICES = "302 404 404 404 200 404 404 404 404 404"  # a passkey and a session of hers
DONE = "302 404 404 404 302 404 404 404 404 404"
NO_WAY = "302 403 403 403 200 403 403 403 403 403"  # nobody but alice has a factor to show again
PAGES = {
    ("get", "account"): OWN,
    ("get", "usersessions_list"): LEADS,
    ("post", "account_end_other_sessions"): LEADS,
    ("post", "account_end_session"): DONE,
    ("get", "mfa_index"): LEADS,
    ("get", "mfa_list_webauthn"): LEADS,
    ("get", "mfa_add_webauthn"): OWN,
    ("post", "mfa_add_webauthn"): OWN,
    ("get", "mfa_edit_webauthn"): ALICES,
    ("post", "mfa_edit_webauthn"): ALICES,
    ("get", "mfa_remove_webauthn"): ALICES,
    ("post", "mfa_remove_webauthn"): DONE,
    ("get", "mfa_activate_totp"): OWN,
    ("post", "mfa_activate_totp"): OWN,
    ("get", "mfa_deactivate_totp"): "302 404 404 404 404 404 404 404 404 404",
    ("post", "mfa_deactivate_totp"): "302 404 404 404 404 404 404 404 404 404",
    ("get", "mfa_view_recovery_codes"): "302 404 404 404 404 404 404 404 404 404",
    ("get", "mfa_generate_recovery_codes"): OWN,
    ("post", "mfa_generate_recovery_codes"): "302 200 200 200 302 200 200 200 200 200",
    ("get", "mfa_authenticate"): LEADS,  # between the password and being signed in
    ("post", "mfa_authenticate"): LEADS,
    ("get", "mfa_login_webauthn"): LEADS,
    ("post", "mfa_login_webauthn"): LEADS,
    ("get", "mfa_reauthenticate"): "302 403 403 403 302 403 403 403 403 403",
    ("post", "mfa_reauthenticate"): "302 403 403 403 302 403 403 403 403 403",
    ("get", "mfa_reauthenticate_webauthn"): NO_WAY,
    ("post", "mfa_reauthenticate_webauthn"): "302 403 403 403 302 403 403 403 403 403",
    ("get", "keys:person_factors"): "302 403 403 403 403 403 403 403 403 200",
    ("post", "keys:person_factors"): "302 403 403 403 403 403 403 403 403 302",
    ("get", "/accounts/login/code/confirm/"): "404 404 404 404 404 404 404 404 404 404",
}


def arguments(scene: Scene) -> dict[str, list[Any]]:
    alice = scene.alice
    passkey = Authenticator.objects.filter(user=alice).first() or give_passkey(alice)
    session, _ = UserSession.objects.get_or_create(
        user=alice,
        session_key="elsewhere",
        defaults={"ip": "192.0.2.1"},
    )
    return {
        "account_end_session": [session.pk],
        "mfa_edit_webauthn": [passkey.pk],
        "mfa_remove_webauthn": [passkey.pk],
        "keys:person_factors": [scene.vic.pk],
    }
