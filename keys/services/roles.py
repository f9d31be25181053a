"""Make and change key roles."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from keys.models import How, Intent, KeyRole, Lease, Proposal, RoleVersion
from keys.models.role_version import terms_of
from keys.services import intents, leases, narrowing, second
from keys.services.simulator import Simulation, SimulationChanged
from keys.services.simulator import simulate as _simulate
from portal import audit
from portal.errors import Conflict, Invalid
from teams.access import Actor, require
from teams.models import Team, User
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
    role: KeyRole, *, by: Actor, teams: Iterable[Team] | None = None, confirmed: bool = False,
    how: How = How.LEAVE, seen: str | None = None, **fields: Any,
) -> KeyRole:  # fmt: skip
    """Change a key role. `how`: what becomes of live keys that have more than it gives from then on.

    `seen`: the mark of the simulation that was shown. Raises NotAllowed, Invalid, SimulationChanged, and Conflict
    when somebody else changed it since `role` was read.
    """
    require(by, Can.MANAGE_PLATFORM)
    how = How(how)  # a proposal keeps it as text
    read, before = role.version, {name: getattr(role, name) for name in fields}
    for name, value in fields.items():
        setattr(role, name, value)
    chosen = None if teams is None else list(teams)
    _check(role, chosen)
    if seen is not None and _simulate(role, teams=_slugs(role, chosen)).mark != seen:
        raise SimulationChanged
    if _unlimited(role):
        given = fields if chosen is None else {**fields, "teams": chosen}
        if chosen is not None:
            before["teams"] = list(role.teams.all())
        if how != How.LEAVE:
            before, given = {**before, "how": ""}, {**given, "how": how.value}
        before = {name: was for name, was in before.items() if given[name] != was}
        second.needed(Proposal.Verb.ROLE_CHANGE, role, given, by=by, before=before, confirmed=confirmed)
    role.version = read + 1
    return _save(role, chosen, "role.changed", read=read, how=how, by=by)


def simulate(role: KeyRole, *, by: Actor, teams: Iterable[Team] | None = None, **fields: Any) -> Simulation:
    """What `change` would do to the live keys of the role. Changes nothing, `role` included.

    Raises NotAllowed, and Invalid with the fields named.
    """
    require(by, Can.MANAGE_PLATFORM)
    draft = copy.copy(role)
    for name, value in fields.items():
        setattr(draft, name, value)
    chosen = None if teams is None else list(teams)
    _check(draft, chosen)
    return _simulate(draft, teams=_slugs(draft, chosen))


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
        raise Invalid(details={"teams": _("Choose the teams that may use this role, or all teams.")})
    role.models = list(dict.fromkeys(name.strip() for name in role.models if name.strip()))
    try:
        role.full_clean()
    except ValidationError as error:
        raise Invalid(details={name: " ".join(said) for name, said in error.message_dict.items()}) from None


def _slugs(role: KeyRole, teams: list[Team] | None) -> list[str]:
    """The teams that a role will be open to. `teams` None: those it is open to now."""
    if role.all_teams:
        return []
    return [team.slug for team in (role.teams.all() if teams is None else teams)]


def _save(
    role: KeyRole, teams: list[Team] | None, action: str, *, read: int = 0, how: How = How.LEAVE, by: Actor
) -> KeyRole:
    promises: list[Intent] = []
    over: list[Lease] = []
    with transaction.atomic(durable=how is How.NOW):  # durable: committed before the gateway hears of it
        if read:
            _keep_first(KeyRole.objects.select_related("gateway").get(pk=role.pk), read)
            if not KeyRole.objects.filter(pk=role.pk, version=read).update(version=role.version):
                raise Conflict(_("Somebody else changed this key role meanwhile."))
        role.save()
        if teams is not None:
            role.teams.set([] if role.all_teams else teams)
        opened = list(role.teams.values_list("slug", flat=True))
        RoleVersion.objects.create(
            role=role, number=role.version, terms=terms_of(role, opened), how=how, at=timezone.now(),
            by=by if isinstance(by, User) else None, by_name=by.audit_name[:254],
        )  # fmt: skip
        if how is How.NOW:
            promises, over = narrowing.narrow(role, by=by)
        done: dict[str, Any] = {"how": how, "narrowed": len(promises), "ended": len(over)} if read else {}
        audit.record(
            action,
            role,
            by=by,
            gateway=role.gateway.name,
            ttl=role.ttl,
            max_ttl=role.max_ttl,
            approval=role.approval,
            auto_ttl=role.auto_ttl,
            auto_budget=role.auto_budget,
            excess=role.excess,
            teams="all" if role.all_teams else opened,
            **done,
            **role.limits(),
        )
    intents.settle(promises)
    if over:
        leases.revoke_many(over, by=by, reason=f"the key role {role} gives nothing of it any more")
    return role


def _keep_first(stored: KeyRole, read: int) -> None:
    """Keep what a role said when versions were not kept yet, so that its first change has something to differ from."""
    if stored.version == read and not stored.versions.filter(number=read).exists():
        opened = list(stored.teams.values_list("slug", flat=True))
        RoleVersion.objects.create(role=stored, number=read, terms=terms_of(stored, opened), at=stored.created_at)
