"""The effective limit of a key: every budget that a call must pass, in order, and the one that binds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext

from keys.models import Counter, Lease, State
from keys.models.lease import ENDED
from keys.services.budgets.windows import counted, window_of
from portal import dates
from portal.models import AuditEvent
from portal.templatetags.ui import amid
from teams.models import Membership, User

NOTHING = Decimal(0)
MOST_EVENTS = 1000  # read for "who set it", newest first
Pair = tuple[UUID, UUID]  # team, holder


@dataclass(frozen=True, slots=True)
class Link:
    """One budget of a chain. Money is USD of the running window, times are UTC."""

    kind: str  # key, team, holder, role, gateway
    who: str
    limit: Decimal | None  # None: this one limits nothing
    window: str  # as LiteLLM writes it; blank: one window for ever
    spent: Decimal  # what the proxy counts against it
    resets_at: datetime | None
    set_by: str  # who gave the limit, in words; blank without one
    as_of: datetime | None  # when `spent` was read; None: it has not been yet
    enforced: bool = True  # the gateway stops calls by it; a key role only bounds what its keys are issued with

    @property
    def left(self) -> Decimal | None:
        return None if self.limit is None else max(NOTHING, self.limit - self.spent)


@dataclass(frozen=True, slots=True)
class Chain:
    """All that a call with a key must pass. `stops`: reasons other than money why no call passes now, in words."""

    links: tuple[Link, ...]
    stops: tuple[str, ...]

    @property
    def binding(self) -> Link | None:
        """The enforced budget with the least left; of equals, the nearest to the key. None: nothing limits it."""
        limiting = [link for link in self.links if link.enforced and link.left is not None]
        return min(limiting, key=lambda link: link.left or NOTHING, default=None)

    @property
    def is_spent(self) -> bool:
        return self.binding is not None and not self.binding.left


def chain(lease: Lease, now: datetime | None = None) -> Chain:
    """The chain of one key, from our tables alone: links in the order key, team, holder, role, gateway."""
    return chains([lease], now)[lease.pk]


def chains(leases: Iterable[Lease], now: datetime | None = None) -> dict[UUID, Chain]:
    """The chains of many keys, by the pk of their leases, in six queries for all of them."""
    now = now or timezone.now()
    rows = Lease.objects.filter(pk__in=[lease.pk for lease in leases]).prefetch_related("versions")
    found = list(rows.select_related("team", "holder", "role", "gateway").defer("gateway__master_key"))
    teams = {lease.team_id for lease in found}
    counters = {
        (each.gateway_id, each.team_id, each.holder_id): each
        for each in Counter.objects.filter(team__in=teams).filter(
            Q(holder=None) | Q(holder__in={lease.holder_id for lease in found})
        )
    }
    people = Membership.objects.filter(team__in=teams, user__in={lease.holder_id for lease in found})
    budgets = {(each.team_id, each.user_id): each.max_budget for each in people}
    setters = _setters(found)
    return {
        lease.pk: Chain(tuple(_links(lease, counters, budgets, setters, now)), tuple(_stops(lease, now)))
        for lease in found
    }


def _links(
    lease: Lease,
    counters: Mapping[tuple[int, UUID, UUID | None], Counter],
    budgets: Mapping[Pair, Decimal | None],
    setters: Mapping[object, str],
    now: datetime,
) -> Iterable[Link]:
    team, holder, role, gateway = lease.team, lease.holder, lease.role, lease.gateway
    window, current = lease.limits.get("budget_duration") or "", lease.current
    spent = counted(current.counter, current.resets_at, now) or NOTHING
    resets_at = _next_reset(window, current.resets_at, now)
    given = gettext("key role %(role)s") % {"role": role}
    if lease.max_budget != role.max_budget:
        given = gettext("%(holder)s, when the key was issued") % {"holder": holder}
    yield Link(
        "key", str(lease), lease.max_budget, window, spent, resets_at,
        _said(lease.max_budget, given), current.counter_at,
    )  # fmt: skip
    for kind, who, limit, counter, set_by in (
        ("team", team, team.max_budget, counters.get((gateway.pk, team.pk, None)), setters.get(team.pk)),
        ("holder", holder, budgets.get((team.pk, holder.pk)), counters.get((gateway.pk, team.pk, holder.pk)),
         setters.get((team.pk, holder.audit_name))),
    ):  # fmt: skip
        yield Link(
            kind,
            str(who),
            limit,
            team.budget_duration if limit is not None else "",
            (counted(counter.spend, counter.resets_at, now) if counter else None) or NOTHING,
            _next_reset(team.budget_duration, counter.resets_at if counter else None, now) if limit else None,
            _said(limit, set_by or gettext("a team admin")),
            counter.read_at if counter else None,
        )
    yield Link(
        "role", str(role), role.max_budget, role.budget_duration, spent, resets_at,
        _said(role.max_budget, gettext("a platform admin")), current.counter_at, enforced=False,
    )  # fmt: skip
    yield Link(
        "gateway", str(gateway), gateway.max_budget, "", gateway.spend or NOTHING, None,
        _said(gateway.max_budget, gettext("the proxy's own settings")),
        gateway.spend_synced_at if gateway.spend is not None else None,
    )  # fmt: skip


def _next_reset(window: str, told: datetime | None, now: datetime) -> datetime | None:
    """When the counter resets: as the proxy told, unless that is over, or it has not been asked."""
    running = window_of(window, now)
    return told if told and told > now else running[1] if running else None


def _said(limit: Decimal | None, words: str) -> str:
    return "" if limit is None else words


def _setters(leases: Iterable[Lease]) -> dict[object, str]:
    """Who gave the budgets of teams (by pk) and of holders in them (by team and audit name), in words."""
    teams = {str(lease.team_id): lease.team_id for lease in leases if lease.team.max_budget is not None}
    people = {str(lease.team_id): lease.team_id for lease in leases}
    told = AuditEvent.objects.filter(target_type="team").filter(
        Q(action__in=["team.made", "team.changed"], target_id__in=teams)
        | Q(action="member.budget_changed", target_id__in=people)
    )
    events = list(told.only("action", "actor", "actor_id", "target_id", "at", "facts", "before", "after")[:MOST_EVENTS])
    actors = {event.actor_id for event in events if event.actor_id}
    names = {str(user.pk): str(user) for user in User.objects.filter(pk__in=actors)} if actors else {}
    found: dict[object, str] = {}
    for event in events:
        who = names.get(event.actor_id, event.actor)
        if event.action == "member.budget_changed":
            subject: object = (people[event.target_id], event.facts.get("person"))
        elif event.action == "team.changed" and "max_budget" not in _facts(event, "after"):
            continue
        else:
            subject = teams[event.target_id]
        made = event.action == "team.made"
        found.setdefault(
            subject,
            gettext("%(who)s, when the team was made") % {"who": who}
            if made
            else gettext("%(who)s, on %(day)s") % {"who": who, "day": dates.padded_day(event.at)},
        )
    return found


def _facts(event: AuditEvent, name: str) -> Mapping[str, Any]:
    found = event.all_facts.get(name)
    return found if isinstance(found, Mapping) else {}


def _stops(lease: Lease, now: datetime) -> Iterable[str]:
    """Why no call passes now, whatever the budgets say."""
    if lease.state == State.ISSUING:
        yield gettext("It is still being issued.")
    elif lease.state == State.PAUSED:
        yield (
            gettext("It is paused: %(pause_reason)s.") % {"pause_reason": lease.pause_reason}
            if lease.pause_reason
            else gettext("It is paused.")
        )
    elif lease.state == State.REVOKING:
        yield gettext("It is being revoked.")
    elif lease.state in ENDED:
        yield gettext("It has ended: %(get_state_display)s.") % {"get_state_display": amid(lease.get_state_display())}
    if lease.is_live:
        if lease.expires_at <= now:
            yield gettext("Its time is up.")
        if lease.team.ended_at:
            yield gettext("The team %(team)s has ended.") % {"team": lease.team}
        if lease.role.ended_at:
            yield gettext("The key role %(role)s has ended.") % {"role": lease.role}
        if not lease.holder.is_active:
            yield gettext("The account of %(holder)s is closed.") % {"holder": lease.holder}
