"""Requests: ask for a key or for more of one, wait for the decision, decide those of others."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from keydesk.desk import desk
from keydesk.errors import Away, CliError, Exit, Usage
from keydesk.keys import ISSUED, SHOWN_ONCE, find, order, seconds, secret_of, usd, when
from keydesk.settings import wants_json
from keydesk.show import Column, data, line, note, show, show_one, show_secret

app = typer.Typer(help="Requests that wait for a person: list, show, approve, deny, claim, cancel, say.")

LOOK_EVERY = 15  # seconds between two looks at a request that somebody waits for
COLUMNS: list[Column] = [
    ("ID", "id"), ("STATE", "state"), ("KIND", "kind"), ("TEAM", "team"), ("ROLE", "role"), ("HOLDER", "holder"),
    ("PURPOSE", "purpose"), ("ASKED", lambda row: when(row.get("submitted_at"))),
]  # fmt: skip
FIELDS: list[Column] = [
    ("Id", "id"), ("State", "state"), ("Kind", "kind"), ("Team", "team"), ("Role", "role"), ("Gateway", "gateway"),
    ("For", "holder"), ("Asked by", "asked_by"), ("Purpose", "purpose"),
    ("Asked", lambda row: _bounds(row.get("asked"))), ("Granted", lambda row: _bounds(row.get("granted"))),
    ("Costs at most", lambda row: usd((row.get("stake") or {}).get("total"))),
    ("Since", lambda row: when(row.get("submitted_at"))), ("Waits for", "waits_for"),
    ("Lapses", lambda row: when(row.get("lapses_at"))), ("Decided by", "decided_by"), ("Reason", "reason"),
    ("Claim until", lambda row: when(row.get("claim_until"))), ("Key", "lease"), ("You may", "acts"),
    ("Page", "links.page"),
]  # fmt: skip
Id = Annotated[str, typer.Argument(help="The id of the request.")]


def request(
    purpose: Annotated[str, typer.Argument(help="What it is for: whoever decides reads it.")],
    team: Annotated[str, typer.Option(help="For this team.")] = "",
    role: Annotated[str, typer.Option(help="From this key role.")] = "",
    gateway: Annotated[str, typer.Option(help="Where several gateways have that role.")] = "",
    ttl: Annotated[str, typer.Option(help="How long it should live: 24h, 7d.")] = "",
    model: Annotated[list[str] | None, typer.Option(help="These models; several times.")] = None,
    max_budget: Annotated[str, typer.Option(help="USD.")] = "",
    name: Annotated[str, typer.Option(help="What the key is called here.")] = "",
    holder: Annotated[str, typer.Option(help="A service account of the team; you, unless said.")] = "",
    key: Annotated[str, typer.Option(help="Ask that this live key may do more for a while (id, alias or name).")] = "",
    lasts: Annotated[str, typer.Option(help="With --key: for how long, like 3d.")] = "",
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the decision, then claim the key.")] = False,
) -> None:
    """Ask for a key: issued at once where the key role allows it, else somebody decides.

    The key alone goes to stdout.
    """
    if not key:
        order(
            team=team, role=role, gateway=gateway, ttl=seconds(ttl), models=model or [], max_budget=max_budget,
            name=name, holder=holder, purpose=purpose, wait=wait,
        )  # fmt: skip
        return
    if not lasts:
        raise Usage("Say for how long the key should do more: --lasts 3d.")
    here = desk()
    body: dict[str, Any] = {"lease": find(here, key), "lasts": seconds(lasts), "purpose": purpose}
    body |= {"models": model} if model else {}
    body |= {"max_budget": max_budget} if max_budget else {}
    answer = here.post("requests/", body)
    if wants_json():
        data(answer)
        return
    _told(answer)


@app.command("list")
def list_requests(
    waiting: Annotated[bool, typer.Option("--waiting", help="Those that you may decide now.")] = False,
    mine: Annotated[bool, typer.Option("--mine", help="Those that you asked, or that are for you.")] = False,
    state: Annotated[str, typer.Option(help="pending, approved, denied, cancelled, lapsed, fulfilled.")] = "",
    team: Annotated[str, typer.Option(help="Of this team.")] = "",
    limit: Annotated[int, typer.Option(help="How many; 0: all.")] = 50,
) -> None:
    """The requests that you see, newest first."""
    asked = {"state": state, "team": team, "waiting": "true" if waiting else "", "mine": "true" if mine else ""}
    show(desk().pages("requests/", asked, most=limit), COLUMNS, empty="No requests.")


@app.command("show")
def show_request(pk: Id) -> None:
    """One request: what is asked and granted, who decides, what was said."""
    found = desk().get(f"requests/{pk}/")
    show_one(found, FIELDS)
    if not wants_json():
        for each in found.get("thread") or []:
            text = f": {each['text']}" if each.get("text") else ""
            line(f"  {when(each.get('at'))}  {each.get('who')} {each.get('act')}{text}")


@app.command("approve")
def approve(
    pk: Id,
    ttl: Annotated[str, typer.Option(help="For no longer than this.")] = "",
    model: Annotated[list[str] | None, typer.Option(help="Only these models; several times.")] = None,
    max_budget: Annotated[str, typer.Option(help="At most so many USD.")] = "",
    text: Annotated[str, typer.Option(help="A word to whoever asked.")] = "",
) -> None:
    """Approve a request, as asked or for less. Never your own."""
    body: dict[str, Any] = {"ttl": seconds(ttl), "models": model, "max_budget": max_budget, "text": text}
    _act(pk, "approve", {name: value for name, value in body.items() if value})


@app.command("deny")
def deny(pk: Id, reason: Annotated[str, typer.Option(help="Why not: whoever asked reads it.", prompt=True)]) -> None:
    """Turn a request down."""
    _act(pk, "deny", {"reason": reason})


@app.command("cancel")
def cancel(pk: Id) -> None:
    """Take your own request back."""
    _act(pk, "cancel", {})


@app.command("say")
def say(pk: Id, text: Annotated[str, typer.Argument(help="A question, or an answer.")]) -> None:
    """Add a line to a request's thread; the others get a letter."""
    _act(pk, "say", {"text": text})


@app.command("claim")
def claim(pk: Id, wait: Annotated[bool, typer.Option("--wait", help="Wait for the decision first.")] = False) -> None:
    """Issue the key of an approved request. The key alone goes to stdout."""
    here = desk()
    if wait:
        _until_decided(here, pk)
    answer = here.post(f"requests/{pk}/claim/")
    show_secret(answer, secret_of(answer), ISSUED, warning=SHOWN_ONCE)


def waits(here: Any, answer: Mapping[str, Any], *, wait: bool) -> None:
    """Say who decides about an order, and how to go on; or wait for it, then claim the key. Raises CliError."""
    asked = answer["request"]
    if not wait:
        if wants_json():
            data(answer)
            return
        _told(here.get(f"requests/{asked['id']}/"))
        line(str(asked["id"]))
        return
    note(f"Request {asked['id']} waits for a decision. Ctrl-C leaves it there.")
    _until_decided(here, str(asked["id"]))
    found = here.post(f"requests/{asked['id']}/claim/")
    show_secret(found, secret_of(found), ISSUED, warning=SHOWN_ONCE)


def _told(asked: Mapping[str, Any]) -> None:
    people = ", ".join(asked.get("waits_for") or [])
    waits_for = f" and waits for {people}" if people else ""
    note(f"Nobody has decided yet: request {asked['id']} is {asked['state']}{waits_for}.")
    if asked.get("kind") == "rise":
        return
    note(f"Once it is approved: `keydesk requests claim {asked['id']}`, or wait for it with `claim --wait`.")


def _until_decided(here: Any, pk: str) -> None:
    """Look until somebody has decided. Raises CliError when there will be no key."""
    while True:
        try:
            found = here.get(f"requests/{pk}/")
        except Away:
            time.sleep(LOOK_EVERY)
            continue
        if found["state"] == "approved":
            return
        if found["state"] != "pending":
            why = f": {found['reason']}" if found.get("reason") else "."
            raise CliError(f"Request {pk} is {found['state']}{why}", exit_code=Exit.REFUSED)
        time.sleep(LOOK_EVERY)


def _act(pk: str, act: str, body: Mapping[str, Any]) -> None:
    answer = desk().post(f"requests/{pk}/{act}/", body)
    if wants_json():
        data(answer)
        return
    line(f"{pk}: {answer.get('state')}")


def _bounds(found: Any) -> str:
    """What is asked or granted, in one line."""
    if not isinstance(found, Mapping):
        return ""
    parts = [
        ", ".join(found["models"]) if found.get("models") else "",
        f"{found['ttl']} s" if found.get("ttl") else "",
        usd(found["max_budget"]) if found.get("max_budget") else "",
    ]
    return "; ".join(filter(None, parts))
