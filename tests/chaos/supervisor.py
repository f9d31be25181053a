"""Starts again what was killed, as Compose or systemd would, and keeps the list of who was killed when."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from types import TracebackType

from tests.chaos.services import Service
from tests.ground.processes import eventually

STARTS = 120  # seconds
LOOKS = 0.1  # seconds between two
PAUSE = (0.2, 2.0)  # seconds from a death to the next life
STILL = 6.0  # seconds
SLOW = {"proxy"}  # 16 s, and the breaker waits as long again
CHILD = " child"  # in a deck: one child of the service, not all of it


class Supervisor:
    """Runs services in their order, and every one again that is gone. Ends what it began, whatever happens."""

    def __init__(self, services: Sequence[Service], dice: random.Random) -> None:
        self.services = {service.name: service for service in services}
        self.kills: list[tuple[float, str, int]] = []  # seconds since the start, what, pid
        self.falls: Counter[str] = Counter()  # who ended without being killed
        self._dice = dice
        self._began = time.monotonic()
        self._mending = threading.Lock()
        self._ending = threading.Event()
        self._due: dict[str, float] = {}
        self._began_here: list[Service] = []
        self._thread = threading.Thread(target=self._mend, name="supervisor", daemon=True)

    def __enter__(self) -> Supervisor:
        try:
            for service in self.services.values():
                if not service.running:
                    self._began_here.append(service)
                    service.start()
                eventually(partial(getattr, service, "ready"), f"{service.name} is ready", STARTS)
        except BaseException:
            self._wipe()
            raise
        self._began = time.monotonic()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.rest()
        self._wipe()

    def strike(self, what: str) -> bool:
        """kill -9; False: it is not up, so it would not be chaos."""
        service = self.services[what.removesuffix(CHILD)]
        if not service.ready:
            return False
        with self._mending:
            pid = service.kill(self._dice, child=what.endswith(CHILD))
            if pid:
                self.kills.append((round(time.monotonic() - self._began, 2), what, pid))
                if not service.running:
                    self._due[service.name] = time.monotonic() + self._dice.uniform(*PAUSE)
        return bool(pid)

    @property
    def is_up(self) -> bool:
        """Whether all are up but the slow ones."""
        return all(service.ready for name, service in self.services.items() if name not in SLOW)

    @property
    def story(self) -> str:
        return "".join(f"{when:7.2f} s  {what} (pid {pid})\n" for when, what, pid in self.kills)

    def rest(self) -> None:
        """Start nothing any more."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join()

    def _mend(self) -> None:
        while not self._ending.wait(LOOKS):
            for name, service in self.services.items():
                with self._mending:
                    self._mend_one(name, service)

    def _mend_one(self, name: str, service: Service) -> None:
        if service.running:
            return
        if name not in self._due:
            self.falls[name] += 1
            self._due[name] = time.monotonic() + self._dice.uniform(*PAUSE)
        if self._due[name] <= time.monotonic():
            del self._due[name]
            service.start()

    def _wipe(self) -> None:
        for service in reversed(self._began_here):
            with suppress(Exception):  # the others must end as well
                service.wipe()


def rage(
    supervisor: Supervisor,
    deck: Sequence[str],
    dice: random.Random,
    *,
    done: Callable[[], int],
    rounds: int,
    share: float,
    enough: Callable[[], bool],
    limit: float,
) -> None:
    """Kill what the deck names, shuffled, `rounds` times; then let people work until it is enough.

    From one kill to the next people get about `share` more `done`, so each hits work on its way; when all is up and
    nothing gets done for STILL, the next one comes all the same. What is not up when its turn comes is put back. All
    of it takes at most `limit` seconds.
    """
    ends = time.monotonic() + limit
    cards = dice.sample(deck, len(deck))
    while time.monotonic() < ends and not enough():
        if not cards and not (rounds := rounds - 1):
            break
        cards = cards or dice.sample(deck, len(deck))
        goal, since = done() + dice.uniform(0, 2 * share), time.monotonic()
        while done() < goal and time.monotonic() < min(ends, since + STILL):
            time.sleep(LOOKS)
            if not supervisor.is_up:
                since = time.monotonic()
        if hit := next((card for card in cards if supervisor.strike(card)), None):
            cards.remove(hit)
    while time.monotonic() < ends and not enough():
        time.sleep(LOOKS)
