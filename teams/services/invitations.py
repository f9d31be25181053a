"""Invitations: a place in a team for an address that has no account yet. Good once, for that address alone.

The link's secret is kept nowhere. It is made of the invitation's id whenever a letter is sent (portal/links.py), and
known again by its HMAC, the *ticket*: all that a session holds of it, and what the verbs of the invited person take.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from http import HTTPStatus

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext, gettext_noop, ngettext

from portal import audit, dates, links, mail
from portal.errors import Conflict, Invalid, NotAllowed, PortalError, TooMany
from portal.models import AuditEvent
from teams import departures, grants
from teams.access import Actor, allowed, require
from teams.models import Invitation, Membership, Team, User
from teams.models.team import ONE_LINE
from teams.roles import Can, MemberRole, strength
from teams.services.members import NoAccount, put_member, read

HOUR = timedelta(hours=1)
KEPT = timedelta(days=30)  # after it has expired, so that its link can say what happened
SENT = "invitation.sent"


class InvitationOver(PortalError):
    """Nobody can accept this any more; the codes below say why."""

    on_record = True  # a link that is used twice may be one that was stolen


class InvitationUnknown(InvitationOver):
    code, status = "invitation_unknown", HTTPStatus.NOT_FOUND
    message = gettext_noop("There is no such invitation.")
    action = gettext_noop("Open the whole link of the letter again, or ask whoever invited you to send it anew.")


class InvitationNotOpened(InvitationUnknown):
    on_record = False  # no link was shown: anybody can ask that as often as they like


class InvitationUsed(InvitationOver):
    code, status = "invitation_used", HTTPStatus.GONE
    action = gettext_noop("Sign in with the account that accepted it. If that was not you, tell a team admin.")

    def __init__(self, invitation: Invitation) -> None:
        super().__init__(gettext("This invitation was used on %(moment)s.") % {"moment": _said(invitation.accepted_at)})


class InvitationExpired(InvitationOver):
    code, status = "invitation_expired", HTTPStatus.GONE

    def __init__(self, invitation: Invitation) -> None:
        action = gettext("Ask %(who)s to send it again; the same link works then.") % {
            "who": invitation.invited_by or gettext("a team admin")
        }
        super().__init__(
            gettext("This invitation was good until %(moment)s.") % {"moment": _said(invitation.expires_at)},
            action=action,
        )


class InvitationWithdrawn(InvitationOver):
    code, status = "invitation_withdrawn", HTTPStatus.GONE
    message = gettext_noop("This invitation was withdrawn.")
    action = gettext_noop("Ask a team admin for another one.")


class InvitationForAnother(NotAllowed):
    code, right = "invitation_for_another", "invited_address"
    action = gettext_noop("Sign out, then open the link again and go on with that address.")


class TooManyInvitations(TooMany):
    code = "too_many_invitations"


class AccountExists(Conflict):
    code = "account_exists"
    message = gettext_noop("There is an account with this address already.")
    action = gettext_noop("Sign in with it; the invitation waits for you.")


def put_or_invite(team: Team, *, email: str, role: MemberRole, by: Actor) -> tuple[Membership, bool] | Invitation:
    """Put somebody into the team, or change their role (True: they are new in it); invite an unknown address.

    Raises NotAllowed, Invalid, LastAdmin, Conflict when the team has ended, TooManyInvitations.
    """
    try:
        return put_member(team, email=email, role=role, by=by)
    except NoAccount:
        return invite(team, email=email, role=role, by=by)


def invite(team: Team, *, email: str, role: MemberRole, by: Actor) -> Invitation:
    """Offer a place by mail. One that waits for that address is changed and sent again.

    The secret goes into the letter alone. Raises NotAllowed, Invalid, Conflict when the team has ended,
    TooManyInvitations.
    """
    require(by, Can.MANAGE_MEMBERS, team)
    email, role = read(email, role)
    if not isinstance(by, User):  # an invitation stands and falls with whoever sent it
        raise NoAccount
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=by.pk)  # so that two at once are both counted
        if Team.objects.select_for_update(no_key=True).get(pk=team.pk).ended_at:
            raise Conflict(
                gettext("%(team)s has ended.") % {"team": team}, action=gettext("Invite them into another team.")
            )
        _within_rate(by)
        waiting = Invitation.objects.waiting().filter(team=team, email=email).first()
        invitation = waiting or Invitation(team=team, email=email)
        invitation.role, invitation.invited_by = role, by
        invitation.expires_at = timezone.now() + Invitation.LIFE
        invitation.digest = ticket_of(links.secret_of(mail.INVITATION, invitation.pk))
        invitation.save()
        until = invitation.expires_at
        audit.record(SENT, invitation, by=by, person=email, role=role, expires_at=until, again=waiting is not None)
        mail.invitation(email, invitation.pk, team=team.name, inviter=str(by), role=MemberRole(role).label, until=until)
    return invitation


def resend(invitation: Invitation, *, by: Actor) -> Invitation:
    """Send the letter again; the link is good for a week more. Raises what `invite` and `withdraw` raise."""
    _still_waiting(invitation, by=by)
    return invite(invitation.team, email=invitation.email, role=MemberRole(invitation.role), by=by)


def withdraw(invitation: Invitation, *, by: Actor) -> None:
    """Let nobody accept it any more. Raises NotAllowed, InvitationUsed, InvitationWithdrawn."""
    _still_waiting(invitation, by=by)
    with transaction.atomic():
        mine = Invitation.objects.waiting().filter(pk=invitation.pk)
        if not mine.update(withdrawn_at=timezone.now()):
            invitation.refresh_from_db()
            _still_waiting(invitation, by=by)
        audit.record("invitation.withdrawn", invitation, by=by, person=invitation.email)


def ticket_of(secret: str) -> str:
    """What a session may keep of a link, in place of its secret; of a wrong one it looks the same."""
    return links.ticket_of(mail.INVITATION, secret)


def look(ticket: str) -> Invitation:
    """The invitation that waits for whoever has opened its link. Raises InvitationOver."""
    if not ticket:
        raise InvitationNotOpened
    invitation = Invitation.objects.select_related("team", "invited_by").filter(digest=ticket).first()
    if invitation is None:
        raise InvitationUnknown
    if invitation.accepted_at:
        raise InvitationUsed(invitation)
    if invitation.withdrawn_at:
        raise InvitationWithdrawn
    if invitation.team.ended_at:
        raise InvitationWithdrawn(
            gettext("%(team)s has ended.") % {"team": invitation.team},
            action=gettext("There is nothing to join any more."),
        )
    if invitation.expires_at <= timezone.now():
        raise InvitationExpired(invitation)
    if not invitation.invited_by or not allowed(invitation.invited_by, Can.MANAGE_MEMBERS, invitation.team):
        raise InvitationWithdrawn(gettext("Whoever sent this invitation may not invite into the team any more."))
    return invitation


def accept(ticket: str, *, by: User) -> Membership:
    """Join the team, as the person whom the invitation is for. Raises InvitationOver, InvitationForAnother."""
    with transaction.atomic():
        invitation = _taken(ticket)
        if (by.email or "").lower() != invitation.email:
            raise InvitationForAnother(
                gettext("This invitation is for %(email)s, and you are signed in as %(by)s.")
                % {"email": invitation.email, "by": by}
            )
        return _join(invitation, by)


def accept_new(ticket: str, *, name: str, password: str) -> User:
    """Make the account for the invited address, which the letter has proven, and join the team with it.

    Raises InvitationOver, Invalid, AccountExists, NotAllowed where only a provider makes accounts.
    """
    if settings.SSO_ONLY:
        raise NotAllowed(
            gettext("Passwords are off here."),
            right="password_sign_in",
            action=gettext("Sign in at your provider; the invitation waits for you."),
        )
    with transaction.atomic():
        invitation = _taken(ticket)
        if User.objects.filter(email__iexact=invitation.email).exists():
            raise AccountExists
        draft = User(email=invitation.email, name=" ".join(name.split()))
        _check(draft, password)
        person = User.objects.create_user(invitation.email, password, name=draft.name)
        audit.record("person.made", person, by=person, how="invitation")
        _join(invitation, person)
    return person


def forget_old(now: datetime | None = None) -> int:
    """Delete what expired, used or not, 30 days ago; answers how many. Part of a sweep."""
    return Invitation.objects.filter(expires_at__lt=(now or timezone.now()) - KEPT).delete()[0]


def _still_waiting(invitation: Invitation, *, by: Actor) -> None:
    require(by, Can.MANAGE_MEMBERS, invitation.team)
    if invitation.accepted_at:
        raise InvitationUsed(invitation)
    if invitation.withdrawn_at:
        raise InvitationWithdrawn


def _within_rate(by: User) -> None:
    """Raises TooManyInvitations. Counted are letters, in the audit trail, so sending one again counts as well."""
    now = timezone.now()
    sent = AuditEvent.objects.filter(action=SENT, actor_id=by.audit_id, at__gt=now - HOUR).order_by("at")
    times = list(sent.values_list("at", flat=True))
    most = settings.INVITATIONS_AN_HOUR
    if len(times) < most:
        return
    free = times[-most] + HOUR - now if most else HOUR
    seconds = round(free.total_seconds())
    minutes = max(1, round(seconds / 60))
    raise TooManyInvitations(
        ngettext(
            "You have sent %(number)d invitation within an hour; that is the most.",
            "You have sent %(number)d invitations within an hour; that is the most.",
            len(times),
        )
        % {"number": len(times)},
        action=ngettext(
            "Go on in %(number)d minute, or let another team admin invite.",
            "Go on in %(number)d minutes, or let another team admin invite.",
            minutes,
        )
        % {"number": minutes},
        retry_after=seconds,
    )


def _taken(ticket: str) -> Invitation:
    """The invitation, used up by this transaction; of several at once one gets it. Raises InvitationOver."""
    team = look(ticket).team
    Team.objects.select_for_update(no_key=True).get(pk=team.pk)
    invitation = look(ticket)  # as it is now that nobody else changes who is in the team
    now = timezone.now()
    if not Invitation.objects.open(now).filter(pk=invitation.pk).update(accepted_at=now):
        raise InvitationUnknown
    return invitation


def _join(invitation: Invitation, person: User) -> Membership:
    """An invitation takes nothing away: who has become more in the team meanwhile stays that."""
    team, role, inviter = invitation.team, MemberRole(invitation.role), invitation.invited_by
    Invitation.objects.filter(pk=invitation.pk).update(accepted_by=person)
    audit.record("invitation.accepted", invitation, by=person, invited_by=inviter.audit_name if inviter else "")
    there = Membership.objects.filter(team=team, user=person).first()
    if there is None:
        return grants.give(person, team, role, by=person)[0]
    if strength(role) > strength(there.given_role):
        Membership.objects.filter(pk=there.pk).update(given_role=role)
        departures.came_back(person, team, by=person)  # what waits for a decision was about a provider's gift alone
    return grants.settle(person, team, by=person) or there


def _check(draft: User, password: str) -> None:
    """Raises Invalid."""
    wrong = {}
    try:
        ONE_LINE(draft.name)
        if not 0 < len(draft.name) <= 150:
            raise ValidationError(gettext("Between 1 and 150 characters."))
    except ValidationError as error:
        wrong["name"] = " ".join(error.messages)
    try:
        validate_password(password, draft)
    except ValidationError as error:
        wrong["password"] = " ".join(error.messages)
    if wrong:
        raise Invalid(details=wrong)


def _said(moment: datetime | None) -> str:
    return f"{dates.day_and_year(moment)}, {moment:%H:%M} UTC" if moment else ""
