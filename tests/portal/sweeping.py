"""Three sweeps to try the records with, and their schedule. Import `schedule` to use it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from portal import sweeps
from portal.models import Sweep
from portal.sweeps import sweep

DAY = 24 * 3600.0
work: list[Callable[[], Any]] = []  # what the sweeps below do; Celery knows each name once, so they are not made anew


@sweep
def plain() -> Any:
    return work[0]()


@sweep(alone=True)
def single() -> Any:
    return work[0]()


@sweep(alone=True)
def daily() -> Any:
    return work[0]()


@pytest.fixture(autouse=True)
def schedule(settings) -> Iterator[None]:
    settings.SWEEPS = {f"{__name__}.plain": 20.0, f"{__name__}.single": 20.0, f"{__name__}.daily": DAY}
    work[:] = [lambda: {"kept": 3}]
    yield
    work.clear()


class Killed(BaseException):
    """What no code may catch: the process is gone."""


def killed() -> None:
    raise Killed


def row(name: str = "plain") -> Sweep:
    return Sweep.objects.get(name=name)


def seen(name: str = "plain") -> sweeps.SweepStatus:
    return next(each for each in sweeps.status() if each.name == name)
