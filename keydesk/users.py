"""`keydesk users`: the users of a gateway's proxy. People of Keydesk are in teams; those are the proxy's own."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from keydesk.desk import desk
from keydesk.proxies import Force, Gateway, Limit, Yes, path
from keydesk.show import Column, confirm, show, show_one

app = typer.Typer(no_args_is_help=True, help="The users of a gateway's proxy.")

FIELDS: list[Column] = [
    ("Id", "id"), ("E-mail", "email"), ("Alias", "alias"), ("Role", "role"), ("In Keydesk", "holder"), ("Keys", "keys"),
    ("Spend", "spend"), ("Budget", "max_budget"), ("Teams", "teams"), ("Models", "models"), ("Created", "created_at"),
    ("Kept", "kept"),
]  # fmt: skip
Id = Annotated[str, typer.Argument(help="The id on the proxy.")]


@app.command("list")
def list_(
    role: Annotated[str, typer.Option(help="Only of this role, like internal_user.")] = "",
    email: Annotated[str, typer.Option(help="Part of the address.")] = "",
    search: Annotated[str, typer.Option(help="Part of the id or the address.")] = "",
    gateway: Gateway = "", limit: Limit = 100,
) -> None:  # fmt: skip
    """The users of the proxy, by id."""
    server = desk()
    asked = {"role": role, "email": email, "search": search}
    show(server.pages(path(server, gateway, "users"), asked, most=limit), FIELDS[:8])


@app.command("show")
def show_(user: Id, gateway: Gateway = "") -> None:
    """One user, and why Keydesk keeps them."""
    server = desk()
    show_one(server.get(path(server, gateway, "users", user)), FIELDS)


@app.command()
def create(
    email: Annotated[str, typer.Option(help="Their address; an e-mail or an id is needed.")] = "",
    user_id: Annotated[str, typer.Option("--id", help="The id there; the proxy makes one unless said.")] = "",
    alias: Annotated[str, typer.Option(help="What they are called.")] = "",
    role: Annotated[
        str, typer.Option(help="The proxy's role: internal_user, internal_user_viewer, …")
    ] = "internal_user",
    team: Annotated[list[str], typer.Option("--team", help="A team of the proxy, by id.")] = [],  # noqa: B006
    max_budget: Annotated[str, typer.Option("--max-budget", help="USD for all of their life there.")] = "",
    gateway: Gateway = "",
) -> None:
    """Make a user, without the unlimited key that the proxy would make along."""
    body: dict[str, Any] = {"id": user_id, "email": email, "alias": alias, "teams": team, "max_budget": max_budget}
    server = desk()
    sent = {name: value for name, value in body.items() if value} | {"role": role}
    show_one(server.post(path(server, gateway, "users"), sent), FIELDS)


@app.command()
def delete(user: Id, force: Force = False, yes: Yes = False, gateway: Gateway = "") -> None:
    """Delete a user and their keys there; never those who stand for holders of Keydesk's keys."""
    server = desk()
    confirm(f"Delete the user {user}, and their keys on the proxy?", yes=yes)
    gone = server.delete(path(server, gateway, "users", user), {"force": "true"} if force else None)
    show_one(gone, [("Deleted", "id"), ("E-mail", "email"), ("Keys", "keys")])
