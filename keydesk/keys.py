"""Virtual keys: seen, issued, renewed, rotated, paused, resumed and revoked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any
from uuid import UUID

import typer

from keydesk import settings
from keydesk.desk import desk
from keydesk.errors import CliError, Exit, NotSignedIn, Refused, Usage
from keydesk.settings import wants_json
from keydesk.show import Column, confirm, data, line, note, plain, progress, show, show_one, show_secret
from keydesk.store import moment

app = typer.Typer(help="Virtual keys: list, show, issue, renew, rotate, pause, resume, revoke.")

ENDED = frozenset({"revoked", "expired", "failed"})
COLUMNS: list[Column] = [
    ("KEY", lambda row: row.get("name") or row.get("alias")), ("ID", "id"), ("STATE", "state"), ("TEAM", "team"),
    ("ROLE", "role"), ("HOLDER", "holder"), ("EXPIRES", lambda row: when(row.get("expires_at"))),
    ("SPEND", lambda row: usd(row.get("spend"))), ("BUDGET", lambda row: usd(row.get("max_budget"))),
]  # fmt: skip
FIELDS: list[Column] = [
    ("Key", lambda row: row.get("name") or row.get("alias")), ("Id", "id"), ("Alias", "alias"), ("State", "state"),
    ("Team", "team"), ("Role", "role"), ("Gateway", "gateway"), ("Holder", "holder"), ("Purpose", "purpose"),
    ("Models", lambda row: "all" if row.get("all_models") else row.get("models")), ("Base URL", "base_url"),
    ("Issued", lambda row: when(row.get("issued_at"))), ("Expires", lambda row: when(row.get("expires_at"))),
    ("At most until", lambda row: when(row.get("max_expires_at"))), ("Spend", lambda row: usd(row.get("spend"))),
    ("Budget", lambda row: usd(row.get("max_budget"))), ("Last used", lambda row: when(row.get("last_used_at"))),
    ("Paused because", "pause_reason"), ("Ended", lambda row: when(row.get("ended_at"))),
    ("Ended because", "end_reason"),
    ("Secrets", lambda row: [f"{each['number']} {each['name']} {each['state']}" for each in row.get("versions") or []]),
]  # fmt: skip
ISSUED: list[Column] = [
    ("Key", lambda row: row["lease"].get("name") or row["lease"].get("alias")), ("Id", "lease.id"),
    ("Team", "lease.team"), ("Role", "lease.role"), ("Base URL", "base_url"),
    ("Models", lambda row: [each["id"] for each in row.get("models") or []]),
    ("Budget", lambda row: usd((row.get("budget") or {}).get("max"))),
    ("Expires", lambda row: when(row["lease"].get("expires_at"))),
]  # fmt: skip
SHOWN_ONCE = "Copy the key now: it is shown this once."
NO_ROLE = "A platform admin makes one, in the portal under Key roles, and opens it to the team."

Keys = Annotated[list[str] | None, typer.Argument(help="Ids, aliases or names.", show_default=False)]
Team = Annotated[str, typer.Option("--team", help="All keys of this team.")]
Role = Annotated[str, typer.Option("--role", help="All keys of this key role.")]
Holder = Annotated[str, typer.Option("--holder", help="All keys of this person or service account.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Why = Annotated[str, typer.Option("--reason", help="Why: whoever sees the key reads it.")]
Limit = Annotated[int, typer.Option(help="How many; 0: all.")]


def when(text: Any) -> str:
    """A time of the API as people read it: to the minute, UTC."""
    return f"{moment(str(text)):%Y-%m-%d %H:%M} UTC" if text else ""


def usd(text: Any) -> str:
    """An amount as people read it: cents, and more digits below one cent. Figures of the API are exact; this rounds."""
    try:
        amount = Decimal(str(text))
    except InvalidOperation:
        return ""
    return f"${amount:,.2f}" if amount == 0 or abs(amount) >= Decimal("0.01") else f"${amount:.4f}"


@app.command("list")
def list_keys(
    team: Annotated[str, typer.Option(help="Of this team.")] = "",
    role: Annotated[str, typer.Option(help="Of this key role.")] = "",
    holder: Annotated[str, typer.Option(help="Of this person (e-mail, or me) or service account.")] = "",
    gateway: Annotated[str, typer.Option(help="On this gateway.")] = "",
    state: Annotated[str, typer.Option(help="issuing, active, paused, rotating, revoking, revoked, expired …")] = "",
    search: Annotated[str, typer.Option("--search", "-q", help="In names and aliases.")] = "",
    ended: Annotated[bool, typer.Option("--ended", help="With ended ones.")] = False,
    limit: Limit = 100,
) -> None:
    """The keys that you see, newest first; live ones unless said."""
    asked = {"team": team, "role": role, "holder": holder, "gateway": gateway, "state": state, "q": search}
    live = None if ended or state else lambda row: row.get("state") not in ENDED
    found = desk().pages("keys/", asked, most=limit, only=live)
    show(found, COLUMNS, empty="No keys. `keydesk keys issue` makes one.")


@app.command("show")
def show_key(key: Annotated[str, typer.Argument(help="Its id, alias or name.")]) -> None:
    """One key: its state, limits, spend and secrets' ends."""
    here = desk()
    show_one(here.get(f"keys/{find(here, key)}/"), FIELDS)


@app.command("issue")
def issue(
    team: Annotated[str, typer.Option(help="For this team.")] = "",
    role: Annotated[str, typer.Option(help="From this key role.")] = "",
    gateway: Annotated[str, typer.Option(help="Where several gateways have that role.")] = "",
    ttl: Annotated[str, typer.Option(help="How long it lives: 24h, 7d, or seconds.")] = "",
    model: Annotated[list[str] | None, typer.Option(help="Only these models; several times.")] = None,
    max_budget: Annotated[str, typer.Option(help="USD.")] = "",
    tpm: Annotated[int, typer.Option(help="Tokens a minute.", show_default=False)] = 0,
    rpm: Annotated[int, typer.Option(help="Requests a minute.", show_default=False)] = 0,
    parallel: Annotated[int, typer.Option(help="Requests at the same time.", show_default=False)] = 0,
    purpose: Annotated[str, typer.Option(help="What it is for.")] = "",
    name: Annotated[str, typer.Option(help="What it is called here.")] = "",
    holder: Annotated[str, typer.Option(help="A service account of the team; you, unless said.")] = "",
    wait: Annotated[bool, typer.Option("--wait", help="Where somebody must decide: wait for it, then claim.")] = False,
) -> None:
    """Issue a key. The key alone goes to stdout: `keydesk keys issue > key.txt`."""
    order(
        team=team, role=role, gateway=gateway, ttl=seconds(ttl), models=model or [], max_budget=max_budget,
        tpm_limit=tpm, rpm_limit=rpm, max_parallel_requests=parallel, purpose=purpose, name=name, holder=holder,
        wait=wait,
    )  # fmt: skip


@app.command("renew")
def renew(keys: Keys = None, ttl: Annotated[str, typer.Option(help="For how long from now.")] = "") -> None:
    """Let keys live longer, from now on, up to their max TTL."""
    _each(keys, "renew", {"ttl": seconds(ttl)} if ttl else {}, lambda row: f"lives until {when(row.get('expires_at'))}")


@app.command("rotate")
def rotate(
    keys: Keys = None,
    grace: Annotated[str, typer.Option(help="How long the old secret works on: 0, 1h; a day unless said.")] = "",
) -> None:
    """Give keys their next secret. One alone goes to stdout; of several `id<TAB>secret` lines do."""
    here, body = desk(), {"grace": seconds(grace)} if grace else {}
    ids = [find(here, each) for each in _named(keys)]
    if len(ids) == 1:
        answer = here.post(f"keys/{ids[0]}/rotate/", body)
        show_secret(answer, secret_of(answer), ISSUED, warning=SHOWN_ONCE)
        return

    def act(pk: str) -> Any:
        answer = here.post(f"keys/{pk}/rotate/", body)
        secret = secret_of(answer)
        if not wants_json():
            line(f"{pk}\t{secret}")  # at once: what follows may fail
        return answer

    _report(_done(keys or [], ids, act, "Rotating"), lambda row: "rotated")


@app.command("pause")
def pause(keys: Keys = None, reason: Why = "") -> None:
    """Stop keys for a while; `resume` lets them answer again."""
    _each(keys, "pause", {"reason": reason} if reason else {}, lambda row: "paused")


@app.command("resume")
def resume(keys: Keys = None) -> None:
    """Let paused keys answer again."""
    _each(keys, "resume", {}, lambda row: "answers again")


@app.command("revoke")
def revoke(
    keys: Keys = None, team: Team = "", role: Role = "", holder: Holder = "", gateway: str = "",
    reason: Why = "", dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would end.")] = False,
    yes: Yes = False,
) -> None:  # fmt: skip
    """End keys now, for good: named ones, or all of a team, a key role or a holder, after a count."""
    chosen = {name: value for name, value in (("team", team), ("role", role), ("holder", holder)) if value}
    if bool(keys) + len(chosen) != 1:
        raise Usage("Say which keys: some of them, or one of --team, --role and --holder.", "See `keydesk keys list`.")
    here, why = desk(), {"reason": reason} if reason else {}
    if keys and len(keys) == 1 and not dry_run:
        _each(keys, "revoke", why, lambda row: row.get("state", "revoked"))
        return
    what: dict[str, Any] = {**chosen, **({"gateway": gateway} if gateway else {})}
    if keys:
        what = {"ids": [find(here, each) for each in keys]}
    reach = here.post("keys/revoke/", {**what, "preview": True})["reach"]
    told = f"{reach['keys']} keys of {len(reach['holders'])} holders end; {reach['busy']} were used within the hour"
    if dry_run:
        data({"reach": reach}) if wants_json() else line(f"{told}. Nothing was done.")
        return
    if not reach["keys"]:
        note("No key would end.")
        return
    confirm(f"{told}. This cannot be undone. Go on?", yes=yes)
    rows: list[dict[str, Any]] = []
    while True:
        answer = here.post("keys/revoke/", {**what, **why})
        rows += answer["results"]
        if not answer["more"] or not any(row["done"] for row in answer["results"]):
            break
    _report(rows, lambda row: row.get("state", "revoked"))


def order(*, team: str, role: str, wait: bool = False, **more: Any) -> None:
    """Issue a key, or say who decides. `more`: fields of POST keys/, left out where empty. Raises CliError."""
    here = desk()
    where, what = chosen(here, team, role, str(more.get("gateway") or ""))
    body = {name: value for name, value in more.items() if value not in ("", 0, [], None)}
    gateway = str(body.get("gateway") or settings.setting("gateway"))
    answer = here.post("keys/", {**body, **({"gateway": gateway} if gateway else {}), "team": where, "role": what})
    if "request" in answer:
        from keydesk.asking import waits

        waits(here, answer, wait=wait)
        return
    show_secret(answer, secret_of(answer), ISSUED, warning=SHOWN_ONCE)


def secret_of(answer: Mapping[str, Any]) -> str:
    """The secret of an answer. Raises CliError for one that was shown before: its answer was lost on the way."""
    if key := answer.get("key"):
        return str(key)
    pk = answer.get("lease", {}).get("id", "")
    raise CliError(
        "The key was issued before, and its secret is shown once.",
        f"Only if nobody has it: `keydesk keys rotate {pk} --grace 0` replaces it.",
    )


def find(here: Any, text: str) -> str:
    """The id of a key by id, alias or name; of several with that name the live one. Raises CliError, Usage."""
    try:
        return str(UUID(text))
    except ValueError:
        pass
    rows = here.pages("keys/", {"q": text})["results"]
    exact = [row for row in rows if text in (row.get("name"), row.get("alias"))]
    live = [row for row in exact if row.get("state") not in ENDED] or exact
    if len(live) > 1:
        raise Usage(
            f"{len(live)} keys are called {plain(text)!r}.", f"Say an id: {', '.join(row['id'] for row in live[:3])}."
        )
    if not live:
        raise CliError(f"No key is called {text!r}.", "See `keydesk keys list`.", exit_code=Exit.NOT_FOUND)
    return str(live[0]["id"])


def seconds(text: str) -> int | str:
    """A lifetime as the API takes it: a number is seconds."""
    return int(text) if text.isdecimal() else text


def chosen(here: Any, team: str, role: str, gateway: str) -> tuple[str, str]:
    """The team and the key role: as said, as set, or the only ones. Raises Usage, which names the choices."""
    where = team or settings.setting("team")
    if not where:
        slugs = [str(row["slug"]) for row in here.pages("teams/")["results"]]
        if len(slugs) != 1:
            raise Usage("Say for which team: --team, or `keydesk config set team`.", f"You see: {_few(slugs)}.")
        where = slugs[0]
    what = role or settings.setting("role")
    if not what:
        rows = here.pages("roles/", {"gateway": gateway})["results"]
        names = [str(row["name"]) for row in rows if not row.get("ended_at") and _open(row, where)]
        if not names:
            raise CliError(f"No key role is open to {where}.", NO_ROLE)
        if len(set(names)) != 1:
            raise Usage("Say from which key role: --role, or `keydesk config set role`.", f"Open: {_few(names)}.")
        what = names[0]
    return where, what


def _open(role: Mapping[str, Any], team: str) -> bool:
    return bool(role.get("all_teams")) or team in (role.get("teams") or [])


def _few(names: Sequence[str]) -> str:
    some = sorted(set(names))
    return (", ".join(some[:8]) + (", …" if len(some) > 8 else "")) or "none"


def _named(keys: Sequence[str] | None) -> Sequence[str]:
    if not keys:
        raise Usage("Say which keys.", "See `keydesk keys list`.")
    return keys


def _each(keys: Sequence[str] | None, act: str, body: Mapping[str, Any], said: Callable[[Any], str]) -> None:
    """One act on one key or several."""
    here = desk()
    ids = [find(here, each) for each in _named(keys)]
    if len(ids) == 1:
        answer = here.post(f"keys/{ids[0]}/{act}/", body)
        data(answer) if wants_json() else line(f"{answer.get('name') or answer.get('alias')}: {said(answer)}")
        return
    _report(_done(keys or [], ids, lambda pk: here.post(f"keys/{pk}/{act}/", body), act.title()), said)


def _done(said: Sequence[str], ids: Sequence[str], act: Callable[[str], Any], doing: str) -> list[dict[str, Any]]:
    """A result for each, as bulk acts of the API answer them; a trouble of one keeps none of the others."""
    rows: list[dict[str, Any]] = []
    for name, pk in progress(list(zip(said, ids, strict=True)), doing, len(ids)):
        try:
            answer = act(pk)
            rows.append({"lease": answer.get("lease", answer), "done": True, "error": None, "key": answer.get("key")})
        except NotSignedIn:
            raise
        except CliError as error:
            told = error.error if isinstance(error, Refused) else {"message": error.message, "action": error.action}
            rows.append({"lease": {"id": pk, "name": name}, "done": False, "error": told})
    return rows


def _report(rows: Sequence[Mapping[str, Any]], said: Callable[[Any], str]) -> None:
    """Say what became of each. Raises CliError when one of them failed."""
    if wants_json():
        data({"results": list(rows)})
    else:
        for row in rows:
            lease = row["lease"]
            called = lease.get("name") or lease.get("alias") or lease["id"]
            note(f"{called}: {said(lease)}" if row["done"] else f"{called}: NOT done. {row['error']['message']}")
    failed = sum(not row["done"] for row in rows)
    if failed:
        raise CliError(f"{failed} of {len(rows)} could not be done.", "The others are. See above.")
    note(f"{len(rows)} done.")
