"""Renew a lease: from now, never past its max TTL, the proxy first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext

from keys.models import Intent, KeyRole, Lease, State
from keys.models.intent import ABANDONED
from keys.models.role import SHORTEST_TTL
from keys.services import gateways, intents, letters, narrowing
from keys.services.bounds import Held
from keys.services.errors import EndedMeanwhile, GatewayAway, HolderLeft, NothingLeft, NotNow, OverLimit, RoleEnded
from keys.services.shape import rest_of
from keys.services.terms import SLACK
from portal import audit, dates
from portal.errors import Invalid, PortalError
from portal.litellm import KeyNotFound, LiteLLMError, format_duration
from portal.templatetags.ui import amid
from teams.access import Actor, may_hold, require
from teams.roles import Can


@dataclass(frozen=True, slots=True)
class Renewal:
    """What renewing would give, and what stands in the way. Times are UTC, money is USD."""

    expires_at: datetime
    capped: bool  # less than was asked: the max TTL is near
    ceiling: Decimal | None  # the most it can cost from now until then; None: no limit of its own
    problem: PortalError | None = None
    shrinks: Held | None = None  # its role became narrower meanwhile: what it has from then on


def renewal(lease: Lease, ttl: timedelta | None = None, now: datetime | None = None) -> Renewal:
    """Work out a renewal by `ttl` (None: what its role gives at a time), counted from now. Never raises for limits.

    It never makes a lease shorter. Source: Vault's `increment`, which counts from now as well.
    """
    now = now or timezone.now()
    asked = lease.role.default_ttl if ttl is None else ttl
    wanted = now + asked
    shrinks = narrowing.due_at_renewal(lease, now)
    held = shrinks or Held.by(lease)
    expires_at = max(lease.expires_at, min(wanted, held.max_expires_at))
    return Renewal(
        expires_at=expires_at,
        capped=expires_at < wanted,
        ceiling=held.most(now, expires_at),
        problem=_problem(lease, held, asked, now),
        shrinks=shrinks,
    )


def renew(lease: Lease, *, by: Actor, ttl: timedelta | None = None) -> Lease:
    """Let the lease live `ttl` from now, or as much of it as its max TTL leaves; the proxy learns it first.

    Raises NotAllowed, NotNow, NothingLeft, RoleEnded, HolderLeft, OverLimit, Invalid, GatewayAway, GatewayRefused,
    EndedMeanwhile. After any of them the lease ends when it did before: our clock ends it even if the proxy has
    the later time.
    """
    require(by, Can.RENEW_KEY, lease)
    agreed = renewal(lease, ttl)
    if agreed.problem:
        raise agreed.problem
    net = _net(lease)
    with gateways.calling(lease.gateway, by=by) as line:
        _lengthen(line, lease, agreed.expires_at, net)
    intents.settle(_commit(lease, agreed.expires_at, by=by))
    lease.refresh_from_db()
    return lease


def _problem(lease: Lease, held: Held, asked: timedelta, now: datetime) -> PortalError | None:
    if lease.state != State.ACTIVE or lease.expires_at <= now:
        word = gettext("over its time") if lease.state == State.ACTIVE else amid(lease.get_state_display())
        return NotNow(gettext("This key is %(word)s: it cannot be renewed.") % {"word": word})
    if not may_hold(lease.holder, lease.team):
        return HolderLeft()
    if not KeyRole.objects.open_to(lease.team).filter(pk=lease.role_id).exists():
        return RoleEnded(
            gettext("The key role %(role)s is not open to %(team)s any more, so this key is not renewed.")
            % {"role": lease.role, "team": lease.team}
        )
    if held.opens_nothing:
        return RoleEnded(
            gettext("The key role %(role)s gives none of its models any more, so this key is not renewed.")
            % {"role": lease.role}
        )
    if held.max_expires_at - lease.expires_at < timedelta(seconds=1):
        return NothingLeft(
            gettext("This key reached its max TTL: it ends %(moment)s.") % {"moment": dates.full(held.max_expires_at)}
        )
    if asked < SHORTEST_TTL:
        said = gettext("The shortest TTL is 30 seconds.")
        return Invalid(said, details={"ttl": said})
    if asked > lease.role.default_ttl:
        said = gettext("%(role)s gives %(default_ttl)s at a time.") % {
            "role": lease.role,
            "default_ttl": format_duration(lease.role.default_ttl),
        }
        return OverLimit(said, details={"ttl": said})
    return None


def _net(lease: Lease) -> Intent:
    """Promise that the key there will look like our row in a minute, whatever becomes of this renewal."""
    due = timezone.now() + ABANDONED
    return Intent.objects.promise(Intent.Kind.SHAPE, due, gateway_id=lease.gateway_id, version=lease.current)


def _lengthen(line: gateways.Line, lease: Lease, until: datetime, net: Intent) -> None:
    """Have the proxy move the expiry. An answer that was not read is settled by a look, and `net` goes on watching.

    Raises LiteLLMError, and NotNow for a key that somebody deleted there.
    """
    token = lease.current.token_hash or ""
    try:
        there = line.client.keys.update(token, duration=rest_of(until))
        if there.expires and abs(there.expires - until) <= SLACK:
            return
    except KeyNotFound:
        raise NotNow(
            gettext("The gateway does not have this key any more, so it cannot be renewed."),
            action=gettext("Replace its secret, or issue another key."),
        ) from None
    except LiteLLMError as error:
        if error.applied is False:
            raise
        net.unclear(timezone.now())
    read = line.client.keys.info(token)
    if not read.expires or abs(read.expires - until) > SLACK:
        line.client.keys.update(token, duration=rest_of(until))
        read = line.client.keys.info(token)
    if not read.expires or abs(read.expires - until) > SLACK:
        raise GatewayAway(gettext("%(gateway)s did not take the new expiry.") % {"gateway": lease.gateway})


def _commit(lease: Lease, until: datetime, *, by: Actor) -> list[Intent]:
    """Our row follows, if the lease still stands; the later of two renewals at once wins. Raises EndedMeanwhile.

    Answers the promises that its keys look like the row: the current key may be another one by now, or another's
    renewal may have been the last to reach the proxy; what its role gives less now, the older key loses as well.
    """
    now = timezone.now()
    with transaction.atomic(durable=True):
        row = Lease.objects.select_for_update().get(pk=lease.pk)
        if row.state not in {State.ACTIVE, State.ROTATING, State.PAUSED} or row.expires_at <= now:
            raise EndedMeanwhile(gettext("This key was ended while it was being renewed."))
        shrinks, had = narrowing.due_at_renewal(row, now), narrowing.said(Held.by(row))
        before, row.expires_at = row.expires_at, max(row.expires_at, until)
        row.renewed_at = now
        less: dict[str, Any] = {"had": had, "has": narrowing.said(shrinks)} if shrinks else {}
        if shrinks and not shrinks.opens_nothing:
            row.limits, row.max_expires_at = shrinks.limits, max(row.expires_at, shrinks.max_expires_at)
        row.save(update_fields=["expires_at", "renewed_at", "limits", "max_expires_at"])
        row.versions.filter(pk=row.current.pk).update(dies_at=row.expires_at)
        audit.record(
            "key.renewed", row, by=by, secret=row.current.token_hash, before=before, expires_at=row.expires_at, **less
        )
        letters.acted_on(row, "renewed", by=by)
        keys = [each for each in row.versions.all() if each.is_live] if shrinks else [row.current]
        shape = Intent.Kind.SHAPE
        return [Intent.objects.promise(shape, now, gateway_id=row.gateway_id, version=each) for each in keys]
