"""Issue a key. Product rule: whatever dies on the way, no key stays that nobody has."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from math import ceil
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from keys.models import Intent, KeyRole, Lease, State
from keys.services import gateways, granted, intents, teams, words
from keys.services.attempts import (
    Attempt,
    Issued,
    begin,
    give_up,
    make,
    note_issued,
    try_out,
    verify_expiry,
)
from keys.services.errors import AlreadyIssued, ApprovalNeeded, EndedMeanwhile, GatewayAway, HolderLeft, TooManyKeys
from keys.services.minting import new_alias
from keys.services.terms import Ask, Terms, terms
from portal import audit
from portal.litellm import IssuedKey, KeyInfo, LiteLLMError, hash_key
from teams.access import Actor, may_hold, require
from teams.models import Team, User
from teams.roles import Can

AN_HOUR = timedelta(hours=1)


def open_roles(team: Team) -> Any:
    """The key roles that `team` may issue from."""
    return KeyRole.objects.open_to(team).with_gateway()


def issue(ask: Ask, *, holder: User, by: Actor, once: UUID | None = None) -> Issued:
    """Issue a virtual key for `holder`, oneself or a service account of one's team, within what the role gives.

    With `ask.granted`, an approved request: exactly what was granted, and once. `once` is a form's token: the same one
    again raises AlreadyIssued, with the lease.
    Raises NotAllowed, HolderLeft, TooManyKeys, OverLimit, ApprovalNeeded, AllowanceSpent, RoleEnded, NotClaimable,
    NotConfigured, GatewayAway, GatewayRefused, EndedMeanwhile. After any of them no key stays on the gateway, or an
    intent ends it.
    """
    require(by, Can.ISSUE_KEY, Lease(team=ask.team, holder=holder))
    if once and (before := Lease.objects.filter(holder=holder, once=once).first()):
        raise AlreadyIssued(before)
    if holder != by and not may_hold(holder, ask.team):
        raise HolderLeft(
            _("%(holder)s may not hold keys of %(team)s.") % {"holder": holder, "team": ask.team},
            action=_("Choose another holder."),
        )
    _first_problem(ask, holder)  # before the gateway is bothered
    with gateways.calling(ask.role.gateway, by=by) as line:
        teams.place(line, ask.team)
        attempt = _promise(ask, holder, once, by=by)
        try:
            there = make(line, attempt)
            token = attempt.version.token_hash or hash_key(attempt.secret)
            verified = verify_expiry(line, token, attempt.version.lease.expires_at, there.expires)
        except (LiteLLMError, GatewayAway) as error:
            give_up(attempt, error.message)
            raise
        if _complete(attempt, there, by=by):
            return Issued(attempt.secret, attempt.version.lease, try_out(line, attempt.secret, verified))
    give_up(attempt, EndedMeanwhile.message)
    intents.settle(Intent.objects.filter(version=attempt.version))
    raise EndedMeanwhile


def _first_problem(ask: Ask, holder: User) -> Terms:
    found = terms(ask, holder=holder)
    if found.problems:
        raise found.problems[0]
    if found.decider:
        where = f"{settings.URL}{reverse('keys:issue')}?{urlencode({'team': ask.team.slug, 'role': ask.role.name})}"
        raise ApprovalNeeded(
            " ".join(each.message for each in found.excess),
            action=_("Ask for it at %(where)s. Once it is approved, its holder claims the key.") % {"where": where},
            details={name: said for each in found.excess for name, said in each.details.items()},
        )
    return found


def _promise(ask: Ask, holder: User, once: UUID | None, *, by: Actor) -> Attempt:
    """Commit the lease, its first version and the intent that ends it, before the gateway hears of the key."""
    try:
        with transaction.atomic(durable=True):
            people = {holder.pk: holder} | ({by.pk: by} if isinstance(by, User) else {})
            for pk in sorted(people):  # one allowance at a time is counted, and never two in another order
                User.objects.select_for_update(no_key=True).get(pk=pk)
            for person in people.values():
                _not_too_many(person)
            if ask.granted:
                ask = replace(ask, granted=granted.take(ask.granted))
            agreed = _first_problem(ask, holder)
            now = agreed.issued_at
            lease = Lease.objects.create(
                alias=new_alias(ask.role.prefix),
                name=words.one_line(ask.name),
                purpose=words.one_line(ask.purpose),
                team=ask.team,
                holder=holder,
                role=ask.role,
                gateway=ask.role.gateway,
                limits=agreed.limits(ask.role),
                once=once,
                issued_by=by if isinstance(by, User) else None,
                issued_at=now,
                expires_at=agreed.expires_at,
                max_expires_at=agreed.max_expires_at,
            )
            if ask.granted:
                granted.begun(ask.granted, lease)
            return begin(lease, now)
    except IntegrityError:
        before = Lease.objects.filter(holder=holder, once=once).first() if once else None
        if before is None:
            raise
        raise AlreadyIssued(before) from None


def _not_too_many(person: User) -> None:
    """Refuse the next key of an hour that had its share; under the lock on the person. Raises TooManyKeys.

    Counted are attempts, so a script that fails is held up like one that does not: those they asked for, whoever holds
    the key now, and those that others asked for and gave to them at once.
    """
    most, now = settings.ISSUES_AN_HOUR, timezone.now()
    if not most:
        return
    theirs = Q(issued_by=person) | Q(holder=person, handed_over_at=None)
    times = Lease.objects.filter(theirs, issued_at__gt=now - AN_HOUR).order_by("-issued_at")
    oldest = list(times.values_list("issued_at", flat=True)[most - 1 : most])
    if oldest:
        wait = ceil((oldest[0] + AN_HOUR - now).total_seconds())
        raise TooManyKeys(
            _("%(person)s got %(most)s keys within an hour: no more are issued until then.")
            % {"person": person, "most": most},
            retry_after=wait,
        )


def _complete(attempt: Attempt, there: IssuedKey | KeyInfo, *, by: Actor) -> bool:
    """The last commit: the lease becomes active and the intent is torn up. False: it was ended meanwhile."""
    lease = attempt.version.lease
    with transaction.atomic(durable=True):
        if not lease.move({State.ISSUING}, State.ACTIVE):
            return False
        stands = may_hold(lease.holder, lease.team) and open_roles(lease.team).filter(pk=lease.role_id).exists()
        if not stands or not note_issued(attempt, there, timezone.now()) or not granted.fulfil(lease, by=by):
            transaction.set_rollback(True)
            return False
        audit.record(
            "key.issued", lease, by=by, secret=hash_key(attempt.secret), role=lease.role.name,
            expires_at=lease.expires_at, **lease.limits,
        )  # fmt: skip
    return True
