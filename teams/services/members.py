"""Who is in a team, as what, and what they may spend there."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.utils.translation import gettext, gettext_noop

from portal import audit
from portal.errors import Conflict, Invalid, NotAllowed
from portal.templatetags.ui import money
from teams import grants
from teams.access import Actor, admins_of, require, require_scope
from teams.departures import settled_by_hand
from teams.models import Membership, Team, User
from teams.roles import Can, MemberRole, leads
from teams.services.teams import OverCeiling
from teams.signals import access_ended, budget_changed

LONGEST_ADDRESS = 254  # characters; RFC 5321, 4.5.3.1.3
Counted = Mapping[str, Any]  # facts for an event: what somebody saw before they acted


class LastAdmin(Conflict):
    """A team keeps an admin; `action` names who could be the next one."""

    code = "last_admin"
    message = gettext_noop("This is the team's last admin.")
    action = gettext_noop("Make somebody else a team admin first.")


class NoAccount(Conflict):
    """Nobody has this address yet; `invitations.put_or_invite` invites them."""

    code = "no_account"
    message = gettext_noop("Nobody here has this address.")
    action = gettext_noop("Invite them: they make their account from the letter.")


def put_member(
    team: Team, *, email: str, role: MemberRole, by: Actor, counted: Counted | None = None
) -> tuple[Membership, bool]:
    """Put a person into the team, or change their role there; True: they are new in it. `counted`: as in remove_member.

    Raises NotAllowed, Invalid, NoAccount, LastAdmin, KeptByProvider.
    """
    require(by, Can.MANAGE_MEMBERS, team)
    email, role = read(email, role)
    with transaction.atomic():
        Team.objects.select_for_update(no_key=True).get(pk=team.pk)
        user = User.objects.filter(email=email).first()
        if user is None:
            raise NoAccount
        there = Membership.objects.filter(team=team, user=user).first()
        if there and not leads(role):
            _keep_an_admin(there)
        return grants.give(user, team, role, by=by, counted=counted)


def read(email: str, role: str) -> tuple[str, MemberRole]:
    """An address in lower case, and a member role. Raises Invalid, naming the field."""
    email = (email or "").strip().lower()
    try:
        validate_email(email)
        if len(email) > LONGEST_ADDRESS:
            raise ValidationError("")
    except ValidationError:
        said = gettext("This is not an e-mail address.")
        raise Invalid(said, details={"email": said}) from None
    try:
        return email, MemberRole(role)
    except ValueError:
        said = gettext("One of viewer, member, approver, admin.")
        raise Invalid(said, details={"role": said}) from None


def remove_member(membership: Membership, *, by: Actor, counted: Counted | None = None) -> None:
    """Take a person out of a team; their keys there end at once. `counted`: what was shown before, for the audit.

    Raises NotAllowed, LastAdmin, KeptByProvider.
    """
    require(by, Can.MANAGE_MEMBERS, membership.team)
    _take_out(membership, by=by, counted=counted)


def leave(membership: Membership, *, by: Actor, counted: Counted | None = None) -> None:
    """Leave a team oneself; one's keys there end at once. Raises NotAllowed, LastAdmin, KeptByProvider."""
    if not isinstance(by, User) or by.pk != membership.user_id:
        raise NotAllowed(
            gettext("Only who is in a team leaves it."),
            right="leave_team",
            who=[str(membership.user)],
            action=gettext("A team admin can take somebody else out."),
        )
    require_scope(by, Can.MANAGE_MEMBERS)
    _take_out(membership, by=by, counted=counted)


def _take_out(membership: Membership, *, by: Actor, counted: Counted | None) -> None:
    team, user = membership.team, membership.user
    with transaction.atomic():
        Team.objects.select_for_update(no_key=True).get(pk=team.pk)
        there = Membership.objects.filter(pk=membership.pk).first()  # as it is now, not as a page showed it
        if there is None:
            return
        _keep_an_admin(there)
        grants.require_not_kept(user, team, "")
        there.delete()
        settled_by_hand(user, team)
        action = "member.left" if isinstance(by, User) and by.pk == user.pk else "member.removed"
        audit.record(action, team, by=by, person=user.audit_name, role=there.role, **(counted or {}))
        transaction.on_commit(lambda: access_ended.send(Team, user=user, team=team))


def _keep_an_admin(leaving: Membership) -> None:
    others = Membership.objects.filter(team=leaving.team, user__is_active=True).exclude(pk=leaving.pk)
    if not leads(leaving.role) or admins_of(leaving.team).exclude(pk=leaving.pk).exists():
        return
    next_ones = ", ".join(str(other.user) for other in others.select_related("user")[:3])
    named = (
        gettext("Make somebody else a team admin first, like %(people)s.") % {"people": next_ones} if next_ones else ""
    )
    raise LastAdmin(action=named or gettext("Put somebody else into the team as team admin first."))


class OverTeamBudget(OverCeiling):
    code = "over_team_budget"
    action = gettext_noop("Ask for less, or raise the team's budget first.")


def set_holder_budget(membership: Membership, *, max_budget: Decimal | None, by: Actor) -> Membership:
    """Limit what one person's keys may spend in a team, USD in one window of the team's; None: no limit of their own.

    Raises NotAllowed, Invalid, OverTeamBudget, Conflict when the person has left the team.
    """
    require(by, Can.SET_TEAM_BUDGET, membership.team)
    with transaction.atomic():
        team = Team.objects.select_for_update(no_key=True).get(pk=membership.team_id)
        there = Membership.objects.filter(pk=membership.pk).select_related("user").first()
        if there is None:
            raise Conflict(gettext("This person is not in the team any more."))
        if there.max_budget == max_budget:
            return there
        before, there.max_budget = there.max_budget, max_budget
        try:
            there.clean_fields(exclude=["team", "user", "role"])
        except ValidationError as error:
            raise Invalid(details={name: " ".join(said) for name, said in error.message_dict.items()}) from None
        if max_budget is not None and team.max_budget is not None and max_budget > team.max_budget:
            raise OverTeamBudget(gettext("The team itself has %(money)s.") % {"money": money(team.max_budget)})
        there.save(update_fields=["max_budget"])
        person = there.user.audit_name
        audit.record("member.budget_changed", team, by=by, person=person, before=before, after=max_budget)
        budget_changed.send(Team, team=team, by=by)
    return there
