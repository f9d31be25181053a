"""Second factors: authenticator apps, passkeys and recovery codes, kept by allauth with our rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import qrcode
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.db import transaction
from django.utils.text import format_lazy
from django.utils.translation import gettext, gettext_lazy, gettext_noop
from qrcode.image.svg import SvgPathImage

from portal.errors import Conflict
from portal.secrets import seal, unseal
from teams.access import Actor
from teams.models import User
from teams.roles import PlatformRole

SEALED = ("secret", "seed")  # what Authenticator.data holds of an app, and of recovery codes
CODES = Authenticator.Type.RECOVERY_CODES  # a way round a lost factor, none by itself


class LastFactor(Conflict):
    code = "last_factor"
    message = gettext_noop("Your role needs a second factor, and this is the last one.")
    action = gettext_noop("Set up another one first.")


@dataclass
class Factors:
    """What one person has set up; `codes_left` is None without recovery codes."""

    app: Authenticator | None = None
    passkeys: list[Authenticator] = field(default_factory=list)
    codes_left: int | None = None

    def __bool__(self) -> bool:
        return bool(self.app or self.passkeys)


def is_required_of(user: User) -> bool:
    """Whether somebody with this platform role has to have a second factor. Source: KEYDESK_MFA_REQUIRED."""
    named = settings.MFA_REQUIRED
    return bool(named) and ("all" in named or (user.platform_role != PlatformRole.NONE and user.platform_role in named))


def has_factor(user: User) -> bool:
    return bool(Authenticator.objects.filter(user_id=user.pk).exclude(type=CODES).exists())


def is_needed_by(user: User) -> bool:
    """Whether this person has to set one up before anything else."""
    return is_required_of(user) and not has_factor(user)


def factors_of(user: User) -> Factors:
    found = Factors()
    for each in Authenticator.objects.filter(user_id=user.pk).order_by("created_at", "pk"):
        if each.type == CODES:
            found.codes_left = len(each.wrap().get_unused_codes())
        elif each.type == Authenticator.Type.TOTP:
            found.app = each
        else:
            found.passkeys.append(each)
    return found


def is_removable(factor: Authenticator) -> bool:
    """Whether it may go: not the last one of somebody who has to have one."""
    others = Authenticator.objects.filter(user_id=factor.user_id).exclude(type=CODES).exclude(pk=factor.pk)
    return factor.type == CODES or not is_required_of(factor.user) or others.exists()


def keep_a_factor(leaving: Authenticator) -> None:
    """Refuse to take away the last one of somebody who has to have one. Raises LastFactor."""
    User.objects.select_for_update().get(pk=leaving.user_id)  # two that leave at once would both see the other
    if not is_removable(leaving):
        raise LastFactor


def remove_all(user: User, *, by: Actor) -> int:
    """Take everything away, as `by` decided; answers how many factors there were. `services.people` may ask for it."""
    found = list(Authenticator.objects.filter(user_id=user.pk))
    for factor in found:
        factor.removed_by = by
        factor.delete()
    return sum(factor.type != CODES for factor in found)


def opened() -> int:
    """How many sealed secrets of second factors there are. Raises ImproperlyConfigured when one cannot be opened."""
    data = Authenticator.objects.exclude(type=Authenticator.Type.WEBAUTHN).values_list("data", flat=True)
    return len([unseal(each[name]) for each in data for name in SEALED if name in each])


def seal_anew(is_new: Callable[[str], bool]) -> tuple[int, int]:
    """Seal again what an older key has sealed; answers how many, of how many. Raises ImproperlyConfigured."""
    done = seen = 0
    for pk in list(Authenticator.objects.exclude(type=Authenticator.Type.WEBAUTHN).values_list("pk", flat=True)):
        with transaction.atomic():
            factor = Authenticator.objects.select_for_update().filter(pk=pk).first()
            name = next((name for name in SEALED if factor and name in factor.data), "")
            if not name:
                continue
            seen += 1
            if not is_new(factor.data[name]):
                factor.data[name] = seal(unseal(factor.data[name]))
                factor.save(update_fields=["data"])
                done += 1
    return done, seen


def words_for(factor: Authenticator) -> str:
    """How a letter begins to speak of it."""
    return (
        gettext('The passkey "%(factor)s"') % {"factor": factor}
        if factor.type == Authenticator.Type.WEBAUTHN
        else gettext("An authenticator app")
    )


def removed_by(factor: Authenticator) -> Actor:
    """Who takes it away: the person themself, unless `remove_all` has said who does."""
    by: Actor = getattr(factor, "removed_by", factor.user)
    return by


class MFAAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    """Seals what lies in the database, and says where passkeys belong."""

    error_messages = DefaultMFAAdapter.error_messages | {
        "incorrect_code": gettext_lazy("This is not right, or was used before."),
        "cannot_delete_authenticator": format_lazy(
            "{} {}", gettext_lazy(LastFactor.message), gettext_lazy(LastFactor.action)
        ),
        "cannot_generate_recovery_codes": gettext_lazy(
            "Recovery codes are for who has a second factor. Set one up first."
        ),
    }

    def encrypt(self, text: str) -> str:
        return seal(text)

    def decrypt(self, encrypted_text: str) -> str:
        return unseal(encrypted_text)

    def build_totp_svg(self, url: str) -> str:
        """The picture for the app's camera, to stand in the page itself: the page may load nothing but our files."""
        drawn = qrcode.make(url, image_factory=SvgPathImage, border=0)
        return str(drawn.to_string(encoding="unicode"))

    def can_delete_authenticator(self, authenticator: Authenticator) -> bool:
        return is_removable(authenticator)

    def generate_authenticator_name(self, user: Any, type: Any) -> str:  # noqa: A002  (allauth names it)
        count = Authenticator.objects.filter(user_id=user.pk, type=type).count()
        return f"Passkey {count + 1}" if count else "Passkey"

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        """The host people type: a passkey works there alone, and browsers refuse an IP address. Source: WebAuthn."""
        return {"id": urlsplit(settings.URL).hostname or "", "name": "Keydesk"}
