"""Money on the pages of keys and teams, from our own tables: what is counted, what is left, where it leads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django import template
from django.template import Context
from django.utils import timezone

from keys.models import Counter, Lease
from keys.services import budgets
from keys.services.budgets import Link
from keys.templatetags.leases import read_at
from portal.drawing import Bar, bar
from teams.access import within
from teams.models import Team
from teams.roles import Can

register = template.Library()


@dataclass(frozen=True, slots=True)
class Row:
    """What a list shows of a key beside the key itself."""

    link: Link  # its own budget, and what counts against it
    may_end: bool

    @property
    def bar(self) -> Bar | None:
        return bar(self.link.spent, self.link.limit)


@register.simple_tag(takes_context=True)
def ledger_rows(context: Context, leases: Iterable[Lease]) -> list[tuple[Lease, Row]]:
    """Leases with their money, and whether whoever looks may end them; a few queries for all."""
    found = list(leases)
    user = context["request"].user
    mine = Lease.objects.live().filter(within(user, Can.REVOKE_KEY), pk__in=[lease.pk for lease in found])
    ends = set(mine.values_list("pk", flat=True))
    chains = budgets.chains(found)
    return [(lease, Row(chains[lease.pk].links[0], lease.pk in ends)) for lease in found]


@register.simple_tag
def holder_spend(team: Team) -> dict[UUID, Decimal]:
    """What the gateways count against each holder in the team's running window, USD; of several the highest."""
    now, found = timezone.now(), dict[UUID, Decimal]()
    for counter in Counter.objects.filter(team=team).exclude(holder=None):
        spent = budgets.counted(counter.spend, counter.resets_at, now) or Decimal(0)
        if counter.holder_id:
            found[counter.holder_id] = max(spent, found.get(counter.holder_id, Decimal(0)))
    return found


@register.filter
def at(found: dict[Any, Any], key: Any) -> Any:
    """The value under a key that is in a variable."""
    return found.get(key)


@register.filter
def any_may_end(rows: list[tuple[Lease, Row]]) -> bool:
    """Whether whoever looks may end one of these."""
    return any(row.may_end for _, row in rows)


@register.filter
def oldest_reading(rows: list[tuple[Lease, Row]]) -> datetime | None:
    """Since when what a list says of money may be out of date; None: of none it was ever read."""
    return min((at for lease, _ in rows if (at := read_at(lease))), default=None)
