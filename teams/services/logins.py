"""Logins of the command line: tokens whose secret is replaced while they are used, and that end when one is copied."""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from portal import audit, mail
from portal.errors import Conflict
from teams.access import SYSTEM
from teams.models import ApiToken, ReplacedSecret, User
from teams.services.tokens import end_token

LIFE = timedelta(days=7)  # of a login that nobody uses
KEPT = timedelta(days=90)  # the longest: then the person signs in again
FRESH = timedelta(days=1)  # after this long the command line replaces the secret
GRACE = timedelta(seconds=60)  # for which the old one is still good: its answer may be lost, or be on its way


class NoLogin(Conflict):
    """The token in use was made on a page: its secret stays as it is."""

    code = "no_login"
    message = gettext_noop("This token is no login of the command line.")
    action = gettext_noop("It is good until it expires. Make another one on the page API tokens.")


def refresh(token: ApiToken, *, by: User) -> tuple[ApiToken, str]:
    """Replace the secret of a login, and let it live longer; answers the new one. Raises NoLogin."""
    plain, now = ApiToken.choose(), timezone.now()
    with transaction.atomic():
        row = ApiToken.objects.select_for_update(of=("self",)).living(now).filter(pk=token.pk).first()
        if row is None or row.kind != ApiToken.Kind.LOGIN or row.refreshable_until is None:
            raise NoLogin
        ReplacedSecret.objects.create(token=row, digest=row.digest, good_until=now + GRACE)
        row.digest = ApiToken.digest_of(plain)
        row.expires_at = min(now + LIFE, row.refreshable_until)
        row.save(update_fields=["digest", "expires_at"])
        audit.record("token.refreshed", row, by=by, secret=row.digest, expires_at=row.expires_at)
    return row, plain


def note_copy(plain: str) -> bool:
    """End the login whose replaced secret this is: two have it. Answers whether it was one that lived."""
    old = ReplacedSecret.objects.filter(digest=ApiToken.digest_of(plain), good_until__lte=timezone.now())
    found = old.select_related("token__owner").first()
    if found is None or not found.token.is_living:
        return False
    token = found.token
    with transaction.atomic():
        end_token(token, by=SYSTEM)
        audit.record("token.copied", token, by=SYSTEM, secret=found.digest, owner=token.owner.audit_name)
        mail.login_copied(token.owner.email or "", f"copied:{token.pk}", name=token.name, at=timezone.now())
    return True
