"""Sweeps: Celery tasks without arguments, each with a row in the database that says how its runs went.

`settings.SWEEPS` is the schedule. A run is two short writes, one before it and one after it, and no transaction
between them: ten hosts may sweep at once, and a process killed at any line leaves nothing that has to be repaired.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import wraps
from typing import TYPE_CHECKING, overload

import structlog
from django.conf import settings
from django.db import connection
from django.db.models import F, Q, Value
from django.db.models.functions import NullIf
from django.utils import timezone

from portal.models import Sweep, in_short

if TYPE_CHECKING:
    from celery.app.task import Task

    Work = Callable[[], int | Mapping[str, int] | None]
    SweepTask = Task[[], dict[str, int] | None]

log = structlog.get_logger(__name__)

LATE_AFTER = 3  # intervals without a run that ended well ...
LATE_AT_LEAST = 120.0  # ... and no less than these seconds: a restart is no trouble


@overload
def sweep(work: Work, /) -> SweepTask: ...
@overload
def sweep(*, alone: bool = ...) -> Callable[[Work], SweepTask]: ...
def sweep(work: Work | None = None, /, *, alone: bool = False) -> SweepTask | Callable[[Work], SweepTask]:
    """Make `work` a Celery task whose runs are recorded, with what it returns: a number, or named numbers.

    `alone`: at most one run at a time on all hosts; where it cannot be claimed, nothing runs. What is due less often
    than beat offers it is alone anyway, and does nothing until it is due. A run that fails is due again at once.
    A claim older than CELERY_TASK_TIME_LIMIT is void: its run was killed.

    An error is recorded and raised again: Celery writes the traceback, and whoever watches tasks sees one that failed.
    """
    if work is None:
        return lambda work: _task(work, alone=alone)
    return _task(work, alone=alone)


def _task(work: Work, *, alone: bool) -> SweepTask:
    from celery import shared_task  # noqa: PLC0415  (0.1 s; web processes only ask how the sweeps are)

    task = f"{work.__module__}.{work.__name__}"

    @wraps(work)
    def run() -> dict[str, int] | None:
        began, clock, every = timezone.now(), time.monotonic(), settings.SWEEPS.get(task, 0.0)
        rare = every > settings.SWEEPS_OFFERED_EVERY
        try:
            if not _begin(work.__name__, began, alone=alone or rare, every=every if rare else 0.0):
                return None  # another host is at it, or it is not due
        except Exception:
            if alone or rare:
                raise
            log.warning("sweep_not_recorded", sweep=work.__name__, exc_info=True)
        try:
            counts = _named(work())
        except Exception as error:
            _end(work.__name__, began, clock, error=in_short(error), failures=F("failures") + 1)
            raise
        ended_well = {"counts": counts, "error": "", "failures": 0, "succeeded_at": timezone.now()}
        _end(work.__name__, began, clock, **ended_well)
        return counts

    return shared_task(run)


def _named(told: int | Mapping[str, int] | None) -> dict[str, int]:
    return {"done": told} if isinstance(told, int) else dict(told or {})


def _begin(name: str, now: datetime, *, alone: bool, every: float) -> bool:
    """Note that a run begins. False: it must not. One conditional UPDATE, so of ten hosts one gets True."""
    free = Q()
    if alone:
        free &= Q(running_since=None) | Q(running_since__lte=now - _longest_run())
    if every:  # half an offer early rather than half an offer late
        due = now - timedelta(seconds=every - settings.SWEEPS_OFFERED_EVERY / 2)
        free &= Q(succeeded_at=None) | Q(succeeded_at__lte=due)
    row = Sweep.objects.filter(name=name)
    if row.filter(free).update(started_at=now, running_since=now):
        return True
    _, first = Sweep.objects.get_or_create(name=name)
    if not first:
        return not (alone or every)
    return bool(row.filter(free).update(started_at=now, running_since=now))


def _end(name: str, began: datetime, clock: float, **how: object) -> None:
    """Note how a run ended. That this fails is logged: the work itself is done."""
    try:
        if connection.errors_occurred:  # what broke the run may have been the connection
            connection.close_if_unusable_or_obsolete()
        Sweep.objects.filter(name=name).update(
            finished_at=timezone.now(),
            seconds=round(time.monotonic() - clock, 3),
            running_since=NullIf(F("running_since"), Value(began)),  # a later run's own note stays
            **how,
        )
    except Exception:
        log.warning("sweep_not_recorded", sweep=name, exc_info=True)


def _longest_run() -> timedelta:
    return timedelta(seconds=settings.CELERY_TASK_TIME_LIMIT)


@dataclass(frozen=True, slots=True)
class SweepStatus:
    """How a sweep is doing. `late`: no run has ended well for three intervals, and two minutes at least.

    A long run that began before that is not late. One that is killed each time is: its last start moves away.
    """

    name: str
    every: float  # seconds
    started_at: datetime | None
    finished_at: datetime | None  # the last run that ended, well or not; so are `seconds` and `error`
    succeeded_at: datetime | None
    seconds: float | None
    counts: dict[str, int]  # of the last run that ended well
    error: str  # blank: the last run ended well
    failures: int  # in a row
    running_since: datetime | None
    late: bool
    due_at: datetime  # when the next run is due


def status() -> list[SweepStatus]:
    """All sweeps of the schedule, in its order. One that never ran is late when it has been looked for in vain for
    that long, so nothing is late on the first day's first minutes."""
    schedule = {task.rpartition(".")[2]: every for task, every in settings.SWEEPS.items()}
    rows = {row.name: row for row in Sweep.objects.filter(name__in=schedule)}
    if unknown := [Sweep(name=name) for name in schedule if name not in rows]:
        Sweep.objects.bulk_create(unknown, ignore_conflicts=True)  # from now on we wait for it
        rows |= {row.name: row for row in unknown}
    now = timezone.now()
    return [_status(rows[name], every, now) for name, every in schedule.items()]


def _status(row: Sweep, every: float, now: datetime) -> SweepStatus:
    running = row.running_since if row.running_since and row.running_since > now - _longest_run() else None
    patience = timedelta(seconds=max(LATE_AFTER * every, LATE_AT_LEAST))
    pause = min(every, settings.SWEEPS_OFFERED_EVERY) if row.failures or not row.succeeded_at else every
    return SweepStatus(
        name=row.name,
        every=every,
        started_at=row.started_at,
        finished_at=row.finished_at,
        succeeded_at=row.succeeded_at,
        seconds=row.seconds,
        counts=row.counts,
        error=row.error,
        failures=row.failures,
        running_since=running,
        late=(running or now) - (row.succeeded_at or row.created_at) > patience,
        due_at=(row.started_at or row.created_at) + timedelta(seconds=pause),
    )


def late() -> list[str]:
    """The names of the sweeps that are late."""
    return [each.name for each in status() if each.late]


def last_succeeded(name: str) -> datetime | None:
    """When the last run of this sweep ended well. None: none has."""
    return Sweep.objects.filter(name=name).values_list("succeeded_at", flat=True).first()
