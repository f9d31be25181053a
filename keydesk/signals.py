"""Signals, heard without being interrupted by them: they wait in a list until somebody looks."""

from __future__ import annotations

import os
import select
import signal
from types import FrameType, TracebackType

ENDING = (signal.SIGHUP, signal.SIGTERM)
FROM_THE_KEYBOARD = (signal.SIGINT, signal.SIGQUIT)
PATIENCE = 3  # Ctrl-C so often, and a program that still waits for the network gives up


class Signals:
    """While this is entered, a signal interrupts nothing; it is appended to `heard`, and `wait` returns.

    A third Ctrl-C raises KeyboardInterrupt wherever the program is, unless `patient` says that it may not. What was
    ignored before (by nohup, or for a job in the background) is ignored still.
    """

    def __init__(self) -> None:
        self.heard: list[signal.Signals] = []
        self.patient = False
        self._pressed = 0

    def __enter__(self) -> Signals:
        self._ear, self._mouth = os.pipe()
        for end in (self._ear, self._mouth):
            os.set_blocking(end, False)
        wanted = (*ENDING, *FROM_THE_KEYBOARD, signal.SIGCHLD)
        listen = [each for each in wanted if signal.getsignal(each) != signal.SIG_IGN]
        self._before = {each: signal.signal(each, self._hear) for each in listen}
        self._woken = signal.set_wakeup_fd(self._mouth, warn_on_full_buffer=False)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        signal.set_wakeup_fd(self._woken)
        for number, before in self._before.items():
            signal.signal(number, before)
        os.close(self._ear)
        os.close(self._mouth)

    def wait(self, seconds: float | None = None) -> None:
        """Until a signal comes, also one that came before this was called; or for so long."""
        ready, _, _ = select.select([self._ear], [], [], None if seconds is None else max(seconds, 0))
        if ready:
            os.read(self._ear, 512)

    def take(self) -> list[signal.Signals]:
        """What was heard since the last look."""
        heard, self.heard = self.heard, []
        return heard

    def _hear(self, number: int, _: FrameType | None) -> None:
        if number == signal.SIGCHLD:
            return  # only to wake up
        self.heard.append(signal.Signals(number))
        if number == signal.SIGINT and not self.patient:
            self._pressed += 1
            if self._pressed >= PATIENCE:
                raise KeyboardInterrupt


def in_foreground() -> bool:
    """Whether our terminal tells our process group of Ctrl-C: then it tells the command that we run as well."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
