"""The leased keys that this machine keeps for `keydesk token`: one file each, mode 600, in a folder of mode 700.

Read on the way that must take no time: the standard library only, and little of it.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from keydesk import places

LOOK_EVERY = 300  # seconds: so long a key is printed without a look at the server, which may have ended it
NEARLY_OVER = 30  # seconds before its end from which on a key is none


class Place(NamedTuple):
    """What a kept key was asked for with. `login`: store.whose(); the rest as it was said, "" where it was not."""

    server: str
    login: str
    team: str = ""
    role: str = ""
    gateway: str = ""
    ttl: str = ""


class Held(NamedTuple):
    """A leased key, or (without a `key`) the `request` that waits for it. Times: seconds, this machine's clock."""

    key: str = ""
    lease: str = ""
    number: int = 0  # which secret of the lease this is
    request: str = ""
    base_url: str = ""
    since: float = 0.0  # its life is counted from here: issued, or renewed last
    expires_at: float = 0.0
    ends: str = ""  # the same by the server's clock, as the server says it
    looked_at: float = 0.0  # when the server last said that it is alive

    def __repr__(self) -> str:
        return f"Held(lease={self.lease!r}, request={self.request!r}, expires_at={self.expires_at})"

    @property
    def left(self) -> float:
        return self.expires_at - time.time()

    @property
    def alive(self) -> bool:
        return bool(self.key) and self.left > NEARLY_OVER

    @property
    def fresh(self) -> bool:
        """Whether it has more than a third of its life left."""
        return self.alive and self.left * 3 > self.expires_at - self.since

    @property
    def looked(self) -> bool:
        """Whether the server has said lately that it is alive. A clock that was set back makes it unsaid."""
        return 0 <= time.time() - self.looked_at < LOOK_EVERY


def read(place: Place) -> Held | None:
    """The key kept for it. A file that others may read, that is not ours, or of another place counts as none."""
    return _read(_path(place), place)


def _read(path: Path, place: Place | None = None) -> Held | None:
    try:
        number = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        with os.fdopen(number, encoding="utf-8") as file:
            facts = os.fstat(number)
            mine = not hasattr(os, "geteuid") or (facts.st_uid == os.geteuid() and not facts.st_mode & 0o077)
            found: Any = json.load(file) if mine and stat.S_ISREG(facts.st_mode) else {}
        kept = Place(**found["place"])
        return Held(**found["held"]) if place in (None, kept) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write(place: Place, held: Held) -> None:
    """Keep it, in one step. Raises OSError."""
    places.write(_path(place), json.dumps({"place": place._asdict(), "held": held._asdict()}))


def forget(place: Place) -> None:
    _path(place).unlink(missing_ok=True)


def of_login(server: str, login: str) -> Iterator[tuple[Place, Held]]:
    """All that is kept of one login: `keydesk logout` ends it."""
    for path in sorted(_folder().glob("*.json")):
        with suppress(OSError, ValueError, KeyError, TypeError):
            place = Place(**json.loads(path.read_text(encoding="utf-8"))["place"])
            if (place.server, place.login) == (server, login) and (held := _read(path, place)):
                yield place, held


@contextmanager
def lock(place: Place) -> Iterator[None]:
    """One process at a time gets a key for it; the others wait, then find that one. Raises OSError."""
    path = _path(place)
    path.parent.mkdir(mode=places.OURS, exist_ok=True)
    with places.locked(f"{path.parent.name}/{path.stem}"):
        yield


def _path(place: Place) -> Path:
    return _folder() / f"{hashlib.sha256(json.dumps(place).encode()).hexdigest()[:32]}.json"


def _folder() -> Path:
    return places.folder() / "keys"
