"""`keydesk credentials`: what a gateway's proxy signs in to providers with. Values go there, and never come back."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from keydesk.desk import desk
from keydesk.errors import Usage
from keydesk.proxies import Force, Gateway, Limit, Yes, fields, path
from keydesk.show import Column, confirm, show, show_one

app = typer.Typer(no_args_is_help=True, help="The provider credentials that a gateway's proxy keeps.")

FIELDS: list[Column] = [
    ("Name", "name"), ("Label", "label"), ("Provider", "info.custom_llm_provider"), ("Values", "values"),
    ("Info", "info"), ("Source", "source"), ("Used by", "used_by"),
]  # fmt: skip
Name = Annotated[str, typer.Argument(help="Its name.")]
VALUES = "A value of it: NAME=@FILE, NAME=- (typed or piped in) or NAME=env:NAME."
Value = Annotated[list[str], typer.Option("--value", metavar="NAME=…", help=VALUES)]
Info = Annotated[list[str], typer.Option("--info", metavar="NAME=VALUE", help="What is no secret about it.")]


@app.command("list")
def list_(gateway: Gateway = "", limit: Limit = 100) -> None:
    """The credentials of the proxy, masked."""
    server = desk()
    columns: list[Column] = [*FIELDS[:3], ("Values", lambda row: ", ".join(row.get("values") or {})), FIELDS[5]]
    show(server.pages(path(server, gateway, "credentials"), most=limit), columns)


@app.command("show")
def show_(name: Name, gateway: Gateway = "") -> None:
    """One credential, masked, and the models that use it."""
    server = desk()
    show_one(server.get(path(server, gateway, "credentials", name)), FIELDS)


@app.command()
def create(
    name: Name, value: Value = [], info: Info = [],  # noqa: B006
    provider: Annotated[str, typer.Option(help="Which provider it is for, like openai.")] = "",
    label: Annotated[str, typer.Option(help="What it is called on pages.")] = "",
    gateway: Gateway = "",
) -> None:  # fmt: skip
    """Have the proxy keep a credential."""
    values = fields(value, "--value", secret=True)
    if not values:
        raise Usage("A credential has at least one value.", "Say --value api_key=@FILE, or --value api_key=-.")
    about = {**fields(info, "--info"), **({"custom_llm_provider": provider} if provider else {})}
    server = desk()
    body = {"name": name, "values": values, "info": about, "label": label}
    show_one(server.post(path(server, gateway, "credentials"), body), FIELDS)


@app.command()
def rename(
    name: Name, label: Annotated[str, typer.Argument(help='Another label; "" for none. Its name stays.')],
    gateway: Gateway = "",
) -> None:  # fmt: skip
    """Give a credential another label; models know it by its name, which stays."""
    server = desk()
    show_one(server.patch(path(server, gateway, "credentials", name), {"label": label or None}), FIELDS)


@app.command()
def change(name: Name, value: Value = [], info: Info = [], gateway: Gateway = "") -> None:  # noqa: B006
    """Replace some of its values: a provider's new key works for every model that uses it."""
    body: dict[str, Any] = {"values": fields(value, "--value", secret=True), "info": fields(info, "--info")}
    body = {field: given for field, given in body.items() if given}
    if not body:
        raise Usage("Nothing is to be changed.", "Say --value api_key=@FILE, or --info NAME=VALUE.")
    server = desk()
    show_one(server.patch(path(server, gateway, "credentials", name), body), FIELDS)


@app.command()
def delete(name: Name, force: Force = False, yes: Yes = False, gateway: Gateway = "") -> None:
    """Delete a credential; refused while models use it."""
    server = desk()
    confirm(f"Delete the credential {name}?", yes=yes)
    gone = server.delete(path(server, gateway, "credentials", name), {"force": "true"} if force else None)
    show_one(gone, [("Deleted", "name"), ("Was used by", "used_by")])
