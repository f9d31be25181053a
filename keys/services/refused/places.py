"""The places where a call can stop, and what is said of each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from django.utils.translation import gettext_lazy as _

from keys.services.budgets import Link


class Place(StrEnum):
    """Where a call can stop, in the order in which they are walked."""

    KEY = "key"
    MODELS = "models"
    BUDGET = "budget"  # of the key
    HOLDER = "holder"
    TEAM = "team"
    ROLE = "role"
    GATEWAY = "gateway"
    RATES = "rates"


NAMES = {
    Place.KEY: _("Key"),
    Place.MODELS: _("Models"),
    Place.BUDGET: _("Its budget"),
    Place.HOLDER: _("Holder"),
    Place.TEAM: _("Team"),
    Place.ROLE: _("Key role"),
    Place.GATEWAY: _("Gateway"),
    Place.RATES: _("Rates"),
}
OF_LINK = {"key": Place.BUDGET, "holder": Place.HOLDER, "team": Place.TEAM, "gateway": Place.GATEWAY}


@dataclass(frozen=True, slots=True)
class Step:
    """One place of the chain. `stops`: it is the one limit that binds. Times are UTC."""

    place: Place
    words: str
    note: str = ""
    stops: bool = False
    limit: str = ""  # of the one that binds: what it is, in a few words
    set_by: str = ""
    resets_at: datetime | None = None
    link: Link | None = None

    @property
    def name(self) -> str:
        return str(NAMES[self.place])
