"""See that our teams are teams on the gateways, so that the proxies enforce their budgets and their holders'."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Any

from django.utils import timezone

from keys.models import Counter, Intent
from keys.services import gateways
from keys.services.errors import GatewayRefused
from portal.litellm import AlreadyExists, Membership, ServerError, TeamNotFound
from portal.litellm import Team as TeamThere
from portal.models import Installation
from teams.models import Team, User

People = Mapping[str, Membership]  # by the id of the user there


def place(line: gateways.Line, team: Team) -> None:
    """See that `team` is a team on the gateway, with our name and budgets: made at first use, and again if it vanished.

    Concurrent makers get 500 from the proxy, and a key of a team that is not there is made but dead, so the
    team is looked at afterwards. Raises LiteLLMError.
    """
    team.refresh_from_db(fields=["name", "max_budget", "budget_duration"])
    holders = _holders(line, team)
    budget = {"max_budget": team.max_budget, "budget_duration": team.budget_duration or None}
    if team.max_budget is None:
        budget = dict.fromkeys(budget)
    there, people = _look(line, team, with_people=bool(holders))
    if there is None:
        with suppress(AlreadyExists, ServerError):  # somebody else makes it at this moment; the look below tells
            line.client.teams.new(
                team_id=team.litellm_id,
                alias=team.name,
                metadata={"keydesk": {"instance": Installation.current(), "team": team.slug}},
                **(budget if team.max_budget is not None else {}),
            )
        there, people = _look(line, team, with_people=bool(holders))
        if there is None:
            raise GatewayRefused("The gateway did not make the team.")
    changes: dict[str, Any] = {} if there.alias == team.name else {"alias": team.name}
    if there.max_budget != team.max_budget or (
        team.max_budget is not None and there.budget_duration != budget["budget_duration"]
    ):
        changes |= budget
    if changes:
        line.client.teams.update(team.litellm_id, **changes)
    for user, limit in holders.items():
        _place_holder(line, team, user, limit, there, people)
    _look_again(line, team, holders)


def _budgets(holders: Mapping[User, Decimal | None]) -> dict[User, Decimal]:
    return {user: limit for user, limit in holders.items() if limit is not None}


def _look_again(line: gateways.Line, team: Team, holders: Mapping[User, Decimal | None]) -> None:
    """Promise it anew if somebody changed our row meanwhile: what they placed may have come before ours."""
    placed = (team.name, team.max_budget, team.budget_duration, _budgets(holders))
    team.refresh_from_db(fields=["name", "max_budget", "budget_duration"])
    now = (team.name, team.max_budget, team.budget_duration, _budgets(_holders(line, team)))
    if line.gateway and placed != now:
        Intent.objects.promise(Intent.Kind.SHAPE, timezone.now(), gateway_id=line.gateway.pk, team=team)


def _look(line: gateways.Line, team: Team, *, with_people: bool) -> tuple[TeamThere | None, People]:
    """The team as the gateway has it, and its members where they matter. By the list otherwise, which is cheaper."""
    if not with_people:
        return next(iter(line.client.teams.list_v2_page(1, 1, team_id=team.litellm_id).items), None), {}
    try:
        told = line.client.teams.info(team.litellm_id, key_limit=1)  # without a limit it tells every key of the team
    except TeamNotFound:
        return None, {}
    return told.team, {each.user_id: each for each in told.memberships}


def _holders(line: gateways.Line, team: Team) -> dict[User, Decimal | None]:
    """Who has a budget of their own in the team, or may have one on this gateway from before (None).

    The counter of a holder is the mark that the gateway has been given a budget, made before it is.
    """
    marked = Counter.objects.filter(gateway=line.gateway, team=team, holder__isnull=False).select_related("holder")
    holders: dict[User, Decimal | None] = {each.holder: None for each in marked if each.holder}
    budgeted = team.memberships.filter(max_budget__isnull=False).select_related("user")
    return holders | {each.user: each.max_budget for each in budgeted}


def _place_holder(
    line: gateways.Line, team: Team, user: User, limit: Decimal | None, there: TeamThere, people: People
) -> None:
    """Give the gateway a holder's budget, or take it back. Never by `member_delete`: it deletes that person's keys."""
    window = (team.budget_duration or None) if limit is not None else None
    known = people.get(user.litellm_id)
    mark = Counter.objects.filter(gateway=line.gateway, team=team, holder=user)
    if limit is not None and line.gateway and not mark.exists():
        spent = known.spend if known else Decimal(0)
        Counter.objects.get_or_create(
            gateway=line.gateway, team=team, holder=user, defaults={"spend": spent, "read_at": timezone.now()}
        )
    if limit is None and known is None:
        mark.delete()
        return
    same = known is not None and known.max_budget == limit
    if not same or (known is not None and limit is not None and known.budget_duration != window):
        if known is None and user.litellm_id not in {member.user_id for member in there.members}:
            with suppress(AlreadyExists):
                line.client.teams.member_add(
                    team.litellm_id, user_id=user.litellm_id, max_budget_in_team=limit, budget_duration=window
                )
                return
        line.client.teams.member_update(
            team.litellm_id, user_id=user.litellm_id, max_budget_in_team=limit, budget_duration=window
        )
    if limit is None:
        mark.delete()
