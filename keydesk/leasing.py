"""Getting a leased key: which team and role, issuing, renewing, looking, revoking. All through REST, by any command."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from keydesk.desk import Desk
from keydesk.errors import CliError, Exit, Refused
from keydesk.keys import chosen, seconds, secret_of
from keydesk.store import moment

SHORT = 3600  # seconds: how long a key lives that nobody said a TTL for; it is renewed while it is used
ALIVE = frozenset({"issuing", "active", "rotating"})


class Waiting(CliError):
    """A person has to decide first; `request` is what waits for them."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.request = request
        page = (request.get("links") or {}).get("page", "")
        super().__init__(
            f"This key needs a person's decision; request {request['id']} is {request['state']}.",
            f"Run this again once it is approved. See {page}" if page else "Run this again once it is approved.",
            exit_code=Exit.LATER,
        )


@dataclass(frozen=True)
class Ask:
    """What is asked for. "" and None: not said."""

    team: str = ""
    role: str = ""
    gateway: str = ""
    ttl: str = ""
    models: Sequence[str] = ()
    max_budget: str = ""
    purpose: str = "keydesk"


@dataclass(frozen=True)
class Leased:
    """A key, and its lease as REST tells it."""

    key: str = field(repr=False)
    lease: dict[str, Any]
    base_url: str

    @property
    def id(self) -> str:
        return str(self.lease["id"])

    @property
    def ends(self) -> datetime:
        return moment(self.lease["expires_at"])

    @property
    def life(self) -> float:
        """Seconds from when it was issued or last renewed to its end: by the server's clock alone."""
        began = self.lease.get("renewed_at") or self.lease["issued_at"]
        return (self.ends - moment(began)).total_seconds()

    @property
    def number(self) -> int:
        return current(self.lease)


def issue(desk: Desk, ask: Ask) -> Leased:
    """A key of its own. Raises Waiting where a person must decide, Usage where the team or the role must be said."""
    team, name = chosen(desk, ask.team, ask.role, ask.gateway)
    there = {"gateway": ask.gateway} if ask.gateway else {}
    try:
        role = desk.get(f"roles/{quote(name, safe='')}/", there)
    except Refused as no:
        if no.exit_code != Exit.NOT_FOUND:
            raise
        raise CliError(
            f"There is no key role {name!r} for you.", "See `keydesk roles`.", exit_code=no.exit_code
        ) from None
    body: dict[str, Any] = {"team": team, "role": name, "gateway": role["gateway"], "ttl": _ttl(ask, role)}
    body |= {"purpose": f"{ask.purpose} on {socket.gethostname()}"[:300]}
    body |= {"models": list(ask.models)} if ask.models else {}
    body |= {"max_budget": ask.max_budget} if ask.max_budget else {}
    return shown(desk, desk.post("keys/", body))


def shown(desk: Desk, answer: dict[str, Any]) -> Leased:
    """The key of an answer. One whose first answer was lost on its way is replaced: nobody has that secret.

    Raises Waiting, and CliError where the answer to that is lost, too.
    """
    if "request" in answer:
        raise Waiting(answer["request"])
    if not answer.get("key"):
        answer = desk.post(f"keys/{answer['lease']['id']}/rotate/", {"grace": 0})
    return Leased(secret_of(answer), answer["lease"], answer["base_url"])


def claim(desk: Desk, request: str) -> Leased:
    """The key of a request, once it is approved. Raises Waiting until it is decided, CliError where it was denied."""
    found = desk.get(f"requests/{request}/")
    if found["state"] == "approved":
        return shown(desk, desk.post(f"requests/{request}/claim/", {}))
    if found["state"] == "pending":
        raise Waiting(found)
    said = f": {found['reason']}" if found.get("reason") else "."
    raise CliError(f"Request {request} is {found['state']}{said}", "Ask anew with `keydesk token --fresh`.")


def renew(desk: Desk, leased: Leased) -> Leased:
    """The same key, living on for as long as it lived so far. Raises Refused when nothing is left of its max TTL."""
    return replace(leased, lease=desk.post(f"keys/{leased.id}/renew/", {"ttl": max(int(leased.life), 1)}))


def can_live_on(lease: dict[str, Any]) -> bool:
    """Whether a renewal would give it as long again. The last stretch before its max TTL is not worth one."""
    leased = Leased("", lease, "")
    life = timedelta(seconds=leased.life)
    return bool(lease["renewable"]) and moment(lease["max_expires_at"]) - leased.ends >= life / 2


def current(lease: dict[str, Any]) -> int:
    """The number of the secret that is not replaced."""
    return max((each["number"] for each in lease["versions"] if each["state"] == "current"), default=0)


def look(desk: Desk, lease: str) -> dict[str, Any] | None:
    """The lease as it is now; None if it is over, or is not to be seen any more."""
    try:
        found: dict[str, Any] = desk.get(f"keys/{lease}/")
    except Refused as error:
        if error.exit_code == Exit.NOT_FOUND:
            return None
        raise
    if found["state"] == "paused":
        raise CliError(
            f"This key is paused{': ' + found['pause_reason'] if found.get('pause_reason') else ''}.",
            f"Resume it with `keydesk keys resume {lease}`, or ask who paused it.",
        )
    return found if found["state"] in ALIVE else None


def revoke(desk: Desk, lease: str, reason: str) -> None:
    desk.post(f"keys/{lease}/revoke/", {"reason": reason})


def _ttl(ask: Ask, role: dict[str, Any]) -> str | int:
    """As said; else short, and never longer than the role gives at once. 0 and None are no limit of its own."""
    if ask.ttl:
        return seconds(ask.ttl)
    return int(min(SHORT, *(role[name] or SHORT for name in ("ttl", "max_ttl", "auto_ttl"))))
