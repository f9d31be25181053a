"""Counting in the cache that all web processes share: how often, within the running minute."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from django.core.cache import BaseCache, caches
from django.core.cache.backends.db import DatabaseCache
from django.utils import timezone

MINUTE = 60  # seconds
STEP = 20  # requests that a process counts by itself between two words with a table: each costs it several queries


@dataclass(frozen=True, slots=True)
class Limit:
    """How one caller stands in the running minute. `used` has this request in it; `reset`: seconds until the next."""

    most: int
    used: int
    reset: int

    @property
    def headers(self) -> dict[str, str]:
        left = max(0, self.most - self.used)
        return {"RateLimit-Limit": str(self.most), "RateLimit-Remaining": str(left), "RateLimit-Reset": str(self.reset)}


def counted(key: str, by: int = 1, cache: BaseCache | None = None) -> int:
    """Add to a count that is forgotten after a minute or two; answers what it is now."""
    kept = cache or caches["default"]
    try:
        return int(kept.incr(key, by))
    except ValueError:  # it is the first, or the one before has expired
        return by if kept.add(key, by, 2 * MINUTE) else int(kept.incr(key, by))


def use(who: str, most: int) -> Limit:
    """Count one request of `who`."""
    now = timezone.now().timestamp()
    key = f"api:{who}:{int(now // MINUTE)}"
    used = _in_steps(key) if isinstance(caches["default"], DatabaseCache) else counted(key)
    return Limit(most, used, ceil(MINUTE - now % MINUTE))


def _in_steps(key: str) -> int:
    """The same where the shared cache is a table: each process takes STEP requests from it at a time, and counts them.

    So a limit is reached up to STEP requests early or late for each other process that serves the same caller.
    """
    near = caches["near"]
    here = counted(key, cache=near)
    if here % STEP == 1:
        taken = here - 1 + STEP  # by this process so far
        near.set(f"{key}:others", max(0, counted(key, STEP) - taken), 2 * MINUTE)
    return here + int(near.get(f"{key}:others", 0))
