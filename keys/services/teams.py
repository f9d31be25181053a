"""See that our teams are teams on the gateways, with their budgets, so that the proxy enforces them."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import structlog

from keys.models import Gateway
from keys.services import gateways
from keys.services.errors import GatewayAway, GatewayRefused
from portal.litellm import AlreadyExists, ServerError
from portal.litellm import Team as TeamThere
from portal.models import Installation
from teams.access import Actor
from teams.models import Team

log = structlog.get_logger(__name__)


def place(line: gateways.Line, team: Team) -> None:
    """See that `team` is a team on the gateway, with our budget: made at first use, and again if it vanished.

    Concurrent makers get 500 from the proxy, and a key of a team that is not there is made but dead, so the
    team is looked at afterwards. Raises LiteLLMError.
    """
    team.refresh_from_db(fields=["max_budget", "budget_duration"])
    budget = {"max_budget": team.max_budget, "budget_duration": team.budget_duration or None}
    there = _team_there(line, team)
    if there is None:
        with suppress(AlreadyExists, ServerError):  # somebody else makes it at this moment; the look below tells
            line.client.teams.new(
                team_id=team.litellm_id,
                alias=team.name,
                metadata={"keydesk": {"instance": Installation.current(), "team": team.slug}},
                **(budget if team.max_budget is not None else {}),
            )
        there = _team_there(line, team)
        if there is None:
            raise GatewayRefused("The gateway did not make the team.")
    if there.max_budget != team.max_budget or (
        team.max_budget is not None and there.budget_duration != (team.budget_duration or None)
    ):
        line.client.teams.update(team.litellm_id, **(budget if team.max_budget is not None else dict.fromkeys(budget)))


def _team_there(line: gateways.Line, team: Team) -> TeamThere | None:
    """The team as the gateway has it. By the list: `/team/info` answers with every key of the team."""
    return next(iter(line.client.teams.list_v2_page(1, 1, team_id=team.litellm_id).items), None)


def show_budget(sender: object = None, *, team: Team, by: Actor, **_: Any) -> None:
    """Carry a changed team budget to every gateway where the team has keys; a proxy that is away gets it with
    the team's next key."""
    ends = time.monotonic() + gateways.PATIENCE
    for gateway in Gateway.objects.filter(leases__team=team).distinct():
        try:
            with gateways.calling(gateway, by=by, seconds=ends - time.monotonic()) as line:
                place(line, team)
        except (GatewayAway, GatewayRefused) as error:
            log.warning("team_budget_not_placed", gateway=gateway.name, team=team.slug, reason=error.message)
