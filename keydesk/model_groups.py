"""`keydesk model-groups`: the names that a proxy answers to, however many deployments stand behind each."""

from __future__ import annotations

import typer

from keydesk.desk import desk
from keydesk.errors import Refused
from keydesk.models import mine
from keydesk.proxies import Gateway, Limit, not_for_them, path, per_million
from keydesk.show import Column, show

app = typer.Typer(no_args_is_help=True, help="The names that a gateway's proxy answers to.")

COLUMNS: list[Column] = [
    ("Name", "name"), ("Mode", "mode"), ("Providers", "providers"), ("$/M in", per_million("input_cost_per_token")),
    ("$/M out", per_million("output_cost_per_token")), ("Max in", "max_input_tokens"), ("Max out", "max_output_tokens"),
]  # fmt: skip


@app.callback()
def groups() -> None:
    """The names that a gateway's proxy answers to."""


@app.command("list")
def list_(gateway: Gateway = "", limit: Limit = 100) -> None:
    """Names, modes and prices; for who does not run the platform, the models they may have keys for."""
    server = desk()
    try:
        show(server.pages(path(server, gateway, "model-groups"), most=limit), COLUMNS)
    except Refused as error:
        if not not_for_them(error):
            raise
        mine(server, gateway)
