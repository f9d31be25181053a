"""`keydesk shell`, and `keydesk` alone on a terminal: commands one after the other, groups as scopes."""

from __future__ import annotations

import cmd
import shlex
import sys
from collections.abc import Sequence
from typing import Any

from keydesk import settings
from keydesk.errors import CliError

UP = frozenset({"..", "exit", "quit"})
NOT_HERE = frozenset({"shell"})


def shell() -> None:
    """Commands one after the other, with the group that was entered as their beginning."""
    Shell().cmdloop()


class Shell(cmd.Cmd):
    """`keys` enters the group, `list` then is `keydesk keys list`; `..` leaves it."""

    doc_header = "Of the shell: help, clear, quit, and .. to leave a group."

    def __init__(self) -> None:
        super().__init__()
        self.scope: list[str] = []
        self.intro = self._banner()
        self._look()

    def _banner(self) -> str:
        from keydesk.desk import our_version

        try:
            where = settings.server()
        except CliError:
            where = "no server yet: login --server https://keys.example.com"
        return f"keydesk {our_version()}, {where}\nhelp lists the commands, a group's name enters it, quit leaves."

    def _look(self) -> None:
        self.prompt = " ".join(["keydesk", *self.scope]) + "> "

    def onecmd(self, line: str) -> bool:
        """True leaves. A command's trouble is told by itself, and the shell goes on."""
        try:
            words = shlex.split(line)
        except ValueError as error:
            print(f"keydesk: {error}.", file=sys.stderr)  # noqa: T201
            return False
        if line == "EOF":
            print()  # noqa: T201
            return True
        if not words:
            return False
        return self._own(words) if words[0] in {"clear", "help", "?", *UP} else self._run(words)

    def _own(self, words: list[str]) -> bool:
        if words[0] == "clear":
            sys.stdout.write("\x1b[2J\x1b[H")
        elif words[0] in UP:
            if not self.scope or words[0] == "quit":
                return True
            self.scope.pop()
            self._look()
        else:
            self._run([*words[1:], "--help"])
        return False

    def _run(self, words: list[str]) -> bool:
        from keydesk.app import run

        whole = [*self.scope, *words]
        if words[0] in NOT_HERE:
            return False
        if _commands(whole) is not None:
            self.scope = whole
            self._look()
        else:
            before = vars(settings.said).copy()  # what the shell itself was begun with
            try:
                run([*_options(before), *whole])
            except KeyboardInterrupt:
                print()  # noqa: T201
            finally:
                settings.say(**before)
        return False

    def cmdloop(self, intro: str | None = None) -> None:
        """Ctrl-C drops the line, and nothing else."""
        while True:
            try:
                return super().cmdloop(intro)
            except KeyboardInterrupt:
                self.intro = None
                print()  # noqa: T201

    def completenames(self, text: str, *ignored: object) -> list[str]:
        return [each for each in _commands(self.scope) or [] if each.startswith(text)]

    def complete_help(self, text: str, *ignored: object) -> list[str]:
        return self.completenames(text)


def _commands(scope: Sequence[str]) -> list[str] | None:
    """The commands of a group; None where that is no group."""
    from typer.main import get_command

    from keydesk.app import app

    found: Any = get_command(app)
    for name in scope:
        found = found.get_command(None, name) if hasattr(found, "get_command") else None
    return list(found.list_commands(None)) if hasattr(found, "list_commands") else None


def _options(said: dict[str, Any]) -> list[str]:
    """They are said again for each command: one line begins with nothing."""
    valued = [f"--{name}={said[name]}" for name in ("server", "token") if said[name]]
    return valued + [f"--{name}" for name in ("json", "verbose") if said[name]]
