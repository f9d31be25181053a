"""A real Celery worker and beat, as threads of the one web process: nothing else to install or to start.

The broker is `memory://`, so it dies with the process. No work is lost: every task is a sweep over the
database. With KEYDESK_BROKER_URL set, none of this runs; workers and beat are processes of their own.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

import structlog

log = structlog.get_logger(__name__)

CONCURRENCY = 4  # threads; the sweeps wait for gateways more than they compute, and two of them may wait for minutes
RESTART_PAUSE = 5.0  # seconds, after a crash
STOP_LIMIT = 5.0  # seconds for both; what a stop cuts off, the next sweep does again
BEAT_NAP = 1  # seconds at most between two looks of beat, so that it notices a stop


class Embedded:
    """The worker and the beat of this process. `start()` and `stop()` may be called twice."""

    def __init__(self) -> None:
        self._ending = threading.Event()
        self._threads: list[threading.Thread] = []
        self._stops: dict[str, Callable[[], None]] = {}

    @property
    def running(self) -> bool:
        return bool(self._threads) and all(thread.is_alive() for thread in self._threads)

    def start(self) -> None:
        if self._threads:
            return
        self._ending.clear()
        self._threads = [
            threading.Thread(target=self._keep, args=(part,), name=name, daemon=True)
            for name, part in (("keydesk-worker", self._work), ("keydesk-beat", self._beat))
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End both, within STOP_LIMIT."""
        self._ending.set()
        for stop in list(self._stops.values()):
            stop()
        for thread in self._threads:
            thread.join(STOP_LIMIT / len(self._threads))
        self._threads = []

    def _keep(self, part: Callable[[], None]) -> None:
        """Run `part` until the end; after a crash, again."""
        while not self._ending.is_set():
            try:
                part()
            except Exception:
                log.exception("embedded_part_crashed", part=threading.current_thread().name)
            self._ending.wait(RESTART_PAUSE)

    def _work(self) -> None:
        # Celery takes half a second to import: only a process that hosts a worker pays for it.
        from celery.platforms import EX_OK  # noqa: PLC0415
        from celery.worker import WorkController, state  # noqa: PLC0415

        from portal.celery import app  # noqa: PLC0415

        def stop() -> None:
            state.should_stop = EX_OK  # type: ignore[assignment]  # looked at each second, between tasks

        app.set_current()
        state.should_stop = None
        worker = WorkController(
            app=app,
            hostname=f"embedded@{socket.gethostname()}",
            pool="threads",
            concurrency=CONCURRENCY,
            without_heartbeat=True,
            without_mingle=True,
            without_gossip=True,
        )
        self._stops["worker"] = stop
        if not self._ending.is_set():
            worker.start()  # until `stop`

    def _beat(self) -> None:
        from celery.beat import Scheduler, Service  # noqa: PLC0415

        from portal.celery import app  # noqa: PLC0415

        app.set_current()
        service = Service(app, max_interval=BEAT_NAP, scheduler_cls=Scheduler)  # in memory: no file
        self._stops["beat"] = service.stop
        if not self._ending.is_set():
            service.start()  # until `stop`


embedded = Embedded()
