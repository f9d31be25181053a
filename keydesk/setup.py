"""`keydesk setup`: write a coding agent's settings, so that it asks `keydesk token` for its key."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from keydesk import agents, places
from keydesk.calls import model_names
from keydesk.errors import CliError
from keydesk.quick import place
from keydesk.show import note
from keydesk.token import Gateway as GatewayName
from keydesk.token import Role, Team, Ttl, held_key

app = typer.Typer(no_args_is_help=True, help="Have coding agents ask Keydesk for their key.")

BACKUP = ".before-keydesk"

Model = Annotated[str, typer.Option(help="The model to begin with; the agent's own choice unless said.")]
Print = Annotated[bool, typer.Option("--print", help="Print what the file would be, and write nothing.")]
Undo = Annotated[bool, typer.Option("--undo", help="Take our settings back; what was there before is there again.")]
First = Annotated[bool, typer.Option("--v1", help="Write for OpenCode 1. Otherwise by what the file has, or for 2.")]


@app.command()
def claude(
    team: Team = "", role: Role = "", gateway: GatewayName = "", ttl: Ttl = "", model: Model = "",
    show: Print = False, undo: Undo = False,
) -> None:  # fmt: skip
    """Claude Code: apiKeyHelper and the address, in its settings.json."""
    file = agents.claude_file()
    if undo:
        return _undo(file, lambda now, before: agents.without_ours(now, before, agents.claude(NOWHERE)))
    there = _gateway(team, role, gateway, ttl, model)
    _write(file, lambda now: agents.with_ours(now, agents.claude(there)), show=show)
    for name in agents.rivals(agents.read_json(_read(file))):
        note(f"{name} is set in {file}, and Claude Code may take it instead: remove it.")
    return None


@app.command()
def codex(
    team: Team = "", role: Role = "", gateway: GatewayName = "", ttl: Ttl = "", model: Model = "",
    show: Print = False, undo: Undo = False,
) -> None:  # fmt: skip
    """Codex: a model provider with a command for its key, in its config.toml."""
    file = agents.codex_file()
    if undo:
        return _undo(file, lambda now, _: agents.codex_without_ours(now))
    there = _gateway(team, role, gateway, ttl, model)
    return _write(file, partial(agents.codex, gateway=there), show=show)


@app.command()
def opencode(
    team: Team = "", role: Role = "", gateway: GatewayName = "", ttl: Ttl = "", model: Model = "", first: First = False,
    show: Print = False, undo: Undo = False,
) -> None:  # fmt: skip
    """OpenCode: a provider in its opencode.json; it reads the key that `keydesk exec -- opencode` gives it."""
    file = agents.opencode_file()
    if undo:
        ours = {**agents.opencode(NOWHERE), **agents.opencode(NOWHERE, first=True)}
        return _undo(file, lambda now, before: agents.without_ours(now, before, ours))
    there = _gateway(team, role, gateway, ttl, model, models=True)
    first = first or "provider" in agents.read_json(_read(file))
    _write(file, lambda now: agents.with_ours(now, agents.opencode(there, first=first)), show=show)
    note("Start it with: keydesk exec -- opencode")
    return None


@app.command()
def env(
    team: Team = "", role: Role = "", gateway: GatewayName = "", ttl: Ttl = "",
    _: Annotated[bool, typer.Option("--print", help="As without: it only prints.")] = False,
) -> None:  # fmt: skip
    """Any other program: lines for a shell or an .envrc, which ask for the key when they are read."""
    sys.stdout.write(agents.exports(_gateway(team, role, gateway, ttl)))


NOWHERE = agents.Gateway("", (), model="-")  # to know the names of our settings


def _gateway(team: str, role: str, gateway: str, ttl: str, model: str = "", *, models: bool = False) -> agents.Gateway:
    """Get a key, as the agent will: then the settings work, and we know the gateway's address. Raises CliError."""
    where = place(team=team, role=role, gateway=gateway, ttl=ttl)
    held = held_key(where)
    said = {"team": team, "role": role, "gateway": gateway, "ttl": ttl}
    options = [word for name, value in said.items() if value for word in (f"--{name}", value)]
    names = model_names(held.base_url, held.key) if models else []
    return agents.Gateway(held.base_url, [*_ourselves(), "--server", where.server, "token", *options], model, names)


def _ourselves() -> list[str]:
    """This command line by its whole path: agents that are started from a desktop have another PATH."""
    found = shutil.which("keydesk")
    return [found] if found else [sys.executable, "-m", "keydesk"]


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        raise CliError(f"{file} cannot be read: {error}.", "Put it right, or use --print.") from None


def _write(file: Path, change: Callable[[str], str], *, show: bool) -> None:
    """Change the file, or print what it would be. What was there is kept beside it, once."""
    before = _read(file)
    after = _changed(file, lambda: change(before))
    if show:
        sys.stdout.write(after)
        return None
    backup = _backup(file)
    if after == before:
        return note(f"{file} is as it should be.")
    file.parent.mkdir(parents=True, exist_ok=True)
    if not backup.exists():
        places.write(backup, before)  # empty too: it says that there was nothing
    _replace(file, after)
    return note(f"{file} is written; {backup.name} has what was there, for --undo.")


def _undo(file: Path, change: Callable[[str, str], str]) -> None:
    backup = _backup(file)
    if not backup.exists():
        raise CliError(f"There is nothing to take back: {backup} is not there.", "Nothing was changed.")
    now, before = _read(file), _read(backup)
    after = _changed(file, lambda: change(now, before))
    if after:
        _replace(file, after)
    else:
        file.unlink(missing_ok=True)
    backup.unlink(missing_ok=True)
    note(f"{file} has no settings of Keydesk any more.")


def _replace(file: Path, text: str) -> None:
    """In one step, where a link leads, and with the mode that it had; a new one is 600."""
    target = file.resolve()
    mode = target.stat().st_mode & 0o777 if target.exists() else places.MINE
    places.write(target, text)
    target.chmod(mode)


def _changed(file: Path, change: Callable[[], str]) -> str:
    try:
        return change()
    except agents.CannotMerge as error:
        raise CliError(f"{file} was left as it is. {error}", "Use --print, and merge it by hand.") from None


def _backup(file: Path) -> Path:
    return file.with_name(file.name + BACKUP)
