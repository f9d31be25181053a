"""The rule of who may do what: `require()` for one object, `within()` for lists. Source: teams/roles.py."""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias
from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.db.models import Q

from portal.errors import NotAllowed
from teams.models import Membership, Team, User
from teams.roles import SCOPES, Can, MemberRole, PlatformRole, Reach, Scope, reach, who_can


class System:
    """Keydesk itself, when a sweep acts. It may do anything a sweep is written to do."""

    audit_id = ""
    audit_name = "Keydesk"
    audit_kind = "system"
    litellm_id = "keydesk"


SYSTEM = System()
Actor: TypeAlias = User | System


class Held(Protocol):
    """A row that belongs to a team and, maybe, to a holder."""

    @property
    def team_id(self) -> UUID: ...
    @property
    def holder_id(self) -> UUID: ...


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
        found.append(reach(can, PlatformRole(user.platform_role)))
    if team_id is not None:
        if user.service_team_id == team_id:
            found.append(reach(can, MemberRole.MEMBER))
        role = Membership.objects.filter(user=user, team_id=team_id).values_list("role", flat=True).first()
        if role:
            found.append(reach(can, MemberRole(role)))
    return max(found, key=lambda each: each.value)


def allowed(actor: Actor | AnonymousUser, can: Can, target: Team | Held | None = None) -> bool:
    """Whether the actor has the right over `target`: a team, a held row, or (None) the platform."""
    if target is None:
        return reach_of(actor, can) is Reach.ANY
    if isinstance(target, Team):
        return reach_of(actor, can, target.pk) is not Reach.NONE
    found = reach_of(actor, can, target.team_id)
    return found is Reach.ANY or (found is Reach.OWN and isinstance(actor, User) and target.holder_id == actor.pk)


def require(actor: Actor, can: Can, target: Team | Held | None = None) -> None:
    """Refuse unless `allowed()`. Raises NotAllowed, which names the right and who can grant it."""
    if allowed(actor, can, target):
        return
    if isinstance(actor, User) and not _scoped(actor, can):
        raise NotAllowed(
            f"This token may not {can.value}.",
            action=f"Use a token with the scope {SCOPES[can]}.",
            details={"right": can.name.lower(), "scope": SCOPES[can].value},
        )
    raise NotAllowed(f"You may not {can.value}.", action=who_can(can), details={"right": can.name.lower()})


def within(actor: User | AnonymousUser, can: Can, *, team: str = "team", holder: str = "holder") -> Q:
    """The rows over which the actor has the right, as a filter. `team`, `holder`: paths to those columns.

    A list of teams itself is asked with `team="pk"`; a right of reach OWN holds in the whole team then.
    """
    nothing = Q(pk__in=[])
    if not isinstance(actor, User) or not actor.is_active or not _scoped(actor, can):
        return nothing
    in_all = (Reach.ANY, Reach.OWN) if team == "pk" else (Reach.ANY,)
    platform = reach(can, PlatformRole(actor.platform_role)) if actor.platform_role else Reach.NONE
    if platform in in_all:
        return Q()
    mine = Membership.objects.filter(user=actor)
    whole = mine.filter(role__in=[role for role in MemberRole if reach(can, role) in in_all]).values("team")
    found = Q(**{f"{team}__in": whole})
    if actor.service_team_id and reach(can, MemberRole.MEMBER) in in_all:
        found |= Q(**{team: actor.service_team_id})
    if team != "pk":
        own = mine.filter(role__in=[role for role in MemberRole if reach(can, role) is Reach.OWN]).values("team")
        where = Q(**{f"{team}__in": own})
        if actor.service_team_id and reach(can, MemberRole.MEMBER) is Reach.OWN:
            where |= Q(**{team: actor.service_team_id})
        found |= Q(**{holder: actor}) & (Q() if platform is Reach.OWN else where)
    return found


def may_hold(user: User, team: Team) -> bool:
    """Whether `user` may hold keys of `team` now: both alive, and with the right to issue there."""
    return team.ended_at is None and _granted(user, Can.ISSUE_KEY, team.pk) is not Reach.NONE


def _scoped(actor: Any, can: Can) -> bool:
    scopes: frozenset[Scope] | None = actor.scopes
    return scopes is None or SCOPES[can] in scopes
