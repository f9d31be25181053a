"""People as the platform keeps them: accounts made without a letter, and platform roles given by hand.

Who is invited makes their own account (invitations.py); who leaves is in teams/departures.py.
"""

from __future__ import annotations

from django.db import transaction
from django.utils.translation import gettext

from portal import audit
from portal.errors import Invalid
from teams import grants, mfa
from teams.access import Actor, require, require_fresh
from teams.models import User
from teams.roles import Can, MemberRole, PlatformRole
from teams.services.members import read


def make_person(email: str, *, name: str = "", password: str | None = None, by: Actor) -> User:
    """The person with that address, made if there is none; a password is set for a new one only.

    For a first start and for demos: everybody else is invited, or comes through a provider. Raises NotAllowed, Invalid.
    """
    require(by, Can.MANAGE_PLATFORM)
    email, _ = read(email, MemberRole.MEMBER)
    with transaction.atomic():
        known = User.objects.filter(email=email).first()
        if known:
            return known
        person = User.objects.create_user(email, password, name=name)
        audit.record("person.made", person, by=by)
    return person


def reset_factors(user: User, *, by: Actor) -> int:
    """Take away somebody's second factors and recovery codes, when their devices are gone; answers how many factors.

    Who has to have one sets up another at the next sign-in. The person is told. Raises NotAllowed, SignInAgain.
    """
    require(by, Can.MANAGE_PLATFORM)
    require_fresh(by)
    with transaction.atomic():
        return mfa.remove_all(user, by=by)


def set_platform_role(user: User, role: PlatformRole | str, *, by: Actor) -> None:
    """Give a platform role by hand, or none.

    Raises NotAllowed, SignInAgain, Invalid, KeptByProvider, LastPlatformAdmin.
    """
    require(by, Can.MANAGE_PLATFORM)
    require_fresh(by)
    if role not in PlatformRole.values or user.kind != User.Kind.PERSON:
        raise Invalid(
            gettext("They cannot have such a platform role."),
            details={"role": gettext("One of auditor, admin, or none.")},
        )
    grants.give_platform_role(user, PlatformRole(role), by=by)
