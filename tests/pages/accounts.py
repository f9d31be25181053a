"""What tests of one's own account share: codes of an authenticator app, and sign-ins that are a while ago."""

from __future__ import annotations

import hashlib
import os
from datetime import timedelta
from typing import Any

import time_machine
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, hotp_value, yield_hotp_counters_from_time
from allauth.mfa.webauthn.internal.auth import WebAuthn
from cryptography.hazmat.primitives.asymmetric import ec
from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from fido2.cose import ES256
from fido2.utils import websafe_encode
from fido2.webauthn import AttestationObject, AttestedCredentialData, AuthenticatorData

from portal.models import AuditEvent
from teams.models import User
from tests.conftest import PASSWORD

SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
FLAGS = AuthenticatorData.FLAG.USER_PRESENT | AuthenticatorData.FLAG.USER_VERIFIED | AuthenticatorData.FLAG.ATTESTED
LOGIN, AGAIN = "/accounts/login/", "/accounts/reauthenticate/"


def code(secret: str = SECRET) -> str:
    """What the app shows now."""
    return format_hotp_value(hotp_value(secret, list(yield_hotp_counters_from_time())[1]))


def give_app(user: User) -> Authenticator:
    """An authenticator app, with recovery codes, as its page would have set them up."""
    with transaction.atomic():
        RecoveryCodes.activate(user)
        return TOTP.activate(user, SECRET).instance


def sign_in(client: Any, user: User, password: str = PASSWORD, **more: Any) -> Any:
    return client.post(LOGIN, {"login": user.email, "password": password, **more})


def later(minutes: float = 20) -> Any:
    """A while after: longer than a sign-in is fresh."""
    return time_machine.travel(timezone.now() + timedelta(minutes=minutes), tick=True)


def is_signed_in(client: Any) -> bool:
    return client.get(reverse("account")).status_code == 200


def events(action: str) -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(action=action).order_by("pk"))


def give_passkey(user: User, name: str = "Laptop") -> Authenticator:
    """A passkey that was really made once; what holds its private key is gone."""
    point = ec.generate_private_key(ec.SECP256R1()).public_key()
    made = AttestedCredentialData.create(b"\0" * 16, os.urandom(16), ES256.from_cryptography_key(point))
    said = AuthenticatorData.create(hashlib.sha256(b"localhost").digest(), FLAGS, 0, made)
    answer = {
        "clientDataJSON": websafe_encode(
            b'{"type": "webauthn.create", "challenge": "AA", "origin": "http://localhost"}'
        ),
        "attestationObject": websafe_encode(AttestationObject.create("none", said, {})),
    }
    credential = {
        "id": websafe_encode(made.credential_id), "rawId": websafe_encode(made.credential_id), "type": "public-key",
        "response": answer, "clientExtensionResults": {"credProps": {"rk": True}},
    }  # fmt: skip
    with transaction.atomic():
        found: Authenticator = WebAuthn.add(user, name, credential).instance
    return found
