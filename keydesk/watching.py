"""The audit trail, and the gateways as they are."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from keydesk.desk import desk
from keydesk.keys import usd, when
from keydesk.show import Column, show, show_one

app = typer.Typer(help="Gateways: list, show. For auditors and platform admins.")

ACT: list[Column] = [
    ("AT", lambda row: when(row.get("at"))), ("WHO", "actor"), ("ACT", "action"), ("WHAT", "target"),
    ("FROM", "ip"), ("ID", "id"),
]  # fmt: skip
GATEWAY: list[Column] = [
    ("GATEWAY", "name"), ("STATE", lambda row: "held" if row.get("held") else (row.get("health") or {}).get("state")),
    ("VERSION", "litellm_version"), ("DEFAULT", "is_default"), ("ADDRESS", "base_url"),
    ("CHECKED", lambda row: when((row.get("health") or {}).get("checked_at"))),
]  # fmt: skip


def audit(
    action: Annotated[str, typer.Option(help="One act like key.issued, or key. for all about keys.")] = "",
    actor: Annotated[str, typer.Option(help="By whom: an id, or part of a name.")] = "",
    target: Annotated[str, typer.Option(help="On what: an id, or part of a name.")] = "",
    team: Annotated[str, typer.Option(help="Of this team.")] = "",
    ip: Annotated[str, typer.Option(help="From this address.")] = "",
    start: Annotated[str, typer.Option("--from", help="From this day on, UTC.")] = "",
    end: Annotated[str, typer.Option("--to", help="Up to this day, UTC.")] = "",
    limit: Annotated[int, typer.Option(help="How many; 0: all.")] = 50,
) -> None:
    """The audit trail that you may see, newest first. With --json every fact of each act."""
    asked: dict[str, Any] = {"action": action, "actor": actor, "target": target, "team": team, "ip": ip}
    show(desk().pages("audit/", {**asked, "from": start, "to": end}, most=limit), ACT, empty="No acts.")


@app.command("list")
def list_gateways() -> None:
    """The gateways, and how they are."""
    show(desk().pages("gateways/"), GATEWAY)


@app.command("show")
def show_gateway(name: Annotated[str, typer.Argument(help="Its name.")]) -> None:
    """One gateway."""
    show_one(desk().get(f"gateways/{name}/"), [
        ("Gateway", "name"), ("Address", "base_url"), ("State", "health.state"), ("Away since", "health.away_since"),
        ("Why", "health.away_reason"), ("Held", "held.reason"), ("Version", "litellm_version"),
        ("Checked", lambda row: when((row.get("health") or {}).get("checked_at"))),
        ("Compared", lambda row: when(row.get("reconciled_at"))), ("Models", "models"),
        ("Other keys there", "foreign_keys"), ("An ending works within", "effective_within"),
        ("Spend", lambda row: usd(row.get("spend"))), ("Budget", lambda row: usd(row.get("max_budget"))),
    ])  # fmt: skip
