"""`keydesk keys import`: keys that somebody made elsewhere become leases, from a gateway of ours or another LiteLLM.

On a gateway of ours a key is adopted: its secret stays, and goes on working. Of another LiteLLM nobody knows the
secrets, so each key gets a new one here, with its models, the rest of its budget and of its time.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from getpass import getpass
from pathlib import Path
from typing import IO, Annotated, Any
from urllib.parse import urlsplit

import requests
import typer

from keydesk import calls, keys, places
from keydesk.desk import Desk, desk
from keydesk.errors import Away, CliError, Refused, Usage
from keydesk.leasing import Leased, Waiting, revoke, shown
from keydesk.settings import HERE, wants_json
from keydesk.show import data, note, progress, show
from keydesk.store import moment

PAGE = 100  # the most that LiteLLM lists at once
KEY_OF_SOURCE = "SOURCE_API_KEY"
MARK = 12  # hex digits of an old key's hash, by which a second run knows what the first one did
LIMITS = ("tpm_limit", "rpm_limit", "max_parallel_requests")
ANY_MODEL = frozenset({"all-team-models", "all-proxy-models"})
COLUMNS = [("KEY", "key"), ("OUTCOME", "outcome"), ("LEASE", "lease"), ("WHAT", "what")]


@dataclass(frozen=True)
class Outcome:
    """What became of one key. Never holds a secret."""

    key: str
    outcome: str  # imported, would import, skipped, failed
    what: str = ""
    lease: str = ""


app = keys.app


@app.command("import")
def import_(
    team: Annotated[str, typer.Option(help="The team that gets them.")],
    role: Annotated[str, typer.Option(help="The key role that bounds them.")],
    gateway: Annotated[str, typer.Option(help="Adopt the keys on this gateway that are not Keydesk's.")] = "",
    source: Annotated[
        str, typer.Option("--from", help=f"Another LiteLLM's address; its admin's key is in {KEY_OF_SOURCE}.")
    ] = "",
    holder: Annotated[str, typer.Option(help="Who holds them: an e-mail, an id, a service account's name.")] = "",
    match: Annotated[str, typer.Option(help="Only keys whose alias this regular expression finds.")] = "",
    created_since: Annotated[str, typer.Option(help="Only keys made since then, like 2026-11-01 (UTC).")] = "",
    ttl: Annotated[str, typer.Option(help="How long they live from now, instead of their own rest.")] = "",
    secrets: Annotated[
        Path | None, typer.Option(help="With --from: a new file, mode 600, for the new secrets, a line of JSON each.")
    ] = None,
    show_secrets: Annotated[bool, typer.Option("--show-secrets", help="With --from: print them on stdout.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
) -> None:
    """Make leases of keys that were made elsewhere: adopt those of a gateway, or issue those of another LiteLLM anew.

    On a gateway of Keydesk's a key keeps its secret, and works on. Of another LiteLLM nobody knows the secrets: each
    key gets a new one, with its models, its expiry and the rest of its budget.
    """
    if bool(gateway) == bool(source):
        raise Usage("Keys come from one place.", "Say --gateway NAME, or --from https://other-litellm.example.com.")
    if source and not dry_run and bool(secrets) == show_secrets:
        raise Usage("Each key gets a new secret.", "Say where they go: --secrets FILE, or --show-secrets.")
    if gateway and not holder and not dry_run:
        raise Usage("An adopted key has a holder.", "Say --holder ada@example.com, of that team.")
    if gateway and created_since:
        raise Usage("A gateway's list does not say when a key was made.", "Use --match, by alias.")
    wanted = Wanted(_pattern(match), _since(created_since))
    at = desk()
    if gateway:
        rows = [each for each in at.pages("unmanaged-keys/", {"gateway": gateway})["results"] if wanted.takes(each)]
        found = _adopt(at, rows, {"team": team, "role": role, "holder": holder, "ttl": ttl}, dry_run=dry_run)
        return _tell(list(progress(found, "Adopting", total=len(rows))))
    rows = [each for each in _keys_of(source) if wanted.takes(each)]
    order = {"team": team, "role": role, **({"holder": holder} if holder else {})}
    with _Secrets(secrets, show_secrets and not dry_run) as sink:
        found = _issue(at, rows, order, source, ttl, sink, dry_run=dry_run)
        return _tell(list(progress(found, "Issuing", total=len(rows))))


@dataclass(frozen=True)
class Wanted:
    """Which keys: by alias, and by when they were made."""

    alias: re.Pattern[str] | None
    since: datetime | None

    def takes(self, row: dict[str, Any]) -> bool:
        if self.alias and not self.alias.search(row.get("alias") or row.get("key_alias") or ""):
            return False
        made = row.get("created_at")
        return self.since is None or bool(made and moment(str(made)) >= self.since)


def _adopt(at: Desk, rows: Iterable[dict[str, Any]], terms: dict[str, str], *, dry_run: bool) -> Iterator[Outcome]:
    body = {name: value for name, value in terms.items() if value}
    for row in rows:
        name = _name(row)
        if dry_run:
            yield Outcome(name, "would import", f"{row['gateway']}, spent {row['spend']} USD")
            continue
        try:
            lease = at.post(f"unmanaged-keys/{row['id']}/adopt/", body)
        except Refused as error:
            yield Outcome(name, "skipped" if error.code == "already_imported" else "failed", error.message)
        else:
            yield Outcome(name, "imported", f"ends {lease['expires_at']}; its secret stays", lease["id"])


def _issue(
    at: Desk, rows: Iterable[dict[str, Any]], order: dict[str, str], source: str, ttl: str, sink: _Secrets, *,
    dry_run: bool,
) -> Iterator[Outcome]:  # fmt: skip
    """One by one; a secret is written down before the next key is asked for. What a run before has done is skipped."""
    before = {each["purpose"]: each["id"] for each in at.pages("keys/", {"team": order["team"]})["results"]}
    for row in rows:
        name, purpose = _name(row), f"Imported from {urlsplit(source).hostname}, key {row['token'][:MARK]}"
        if purpose in before:
            yield Outcome(name, "skipped", "a run before has imported it", before[purpose])
            continue
        body, why = _body(row, ttl)
        if why or dry_run:
            yield Outcome(name, "skipped" if why else "would import", why or _told(body))
            continue
        try:
            leased = shown(at, at.post("keys/", {**order, **body, "name": name[:80], "purpose": purpose}))
        except Waiting as waiting:
            yield Outcome(name, "failed", f"a person must decide: request {waiting.request['id']}")
            continue
        except Refused as error:
            yield Outcome(name, "failed", error.message)
            continue
        _write_down(at, sink, name, row, leased)
        yield Outcome(name, *_paused(at, row, leased), leased.id)


def _paused(at: Desk, row: dict[str, Any], leased: Leased) -> tuple[str, str]:
    """Outcome and words of a key that is made: paused, if the old one was blocked; else it would open what was shut."""
    try:
        if row.get("blocked"):
            at.post(f"keys/{leased.id}/pause/", {"reason": "blocked where it came from"})
    except Refused as error:
        revoke(at, leased.id, "it could not be paused")
        return "failed", f"it could not be paused, so it is revoked: {error.message}"
    return "imported", _differs(row, leased.lease)


def _body(row: dict[str, Any], ttl: str) -> tuple[dict[str, Any], str]:
    """What to ask for a key like it; or why there will be none."""
    if "keydesk" in (row.get("metadata") or {}):
        return {}, "a Keydesk has it on its books: end it there"
    left = (moment(row["expires"]).timestamp() - time.time()) if row.get("expires") else None
    if left is not None and left <= 0:
        return {}, "it has expired"
    limit, spent = _usd(row.get("max_budget")), _usd(row.get("spend")) or Decimal()
    if limit is not None and not row.get("budget_duration"):
        limit -= spent  # one without windows: what was spent is spent
    if limit is not None and limit <= 0:
        return {}, "its budget is spent"
    models = [each for each in row.get("models") or [] if each not in ANY_MODEL]
    body: dict[str, Any] = {"models": models} if models else {}
    body |= {} if limit is None else {"max_budget": str(limit)}
    body |= {name: row[name] for name in LIMITS if row.get(name)}
    return body | ({"ttl": ttl} if ttl else {} if left is None else {"ttl": int(left)}), ""


def _differs(row: dict[str, Any], lease: dict[str, Any]) -> str:
    """Until when it lives, and what of the old key it does not have: the key role decides how a budget begins anew."""
    window = row.get("budget_duration")
    return f"ends {lease['expires_at']}" + (f"; its budget's window was {window}, is the role's" if window else "")


def _told(body: dict[str, Any]) -> str:
    words = body | {"models": ", ".join(body.get("models", []))}
    return "; ".join(f"{name} {value}" for name, value in words.items() if value) or "as the key role gives"


class _Secrets:
    """Where new secrets go: a new file that nobody else can read, or stdout."""

    def __init__(self, file: Path | None, out: bool) -> None:
        self.file, self.out = file, out
        self.open: IO[str] | None = None

    def __enter__(self) -> _Secrets:
        if self.file:
            try:
                number = os.open(self.file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, places.MINE)
            except OSError as error:
                what = f"{self.file} cannot be made: {error.strerror}."
                raise Usage(what, "Name a file that is not there.") from None
            self.open = os.fdopen(number, "w", encoding="utf-8")
        return self

    def __exit__(self, *_: object) -> None:
        if self.open:
            self.open.close()

    def write(self, row: dict[str, Any]) -> None:
        """Raises OSError."""
        if self.out:
            print(json.dumps(row), flush=True)  # noqa: T201
        if self.open:
            self.open.write(json.dumps(row) + "\n")
            self.open.flush()
            os.fsync(self.open.fileno())


def _write_down(at: Desk, sink: _Secrets, name: str, row: dict[str, Any], leased: Leased) -> None:
    """Raises CliError when it cannot be: that key is revoked, and the import stops."""
    said = {"alias": name, "was": row["token"], "lease": leased.id, "key": leased.key, "base_url": leased.base_url}
    try:
        sink.write(said | {"expires_at": leased.lease["expires_at"]})
    except OSError as error:
        revoke(at, leased.id, "its secret could not be written down")
        what = f"A secret could not be written down: {error.strerror}."
        raise CliError(what, "That key is revoked. Make room, and run it again.") from None


def _keys_of(source: str) -> list[dict[str, Any]]:
    """All keys of another LiteLLM, full rows. Raises Usage, Away, CliError."""
    parts = urlsplit(source)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in HERE):
        raise Usage(f"{source} was to be asked without TLS: its key would be read on the way.", "Use https.")
    key = os.environ.get(KEY_OF_SOURCE) or getpass(f"Admin's key of {parts.hostname}: ")
    found: list[dict[str, Any]] = []
    params = {"size": PAGE, "return_full_object": "true", "include_team_keys": "true", "sort_by": "token"}
    while True:
        page = _page(source, key, {**params, "page": len(found) // PAGE + 1})
        found += page
        if len(page) < PAGE:
            return found


def _page(source: str, key: str, params: dict[str, Any]) -> list[dict[str, Any]]:
    try:
        response = calls.session(source, key).get(
            f"{source.rstrip('/')}/key/list", params=params,
            timeout=(calls.CONNECT, 60), allow_redirects=False,
        )  # fmt: skip
    except requests.RequestException as error:
        raise Away(f"{source} cannot be reached ({type(error).__name__}).") from None
    if response.status_code != requests.codes.ok:
        told = calls.refusal(response.status_code, response.content)
        if response.status_code in {401, 403}:
            told.action = f"Is the key in {KEY_OF_SOURCE} that of an admin there?"
        raise told
    try:
        return [each for each in response.json()["keys"] if isinstance(each, dict)]
    except (ValueError, KeyError, TypeError):
        raise CliError(f"{source} does not answer as LiteLLM does.", "Check the address.") from None


def _tell(found: list[Outcome]) -> None:
    """The result of each; exit code 1 if one failed."""
    rows = [asdict(each) for each in found]
    if wants_json():
        data({"results": rows})
    else:
        show(rows, COLUMNS, empty="No key fits.")
        for outcome, count in Counter(each.outcome for each in found).items():
            note(f"{count} {outcome}")
    if any(each.outcome == "failed" for each in found):
        raise typer.Exit(1)


def _name(row: dict[str, Any]) -> str:
    named = row.get("alias") or row.get("key_alias") or row.get("key_name")
    return str(named or (row.get("token") or row["token_hash"])[:MARK])


def _usd(value: Any) -> Decimal | None:
    try:
        return None if value is None else Decimal(str(value))
    except InvalidOperation:
        return None


def _pattern(text: str) -> re.Pattern[str] | None:
    try:
        return re.compile(text) if text else None
    except re.error as error:
        raise Usage(f"{text!r} is no regular expression: {error}.", "Write it like '^team-a-'.") from None


def _since(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text) if text else None
    except ValueError:
        raise Usage(f"{text!r} is no date.", "Write it like 2026-11-01.") from None
    return found if found is None or found.tzinfo else found.replace(tzinfo=UTC)
