"""Who decides a request. Source: the right `decide` of teams/roles.py, and what that table cannot say."""

from __future__ import annotations

from uuid import UUID

from django.conf import settings
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from keys.models import Decider, KeyRequest, RequestEntry
from portal.errors import NotAllowed
from teams.access import Actor, allowed, has_scope, platform_admins
from teams.models import ApiToken, Membership, User
from teams.roles import Can, Reach, roles_with

Act = RequestEntry.Act
State = KeyRequest.State


def deciders(request: KeyRequest) -> QuerySet[User]:
    """The people who are asked to decide it: of its team, of the platform, or after an escalation of both."""
    roles = roles_with(Can.DECIDE, Reach.OTHERS, Reach.ANY)
    asked = Q(pk__in=Membership.objects.filter(team=request.team_id, role__in=roles).values("user"))
    if request.decider == Decider.PLATFORM:
        admins = Q(pk__in=platform_admins().values("pk"))
        asked = asked | admins if request.escalated_at else admins
    found = User.objects.filter(asked, is_active=True).exclude(pk__in=approvers(request))
    if not settings.ALLOW_SELF_APPROVAL:
        found = found.exclude(pk__in=[request.holder_id, request.asked_by_id, *_speaks_for(request.asked_by)])
    return found.order_by("name", "email")


def may_decide(request: KeyRequest, user: Actor) -> bool:
    """Whether `user` may approve or deny it now; a platform admin may, asked or not."""
    if request.state != State.PENDING or not allowed(user, Can.DECIDE, request):
        return False
    return refusal_of(request, user) is None and not (isinstance(user, User) and user.pk in approvers(request))


def may_say(request: KeyRequest, user: Actor) -> bool:
    """Whether `user` has a part in it: who asked, who will hold, and those who decide for others."""
    mine = isinstance(user, User) and user.pk in {request.asked_by_id, request.holder_id}
    part = mine and has_scope(user, Can.ISSUE_KEY) and allowed(user, Can.SEE_TEAM, request.team)
    return part or allowed(user, Can.DECIDE, request)


def refusal_of(request: KeyRequest, by: Actor) -> NotAllowed | None:
    """What the table of rights does not say: not as who asked for a service account, nor in the platform's place."""
    right = Can.DECIDE.name.lower()
    asked = isinstance(by, User) and by.pk in {request.asked_by_id, *_speaks_for(request.asked_by)}
    if asked and not settings.ALLOW_SELF_APPROVAL:
        return NotAllowed(_("Nobody decides what they asked for."), right=right, action=_("Another approver can."))
    if request.decider == Decider.PLATFORM and not request.escalated_at and not allowed(by, Can.MANAGE_PLATFORM):
        names = [str(each) for each in platform_admins()[:3]]
        return NotAllowed(
            _("A platform admin decides this."), right=right, who=names, action=_("Wait for one of them.")
        )
    return None


def _speaks_for(machine: User) -> set[UUID]:
    """Who made a token with which a service account may have asked: they would decide what they asked for."""
    if machine.kind != User.Kind.SERVICE:
        return set()
    return set(ApiToken.objects.filter(owner=machine).exclude(made_by=None).values_list("made_by", flat=True))


def approvals(request: KeyRequest) -> QuerySet[RequestEntry]:
    return RequestEntry.objects.filter(request=request.pk, act=Act.APPROVED)


def standing_approvals(request: KeyRequest) -> list[RequestEntry]:
    """Those of people who may still decide it: whoever lost the right since has no part in the decision."""
    given = approvals(request).select_related("who")
    return [each for each in given if each.who is None or allowed(each.who, Can.DECIDE, request)]


def approvers(request: KeyRequest) -> QuerySet[RequestEntry, object]:
    """Who has approved it already, of two."""
    return approvals(request).exclude(who=None).values_list("who", flat=True)
