"""Budget windows: when the running one began and ends, what counts in it, and where it leads. USD, UTC."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

from portal.litellm import BudgetWindow

TOO_EARLY = timedelta(hours=1)
TOO_LITTLE = 20  # at least one part in twenty of a window
CENT = Decimal("0.01")


def window_of(budget_duration: str | None, now: datetime) -> tuple[datetime, datetime] | None:
    """When the running budget window began and when it ends. None: one window for ever."""
    if not budget_duration:
        return None
    window = BudgetWindow(budget_duration)
    return window.last_reset(now), window.next_reset(now)


def counted(counter: Decimal | None, resets_at: datetime | None, now: datetime) -> Decimal | None:
    """What a counter that was read earlier stands for now: nothing, once its window is over."""
    return Decimal(0) if counter is not None and resets_at and resets_at <= now else counter


def forecast(spent: Decimal, start: datetime, now: datetime, end: datetime) -> Decimal | None:
    """What will have been spent at `end` if it goes on as since `start`, USD.

    `start` is that of the window, or of the key where it is younger. The rate so far goes on evenly: spent, times the
    whole time, by the time that is over. None while it is too early to say: in the first hour, and in the first
    twentieth of the time. Three figures, but no parts of a cent: 0.42, 12.3, 4,560.
    """
    over, whole = now - start, end - start
    if over < TOO_EARLY or over * TOO_LITTLE < whole or whole <= timedelta(0):
        return None
    total = spent * Decimal(whole / timedelta(seconds=1)) / Decimal(min(over, whole) / timedelta(seconds=1))
    if not total:
        return Decimal(0)
    unit = max(CENT, Decimal(1).scaleb(total.adjusted() - 2))
    return (total / unit).quantize(Decimal(1), ROUND_HALF_UP) * unit
