"""One act on many leases, as far as there is time for: nobody waits for minutes, and each lease has its own result."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog

from keys.models import Lease
from keys.services import gateways
from keys.services.attempts import Issued
from keys.services.leases.ending import Ending, revoke_many
from keys.services.leases.pausing import pause, resume
from keys.services.leases.renewing import renew
from keys.services.leases.rotating import GRACE, rotate
from portal.errors import PortalError
from teams.access import Actor, require_fresh
from teams.roles import Can

log = structlog.get_logger(__name__)

ROTATING = 5.0  # seconds; with the 10 that the last one may take, a process that is stopped still answers
TOGETHER = 25  # that end between two looks at the clock: their keys go in one call
NEEDS = {"revoke": Can.REVOKE_KEY, "pause": Can.REVOKE_KEY, "resume": Can.REVOKE_KEY, "renew": Can.RENEW_KEY}


def act_on_many(
    act: str, leases: Sequence[Lease], *, by: Actor, reason: str = "asked", seconds: float = gateways.PATIENCE
) -> list[Ending]:
    """Revoke, pause, resume or renew these in their order, until `seconds` are over.

    Answers what became of each there was time for, one at least; the others are as they were. Never raises for one of
    them.
    """
    verbs: dict[str, Callable[[Lease], Lease]] = {
        "pause": lambda lease: pause(lease, by=by, reason=reason),
        "resume": lambda lease: resume(lease, by=by),
        "renew": lambda lease: renew(lease, by=by),
    }
    found: list[Ending] = []
    until, step = time.monotonic() + seconds, TOGETHER if act == "revoke" else 1
    for start in range(0, len(leases), step):
        if found and time.monotonic() >= until:
            break
        some = leases[start : start + step]
        found += revoke_many(some, by=by, reason=reason) if act == "revoke" else [_tried(some[0], verbs[act])]
    return found


def _tried(lease: Lease, verb: Callable[[Lease], Lease]) -> Ending:
    try:
        return Ending(verb(lease))
    except PortalError as trouble:
        return Ending(lease, trouble)


@dataclass(frozen=True, slots=True)
class Rotation:
    """What became of one lease of many: its next secret, or why there is none."""

    lease: Lease
    issued: Issued | None = None
    trouble: PortalError | None = None


def rotate_many(
    leases: Sequence[Lease], *, by: Actor, grace: timedelta = GRACE, seconds: float = ROTATING
) -> list[Rotation]:
    """Rotate these in their order, and begin none after `seconds`: those are as they were. One is always tried.

    Whatever breaks at one of them, the secrets before it are answered: they are nowhere else. Raises SignInAgain.
    """
    require_fresh(by)
    found: list[Rotation] = []
    until = time.monotonic() + seconds
    for lease in leases:
        if found and time.monotonic() >= until:
            break
        try:
            found.append(Rotation(lease, issued=rotate(lease, by=by, grace=grace)))
        except PortalError as trouble:
            found.append(Rotation(lease, trouble=trouble))
        except Exception:
            log.exception("rotation_broke", lease=str(lease.pk))
            broke = PortalError("Something broke here; the log has it.", action="Look at the key before you repeat it.")
            found.append(Rotation(lease, trouble=broke))
    return found
