"""Who one is here: login, whoami, logout."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from keydesk import settings, store
from keydesk.desk import Desk, desk, fresh
from keydesk.errors import Away, CliError, Exit, NotSignedIn, Refused, Usage
from keydesk.settings import wants_json
from keydesk.show import data, line, note, plain, show, show_one
from keydesk.store import Login
from keydesk.token import end_kept

SLOWER = 5  # seconds more between two polls, each time the server asks for it. Source: RFC 8628, 3.5


def login(
    token: Annotated[
        bool, typer.Option("--token", help="Keep an API token instead: typed, or read from stdin when it is piped.")
    ] = False,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only say where to go; open nothing.")] = False,
    name: Annotated[str, typer.Option(help="What this machine is called on the page. Its host name unless said.")] = "",
    team: Annotated[str, typer.Option(help="The team to act for unless said.")] = "",
) -> None:
    """Sign in: a browser shows the code that stands here, and you confirm it there."""
    where = _which_server()
    before = _known(where)
    made = _with_token(where) if token else _in_browser(where, name or platform.node() or "this machine", no_browser)
    me = _me(Desk(where, made.token))
    kept = store.keep(
        replace(made, email=str(me.get("email") or me.get("name") or ""), user_id=str(me.get("id") or ""))
    )
    settings.save("server", where)
    if before and before.kind == "login" and before.token != made.token:
        _end(before)  # nobody will use it any more
    chosen = _choose_team(where, me, team)
    if wants_json():
        data(
            {"server": where, "email": kept.email, "id": kept.user_id, "team": chosen or None, "kept_in": kept.kept_in}
        )
        return
    line(f"Signed in at {where} as {kept.email}.")
    note(f"The login is in {'the keychain' if kept.kept_in == store.KEYCHAIN else store.file()}.")
    if chosen:
        note(f"Your team is {chosen}; `keydesk config set team` chooses another.")
    if settings.said.token or os.environ.get("KEYDESK_TOKEN"):
        note("KEYDESK_TOKEN or --token is used instead of it, as long as it is set.")


def whoami() -> None:
    """Who you are at this Keydesk, and how long the login lasts."""
    here = desk()
    me = here.get("me/")
    kept = here.login
    if wants_json():
        data(me)
        return
    own: Mapping[str, Any] = me.get("token") or {}
    shown: dict[str, Any] = {
        "server": here.server,
        "who": me.get("email") or me.get("name"),
        "id": me.get("id"),
        "role": {"admin": "platform admin"}.get(str(me.get("platform_role")), me.get("platform_role")),
        "teams": [f"{each.get('slug') or each.get('team')} ({each.get('role')})" for each in me.get("teams") or []],
        "team": settings.setting("team"),
        "login": own.get("name") or (kept.kind if kept else "token"),
        "may": own.get("scopes"),
        "since": _ago(kept.made_at if kept else str(own.get("created_at") or "")),
        "until": _ahead(str(own.get("expires_at") or (kept.expires_at if kept else ""))),
        "kept_in": kept.kept_in if kept else "nowhere: said by KEYDESK_TOKEN or --token",
    }
    show_one(
        shown,
        [("Server", "server"), ("Who", "who"), ("Id", "id"), ("Role", "role"), ("Teams", "teams"),
         ("Default team", "team"), ("Login", "login"), ("May", "may"), ("Since", "since"), ("Until", "until"),
         ("Kept in", "kept_in")],
    )  # fmt: skip


def logout(
    end: Annotated[bool, typer.Option("--end", help="End a token that was kept with `login --token`, too.")] = False,
    everywhere: Annotated[bool, typer.Option("--all", help="At every server that is known here.")] = False,
) -> None:
    """Sign out: end the login at the server, and forget it here. Works when the server is away, too."""
    places = store.servers() if everywhere else [settings.server()]
    for where in places:
        _sign_out(where, end=end)
    if not places:
        note("There is no login here.")


def logins() -> None:
    """The servers where you are signed in from here."""
    default = settings.server(missing_ok=True)
    rows = [{"server": each, "default": each == default} for each in store.servers()]
    show(rows, [("SERVER", "server"), ("DEFAULT", "default")], empty="There is no login here.")


def _which_server() -> str:
    """As said; at the first login a person may be asked."""
    if found := settings.server(missing_ok=True):
        return found
    if not sys.stdin.isatty():
        return settings.server()
    return settings.origin(typer.prompt("Which Keydesk? Its address", err=True))


def _me(here: Desk) -> dict[str, Any]:
    """Who the server says that one is; {} of one that is too old to say."""
    try:
        found: dict[str, Any] = here.get("me/")
    except Refused as no:
        if no.exit_code != Exit.NOT_FOUND:
            raise
        here.get("teams/")  # the token is good, or this says that it is not
        return {}
    return found


def _known(where: str) -> Login | None:
    try:
        return store.find(where)
    except CliError:  # a keychain that is locked, a file that is none: it is replaced
        return None


def _with_token(where: str) -> Login:
    """Raises Usage for what is no token, NotSignedIn for one that is not good."""
    text = typer.prompt("API token", hide_input=True, err=True) if sys.stdin.isatty() else sys.stdin.readline()
    text = text.strip()
    if not text.startswith("kd_") or not text.isascii() or len(text.split()) != 1:
        raise Usage("That is no API token: they begin with kd_.", f"Make one on {where}/tokens/.")
    return Login(where, text, kind="token", made_at=_now())


def _in_browser(where: str, machine: str, no_browser: bool) -> Login:
    """Ask for a login, wait until somebody confirms it. Raises CliError, Away."""
    here = Desk(where)
    begun = here.post("device/", {"machine": plain(" ".join(machine.split()))[:60]})
    url = str(begun.get("verify_url_complete") or begun["verify_url"])
    opened = not no_browser and _open(url)
    note(f"Your code:  {begun['user_code']}")
    note(f"{'Compare it in the browser, or open' if opened else 'Open'}  {begun['verify_url']}")
    note("Waiting until you confirm it there; Ctrl-C gives up.")
    interval, over = int(begun.get("interval") or SLOWER), time.monotonic() + int(begun.get("expires_in") or 600)
    while time.monotonic() < over:
        time.sleep(interval)
        try:
            answer = here.call("POST", "device/token/", body={"device_code": begun["device_code"]}, once=None)
        except Away:
            continue  # the network may come back
        except Refused as no:
            if no.code == "authorization_pending":
                continue
            if no.code == "slow_down":
                interval += SLOWER
                continue
            code = Exit.NOT_ALLOWED if no.code == "access_denied" else Exit.REFUSED
            raise CliError(no.message, no.action, exit_code=code) from None
        return Login(where, made_at=_now(), name=str(answer.get("name") or ""), **fresh(answer))
    raise CliError("Nobody confirmed the code in time.", "Run `keydesk login` again.")


def _open(url: str) -> bool:
    """Show it in a browser with windows, if there is one: one in the terminal would take the code away."""
    desktop = sys.platform in {"darwin", "win32"} or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if not desktop and not os.environ.get("BROWSER"):
        return False
    import webbrowser

    try:
        return webbrowser.open(url)
    except (webbrowser.Error, OSError):
        return False


def _choose_team(where: str, me: Mapping[str, Any], said: str) -> str:
    """The team to act for unless said: the only one, or the one that the person names. Raises Usage."""
    slugs = [str(each.get("slug") or each.get("team")) for each in me.get("teams") or []]
    known = settings.setting("team")
    if said and said not in slugs:
        raise Usage(f"You are signed in, but not in a team {said!r}.", f"Your teams: {', '.join(slugs) or 'none'}.")
    if said or len(slugs) == 1:
        chosen = said or slugs[0]
    elif known in slugs or len(slugs) < 2 or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return known if known in slugs else ""
    else:
        note("You are in several teams: " + ", ".join(slugs))
        chosen = typer.prompt("Which one do you usually act for", default=slugs[0], err=True).strip()
        if chosen not in slugs:
            note(f"There is no team {chosen!r} of yours; `keydesk config set team` chooses one later.")
            return ""
    settings.save("team", chosen, where)
    return chosen


def _sign_out(where: str, *, end: bool) -> None:
    """End and forget one login. What cannot be ended now is said."""
    kept = _known(where)
    if kept is None:
        store.forget(where)
        note(f"There is no login at {where}.")
        return
    end_kept(kept)
    ended = (kept.kind == "login" or end) and _end(kept)
    store.forget(where)
    if wants_json():
        data({"server": where, "ended": ended})
    elif ended:
        line(f"Signed out at {where}.")
    elif kept.kind == "token" and not end:
        line(f"Forgotten at {where}.")
        note("The token itself works on: `logout --end` ends it, or its page API tokens.")
    else:
        line(f"Forgotten here; {where} could not be told.")
        note(f"The login is good until {_ahead(kept.expires_at)}. End it before on {where}/tokens/.")


def _end(kept: Login) -> bool:
    """End a token at its server; answers whether it is ended now."""
    try:
        Desk(kept.server, kept.token).call("POST", "tokens/current/end/", body={}, once=None)
    except NotSignedIn:
        return True  # it was over already
    except CliError:
        return False
    return True


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _ago(text: str) -> str:
    return f"{_days(datetime.now(UTC) - store.moment(text))} ago ({_short(text)})" if text else ""


def _ahead(text: str) -> str:
    return f"{_short(text)}, in {_days(store.moment(text) - datetime.now(UTC))}" if text else ""


def _short(text: str) -> str:
    return f"{store.moment(text).astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _days(span: Any) -> str:
    seconds = max(0, int(span.total_seconds()))
    for size, word in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            number = seconds // size
            return f"{number} {word}{'s' if number != 1 else ''}"
    return "less than a minute"
