"""The geometry of the key line and of bars, in percent of a drawing's width. The drawings are in templates/cotton."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.utils import timezone

SOON, VERY_SOON = timedelta(hours=24), timedelta(hours=2)
LAST_QUARTER = 0.25  # a key of eight hours is not "soon over" all its life
OVER = frozenset({"revoked", "expired", "failed"})
SHORTEST = 5.0  # percent; a shorter key is no longer seen as one
LEAST_REACH = 1.5  # percent; less of it would be lost in the tooth
TIGHT, SPENT = 80, 95  # percent of a budget: amber from here, red from there


def urgency(lease: Any) -> str:
    """`danger` or `warn` for a live lease that is soon over, else nothing."""
    if lease.state in OVER or lease.state == "revoking":
        return ""
    rest, whole = lease.expires_at - timezone.now(), lease.expires_at - lease.issued_at
    if rest > SOON or rest > whole * LAST_QUARTER:
        return ""
    return "danger" if rest < VERY_SOON else "warn"


@dataclass(frozen=True, slots=True)
class Line:
    """A key lying on its side: its ring at `start` (blank: where the drawing begins), `now`, its tooth at `end`.

    `reach` to `far` is how far renewing can go; blank: nowhere.
    """

    now: str
    end: str
    start: str = ""
    reach: str = ""
    far: str = ""
    tone: str = ""
    is_over: bool = False
    shows_now: bool = False


@dataclass(frozen=True, slots=True)
class Scale:
    """Where moments lie, when `whole` fills the width from `origin` on."""

    origin: datetime
    whole: timedelta

    def at(self, moment: datetime) -> float:
        share = 97 / max(self.whole.total_seconds(), 1)
        return min(99.0, 2 + max((moment - self.origin).total_seconds(), 0) * share)

    def line(
        self, now: datetime, end: datetime, *, start: datetime | None = None, far: datetime | None = None, **look: Any
    ) -> Line:
        begins = self.at(start) if start else 0.0
        tooth = max(self.at(end), min(begins + SHORTEST, 99.0))
        reached = tooth if look.get("is_over") else min(max(self.at(now), begins), tooth)
        if far and self.at(far) - tooth > LEAST_REACH:
            look |= {"reach": f"{tooth + 1:.1f}%", "far": f"{self.at(far):.1f}%"}
        return Line(f"{reached:.1f}%", f"{tooth:.1f}%", f"{begins:.1f}%" if start else "", **look)


def far_end(lease: Any) -> datetime | None:
    """How far renewing can reach, of a lease that can still be renewed."""
    if not lease.renewable or lease.role.ended_at or lease.team.ended_at:
        return None
    return lease.max_expires_at  # type: ignore[no-any-return]


def life(lease: Any) -> timedelta:
    """From issue to where its drawing ends."""
    return (far_end(lease) or lease.expires_at) - lease.issued_at  # type: ignore[no-any-return]


def longest(leases: Any) -> timedelta:
    """The longest drawing among leases."""
    return max((life(lease) for lease in leases), default=timedelta(days=1))


def key_line(lease: Any, whole: timedelta | None = None, shows_now: bool = False) -> Line:
    """Draw a lease; rows of one list give the longest life among them as `whole`, so that lengths compare."""
    over = lease.state in OVER
    end = min(lease.ended_at or lease.expires_at, lease.expires_at)
    return Scale(lease.issued_at, whole or life(lease)).line(
        end if over else timezone.now(), end, far=far_end(lease), is_over=over,
        tone="warn" if lease.state == "revoking" else urgency(lease), shows_now=shows_now and not over,
    )  # fmt: skip


def overlap_lines(lease: Any, old: Any) -> tuple[Line, Line]:
    """Draw a rotation: the old secret's key until it ends, and the new one's from its own issue on; one scale."""
    scale, now = Scale(lease.issued_at, life(lease)), timezone.now()
    new = scale.line(now, lease.expires_at, start=lease.current.issued_at, far=far_end(lease), tone=urgency(lease))
    return scale.line(now, old.dies_at or now, shows_now=True, tone="warn" if is_in_use(lease, old) else ""), new


def is_in_use(lease: Any, old: Any) -> bool:
    """Whether an older secret was used after its successor was issued."""
    current = lease.current
    used, issued = old.last_used_at, current.issued_at
    return bool(used and issued and old.number < current.number and used > issued)


def draft_line(terms: Any, whole: timedelta) -> Line:
    """Draw a key that is not cut yet, against the most that its role gives."""
    scale = Scale(terms.issued_at, max(whole, terms.max_expires_at - terms.issued_at))
    return scale.line(terms.issued_at, terms.expires_at, far=terms.max_expires_at)


def renewal_line(lease: Any, until: datetime) -> Line:
    """Draw a lease as renewing it until then would make it."""
    whole = lease.max_expires_at - lease.issued_at
    return Scale(lease.issued_at, whole).line(timezone.now(), until, far=lease.max_expires_at, shows_now=True)


@dataclass(frozen=True, slots=True)
class Bar:
    """Money used of money allowed."""

    used: str  # percent
    tone: str = ""


def bar(used: Decimal | None, allowed: Decimal | None) -> Bar | None:
    """The bar of a budget; None where there is nothing to draw."""
    if used is None or not allowed:
        return None
    percent = used * 100 / allowed
    tone = "danger" if percent >= SPENT else "warn" if percent >= TIGHT else ""
    return Bar(f"{min(max(percent, Decimal(0)), Decimal(100)):.1f}%", tone)


def share(part: Decimal, whole: Decimal) -> Bar | None:
    """The bar of a part of a whole, of which none is too much."""
    drawn = bar(part, whole)
    return Bar(drawn.used) if drawn else None
