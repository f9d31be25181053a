"""Give the sandbox a past: what keys spent on which day, and their counters as if each call had been charged then.

For demos. It writes rows that `ledger.record` would have written; calls themselves (`/spend/logs`) it does not invent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from .models import DEFAULT_MODELS
from .store import Row, opened
from .windows import stamp

MODELS = {model.name: model for model in DEFAULT_MODELS}


@dataclass(frozen=True, slots=True)
class Day:
    """What one key did with one model on one UTC day; `spend` in USD, `model` as the sandbox offers it."""

    day: str  # YYYY-MM-DD
    model: str
    spend: float
    prompt: int
    completion: int
    succeeded: int
    failed: int


@dataclass(frozen=True, slots=True)
class Past:
    """One key's. `spend`: USD in its running budget window; `team_spend` and `member_spend`: what is of it in theirs.

    Times are UTC; `expires` None: as it is.
    """

    token: str
    created_at: datetime
    days: tuple[Day, ...] = ()
    last_active: datetime | None = None
    expires: datetime | None = None
    spend: float = 0.0
    team_spend: float = 0.0
    member_spend: float = 0.0
    endpoints: Mapping[str, str] = field(default_factory=lambda: {"embedding": "/embeddings"})

    @property
    def total(self) -> float:
        return round(sum(day.spend for day in self.days), 6)


def write(path: str | Path, pasts: Iterable[Past]) -> None:
    """Write all of it in one transaction. A key that is not there (any more) is left out."""
    with opened(path) as db, db.write():
        sums: dict[tuple[str, str], tuple[float, float]] = {}  # (table, id): what is added to spend and total
        for past in pasts:
            key = db.get("keys", past.token)
            if key is None:
                continue
            user, team, total = key["user_id"] or "", key["team_id"] or "", past.total
            for day in past.days:
                model = MODELS[day.model]
                endpoint = past.endpoints.get(model.mode, "/chat/completions")
                db.sql(
                    "INSERT INTO daily VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    day.day, user, team, past.token, model.target, day.model, model.provider, endpoint,
                    day.spend, day.prompt, day.completion, day.succeeded, day.failed,
                )  # fmt: skip
            db.put("keys", past.token, key | _moved(key, past))
            for name, added in (
                (("teams", team), (past.team_spend, 0.0)),
                (("members", f"{team}/{user}"), (past.member_spend, total)),
                (("users", user), (total, 0.0)),
            ):
                before = sums.get(name, (0.0, 0.0))
                sums[name] = (before[0] + added[0], before[1] + added[1])
        for (table, id_), (spent, total) in sums.items():
            row = db.get(table, id_) if id_ else None
            if row is not None:
                row["spend"] = round(row["spend"] + spent, 6)
                if "total_spend" in row:
                    row["total_spend"] = round(row["total_spend"] + total, 6)
                db.put(table, id_, row)


def _moved(key: Row, past: Past) -> Row:
    changed: Row = {
        "created_at": stamp(past.created_at),
        "updated_at": stamp(past.last_active or past.created_at),
        "spend": round(key["spend"] + past.spend, 6),
        "total_spend": round((key["total_spend"] or 0.0) + past.total, 6),
    }
    if past.last_active:
        changed["last_active"] = stamp(past.last_active)
    if past.expires:
        changed["expires"] = stamp(past.expires)
    return changed
