"""Make and change key roles."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from keys.models import KeyRole, Proposal
from keys.services import leases, second
from portal import audit
from portal.errors import Conflict, Invalid
from teams.access import Actor, require
from teams.models import Team
from teams.roles import Can


def make(*, by: Actor, teams: Iterable[Team] = (), confirmed: bool = False, **fields: Any) -> KeyRole:
    """Make a key role. `fields` as on KeyRole: TTLs as timedelta, money in USD as Decimal.

    Raises NotAllowed, and Invalid with the fields named.
    """
    require(by, Can.MANAGE_PLATFORM)
    role, teams = KeyRole(**fields), list(teams)
    _check(role, teams)
    if _unlimited(role):
        given = {**fields, "teams": teams}
        second.needed(Proposal.Verb.ROLE_MAKE, role, given, by=by, confirmed=confirmed)
    return _save(role, teams, "role.made", by=by)


def change(
    role: KeyRole, *, by: Actor, teams: Iterable[Team] | None = None, confirmed: bool = False, **fields: Any
) -> KeyRole:
    """Change a key role; keys that were issued from it keep their limits.

    Raises NotAllowed, Invalid, and Conflict when somebody else changed it since `role` was read.
    """
    require(by, Can.MANAGE_PLATFORM)
    read, before = role.version, {name: getattr(role, name) for name in fields}
    for name, value in fields.items():
        setattr(role, name, value)
    chosen = None if teams is None else list(teams)
    _check(role, chosen)
    if _unlimited(role):
        given = fields if chosen is None else {**fields, "teams": chosen}
        if chosen is not None:
            before["teams"] = list(role.teams.all())
        before = {name: was for name, was in before.items() if given[name] != was}
        second.needed(Proposal.Verb.ROLE_CHANGE, role, given, by=by, before=before, confirmed=confirmed)
    role.version = read + 1
    return _save(role, chosen, "role.changed", read=read, by=by)


def end(role: KeyRole, *, by: Actor) -> KeyRole:
    """Let nobody issue or renew from the role any more, and end the keys it gave; its history stays.

    Raises NotAllowed. Source: the Vault engine, whose deletion of a role left its keys alive.
    """
    require(by, Can.MANAGE_PLATFORM)
    with transaction.atomic():
        if KeyRole.objects.filter(pk=role.pk, ended_at=None).update(ended_at=timezone.now()):
            audit.record("role.ended", role, by=by)
    role.refresh_from_db()
    leases.end_role(role, by=by)
    return role


def _unlimited(role: KeyRole) -> bool:
    """Whether its keys could call anything for any sum."""
    return role.all_models and role.max_budget is None


def _check(role: KeyRole, teams: list[Team] | None) -> None:
    """Raises Invalid with the fields named."""
    if teams is not None and not teams and not role.all_teams:
        raise Invalid(details={"teams": "Choose the teams that may use this role, or all teams."})
    role.models = list(dict.fromkeys(name.strip() for name in role.models if name.strip()))
    try:
        role.full_clean()
    except ValidationError as error:
        raise Invalid(details={name: " ".join(said) for name, said in error.message_dict.items()}) from None


def _save(role: KeyRole, teams: list[Team] | None, action: str, *, read: int = 0, by: Actor) -> KeyRole:
    with transaction.atomic():
        if read and not KeyRole.objects.filter(pk=role.pk, version=read).update(version=role.version):
            raise Conflict("Somebody else changed this key role meanwhile.")
        role.save()
        if teams is not None:
            role.teams.set([] if role.all_teams else teams)
        audit.record(
            action,
            role,
            by=by,
            gateway=role.gateway.name,
            ttl=role.ttl,
            max_ttl=role.max_ttl,
            approval=role.approval,
            teams="all" if role.all_teams else list(role.teams.values_list("slug", flat=True)),
            **role.limits(),
        )
    return role
