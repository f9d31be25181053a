"""Read a gateway whole, and look at single keys once more. Nothing here touches our tables, or changes the gateway."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

from keys.models import Gateway
from keys.services import gateways
from portal.litellm import KeyInfo, KeyNotFound, Page, Team
from portal.litellm.rows import Row, walk
from teams.access import Actor

PATIENCE = 300.0  # seconds for a whole walk; 100 keys a page
UI_TEAM = "litellm-dashboard"  # the proxy's own: its keys are sign-ins to LiteLLM's pages

R = TypeVar("R", bound=Row)


@dataclass(frozen=True, slots=True)
class There:
    """What a gateway had: keys by hash, teams by their id there. `at`: before the first page was asked for."""

    at: datetime
    keys: Mapping[str, KeyInfo]
    teams: Mapping[str, Team]


def read(gateway: Gateway, *, by: Actor, now: datetime) -> There:
    """Every key and every team. Raises GatewayAway, GatewayRefused.

    Pages are an OFFSET there: where a key is deleted meanwhile, the walk skips another. So a key that is missing
    here is not known to be gone before `look` has said so.
    """
    with gateways.calling(gateway, by=by, seconds=PATIENCE) as line:
        keys = _all(lambda page: line.client.keys.list_page(page, sort_by="token", sort_order="asc"))
        teams = _all(lambda page: line.client.teams.list_v2_page(page, sort_by="team_id"))
        return There(
            at=now,
            keys={key.token: key for key in keys if key.token and key.team_id != UI_TEAM},
            teams={team.team_id: team for team in teams},
        )


def _all(page_of: Callable[[int], Page[R]]) -> Iterator[R]:
    """The rows of every page, without what nobody asks for: a listed key has eighty fields."""
    return (replace(row, extra={}) for row in walk(page_of))


class Look:
    """Single rows as they are at this moment. Raises what the client raises."""

    def __init__(self, line: gateways.Line) -> None:
        self._line = line

    def key(self, token: str) -> KeyInfo | None:
        """None: it is not there."""
        try:
            there = self._line.client.keys.info(token)
        except KeyNotFound:
            return None
        return None if there.status == "deleted" else there

    def team(self, team_id: str) -> Team | None:
        """By the list: `/team/info` answers with every key of the team."""
        return next(iter(self._line.client.teams.list_v2_page(1, 1, team_id=team_id).items), None)


def mark(key: KeyInfo) -> Mapping[str, Any]:
    """What a Keydesk wrote on the key; nothing: none did."""
    found = key.metadata.get("keydesk")
    return found if isinstance(found, Mapping) else {}


def instance_of(key: KeyInfo) -> str:
    """Which Keydesk the key says it is of; blank: none."""
    return str(mark(key).get("instance") or "")
