"""`keydesk token`: a short leased key on stdout, for programs that ask a command for their key."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Annotated, Any

import typer

from keydesk import cache, leasing, settings
from keydesk.cache import Held, Place
from keydesk.desk import Desk, desk
from keydesk.errors import Away, CliError, Refused
from keydesk.quick import place
from keydesk.show import data, line, note
from keydesk.store import Login, moment

Team = Annotated[str, typer.Option(help="Its team; the only one, or KEYDESK_TEAM, unless said.")]
Role = Annotated[str, typer.Option(help="Its key role; the only one, or KEYDESK_ROLE, unless said.")]
Gateway = Annotated[str, typer.Option(help="The gateway of the key role, where several have one of that name.")]
Ttl = Annotated[str, typer.Option(help="How long it lives, like 15m or 8h; one hour unless said.")]


def token(
    team: Team = "",
    role: Role = "",
    gateway: Gateway = "",
    ttl: Ttl = "",
    check: Annotated[bool, typer.Option("--check", help="Ask the server first whether the key still works.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Revoke the key that is kept, and print another.")] = False,
) -> None:
    """Print a short leased key, and nothing else.

    The same key is printed while more than a third of its life is left; then it is renewed, or another is issued. Every
    five minutes, and with --check, the server is asked whether it was revoked or paused meanwhile.
    """
    held = held_key(place(team=team, role=role, gateway=gateway, ttl=ttl), check=check, fresh=fresh)
    if settings.said.json:  # not for `output json` of the settings: programs read this
        data({"key": held.key, "lease": held.lease, "base_url": held.base_url, "expires_at": held.ends})
    else:
        line(held.key)


def held_key(where: Place, *, check: bool = False, fresh: bool = False) -> Held:
    """The key kept there, or the next one. Of parallel processes one asks for it, and the others find it.

    While the server is away, a key that is alive is printed all the same. Raises CliError.
    """
    with cache.lock(where):
        held = cache.read(where)
        if held and held.fresh and held.looked and not check and not fresh:
            return held
        try:
            found = _next(where, held, fresh=fresh)
        except Away as error:
            held = cache.read(where)
            if held is None or fresh or not held.alive:
                raise
            note(f"keydesk: {error.message} The key that is kept works for {held.left / 60:.0f} more minutes.")
            return held
        cache.write(where, found)
        return found


def end_kept(login: Login) -> None:
    """Revoke and forget the keys that this machine keeps for a login that ends. While its server is away, only forget:
    they end by themselves within the hour.
    """
    at, away = Desk(login.server, login.token), False
    for where, held in cache.of_login(login.server, login.whose):
        try:
            if held.lease and not away:
                leasing.revoke(at, held.lease, "keydesk logout")
        except CliError as error:
            away = isinstance(error, Away)
        cache.forget(where)


def _next(where: Place, held: Held | None, *, fresh: bool) -> Held:
    """Look at the key, renew it, or get another; the one before is left to its end, as others may be using it."""
    at = desk()
    if held and held.lease and fresh:
        with suppress(Refused):
            leasing.revoke(at, held.lease, "replaced by keydesk token --fresh")
    if fresh:
        held = None
    if held and held.key:
        lease = leasing.look(at, held.lease)
        if lease is None or leasing.current(lease) != held.number:
            cache.forget(where)  # over, or somebody has replaced its secret
            held = None
        else:
            held = _looked(held, lease)
            if held.fresh:
                return held
            if leasing.can_live_on(lease):
                with suppress(Refused):
                    return _held(leasing.renew(at, leasing.Leased(held.key, lease, held.base_url)))
    try:
        if held and held.request:
            return _held(leasing.claim(at, held.request))
        ask = leasing.Ask(where.team, where.role, where.gateway, where.ttl, purpose="keydesk token")
        return _held(leasing.issue(at, ask))
    except Refused:
        if held and held.alive:
            return held  # for the rest of its life: a limit of the role may hold until then
        raise
    except leasing.Waiting as waiting:
        cache.write(where, Held(request=str(waiting.request["id"])))  # the next call claims it, and asks for no other
        raise


def _held(leased: leasing.Leased) -> Held:
    now = time.time()
    return Held(
        key=leased.key, lease=leased.id, number=leased.number, base_url=leased.base_url, since=now,
        expires_at=now + leased.life, ends=str(leased.lease["expires_at"]), looked_at=now,
    )  # fmt: skip


def _looked(held: Held, lease: dict[str, Any]) -> Held:
    """As the server says that it is now: somebody may have renewed it, or cut it."""
    moved = (moment(lease["expires_at"]) - moment(held.ends)).total_seconds()
    return held._replace(expires_at=held.expires_at + moved, ends=str(lease["expires_at"]), looked_at=time.time())
