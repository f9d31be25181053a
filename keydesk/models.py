"""`keydesk models`: the deployments of a gateway's proxy; for who does not run the platform, what they may use."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from keydesk import model_files
from keydesk.desk import Desk, desk
from keydesk.errors import CliError, NotSignedIn, Refused, Usage
from keydesk.proxies import Force, Gateway, Limit, Yes, fields, not_for_them, path, per_million, warn
from keydesk.show import Column, confirm, note, progress, show, show_one

app = typer.Typer(
    no_args_is_help=True, help="The models of a gateway; those you may use, if you do not run the platform."
)

COLUMNS: dict[str, Column] = {
    "name": ("Name", "name"),
    "upstream": ("Model", "upstream"),
    "provider": ("Provider", "provider"),
    "mode": ("Mode", "mode"),
    "credential": ("Credential", "credential"),
    "input": ("$/M in", per_million("input_cost_per_token")),
    "output": ("$/M out", per_million("output_cost_per_token")),
    "max_input": ("Max in", "max_input_tokens"),
    "max_output": ("Max out", "max_output_tokens"),
    "vision": ("Vision", "supports_vision"),
    "functions": ("Functions", "supports_function_calling"),
    "source": ("Source", "source"),
    "blocked": ("Blocked", "blocked"),
    "created": ("Created", "info.created_at"),
    "updated": ("Updated", "info.updated_at"),
    "warnings": ("Warnings", "warnings"),
    "id": ("Id", "id"),
}
USUAL = "name,upstream,mode,input,output,source,blocked,id"
MINE: list[Column] = [
    ("Model", "id"), ("Provider", "provider"), ("Mode", "mode"), ("$/M in", per_million("input_cost_per_token")),
    ("$/M out", per_million("output_cost_per_token")), ("Max in", "max_input_tokens"), ("Gateway", "gateway"),
    ("Roles", "roles"),
]  # fmt: skip

Param = Annotated[
    list[str],
    typer.Option("--param", metavar="NAME=VALUE", help="One of LiteLLM's params. @FILE, - or env:NAME is read there."),
]
Info = Annotated[list[str], typer.Option("--info", metavar="NAME=VALUE", help="One of LiteLLM's model_info.")]
Upstream = Annotated[str, typer.Option("--model", help="The provider's model, like openai/gpt-4o.")]
Credential = Annotated[str, typer.Option("--credential", help="Which of the proxy's credentials it uses.")]


def _columns(chosen: str) -> list[Column]:
    names = [name.strip() for name in chosen.split(",") if name.strip()]
    if unknown := [name for name in names if name not in COLUMNS]:
        raise Usage(f"There is no column {unknown[0]}.", f"There are {', '.join(COLUMNS)}.")
    return [COLUMNS[name] for name in names] or [COLUMNS["name"]]


@app.command("list")
def list_(
    gateway: Gateway = "",
    name: Annotated[str, typer.Option(help="The whole name.")] = "",
    search: Annotated[str, typer.Option(help="Part of the name.")] = "",
    columns: Annotated[str, typer.Option(help=f"Which, of {', '.join(COLUMNS)}.")] = USUAL,
    limit: Limit = 100,
) -> None:
    """The deployments of the proxy by name, or the models that you may have keys for."""
    chosen, server = _columns(columns), desk()
    try:
        show(server.pages(path(server, gateway, "models"), {"name": name, "search": search}, most=limit), chosen)
    except Refused as error:
        if not not_for_them(error):
            raise
        mine(server, gateway, name, search)


def mine(server: Desk, gateway: str, name: str = "", search: str = "") -> None:
    """What the caller may have keys for, where the proxy's own list is not for them."""
    answer = server.get("models/", {"gateway": gateway} if gateway else None)
    rows = [row for row in answer["results"] if name in {"", row["id"]} and search.lower() in row["id"].lower()]
    note("These are the models you may have keys for; the proxy's own list is for the people of the platform.")
    show({**answer, "results": rows}, MINE)


@app.command("show")
def show_(which: Annotated[str, typer.Argument(help="Its id or its name.")], gateway: Gateway = "") -> None:
    """One deployment, by id or name; for who does not run the platform, a model by name."""
    server = desk()
    try:
        found = server.get(path(server, gateway, "models", which))
    except Refused as error:
        if not not_for_them(error):
            raise
        offers = server.get("models/", {"gateway": gateway} if gateway else None)["results"]
        found = next((row for row in offers if row["id"] == which), None)
        if found is None:
            raise CliError(
                f"You may have no key for a model {which}.", "`keydesk models list` shows which.", exit_code=4
            ) from None
        show_one(found, MINE)
        return
    show_one(warn(found), [*COLUMNS.values(), ("Params", "params"), ("Info", "info")])


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="What programs call it by.")],
    model: Upstream, credential: Credential = "", param: Param = [], info: Info = [], gateway: Gateway = "",  # noqa: B006
) -> None:  # fmt: skip
    """Add a deployment to the proxy."""
    params = {"model": model, **fields(param, "--param")}
    if credential:
        params["litellm_credential_name"] = credential
    server = desk()
    made = server.post(
        path(server, gateway, "models"), {"name": name, "params": params, "info": fields(info, "--info")}
    )
    show_one(warn(made), list(COLUMNS.values()))


@app.command()
def change(
    which: Annotated[str, typer.Argument(help="Its id or its name.")],
    name: Annotated[str, typer.Option(help="Another name.")] = "",
    model: Upstream = "", credential: Credential = "", param: Param = [], info: Info = [],  # noqa: B006
    block: Annotated[bool | None, typer.Option("--block/--unblock", help="Refuse every call of it, or not.")] = None,
    force: Force = False, gateway: Gateway = "",
) -> None:  # fmt: skip
    """Change what is given of a deployment; the rest stays."""
    params = {**({"model": model} if model else {}), **fields(param, "--param")}
    if credential:
        params["litellm_credential_name"] = credential
    body: dict[str, Any] = {"name": name, "params": params, "info": fields(info, "--info"), "blocked": block}
    body = {field: value for field, value in body.items() if value not in ("", {}, None)}
    if not body:
        raise Usage("Nothing is to be changed.", "See `keydesk models change --help`.")
    server = desk()
    changed = server.patch(_at(server, gateway, "models", which, force=force), body)
    show_one(warn(changed), list(COLUMNS.values()))


def _at(server: Desk, gateway: str, *parts: str, force: bool) -> str:
    return path(server, gateway, *parts) + ("?force=true" if force else "")


@app.command()
def delete(
    which: Annotated[str, typer.Argument(help="Its id or its name.")],
    force: Force = False, yes: Yes = False, gateway: Gateway = "",
) -> None:  # fmt: skip
    """Delete a deployment; refused while key roles name it and nothing else answers to the name."""
    server = desk()
    confirm(f"Delete the model {which}?", yes=yes)
    gone = server.delete(path(server, gateway, "models", which), {"force": "true"} if force else None)
    show_one(gone, [("Deleted", "name"), ("Id", "id")])


@app.command("import")
def import_(
    file: Annotated[str, typer.Argument(help="LiteLLM's configuration, YAML or JSON, with a model_list.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be added, and add nothing.")] = False,
    only: Annotated[str, typer.Option(metavar="REGEX", help="Only where the name or the provider's model fits.")] = "",
    skip: Annotated[str, typer.Option(metavar="REGEX", help="Not where the name or the provider's model fits.")] = "",
    gateway: Gateway = "",
) -> None:
    """Add the models of a LiteLLM configuration; what is there already is not added again."""
    entries = model_files.read(file, only, skip)
    server = desk()
    where = path(server, gateway, "models")
    there = model_files.counted(server.pages(where)["results"])
    results = [_import(server, where, entry, there, dry_run=dry_run) for entry in progress(entries, "Models")]
    columns: list[Column] = [("Name", "name"), ("Model", "model"), ("Result", "result"), ("Why", "why")]
    show({"results": results, "next": None, "previous": None}, columns, empty="No model fits.")
    if failed := sum(row["result"] == "failed" for row in results):
        note(f"{failed} of {len(results)} failed.")
        raise typer.Exit(1)


def _import(server: Desk, where: str, entry: model_files.Entry, there: Any, *, dry_run: bool) -> dict[str, Any]:
    """One model of the file; a failure of one does not stop the others."""
    told = {"name": entry.name, "model": entry.upstream, "result": "failed", "why": entry.wrong, "id": None}
    if entry.wrong:
        return told
    if there[entry.pair] > 0:
        there[entry.pair] -= 1
        return told | {"result": "there already", "why": ""}
    if dry_run:
        return told | {"result": "would be added", "why": ""}
    try:
        made = server.post(where, {"name": entry.name, "params": entry.params, "info": entry.info})
    except NotSignedIn:
        raise
    except CliError as error:
        if isinstance(error, Refused) and not_for_them(error):
            raise
        details = [f"{name}: {said}" for name, said in getattr(error, "details", {}).items() if said != error.message]
        return told | {"why": "; ".join([error.message, *details])}
    return told | {"result": "added", "why": " ".join(made.get("warnings") or []), "id": made["id"]}
