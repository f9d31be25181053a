"""Import a key that somebody made on the gateway itself: it becomes a lease, and its secret stays as it is."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from keys.models import Intent, KeyRole, KeyVersion, Lease, State, UnmanagedKey
from keys.models.role import SHORTEST_TTL
from keys.services import gateways, intents, letters, spend, teams
from keys.services.errors import HolderLeft, RoleEnded
from keys.services.findings import CannotAdopt, known_window, models_of, plain
from keys.services.minting import new_alias
from keys.services.reconcile.walk import Look, instance_of
from portal import audit
from portal.errors import Conflict, Invalid, PortalError
from portal.litellm import KeyInfo
from portal.models import Installation
from teams.access import Actor, may_hold, require
from teams.models import Team, User
from teams.roles import Can

log = structlog.get_logger(__name__)

LONGEST_ALIAS = 120


class KeyGone(Conflict):
    """The key is not on the gateway any more, or does not work there."""

    code = "key_gone"
    action = gettext_noop("Run the reconcile: the list is made anew.")


class OfAnotherKeydesk(Conflict):
    """Another Keydesk has this key on its books."""

    code = "of_another_keydesk"
    message = gettext_noop("Another Keydesk has this key on its books, and would go on acting on it.")
    action = gettext_noop("Revoke it there, or take it over knowing that both will act on it.")


class AlreadyImported(Conflict):
    """The key is a lease already; `lease` is which."""

    code = "already_imported"
    action = gettext_noop("Open the lease.")

    def __init__(self, lease: Lease) -> None:
        super().__init__(
            _("This key is a lease already: %(lease)s.") % {"lease": lease}, details={"lease": str(lease.pk)}
        )
        self.lease = lease


def adopt_key(
    key: UnmanagedKey,
    *,
    team: Team,
    holder: User,
    role: KeyRole,
    by: Actor,
    name: str = "",
    ttl: timedelta | None = None,
    take_over: bool = False,
) -> Lease:
    """Make a lease of a key that is on the gateway already. Nobody here ever learns its secret, and it goes on working.

    The lease has the key's own limits, and its own expiry; with `ttl`, or where it has none, it ends so long from now;
    never later than the role allows. The key moves to the team and the holder, and gets our metadata: at once, or as
    soon as the gateway answers. A blocked key becomes a paused lease. `take_over`: though it is another Keydesk's.
    Raises NotAllowed, RoleEnded, HolderLeft, KeyGone, OfAnotherKeydesk, AlreadyImported, CannotAdopt, Invalid,
    GatewayAway, GatewayRefused.
    """
    require(by, Can.MANAGE_PLATFORM)
    _check(key, team, holder, role, ttl)
    with gateways.calling(key.gateway, by=by) as line:
        there = Look(line).key(key.token_hash)
        if there is None:
            raise KeyGone(_("This key is not on the gateway any more."))
        if instance_of(there) not in {"", Installation.current()} and not take_over:
            raise OfAnotherKeydesk
        teams.place(line, team)
    now = timezone.now()
    if there.expires is not None and there.expires <= now:
        raise KeyGone(_("This key has expired on the gateway."), action=_("Issue another key."))
    lease, promises = _import(key, there, team, holder, role, now, by=by, name=name, ttl=ttl)
    intents.settle(promises)
    try:
        spend.history(lease.versions.get(), (there.created_at or now).date(), now)
    except PortalError as error:  # what it spent before is copied, or shown as a difference
        log.warning("history_not_copied", lease=str(lease.pk), reason=error.message)
    lease.refresh_from_db()
    return lease


def _check(key: UnmanagedKey, team: Team, holder: User, role: KeyRole, ttl: timedelta | None) -> None:
    _first_free(key.token_hash)
    if role.gateway_id != key.gateway_id:
        raise RoleEnded(_("The key role %(role)s is of another gateway.") % {"role": role})
    if not KeyRole.objects.open_to(team).filter(pk=role.pk).exists():
        raise RoleEnded(_("The key role %(role)s is not open to %(team)s.") % {"role": role, "team": team})
    if not may_hold(holder, team):
        raise HolderLeft(
            _("%(holder)s may not hold keys of %(team)s.") % {"holder": holder, "team": team},
            action=_("Choose a member of the team."),
        )
    if ttl is not None and ttl < SHORTEST_TTL:
        said = _("The shortest TTL is 30 seconds.")
        raise Invalid(said, details={"ttl": said})


def _first_free(token: str) -> None:
    before = KeyVersion.objects.filter(token_hash=token).select_related("lease").first()
    if before is not None:
        raise AlreadyImported(before.lease)


def _import(
    key: UnmanagedKey,
    there: KeyInfo,
    team: Team,
    holder: User,
    role: KeyRole,
    now: datetime,
    *,
    by: Actor,
    name: str,
    ttl: timedelta | None,
) -> tuple[Lease, list[Intent]]:
    """Commit the lease and the promise that the key there will look like it, together."""
    limits = _limits(there, role)
    expires_at = _end(there, role, now, ttl)
    try:
        with transaction.atomic(durable=True):
            alias = new_alias(role.prefix)
            lease = Lease.objects.create(
                alias=alias,
                name=(name or there.alias or "")[:80],
                purpose="Imported from the gateway.",
                team=team,
                holder=holder,
                role=role,
                gateway_id=key.gateway_id,
                limits=limits,
                state=State.PAUSED if there.blocked else State.ACTIVE,
                pause_reason="blocked on the gateway" if there.blocked else "",
                paused_by=by if there.blocked and isinstance(by, User) else None,
                issued_at=now,
                expires_at=expires_at,
                max_expires_at=max(expires_at, now + role.longest_ttl),
            )
            version = KeyVersion.objects.create(
                lease=lease,
                token_hash=key.token_hash,
                key_name=(there.name or key.key_name)[:20],
                alias=_alias(there, alias),
                issued_at=now,
                dies_at=expires_at,
            )
            promise = Intent.objects.promise(Intent.Kind.SHAPE, now, gateway_id=key.gateway_id, version=version)
            audit.record(
                "key.imported", lease, by=by, secret=key.token_hash, before=plain(_before(there)), role=role.name,
                expires_at=expires_at, **limits,
            )  # fmt: skip
            letters.acted_on(lease, "imported", by=by)
            UnmanagedKey.objects.filter(pk=key.pk).delete()
    except IntegrityError:
        _first_free(key.token_hash)
        raise
    return lease, [promise]


def _before(there: KeyInfo) -> dict[str, Any]:
    """Whose it was, for the audit: the key there will not say it any more."""
    return {
        "alias": there.alias, "team": there.team_id, "user": there.user_id, "expires_at": there.expires,
        "key_type": there.key_type, "instance": instance_of(there),
    }  # fmt: skip


def _limits(there: KeyInfo, role: KeyRole) -> dict[str, Any]:
    """What the key may do there, as a lease keeps it. Raises CannotAdopt."""
    if there.max_budget is not None and there.max_budget <= 0:
        raise CannotAdopt(
            _("Its budget is 0, which blocks it."), action=_("Give it a budget on the gateway first, or let it be.")
        )
    return {
        **role.limits(),
        **models_of(there),
        "max_budget": None if there.max_budget is None else plain(there.max_budget),
        "budget_duration": known_window(there.budget_duration if there.max_budget is not None else None),
        "tpm_limit": there.tpm_limit,
        "rpm_limit": there.rpm_limit,
        "max_parallel_requests": there.max_parallel_requests,
    }  # the key type is the role's: of its next secret, when it is rotated


def _end(there: KeyInfo, role: KeyRole, now: datetime, ttl: timedelta | None) -> datetime:
    own = there.expires if ttl is None and there.expires is not None else now + (ttl or role.default_ttl)
    return min(own, now + role.longest_ttl)


def _alias(there: KeyInfo, ours: str) -> str:
    """The key's own alias, where it can be ours; else the lease's, which it gets there."""
    own = there.alias or ""
    fits = 0 < len(own) <= LONGEST_ALIAS and "\0" not in own
    return own if fits and not KeyVersion.objects.filter(alias=own).exists() else ours
