"""The commands, each imported only when it is asked for, and the one place where errors become two lines."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.completion import completion_init  # type: ignore[attr-defined]
from typer.core import TyperGroup
from typer.main import get_command, get_group

from keydesk import settings
from keydesk.errors import CliError, Exit

ACCOUNT, KEYS, PLATFORM, TOOLS = "You", "Keys", "The platform", "Tools"

# A line for each command: name -> (where it is, under which heading). `module:app` is a typer.Typer() and has
# subcommands; `module:function` is a command itself. Modules import nothing heavy (requests, rich) at their top
# except by keydesk.desk; help texts are the docstrings' first lines. ADD YOURS HERE, in the order of the help.
TABLE: dict[str, tuple[str, str]] = {
    "login": ("keydesk.account:login", ACCOUNT),
    "whoami": ("keydesk.account:whoami", ACCOUNT),
    "logout": ("keydesk.account:logout", ACCOUNT),
    "logins": ("keydesk.account:logins", ACCOUNT),
    "keys": ("keydesk.importing:app", KEYS),  # keydesk.keys, and its import
    "request": ("keydesk.asking:request", KEYS),
    "requests": ("keydesk.asking:app", KEYS),
    "roles": ("keydesk.teams:roles", KEYS),
    "teams": ("keydesk.teams:app", KEYS),
    "spend": ("keydesk.money:spend", KEYS),
    "statements": ("keydesk.money:app", KEYS),
    "audit": ("keydesk.watching:audit", PLATFORM),
    "gateways": ("keydesk.watching:app", PLATFORM),
    "models": ("keydesk.models:app", PLATFORM),
    "model-groups": ("keydesk.model_groups:app", PLATFORM),
    "credentials": ("keydesk.credentials:app", PLATFORM),
    "users": ("keydesk.users:app", PLATFORM),
    "config": ("keydesk.config:app", ACCOUNT),
    "completion": ("keydesk.config:completion", ACCOUNT),
    "token": ("keydesk.token:token", TOOLS),
    "exec": ("keydesk.run:exec_", TOOLS),
    "setup": ("keydesk.setup:app", TOOLS),
    "chat": ("keydesk.chat:chat", TOOLS),
    "http": ("keydesk.raw:http", TOOLS),
    "shell": ("keydesk.shell:shell", TOOLS),
}

WHOLE = frozenset({"--json", "--verbose"})
WITH_VALUE = frozenset({"--server"})
OF_ANOTHER = frozenset({"exec"})  # what follows is the command line of another program


class Commands(TyperGroup):
    """The commands of TABLE."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(TABLE)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in TABLE:
            return None
        place, panel = TABLE[cmd_name]
        module, _, attribute = place.partition(":")
        found = getattr(import_module(module), attribute)
        if isinstance(found, typer.Typer):
            command: Any = get_group(found)
        else:
            single = typer.Typer(add_completion=False)
            single.command(cmd_name)(found)
            command = get_command(single)
        command.name, command.rich_help_panel = cmd_name, panel
        return command


app = typer.Typer(
    cls=Commands,
    name="keydesk",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="--json, --verbose and --server may stand anywhere in a command line. Exit codes: 0 done, 1 refused, 2 wrong"
    " command line, 3 not signed in, 4 not found, 5 not allowed, 75 try again later, 130 interrupted.",
)


def _version(wanted: bool) -> None:
    if wanted:
        from keydesk.desk import our_version
        from keydesk.show import line

        line(f"keydesk {our_version()}")
        raise typer.Exit


@app.callback()
def options(
    server: Annotated[str, typer.Option(help="Which Keydesk. KEYDESK_SERVER does the same.")] = "",
    token: Annotated[
        str, typer.Option(help="An API token in place of the login. KEYDESK_TOKEN does the same, and no `ps` shows it.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print answers as the API gives them.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Say which calls are made.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="The version of this command line.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Virtual keys for LiteLLM, from the terminal."""
    settings.say(server=server, token=token, json=as_json, verbose=verbose)


def in_front(words: Sequence[str]) -> list[str]:
    """The command line with the options that every command takes in front, where they are read."""
    front: list[str] = []
    rest: list[str] = []
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        if word == "--" or (rest and rest[-1] in OF_ANOTHER):
            rest += [word, *waiting]
            break
        if word in WHOLE or word.partition("=")[0] in WITH_VALUE:
            front.append(word)
            if word in WITH_VALUE and waiting:
                front.append(waiting.pop(0))
        else:
            rest.append(word)
    return front + rest


def run(words: Sequence[str]) -> int:
    """Run one command line; answers the exit code. Every trouble is two lines on stderr."""
    settings.say()
    if "_KEYDESK_COMPLETE" in os.environ:
        completion_init()
    elif not words and sys.stdin.isatty() and sys.stdout.isatty():
        words = ["shell"]
    try:
        return get_command(app).main(in_front(words), prog_name="keydesk", standalone_mode=False) or Exit.OK
    except CliError as error:
        return _tell(error)
    except typer.TyperException as error:
        words_of = getattr(error, "format_message", error.__str__)
        where = getattr(getattr(error, "ctx", None), "command_path", "") or "keydesk"
        told = CliError(words_of() or "Missing command.", f"See `{where} --help`.")
        told.exit_code = getattr(error, "exit_code", Exit.USAGE)
        return _tell(told)
    except typer.Abort as error:
        if isinstance(error.__context__, KeyboardInterrupt):  # Ctrl-C where something was asked
            print(file=sys.stderr)  # noqa: T201  (after ^C)
            return Exit.INTERRUPTED
        return _tell(CliError("Nothing was done."))
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # whoever read has gone: no word about it
        return Exit.OK
    except Exception as error:
        if settings.said.verbose:
            raise
        return _tell(
            CliError(f"This is a fault of keydesk: {type(error).__name__}.", "--verbose shows where; report it.")
        )


def _tell(error: CliError) -> int:
    from keydesk.show import data, note

    if settings.said.json and not settings.said.answered:
        known = {int(each): each.name.lower() for each in Exit}
        own = {"code": known.get(error.exit_code, "error"), "message": error.message, "action": error.action}
        data({"error": getattr(error, "error", own)})
    note(f"keydesk: {_one_line(error.message)}")
    if error.action:
        note(_one_line(error.action))
    return int(error.exit_code)


def _one_line(text: str) -> str:
    return " ".join(text.split())
