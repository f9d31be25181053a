"""The rule of who may do what: `require()` for one object, `within()` for lists. Source: teams/roles.py."""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db.models import F, Q, QuerySet
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext, gettext_lazy, pgettext

from portal.errors import NotAllowed, SignInAgain
from teams.models import Membership, Team, User
from teams.roles import SCOPES, Can, MemberRole, PlatformRole, Reach, Scope, reach, roles_with, together


class System:
    """Keydesk itself, when a sweep acts. It may do anything a sweep is written to do."""

    audit_id = ""
    audit_name = "Keydesk"
    audit_kind = "system"
    litellm_id = "keydesk"


SYSTEM = System()
Actor: TypeAlias = User | System

ONE = {
    MemberRole.VIEWER: gettext_lazy("a viewer"),
    MemberRole.MEMBER: gettext_lazy("a member"),
    MemberRole.APPROVER: gettext_lazy("an approver"),
    MemberRole.ADMIN: gettext_lazy("a team admin"),
}
# What Can.ACT_FOR_SERVICE lets somebody do with keys of the team's service accounts, as if they held them.
FOR_SERVICE = frozenset({Can.ISSUE_KEY, Can.RENEW_KEY, Can.REVOKE_KEY})


class Held(Protocol):
    """A row that belongs to a team and, maybe, to a holder."""

    @property
    def team_id(self) -> UUID: ...
    @property
    def holder_id(self) -> UUID: ...
    @property
    def holder(self) -> User: ...


def reach_of(actor: Actor | AnonymousUser, can: Can, team_id: UUID | None = None) -> Reach:
    """How far the actor's right goes in a team (None: on the platform)."""
    if isinstance(actor, System):
        return Reach.ANY
    if not isinstance(actor, User) or not _scoped(actor, can):
        return Reach.NONE
    return _granted(actor, can, team_id)


def _granted(user: User, can: Can, team_id: UUID | None) -> Reach:
    """What the person's roles give, whatever token is in use."""
    if not user.is_active:
        return Reach.NONE
    found = [Reach.NONE]
    if user.platform_role:
        found.append(_reach(can, PlatformRole(user.platform_role)))
    if team_id is not None:
        if user.service_team_id == team_id:
            found.append(_reach(can, MemberRole.MEMBER))
        role = Membership.objects.filter(user=user, team_id=team_id).values_list("role", flat=True).first()
        if role:
            found.append(_reach(can, MemberRole(role)))
    return together(found)


def _reach(can: Can, role: MemberRole | PlatformRole) -> Reach:
    """What the table says, or more where this installation lets people decide about themselves."""
    found = reach(can, role)
    return Reach.ANY if found is Reach.OTHERS and settings.ALLOW_SELF_APPROVAL else found


def allowed(actor: Actor | AnonymousUser, can: Can, target: Team | Held | None = None) -> bool:
    """Whether the actor has the right over `target`: a team, a held row, or (None) the platform."""
    if target is None:
        return reach_of(actor, can) is Reach.ANY
    if isinstance(target, Team):
        return reach_of(actor, can, target.pk) is not Reach.NONE
    found = reach_of(actor, can, target.team_id)
    if found is Reach.ANY or not isinstance(actor, User):
        return found is Reach.ANY
    if found is Reach.OTHERS:
        return target.holder_id != actor.pk
    return (found is Reach.OWN and target.holder_id == actor.pk) or _acts_for_holder(actor, can, target)


def _acts_for_holder(actor: User, can: Can, target: Held) -> bool:
    """Whether the holder is a service account of that team, for which the actor may act."""
    if can not in FOR_SERVICE or not _scoped(actor, can):
        return False
    acts = _granted(actor, Can.ACT_FOR_SERVICE, target.team_id) is Reach.ANY
    return acts and target.holder.service_team_id == target.team_id


def require(actor: Actor, can: Can, target: Team | Held | None = None) -> None:
    """Refuse unless `allowed()`. Raises NotAllowed, which names the right and who can do it or grant it."""
    if allowed(actor, can, target):
        return
    right = can.name.lower()
    team_id = target.pk if isinstance(target, Team) else target.team_id if target is not None else None
    of_teams = target is None and roles_with(can, Reach.ANY, Reach.OTHERS, Reach.OWN)  # perhaps of one of theirs
    if not isinstance(actor, User) or of_teams or _granted(actor, can, team_id) is not Reach.NONE:
        require_scope(actor, can)  # else no token of theirs would do
    if target is not None and not isinstance(target, Team) and reach_of(actor, can, target.team_id) is Reach.OTHERS:
        message = gettext("Nobody may %(act)s for themselves.") % {"act": gettext(can.value)}
    else:
        message = gettext("You may not %(act)s.") % {"act": gettext(can.value)}
    action, who = who_can(actor, can, target)
    raise NotAllowed(message, right=right, who=who, action=action)


def require_scope(actor: Actor, can: Can) -> None:
    """Refuse a token without the scope for the right: also where no role gives it, like to leave a team oneself.

    Raises NotAllowed.
    """
    if has_scope(actor, can):
        return
    raise NotAllowed(
        gettext("This token may not %(act)s.") % {"act": gettext(can.value)},
        right=can.name.lower(),
        action=gettext("Use a token with the scope %(scope)s.") % {"scope": SCOPES[can]},
        details={"scope": SCOPES[can].value},
    )


def require_fresh(actor: Actor) -> None:
    """Refuse who signed in too long ago for an act like this. Raises SignInAgain.

    The door says when that was; tokens and sweeps sign in with every act. Source: KEYDESK_REAUTH_MINUTES.
    """
    signed_in_at = actor.signed_in_at if isinstance(actor, User) else None
    if signed_in_at is not None and timezone.now() - signed_in_at > settings.REAUTH_AFTER:
        raise SignInAgain


def within(actor: User | AnonymousUser, can: Can, *, team: str = "team", holder: str = "holder") -> Q:
    """The rows over which the actor has the right, as a filter. `team`, `holder`: paths to those columns.

    A list of teams itself is asked with `team="pk"`; a right over some rows holds in the whole team then.
    """
    if not isinstance(actor, User) or not actor.is_active or not _scoped(actor, can):
        return Q(pk__in=[])
    platform = _reach(can, PlatformRole(actor.platform_role)) if actor.platform_role else Reach.NONE
    if team == "pk":
        return Q() if platform is not Reach.NONE else _where(actor, can, team, Reach.OWN, Reach.OTHERS, Reach.ANY)
    if platform is Reach.ANY:
        return Q()
    own, others = Q(**{holder: actor}), ~Q(**{holder: actor})
    found = _where(actor, can, team, Reach.ANY)
    found |= own & (Q() if platform is Reach.OWN else _where(actor, can, team, Reach.OWN))
    found |= others & (Q() if platform is Reach.OTHERS else _where(actor, can, team, Reach.OTHERS))
    if can in FOR_SERVICE:
        found |= _held_by_its_service_accounts(actor, team, holder)
    return found


def _where(actor: User, can: Can, team: str, *reaches: Reach) -> Q:
    """The teams in which the actor's role there goes so far."""
    roles = [role for role in MemberRole if _reach(can, role) in reaches]
    found = Q(**{f"{team}__in": Membership.objects.filter(user=actor, role__in=roles).values("team")})
    if actor.service_team_id and _reach(can, MemberRole.MEMBER) in reaches:
        found |= Q(**{team: actor.service_team_id})
    return found


def _held_by_its_service_accounts(actor: User, team: str, holder: str) -> Q:
    """Rows of `_acts_for_holder()`, as a filter."""
    theirs = Q(**{f"{holder}__service_team": F(team)})
    if actor.platform_role and reach(Can.ACT_FOR_SERVICE, PlatformRole(actor.platform_role)) is Reach.ANY:
        return theirs
    return theirs & _where(actor, Can.ACT_FOR_SERVICE, team, Reach.ANY)


def who_can(actor: Actor, can: Can, target: Team | Held | None = None) -> tuple[str, list[str]]:
    """Who may do what the actor may not, or can grant it: a sentence, and up to three names.

    People of a team are named to those who see it; what kind of person it takes, everybody is told.
    """
    team = target if target is None or isinstance(target, Team) else Team.objects.get(pk=target.team_id)
    over_all = roles_with(can, Reach.ANY, Reach.OTHERS)
    if team is None or not (over_all or roles_with(can, Reach.OWN)):
        role = can is Can.SEE_PLATFORM
        grants = gettext("A platform admin can give you that role") if role else gettext("A platform admin can")
        return _sentence(grants, platform_admins().values_list("name", "email") if isinstance(actor, User) else [])
    if can in FOR_SERVICE and not over_all and _is_held_by_service(target):
        over_all = roles_with(Can.ACT_FOR_SERVICE, Reach.ANY)  # nobody asks a machine
    seen = allowed(actor, Can.SEE_TEAM, team)
    if not over_all and isinstance(target, Team):
        admins = _named(team, [MemberRole.ADMIN]) if seen else []
        return _sentence(gettext("Members can, for themselves. A team admin can make you a member"), admins)
    if not over_all:
        holder = User.objects.none()
        if seen and target is not None and not isinstance(target, Team):
            holder = User.objects.filter(pk=target.holder_id)
        return _sentence(gettext("Only who holds it can"), holder.values_list("name", "email"))
    kind = capfirst(pgettext("between two kinds of people", " or ").join(str(ONE[role]) for role in over_all))
    if not seen:
        return _sentence(gettext("%(people)s can") % {"people": kind}, [])
    said = gettext("%(people)s of %(team)s can") % {"people": kind, "team": team}
    return _sentence(said, _named(team, over_all, but=actor))


def _is_held_by_service(target: Team | Held | None) -> bool:
    return target is not None and not isinstance(target, Team) and target.holder.service_team_id is not None


def _named(team: Team, roles: list[MemberRole], but: Actor | None = None) -> QuerySet[Any, tuple[str, str | None]]:
    there = Membership.objects.filter(team=team, role__in=roles, user__is_active=True)
    if isinstance(but, User):
        there = there.exclude(user=but)
    return there.order_by("user__name", "user__email").values_list("user__name", "user__email")


def _sentence(text: str, people: Any) -> tuple[str, list[str]]:
    names = [name or email for name, email in people[:3]]
    return (f"{text}: {', '.join(names)}." if names else f"{text}."), names


def platform_admins() -> QuerySet[User]:
    """The people who administer the platform now, by name."""
    return User.objects.filter(platform_role=PlatformRole.ADMIN, is_active=True).order_by("name", "email")


def admin_addresses(*, but: User | None = None) -> list[str]:
    """Where letters to the platform admins go. `but`: who does not need to be told."""
    others = platform_admins().exclude(pk=but.pk) if but else platform_admins()
    return [person.email for person in others if person.email]


def admins_of(team: Team) -> QuerySet[Membership]:
    """The memberships of those who administer the team now."""
    return Membership.objects.filter(team=team, role=MemberRole.ADMIN, user__is_active=True)


def administered_by(user: User) -> QuerySet[Membership]:
    """The memberships by which somebody administers teams that are not over."""
    return Membership.objects.filter(user=user, role=MemberRole.ADMIN, team__ended_at=None)


def may_still(user: User, can: Can, team: Team | None) -> bool:
    """Whether the person's roles give the right now, in the team or (None) on the platform, whatever token they use."""
    return _granted(user, can, team.pk if team else None) is Reach.ANY


def may_hold(user: User, team: Team) -> bool:
    """Whether `user` may hold keys of `team` now: both alive, and with the right to issue there."""
    return team.ended_at is None and _granted(user, Can.ISSUE_KEY, team.pk) is not Reach.NONE


def carried(user: User, *roles: MemberRole | PlatformRole) -> list[Can]:
    """The rights that these roles give together over some rows or all, as far as the token in use lets them count."""
    return [
        can for can in Can
        if _scoped(user, can) and together(_reach(can, role) for role in roles) is not Reach.NONE
    ]  # fmt: skip


def has_scope(actor: Actor, can: Can) -> bool:
    """Whether the token in use, if there is one, has the scope for the right: also for what no role gives."""
    return isinstance(actor, System) or _scoped(actor, can)


def _scoped(actor: Any, can: Can) -> bool:
    scopes: frozenset[Scope] | None = actor.scopes
    return scopes is None or SCOPES[can] in scopes
