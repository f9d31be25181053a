"""`keydesk exec -- CMD`: a key of its own for one command, revoked when the command is over, however it ended.

The command stays in our process group, so a terminal treats both as one: Ctrl-C reaches it directly, Ctrl-Z stops both.
"""

from __future__ import annotations

import math
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated

import typer

from keydesk.agents import KEY_NAMES, environment
from keydesk.desk import Desk, desk
from keydesk.errors import Away, CliError
from keydesk.leasing import Ask, Leased, issue, renew, revoke
from keydesk.quick import place
from keydesk.show import note
from keydesk.signals import ENDING, Signals, in_foreground
from keydesk.token import Gateway, Role, Team, Ttl

NOT_FOUND, NOT_EXECUTABLE, BY_SIGNAL = 127, 126, 128  # exit codes, as shells have them
GRACE = 5  # seconds a command may go on after SIGTERM or SIGHUP before its key ends under it; docker kills after 10
RETRY = 30  # seconds to the next try, when a renewal met a server that is away
LONGEST_SLEEP = 3600.0  # seconds; select(2) takes no more than it can count


def exec_(
    command: Annotated[list[str], typer.Argument(help="The command, after `--`.", metavar="CMD")],
    team: Team = "",
    role: Role = "",
    gateway: Gateway = "",
    ttl: Ttl = "",
    model: Annotated[list[str] | None, typer.Option(help="Only this model; may be said several times.")] = None,
    budget: Annotated[str, typer.Option(help="The most that the command may spend, in USD.")] = "",
    env: Annotated[
        list[str] | None,
        typer.Option(help="Put the key under this name instead of the usual ones; may be said several times."),
    ] = None,
) -> None:
    """Run a command with a key of its own, which is revoked when the command is over.

    The key is in OPENAI_API_KEY, ANTHROPIC_AUTH_TOKEN and KEYDESK_KEY, the gateway in OPENAI_BASE_URL and
    ANTHROPIC_BASE_URL. The exit code is the command's, 128+n where signal n ended it.
    """
    where = place(team=team, role=role, gateway=gateway, ttl=ttl)
    purpose = f"keydesk exec {os.path.basename(command[0])}"  # noqa: PTH119
    ask = Ask(where.team, where.role, where.gateway, where.ttl, tuple(model or ()), budget, purpose)
    raise typer.Exit(execute(desk(), ask, command, tuple(env or ())))


def execute(at: Desk, ask: Ask, command: Sequence[str], names: Sequence[str]) -> int:
    """Run the command with a key in its environment; answers the command's exit code, 128+n for a signal.

    The key is renewed while the command runs, and revoked at the end. Whatever kills `keydesk` itself at once (kill -9,
    a power cut) leaves the key to its TTL. Raises CliError before anything ran.
    """
    if shutil.which(command[0]) is None:  # then no key is needed
        found = os.path.dirname(command[0]) and os.path.exists(command[0])  # noqa: PTH110,PTH120  (as shells look it up)
        _tell(f"{command[0]}: {'cannot be executed' if found else 'command not found'}")
        return NOT_EXECUTABLE if found else NOT_FOUND
    with Signals() as signals:
        try:
            leased = issue(at, ask)
        except KeyboardInterrupt:
            raise CliError(
                "Given up while a key was being issued.", "If it was issued, it ends by itself.",
                exit_code=BY_SIGNAL + signal.SIGINT,
            ) from None  # fmt: skip
        signals.patient = True
        return _Run(at, leased, signals).through(command, names)


class _Run:
    """One command and its key."""

    def __init__(self, desk: Desk, leased: Leased, signals: Signals) -> None:
        self.desk, self.leased, self.signals = desk, leased, signals
        self.over = False
        self._plan(leased.life * 2 / 3)

    def _plan(self, seconds: float) -> None:
        self.renew_at = time.monotonic() + seconds

    def through(self, command: Sequence[str], names: Sequence[str]) -> int:
        if early := self.signals.take():  # while the key was being issued
            self._end()
            return BY_SIGNAL + early[0]
        inherited = {name: value for name, value in os.environ.items() if name not in KEY_NAMES}  # not for this gateway
        try:
            ours = environment(self.leased.base_url, self.leased.key, names)
            child = subprocess.Popen(command, env=inherited | ours)  # noqa: S603  (what was asked for)
        except OSError as error:
            _tell(f"{command[0]}: {error.strerror}")
            self._end()
            return NOT_EXECUTABLE
        try:
            self._wait_for(child)
        finally:
            self._end()
        return child.returncode if child.returncode >= 0 else BY_SIGNAL - child.returncode

    def _wait_for(self, child: subprocess.Popen[bytes]) -> None:
        """Until it is over: hand on what we are told, renew its key, and end the key of one that does not end."""
        end_at = math.inf
        while child.poll() is None:
            due = min(self.renew_at, end_at) - time.monotonic()
            self.signals.wait(min(due, LONGEST_SLEEP))
            for number in self.signals.take():
                if number in ENDING:
                    end_at = min(end_at, time.monotonic() + GRACE)
                if number in ENDING or not in_foreground():  # else the terminal has told the command itself
                    child.send_signal(number)
            if time.monotonic() >= end_at:
                self._end()
                end_at = math.inf
            elif time.monotonic() >= self.renew_at:
                self._renew()

    def _renew(self) -> None:
        """The same key for as long again. When nothing is left of its max TTL, it ends while the command runs."""
        try:
            self.leased = renew(self.desk, self.leased)
            self._plan(self.leased.life * 2 / 3)
        except Away:
            self._plan(RETRY)
        except CliError as error:
            _tell(f"The key of this command ends at {self.leased.ends:%H:%M:%S} UTC: {error.message}")
            self.renew_at = math.inf

    def _end(self) -> None:
        """Revoke the key, once. What cannot be done is told, and changes no exit code."""
        if self.over:
            return
        self.over, self.renew_at, self.signals.patient = True, math.inf, False
        try:
            revoke(self.desk, self.leased.id, "its command is over")
        except (CliError, KeyboardInterrupt) as error:
            why = error.message if isinstance(error, CliError) else "interrupted."
            _tell(f"The key could not be revoked: {why} It ends by itself at {self.leased.ends:%H:%M:%S} UTC.")
            _tell(f"Or end it with: keydesk keys revoke {self.leased.id}")


def _tell(text: str) -> None:
    """A line to the person, if the terminal is still there."""
    with suppress(OSError):
        note(f"keydesk: {text}")
