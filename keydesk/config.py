"""The settings file: get, set, list; and the shell's completion."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from keydesk import settings
from keydesk.errors import CliError, Exit, Usage
from keydesk.show import line, note, show

app = typer.Typer(help="Settings: the server, and for each server the team, key role and gateway unless said.")
Name = Annotated[str, typer.Argument(help=f"One of {', '.join(settings.NAMES)}.")]


@app.command("list")
def list_settings() -> None:
    """Every setting, its value, and where that comes from."""
    show([_row(name) for name in settings.NAMES], [("NAME", "name"), ("VALUE", "value"), ("FROM", "from")])
    note(f"The file is {settings.file()}.")


@app.command("get")
def get_setting(name: Name) -> None:
    """One value alone; exit code 4 where there is none."""
    _known(name)
    value = settings.setting(name)
    if not value:
        raise CliError(f"{name} is not set.", f"Set it with `keydesk config set {name} …`.", exit_code=Exit.NOT_FOUND)
    line(value)


@app.command("set")
def set_setting(name: Name, value: str) -> None:
    """Set one; team, role and gateway are those of the server in use."""
    _known(name)
    if name == "server":
        value = settings.origin(value)
    if name == "output" and value not in settings.OUTPUTS:
        raise Usage(f"output is {' or '.join(settings.OUTPUTS)}.")
    where = settings.server() if name in settings.OF_A_SERVER else ""
    settings.save(name, value, where)
    note(f"{name} is {value} now{f', at {where}' if where else ''}.")
    if os.environ.get(f"KEYDESK_{name.upper()}"):
        note(f"KEYDESK_{name.upper()} is used instead of it, as long as it is set.")


@app.command("unset")
def unset_setting(name: Name) -> None:
    """Forget one."""
    _known(name)
    settings.save(name, None, settings.server() if name in settings.OF_A_SERVER else "")
    note(f"{name} is not set any more.")


def completion(
    shell: Annotated[str, typer.Argument(help="bash, zsh, fish or powershell; the one you are in unless said.")] = "",
) -> None:
    """Print the script that completes commands: `source <(keydesk completion bash)`."""
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    chosen = shell or os.path.basename(os.environ.get("SHELL", ""))  # noqa: PTH119  (a name, not a file)
    if chosen not in {"bash", "zsh", "fish", "powershell", "pwsh"}:
        raise Usage(f"Keydesk completes for bash, zsh, fish and powershell, not {chosen or 'an unknown shell'}.")
    script = get_completion_script(prog_name="keydesk", complete_var="_KEYDESK_COMPLETE", shell=chosen)
    print(script)  # noqa: T201  (a program of its own: as it stands, empty lines included)


def _known(name: str) -> None:
    if name not in settings.NAMES:
        raise Usage(f"There is no setting {name!r}.", f"There are {', '.join(settings.NAMES)}.")


def _row(name: str) -> dict[str, str]:
    value = settings.setting(name)
    said = settings.said.server if name == "server" else ""
    source = "the flag" if said else "the environment" if os.environ.get(f"KEYDESK_{name.upper()}") else "the file"
    return {"name": name, "value": said or value, "from": source if said or value else "-"}
