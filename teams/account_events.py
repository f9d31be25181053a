"""What signing in, and second factors, write down: receivers of the signals of Django and allauth."""

from __future__ import annotations

from functools import partial
from typing import Any

from allauth.account.authentication import get_authentication_records
from allauth.account.signals import authentication_step_completed, user_logged_in
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import authentication_failed, authenticator_used
from django.contrib.auth import signals as django_signals
from django.db import transaction
from django.db.models.signals import post_delete, post_save, pre_delete
from django.dispatch import receiver
from django.http import HttpRequest
from django.utils.translation import gettext

from portal import audit, mail
from teams import mfa, sessions
from teams.models import User


@receiver(django_signals.user_logged_in)
def note_sign_in(sender: Any, *, request: HttpRequest, user: User, **_: Any) -> None:
    """Every door of signing in counts as fresh, those too that tell allauth nothing."""
    if not get_authentication_records(request, user):
        sessions.record(request, user)


@receiver(user_logged_in)
def signed_in(sender: Any, *, request: HttpRequest, user: User, **_: Any) -> None:
    """`methods` are the steps of this sign-in, like password and totp; a provider is named by its id."""
    records = get_authentication_records(request, user)
    new = records[request.session.get(sessions.LISTED, 0) :]  # the session may have had a sign-in before
    request.session[sessions.LISTED] = len(records)
    methods = [_method(record) for record in new if not record.get("reauthenticated")]
    with transaction.atomic():
        audit.record("person.signed_in", user, by=user, methods=list(dict.fromkeys(methods)))


@receiver(authentication_step_completed)
def signed_in_again(sender: Any, *, request: HttpRequest, user: User, method: str, **more: Any) -> None:
    if not more.get("reauthenticated"):
        return
    sessions.choose_new_key(request)
    with transaction.atomic():
        audit.record("person.signed_in_again", user, by=user, method=_method({"method": method, **more}))


@receiver(authentication_failed)
def factor_refused(sender: Any, *, user: User, authenticator: Authenticator, **more: Any) -> None:
    """A wrong code, by who knew the password (or held the session). allauth's limit of tries bounds these rows."""
    again = bool(more.get("reauthentication"))
    with transaction.atomic():
        by = user if again else audit.STRANGER
        audit.record("person.sign_in_failed", user, by=by, method=authenticator.type, again=again)


@receiver(django_signals.user_logged_out)
def signed_out(sender: Any, *, user: User | None, **_: Any) -> None:
    if user is not None:
        with transaction.atomic():
            audit.record("person.signed_out", user, by=user)


@receiver(authenticator_used)
def recovery_code_used(sender: Any, *, user: User, authenticator: Authenticator, **_: Any) -> None:
    if authenticator.type == mfa.CODES:
        with transaction.atomic():
            audit.record("person.recovery_code_used", user, by=user, left=mfa.factors_of(user).codes_left)


@receiver(post_save, sender=Authenticator)
def factor_added(sender: Any, *, instance: Authenticator, created: bool, **_: Any) -> None:
    """In the transaction of the row: the views of teams/account_urls.py have one."""
    if not created:
        return
    user: User = instance.user
    if instance.type == mfa.CODES:
        audit.record("person.recovery_codes_made", user, by=user)
        said: mail.Saying = _codes_made
    else:
        audit.record("person.factor_added", user, by=user, factor=instance.type, name=str(instance))
        said = partial(_added, instance)
    mail.factor_changed(user.email or "", f"factor-added:{instance.pk}", said)


@receiver(pre_delete, sender=Authenticator)
def keep_the_last(sender: Any, *, instance: Authenticator, origin: Any = None, **_: Any) -> None:
    """Raises LastFactor, unless somebody else resets them or the person themself goes."""
    if not isinstance(origin, User) and mfa.removed_by(instance) == instance.user:
        mfa.keep_a_factor(instance)


@receiver(post_delete, sender=Authenticator)
def factor_removed(sender: Any, *, instance: Authenticator, origin: Any = None, **_: Any) -> None:
    if isinstance(origin, User) or instance.type == mfa.CODES:  # codes go with the last factor, or for new ones
        return
    user, by = instance.user, mfa.removed_by(instance)
    audit.record("person.factor_removed", user, by=by, factor=instance.type, name=str(instance))
    said = partial(_removed, instance, "" if by == user else by.audit_name)
    mail.factor_changed(user.email or "", f"factor-removed:{instance.pk}", said)


def _codes_made() -> str:
    return gettext("New recovery codes were made for your account. Older ones do not work any more.")


def _added(factor: Authenticator) -> str:
    return gettext("%(factor)s was added to your account.") % {"factor": mfa.words_for(factor)}


def _removed(factor: Authenticator, by: str) -> str:
    named = {"factor": mfa.words_for(factor), "by": by}
    if by:
        return gettext("%(factor)s was removed from your account, by %(by)s.") % named
    return gettext("%(factor)s was removed from your account.") % named


def _method(record: dict[str, Any]) -> str:
    """How somebody showed who they are, in one word: password, totp, webauthn, recovery_codes, or a provider's id."""
    return str(record.get("type") or record.get("provider") or record["method"])
