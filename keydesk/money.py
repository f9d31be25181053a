"""What was spent, and the monthly statements."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from keydesk.desk import desk
from keydesk.keys import find, usd, when
from keydesk.settings import wants_json
from keydesk.show import Column, data, line, show

app = typer.Typer(help="Monthly statements: list, lines, export.")

SUMS: list[Column] = [
    ("SPEND", lambda row: usd(row.get("spend"))), ("PROMPT TOKENS", "prompt_tokens"),
    ("COMPLETION TOKENS", "completion_tokens"), ("REQUESTS", "requests"), ("FAILED", "failed"),
]  # fmt: skip
STATEMENT: list[Column] = [
    ("MONTH", "month"), ("TEAM", "team"), ("COST CENTRE", "cost_centre"), ("TOTAL", lambda row: usd(row.get("total"))),
    ("CORRECTED", lambda row: usd(row.get("corrected"))), ("CLOSED", lambda row: when(row.get("closed_at"))),
    ("ID", "id"),
]  # fmt: skip
LINE: list[Column] = [
    ("MONTH", "of_month"),
    ("KEY", "key_alias"),
    ("HOLDER", "holder"),
    ("MODEL", "model"),
    *SUMS,
]
From = Annotated[str, typer.Option("--from", help="The first day; of this month unless said.")]
To = Annotated[str, typer.Option("--to", help="The last day; today unless said.")]


def spend(
    by: Annotated[str, typer.Option(help="team, key, member, model, day, gateway, role or cost_centre.")] = "team",
    start: From = "",
    end: To = "",
    team: Annotated[str, typer.Option(help="Of this team.")] = "",
    member: Annotated[str, typer.Option(help="Of this person: an e-mail, or me.")] = "",
    model: Annotated[str, typer.Option(help="With this model.")] = "",
    role: Annotated[str, typer.Option(help="With keys of this key role.")] = "",
    gateway: Annotated[str, typer.Option(help="On this gateway.")] = "",
    key: Annotated[str, typer.Option(help="By this key (id, alias or name).")] = "",
    limit: Annotated[int, typer.Option(help="How many rows; 0: all.")] = 50,
) -> None:
    """What the keys that you see have spent, the dearest first. Figures are the ledger's, in USD."""
    here = desk()
    asked: dict[str, Any] = {"by": by, "from": start, "to": end, "team": team, "member": member, "model": model}
    asked |= {"role": role, "gateway": gateway, "key": find(here, key) if key else ""}
    found = here.pages("spend/", asked, most=limit)
    if wants_json():
        data(found)
        return
    total = found.get("total") or {}
    rows = [*found["results"], {**total, "name": "TOTAL", "id": ""}]
    show(
        {**found, "results": rows},
        [(by.upper().replace("_", " "), lambda row: row.get("name") or row.get("id")), *SUMS],
    )


@app.command("list")
def list_statements(
    month: Annotated[str, typer.Option(help="Of this month, like 2026-10.")] = "",
    team: Annotated[str, typer.Option(help="Of this team.")] = "",
) -> None:
    """The statements that you see, the last month first."""
    show(desk().pages("statements/", {"month": month, "team": team}), STATEMENT, empty="No statement is closed yet.")


@app.command("lines")
def lines(pk: Annotated[str, typer.Argument(help="The id of the statement.")]) -> None:
    """The lines of a statement: each key and model, and corrections of earlier months."""
    show(desk().pages(f"statements/{pk}/lines/"), LINE)


@app.command("export")
def export(
    pk: Annotated[str, typer.Argument(help="The id of the statement.")],
    kind: Annotated[str, typer.Option(help="csv, or focus (FOCUS 1.2).")] = "csv",
) -> None:
    """A statement as a file, on stdout. The export is on record."""
    for each in desk().text("POST", f"statements/{pk}/file/", body={"kind": kind}).splitlines():
        line(each)
