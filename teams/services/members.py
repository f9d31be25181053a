"""Who is in a team, as what, and what they may spend there."""

from __future__ import annotations

from decimal import Decimal

from django.contrib.auth.hashers import make_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction

from portal import audit, mail
from portal.errors import Conflict, Invalid
from teams.access import Actor, require
from teams.departures import came_back, settled_by_hand
from teams.models import Membership, Team, User
from teams.roles import Can, MemberRole
from teams.services.teams import OverCeiling
from teams.signals import access_ended, budget_changed


class LastAdmin(Conflict):
    code = "last_admin"
    message = "This is the team's last admin."
    action = "Make somebody else a team admin first."


def put_member(team: Team, *, email: str, role: MemberRole, by: Actor) -> tuple[Membership, bool]:
    """Put a person into the team, or change their role there; True: they are new in it.

    An unknown address gets an account without a password, and a letter with a link to set one.
    Raises NotAllowed, Invalid, LastAdmin.
    """
    require(by, Can.MANAGE_MEMBERS, team)
    email = (email or "").strip().lower()
    try:
        validate_email(email)
        role = MemberRole(role)
    except (ValidationError, ValueError) as error:
        field = "role" if isinstance(error, ValueError) and not isinstance(error, ValidationError) else "email"
        said = "One of viewer, member, approver, admin." if field == "role" else "This is not an e-mail address."
        raise Invalid(said, details={field: said}) from None
    with transaction.atomic():
        Team.objects.select_for_update(no_key=True).get(pk=team.pk)
        user, unknown = User.objects.get_or_create(email=email, defaults={"password": make_password(None)})
        if unknown:
            audit.record("person.made", user, by=by)
        there = Membership.objects.filter(team=team, user=user).first()
        if there and there.role == role:
            return there, False
        if there and role != MemberRole.ADMIN:
            _keep_an_admin(there)
        membership, new = Membership.objects.update_or_create(team=team, user=user, defaults={"role": role})
        audit.record(
            "member.added" if new else "member.changed", team, by=by, person=email, role=role,
            before=there.role if there else None,
        )  # fmt: skip
        if unknown:
            mail.welcome(user.email or "", team.name, str(by))
    came_back(user, team, by=by)
    if not new:
        access_ended.send(Team, user=user, team=team)  # a viewer may not hold keys; receivers look themselves
    return membership, new


def remove_member(membership: Membership, *, by: Actor) -> None:
    """Take a person out of a team; their keys there end at once. Raises NotAllowed, LastAdmin."""
    team, user = membership.team, membership.user
    require(by, Can.MANAGE_MEMBERS, team)
    with transaction.atomic():
        Team.objects.select_for_update(no_key=True).get(pk=team.pk)
        there = Membership.objects.filter(pk=membership.pk).first()  # as it is now, not as a page showed it
        if there is None:
            return
        _keep_an_admin(there)
        there.delete()
        settled_by_hand(user, team)
        audit.record("member.removed", team, by=by, person=user.audit_name, role=there.role)
    access_ended.send(Team, user=user, team=team)


def _keep_an_admin(leaving: Membership) -> None:
    others = Membership.objects.filter(team=leaving.team, role=MemberRole.ADMIN).exclude(pk=leaving.pk)
    if leaving.role == MemberRole.ADMIN and not others.exists():
        raise LastAdmin


class OverTeamBudget(OverCeiling):
    code = "over_team_budget"
    action = "Ask for less, or raise the team's budget first."


def set_holder_budget(membership: Membership, *, max_budget: Decimal | None, by: Actor) -> Membership:
    """Limit what one person's keys may spend in a team, USD in one window of the team's; None: no limit of their own.

    Raises NotAllowed, Invalid, OverTeamBudget, Conflict when the person has left the team.
    """
    require(by, Can.SET_TEAM_BUDGET, membership.team)
    with transaction.atomic():
        team = Team.objects.select_for_update(no_key=True).get(pk=membership.team_id)
        there = Membership.objects.filter(pk=membership.pk).select_related("user").first()
        if there is None:
            raise Conflict("This person is not in the team any more.")
        if there.max_budget == max_budget:
            return there
        before, there.max_budget = there.max_budget, max_budget
        try:
            there.clean_fields(exclude=["team", "user", "role"])
        except ValidationError as error:
            raise Invalid(details={name: " ".join(said) for name, said in error.message_dict.items()}) from None
        if max_budget is not None and team.max_budget is not None and max_budget > team.max_budget:
            raise OverTeamBudget(f"The team itself has ${team.max_budget:,.2f}.")
        there.save(update_fields=["max_budget"])
        person = there.user.audit_name
        audit.record("member.budget_changed", team, by=by, person=person, before=before, after=max_budget)
        budget_changed.send(Team, team=team, by=by)
    return there
