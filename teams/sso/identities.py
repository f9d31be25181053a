"""Whom an identity at a provider belongs to. An identity is (issuer, subject); an address alone never opens an account.

Source of the rules: product.md, section 2. Every way in that is refused is in the audit trail with its reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.translation import gettext

from portal import audit, mail
from portal.models import Installation
from portal.providers import Provider
from teams import grants
from teams.models import User
from teams.sso import passwords
from teams.sso.troubles import LastWayIn, SignInRefused

FIRST = "first sign-in"


@dataclass(frozen=True, slots=True)
class Claimed:
    """Who the provider says that this is."""

    provider: Provider
    subject: str
    address: str = ""  # in lower case; blank: it names none
    verified: bool = False  # the provider vouches for it
    name: str = ""
    shown: str = ""  # how it is called on a page

    @property
    def vouched(self) -> bool:
        """Whether the address is proven, by a provider that speaks for its domain."""
        return self.verified and self.provider.speaks_for(self.address)


def same_issuer(provider: Provider, subject: str) -> None:
    """Refuse an identity that was linked while the provider's id stood for another issuer. Raises SignInRefused.

    Else a provider that is pointed elsewhere would take over the accounts of equal subjects.
    """
    there = SocialAccount.objects.select_related("user").filter(provider=provider.id, uid=subject).first()
    if there and there.extra_data.get("issuer") != provider.issuer:
        with _audited(Claimed(provider, subject), there.user):
            raise SignInRefused(
                "issuer_changed",
                gettext("%(name)s is not the provider that your account was connected with.") % {"name": provider.name},
                action=gettext(
                    "A platform admin can tell what was changed. Sign in as before it, then connect the new one."
                ),
            )


def let_in(claimed: Claimed, *, invited: str = "") -> SocialAccount:
    """The identity with the account it opens: linked before, linked now, or made now.

    `invited`: the address of the invitation that was opened in this browser. Raises SignInRefused.
    """
    with _audited(claimed):
        try:
            with transaction.atomic():
                return _known(claimed) or _link_or_make(claimed, invited)
        except IntegrityError:  # two first sign-ins at once: the other one has made it
            return _known(claimed) or _refuse_other(claimed)


def connect(claimed: Claimed, *, by: User) -> SocialAccount:
    """Link an identity to one's own account, from inside; its address does not matter. Raises SignInRefused."""
    with _audited(claimed, by), transaction.atomic():
        User.objects.select_for_update().get(pk=by.pk)
        _may_come_in(by)
        there = SocialAccount.objects.filter(provider=claimed.provider.id, uid=claimed.subject).first()
        if there is None:
            return _link(claimed, by, how="from inside")
        if there.user_id != by.pk:
            raise SignInRefused(
                "connected_elsewhere",
                gettext("This account at %(name)s is connected to somebody else here.")
                % {"name": claimed.provider.name},
                action=gettext("Sign in at %(name)s as yourself, then connect it again.")
                % {"name": claimed.provider.name},
            )
        return there


def disconnect(identity: SocialAccount, *, by: User) -> None:
    """Take one's own identity off the account, and with it what the provider's groups gave. Raises LastWayIn."""
    user = identity.user
    with transaction.atomic():
        User.objects.select_for_update().get(pk=user.pk)
        if not _other_way_in(identity):
            raise LastWayIn
        gone, _ = SocialAccount.objects.filter(pk=identity.pk).delete()
        if gone:
            event = audit.record("sso.unlinked", user, by=by, provider=identity.provider, subject=identity.uid)
            known = settings.SSO_PROVIDERS.get(identity.provider)
            mail.way_in_changed(
                user.email or "", f"sso-unlinked:{event.pk}", provider=known.name if known else identity.provider,
                shown=identity.extra_data.get("shown", ""), connected=False,
            )  # fmt: skip
    if gone and not SocialAccount.objects.filter(user=user, provider=identity.provider).exists():
        grants.follow(user, identity.provider, [])  # nobody would ever take them back


def _known(claimed: Claimed) -> SocialAccount | None:
    there = SocialAccount.objects.select_related("user")
    found = there.filter(provider=claimed.provider.id, uid=claimed.subject).first()
    if found:
        _may_come_in(found.user)
    return found


def _link_or_make(claimed: Claimed, invited: str) -> SocialAccount:
    provider, is_invited = claimed.provider, bool(invited) and claimed.address == invited.lower()
    if not (claimed.address and claimed.address.isascii()):  # other letters may only look like somebody's
        raise SignInRefused(
            "no_address",
            gettext("%(name)s does not tell your e-mail address, or one of other letters than a to z.")
            % {"name": provider.name},
            action=gettext("Let it tell a plain one, then sign in again."),
        )
    if not claimed.verified and not is_invited:  # in the same words whether there is an account or not
        raise SignInRefused(
            "unverified",
            gettext("%(name)s does not vouch for your address.") % {"name": provider.name},
            action=gettext(
                "With an account here: sign in as before, then connect %(name)s from Your account. Without one: "
                "ask a team admin to invite you. The letter that you get leads here again."
            )
            % {"name": provider.name},
        )
    owner = User.objects.filter(email=claimed.address, kind=User.Kind.PERSON).select_for_update().first()
    if owner is None:
        if not claimed.vouched and not is_invited:
            raise SignInRefused(
                "not_invited",
                gettext("There is no account for %(address)s yet.") % {"address": claimed.address},
                action=gettext("Ask a team admin to invite you. The letter that you get leads here again."),
            )
        owner = User.objects.create_user(claimed.address, name=claimed.name)
        how = "invitation" if is_invited else "domain"
        audit.record("sso.account_made", owner, by=owner, provider=provider.id, how=how)
        return _link(claimed, owner, how=FIRST)
    if not claimed.vouched:
        raise SignInRefused(
            "connect_first",
            gettext("There is an account for %(address)s already.") % {"address": claimed.address},
            action=gettext("Sign in as before, then connect %(name)s from Your account.") % {"name": provider.name},
        )
    _may_come_in(owner)
    return _link(claimed, owner, how="address")


def _link(claimed: Claimed, user: User, *, how: str) -> SocialAccount:
    """One person has one identity at a provider: an address that is given to somebody else brings no account along."""
    provider = claimed.provider
    if there := SocialAccount.objects.filter(user=user, provider=provider.id).first():
        if there.uid == claimed.subject:  # linked between our first look and the lock on the account
            return there
        raise SignInRefused(
            "other_identity",
            gettext("The account for %(email)s is connected to another person at %(name)s.")
            % {"email": user.email, "name": provider.name},
            action=gettext("If that was you, sign in as before and disconnect it first. Else ask a platform admin."),
        )
    event = audit.record("sso.linked", user, by=user, provider=provider.id, subject=claimed.subject, how=how)
    if how != FIRST:  # somebody else may have done it, in a session left open
        mail.way_in_changed(
            user.email or "", f"sso-linked:{event.pk}", provider=provider.name, shown=claimed.shown,
            connected=True,
        )  # fmt: skip
    kept = {"issuer": provider.issuer, "shown": claimed.shown}
    return SocialAccount.objects.create(user=user, provider=provider.id, uid=claimed.subject, extra_data=kept)


def _may_come_in(user: User) -> None:
    if user.kind != User.Kind.PERSON:
        raise SignInRefused(
            "service_account", gettext("A service account cannot sign in."), action=gettext("Use one of its tokens.")
        )
    if not user.is_active:
        raise SignInRefused(
            "inactive",
            gettext("This account is not active."),
            action=gettext("A platform admin can tell you why, and make it active again."),
        )


def _other_way_in(identity: SocialAccount) -> bool:
    if identity.user.has_usable_password() and passwords.may_use(identity.user):
        return True
    others = SocialAccount.objects.filter(user=identity.user, provider__in=settings.SSO_PROVIDERS)
    return bool(others.exclude(pk=identity.pk).exists())


def _refuse_other(claimed: Claimed) -> SocialAccount:
    raise SignInRefused(
        "at_once",
        gettext("Somebody is signing in with this address right now."),
        action=gettext("Sign in again in a moment."),
    )


@contextmanager
def _audited(claimed: Claimed, user: User | None = None) -> Iterator[None]:
    """Write a refusal down, in a transaction of its own: that of the act is rolled back by it."""
    try:
        yield
    except SignInRefused as refusal:
        with transaction.atomic():
            audit.record(
                "sso.refused",
                user or Installation.objects.get_or_create(pk=1)[0],
                by=user or audit.STRANGER,
                provider=claimed.provider.id,
                subject=claimed.subject,
                address=claimed.address,
                reason=refusal.reason,
            )
        raise
