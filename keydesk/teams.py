"""Teams, who is in them, and the key roles open to them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from keydesk.desk import desk
from keydesk.keys import NO_ROLE, usd, when
from keydesk.settings import wants_json
from keydesk.show import Column, confirm, data, line, note, show, show_one

app = typer.Typer(help="Teams: list, show, create, change, members, add, remove.")

TEAM: list[Column] = [
    ("TEAM", "slug"), ("NAME", "name"), ("BUDGET", lambda row: usd(row.get("max_budget"))),
    ("EVERY", "budget_duration"),
]  # fmt: skip
MEMBER: list[Column] = [
    ("WHO", "email"),
    ("NAME", "name"),
    ("ROLE", "role"),
    ("BUDGET", lambda row: usd(row.get("max_budget"))),
]
ROLE: list[Column] = [
    ("ROLE", "name"), ("GATEWAY", "gateway"),
    ("MODELS", lambda row: "all" if row.get("all_models") else row.get("models")),
    ("BUDGET", lambda row: usd(row.get("max_budget"))), ("TTL", lambda row: _span(row.get("ttl"))),
    ("AT MOST", lambda row: _span(row.get("max_ttl"))), ("APPROVAL", "approval"), ("DESCRIPTION", "description"),
]  # fmt: skip
Slug = Annotated[str, typer.Argument(help="The team's short name.")]
Who = Annotated[str, typer.Argument(help="Their e-mail address.")]
Budget = Annotated[str, typer.Option("--max-budget", help="USD for each window.")]
Window = Annotated[str, typer.Option("--budget-duration", help="1h, 1d, 7d, 30d or 1mo.")]


def roles(
    gateway: Annotated[str, typer.Option(help="On this gateway.")] = "",
    team: Annotated[str, typer.Option(help="Open to this team.")] = "",
) -> None:
    """The key roles that your teams may issue from."""
    found = desk().pages("roles/", {"gateway": gateway})
    if team:
        found["results"] = [row for row in found["results"] if row.get("all_teams") or team in (row.get("teams") or [])]
    show(found, ROLE, empty=f"No key role is open to your teams. {NO_ROLE}")


@app.command("list")
def list_teams() -> None:
    """The teams that you see."""
    show(desk().pages("teams/"), TEAM, empty="You are in no team. Ask a team admin for an invitation.")


@app.command("show")
def show_team(slug: Slug) -> None:
    """One team."""
    show_one(desk().get(f"teams/{slug}/"), [
        ("Team", "slug"), ("Name", "name"), ("Budget", lambda row: usd(row.get("max_budget"))),
        ("Every", "budget_duration"), ("Cost centre", "cost_centre"), ("Id", "id"),
        ("Made", lambda row: when(row.get("created_at"))),
    ])  # fmt: skip


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Its name.")],
    slug: Annotated[str, typer.Option(help="Its short name; made of the name unless said.")] = "",
    max_budget: Budget = "",
    budget_duration: Window = "",
) -> None:
    """Make a team. For platform admins."""
    _say(desk().post("teams/", _given(name=name, slug=slug, max_budget=max_budget, budget_duration=budget_duration)))


@app.command("change")
def change(slug: Slug, name: str = "", max_budget: Budget = "", budget_duration: Window = "") -> None:
    """Change a team; what is not said stays."""
    body = _given(name=name, max_budget=max_budget, budget_duration=budget_duration)
    _say(desk().patch(f"teams/{slug}/", body))


@app.command("members")
def members(slug: Slug) -> None:
    """Who is in a team."""
    show(desk().pages(f"teams/{slug}/members/"), MEMBER)


@app.command("add")
def add(
    slug: Slug, who: Who, role: Annotated[str, typer.Option(help="viewer, member, approver, admin.")] = "member"
) -> None:
    """Put somebody into a team, or change their role; an unknown address is invited."""
    answer = desk().post(f"teams/{slug}/members/", {"email": who, "role": role})
    if wants_json():
        data(answer)
    elif "invitation" in answer:
        line(f"{who} is invited as {answer['invitation']['role']}, until {when(answer['invitation']['expires_at'])}.")
    else:
        line(f"{answer['email']} is {answer['role']} in {slug}.")


@app.command("remove")
def remove(slug: Slug, who: Who, yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False) -> None:
    """Take somebody out of a team: their keys of it end at once."""
    confirm(f"{who} leaves {slug}, and their keys of it end. Go on?", yes=yes)
    desk().delete(f"teams/{slug}/members/{who}/")
    note(f"{who} is out of {slug}.")


def _given(**fields: str) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}


def _say(team: dict[str, Any]) -> None:
    if wants_json():
        data(team)
    else:
        show([team], TEAM)


def _span(seconds: Any) -> str:
    """A lifetime in its largest whole unit; 0 means the gateway's."""
    if seconds in (None, ""):
        return ""
    if not isinstance(seconds, int):
        return str(seconds)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s" if seconds else "gateway's"
