"""Forms of one's own account: allauth's, with our words."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from allauth.core import context
from allauth.core.internal.cryptokit import normalize_user_code
from allauth.mfa.adapter import get_adapter
from allauth.mfa.base.forms import AuthenticateForm, ReauthenticateForm
from allauth.mfa.totp.forms import ActivateTOTPForm
from allauth.mfa.totp.internal.auth import SECRET_SESSION_KEY
from allauth.mfa.webauthn.forms import AddWebAuthnForm
from django.core.cache import cache
from django.utils.translation import gettext

from portal.secrets import seal, unseal
from teams.models import User

USED_FOR = 90  # seconds: an app's code is taken in its own step of 30 s, the one before and the one after


class Once:
    """An app's code works once while it would still be taken; allauth forgets that after 30 s."""

    user: User
    data: Mapping[str, str]

    def clean_code(self) -> str:
        typed = normalize_user_code(self.data.get("code", ""))
        key = "used-code:" + hashlib.sha256(f"{self.user.pk}:{typed}".encode()).hexdigest()
        if cache.get(key):
            raise get_adapter().validation_error("incorrect_code")
        code: str = super().clean_code()  # type: ignore[misc]
        cache.set(key, True, USED_FOR)
        return code


class SecondStep(Once, AuthenticateForm):  # type: ignore[misc]
    pass


class CodeAgain(Once, ReauthenticateForm):  # type: ignore[misc]
    pass


class ActivateTOTP(ActivateTOTPForm):  # type: ignore[misc]
    """The secret waits for its first code in the session, which lies in the database: sealed, as it will be after."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        session = context.request.session
        waiting = session.get(SECRET_SESSION_KEY)
        super().__init__(*args, **kwargs)
        self.fields["code"].label = gettext("Code")
        if self.is_bound and waiting:
            self.secret = unseal(waiting)
        else:
            session[SECRET_SESSION_KEY] = seal(self.secret)


class AddPasskey(AddWebAuthnForm):  # type: ignore[misc]
    """A passkey signs in alone unless the box is unticked; then it is a second factor beside the password."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].label = gettext("Name")
        self.fields["name"].max_length = 60
        self.fields["name"].widget.attrs["maxlength"] = 60
        self.fields["name"].help_text = gettext("To know it again, like the device it is on.")
        self.fields["passwordless"].initial = True
        self.fields["passwordless"].label = gettext("Sign in with it alone")
        self.fields["passwordless"].help_text = gettext(
            "It asks for your finger, face or PIN. Without the tick it is a second factor beside your password."
        )
