"""Service accounts: machines of one team. Never deleted, as their history stays; an ended one does nothing more."""

from __future__ import annotations

import re
from typing import Any

from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, gettext_noop

from portal import audit, mail
from portal.errors import Conflict, Invalid
from teams import access
from teams.access import Actor, require
from teams.models import ApiToken, Membership, Team, User
from teams.roles import Can
from teams.signals import access_ended

LONGEST_NAME = 60
NAME = re.compile(r"\w(?:[\w .-]*\w)?\Z")  # never an e-mail address: both stand for a holder in the API
RESERVED = {"me"}  # the caller, in the API


class NameTaken(Conflict):
    code = "name_taken"
    action = gettext_noop("Choose another name.")

    def __init__(self, message: str) -> None:
        super().__init__(message, details={"name": message})


def make(team: Team, *, name: str, by: Actor, responsible: User | None = None) -> User:
    """Make a service account of the team. `responsible` answers for it and gets its letters; None: the team's admins.

    Raises NotAllowed, Invalid, NameTaken, Conflict for a team that has ended.
    """
    require(by, Can.MANAGE_MEMBERS, team)
    if team.ended_at:
        raise Conflict(
            gettext("%(team)s has ended: nothing new is made for it.") % {"team": team},
            action=gettext("Choose another team."),
        )
    name = _good_name(team, name)
    with transaction.atomic():
        if responsible:
            _is_member(team, responsible)
        account = User(kind=User.Kind.SERVICE, name=name, service_team=team, responsible=responsible)
        account.set_unusable_password()
        _save(account)
        _record("service_account.made", account, by=by, name=name, responsible=_said(responsible))
        _tell(account, by=by)
    return account


def rename(account: User, *, name: str, by: Actor) -> User:
    """Give it another name; what it holds and did stays under its id. Raises NotAllowed, Invalid, NameTaken."""
    team = _team_of(account)
    require(by, Can.MANAGE_MEMBERS, team)
    name = _good_name(team, name, but=account)
    with transaction.atomic():
        row = User.objects.select_for_update().get(pk=account.pk)
        if row.name != name:
            before, row.name = row.name, name
            _save(row)
            _record("service_account.renamed", row, by=by, before=before, after=name)
    account.refresh_from_db()
    return account


def set_responsible(account: User, *, responsible: User | None, by: Actor) -> User:
    """Hand it over to another member of its team; None: its admins answer for it. Raises NotAllowed, Invalid."""
    team = _team_of(account)
    require(by, Can.MANAGE_MEMBERS, team)
    with transaction.atomic():
        row = User.objects.select_for_update(of=("self",)).select_related("responsible").get(pk=account.pk)
        if row.responsible != responsible:
            if responsible:
                _is_member(team, responsible)
            before, row.responsible = row.responsible, responsible
            row.save(update_fields=["responsible"])
            _record("service_account.handed_over", row, by=by, before=_said(before), after=_said(responsible))
            _tell(row, by=by)
    account.refresh_from_db()
    return account


def change(account: User, *, name: str, responsible: User | None, by: Actor) -> User:
    """Both at once, as a form sends them. Raises NotAllowed, Invalid, NameTaken."""
    with transaction.atomic():
        rename(account, name=name, by=by)
        return set_responsible(account, responsible=responsible, by=by)


def end(account: User, *, by: Actor) -> User:
    """End it for good: its keys and tokens end at once. Safe to repeat. Raises NotAllowed."""
    require(by, Can.MANAGE_MEMBERS, _team_of(account))
    now = timezone.now()
    with transaction.atomic():
        row = User.objects.select_for_update().get(pk=account.pk)
        if row.is_active:
            row.is_active = False
            row.save(update_fields=["is_active"])
            tokens = ApiToken.objects.filter(owner=row, ended_at=None).update(ended_at=now)
            _record("service_account.ended", row, by=by, tokens=tokens)
    account.refresh_from_db()
    access_ended.send(User, user=account, team=None)
    return account


def people_of(user: User) -> list[str]:
    """Addresses of who gets letters about what `user` holds: themselves, or who answers for a service account."""
    if user.email:
        return [user.email]
    team = _team_of(user)
    answering = user.responsible
    if answering and answering.is_active and Membership.objects.filter(team=team, user=answering).exists():
        return [answering.email or ""]
    return admins_of(team)


def admins_of(team: Team) -> list[str]:
    """Addresses of the people who run the team."""
    return [email for email in access.admins_of(team).values_list("user__email", flat=True) if email]


def _team_of(account: User) -> Team:
    if account.service_team is None:
        raise Invalid(gettext("%(account)s is no service account.") % {"account": account})
    return account.service_team


def _good_name(team: Team, name: str, but: User | None = None) -> str:
    """The name without spaces around it. Raises Invalid, NameTaken."""
    name = " ".join(name.split())
    if not name or len(name) > LONGEST_NAME or not NAME.match(name) or name.lower() in RESERVED:
        said = gettext(
            "At most %(most)s letters, digits, spaces and _ . - inside, like nightly-labels. Not %(words)s."
        ) % {"most": LONGEST_NAME, "words": _words()}
        raise Invalid(said, details={"name": said})
    others = User.objects.filter(service_team=team, name__iexact=name)
    if other := (others.exclude(pk=but.pk) if but else others).first():
        raise _taken(team, other)
    return name


def _words() -> str:
    return ", ".join(sorted(RESERVED))


def _taken(team: Team, other: User) -> NameTaken:
    named = {"team": team, "account": other}
    if other.is_active:
        return NameTaken(gettext("%(team)s has a service account called %(account)s already.") % named)
    return NameTaken(
        gettext("%(team)s has a service account called %(account)s already, an ended one, whose history stays.") % named
    )


def _save(account: User) -> None:
    try:
        with transaction.atomic():
            account.save()
    except IntegrityError:  # somebody took the name at this moment
        raise NameTaken(
            gettext("%(team)s has a service account called %(account)s already.")
            % {"team": account.service_team, "account": account}
        ) from None


def _is_member(team: Team, person: User) -> None:
    """Raises Invalid."""
    if not person.is_active or not Membership.objects.filter(team=team, user=person).exists():
        said = gettext("%(person)s is not in %(team)s. Who answers for a service account is in its team.") % {
            "person": person,
            "team": team,
        }
        raise Invalid(said, details={"responsible": said})


def _said(person: User | None) -> str | None:
    return person.audit_name if person else None


def _record(action: str, account: User, *, by: Actor, **facts: Any) -> None:
    """Its events are the team's: who runs the team reads them there."""
    team = _team_of(account)
    audit.record(action, team, by=by, account=account.name, account_id=account.pk, **facts)


def _tell(account: User, *, by: Actor) -> None:
    """Tell who answers for it from now on, unless it was their own act."""
    person, team = account.responsible, _team_of(account)
    if person and person.email and not (isinstance(by, User) and by.pk == person.pk):
        mail.service_account_is_yours(person.email, account=str(account), team=str(team), actor=str(by),
                                      key=f"service-account:{account.pk}:{timezone.now().timestamp()}",
                                      path=reverse("keys:service_account", args=[team.slug, account.pk]))  # fmt: skip
