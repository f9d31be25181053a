"""`keydesk token` from this machine alone, before anything heavy is imported: tools ask for a key before every call."""

from __future__ import annotations

from collections.abc import Sequence

from keydesk import cache, settings, store
from keydesk.errors import CliError, NotSignedIn

NAMES = ("team", "role", "gateway", "ttl")
OPTIONS = ("server", *NAMES)


def cached(words: Sequence[str]) -> str:
    """The key that this command line would print; "" if it is another command, or if the server has to be asked."""
    said = _read(words)
    if said is None:
        return ""
    try:
        settings.say(server=said.pop("server"))
        held = cache.read(place(**said))
    except (CliError, OSError):
        return ""  # whoever asks the server will say it
    return held.key if held and held.fresh and held.looked else ""


def place(*, team: str = "", role: str = "", gateway: str = "", ttl: str = "") -> cache.Place:
    """Where a key is kept: what was said, else the settings. Raises NotSignedIn, Usage."""
    server = settings.server()
    login = store.whose(server, settings.said.token)
    if not login:
        raise NotSignedIn(f"You are not signed in at {server}.", f"Run `keydesk login --server {server}`.")
    chosen = {"team": team, "role": role, "gateway": gateway}
    said = {name: value or settings.setting(name) for name, value in chosen.items()}
    return cache.Place(server, login, ttl=ttl, **said)


def _read(words: Sequence[str]) -> dict[str, str] | None:
    """The options of `keydesk token`; None for any other word, which is for the whole command line to understand."""
    said = dict.fromkeys(OPTIONS, "")
    command, waiting = "", list(words)
    while waiting:
        name, equals, value = waiting.pop(0).partition("=")
        if name == "token" and not command:
            command = name
        elif name.removeprefix("--") in (OPTIONS if name.startswith("--") else ()) and (equals or waiting):
            said[name[2:]] = value if equals else waiting.pop(0)
        else:
            return None
    return said if command else None
