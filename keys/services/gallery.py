"""Key roles as products: what each gives somebody, the most it costs, who decides, and for which team to get it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from django.db.models import Case, QuerySet, Value, When

from keys.models import KeyRole
from keys.services.terms import worst_ceiling
from teams.access import within
from teams.models import Team, User
from teams.roles import Can


@dataclass(frozen=True, slots=True)
class Product:
    """One key role, as somebody sees it. Money is USD."""

    role: KeyRole
    most: Decimal | None  # the most that one key costs from issue to its end; None: no limit of its own
    renewed: Decimal | None  # if it is renewed as far as it goes
    teams: tuple[Team, ...]  # for which they may get a key of it; the first ones
    opens_to: tuple[Team, ...]  # of those they see, where it is not open to all


def products(user: User, roles: QuerySet[KeyRole]) -> list[Product]:
    """The roles, which `user` may see, as products. Three queries more, whatever their number."""
    shown = list(roles.prefetch_related("teams"))
    seen = set(Team.objects.filter(within(user, Can.SEE_TEAM, team="pk")).values_list("pk", flat=True))
    mine = _getting_for(user, {team.pk for role in shown for team in role.teams.all()})
    return [_product(role, mine, seen) for role in shown]


def _getting_for(user: User, named: set[UUID]) -> list[Team]:
    """Teams for which they may get a key, their own first; of all teams those that a role names, and one more."""
    theirs = Case(When(memberships__user=user, then=Value(0)), default=Value(1))
    teams = Team.objects.filter(within(user, Can.ISSUE_KEY, team="pk"), ended_at=None).annotate(rank=theirs)
    ordered = list(teams.order_by("rank", "name", "pk")[:MOST])
    found = {team.pk: team for team in reversed(ordered)}  # once each, by its better rank
    unique = sorted(found.values(), key=ordered.index)
    return [team for at, team in enumerate(unique) if at == 0 or team.rank == 0 or team.pk in named]


MOST = 500  # teams that are looked at


def _product(role: KeyRole, mine: Iterable[Team], seen: set[UUID]) -> Product:
    opened = {team.pk for team in role.teams.all()}
    return Product(
        role=role,
        most=worst_ceiling(role.max_budget, role.budget_duration, role.default_ttl),
        renewed=worst_ceiling(role.max_budget, role.budget_duration, role.longest_ttl),
        teams=tuple(team for team in mine if role.all_teams or team.pk in opened),
        opens_to=tuple(team for team in role.teams.all() if team.pk in seen and not role.all_teams),
    )
