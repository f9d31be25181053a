"""Prove the chain, or say where it is broken. Reads in batches: memory stays flat whatever its length."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Count

from portal import append_only
from portal.audit import chain, sealing
from portal.models import AuditCut, AuditEvent, AuditHead, AuditSeal

BATCH = 1000  # seals read at a time
UPGRADING = timedelta(hours=1)  # in which processes of the version before may still have written, without stamps


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is not as it was written; `said` names the row."""

    kind: str  # altered, inserted, copied, removed, reordered, seal, cut off, cut, head, triggers
    said: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.said}"


@dataclass(slots=True)
class Proof:
    """What is known of the chain so far, while `faults()` walks it."""

    count: int = 0  # acts that were ever sealed, those that retention let go included
    head: str = ""
    walked: int = 0  # acts that are still there, and were looked at
    first_at: datetime | None = None
    last_at: datetime | None = None
    cuts: list[AuditCut] = field(default_factory=list)
    _unstamped_until: datetime | None = None
    _reached: tuple[int, str] = (0, "")
    _last: AuditEvent | None = None

    def faults(self, *, head: str = "", count: int | None = None) -> Iterator[Fault]:
        """Seal what waits, walk the chain, and tell of each fault as it is met.

        `head` and `count`: as they were published (log, stream), which proves that nothing was cut off the end since.
        """
        yield from self._begin()
        yield from self._check_cuts()
        yield from self._walk(head, count)
        yield from self._check_end(head, count)
        yield from _copies()
        if names := append_only.missing(connection):
            yield Fault("triggers", f"the database does not refuse changes, {', '.join(names)} is missing")

    def _begin(self) -> Iterator[Fault]:
        try:
            sealing.seal(all_of_them=True)
        except chain.HeadForged as forged:
            yield Fault("head", f"{forged.message} {forged.action}")
        if row := AuditHead.objects.first():
            self.count, self.head = row.count, row.mac
            self._unstamped_until = row.begun_at + UPGRADING if row.unstamped else None

    def _check_cuts(self) -> Iterator[Fault]:
        before = ""
        for cut in AuditCut.objects.iterator():
            if chain.same(cut.mac, chain.cut_mac(before, cut)):
                self.cuts.append(cut)
            else:
                yield Fault("cut", f"the cut up to seal {cut.up_to} was not made by Keydesk")
            before = cut.mac

    def _walk(self, head: str, count: int | None) -> Iterator[Fault]:
        last = self.cuts[-1] if self.cuts else None
        number, mac = (last.up_to, last.head) if last else (0, "")
        if count is not None and last and count < last.up_to and not any(count == cut.up_to for cut in self.cuts):
            yield Fault("head", f"seal {count} was let go by retention; publish and give a later head")
        if count is not None and (known := next((cut for cut in self.cuts if cut.up_to == count), None)):
            yield from _compare(head, known.head, count)
        event: AuditEvent | None = None
        while True:
            seals = list(AuditSeal.objects.filter(number__gt=number, number__lte=self.count)[:BATCH])
            events = AuditEvent.objects.in_bulk([seal.event_id for seal in seals])
            for seal in seals:
                broken = seal.number != number + 1  # its own place is still proved, by the next one
                if broken and not self._was_cut_since(seal.number - 1):
                    yield Fault("removed", f"{_seals(number + 1, seal.number - 1)}, after {_named(event, number)}")
                if found := events.get(seal.event_id):
                    yield from self._check(seal, found, mac, broken=broken)
                elif not self._was_cut_since(seal.number):
                    gone = f"event {seal.event_id}, which seal {seal.number} is of"
                    yield Fault("removed", f"{gone}, after {_named(event, number)}")
                event = found or event
                if seal.number == count:
                    yield from _compare(head, seal.mac, count)
                number, mac = seal.number, seal.mac
            if not seals:
                break
        self._reached = number, mac
        self._last = event

    def _was_cut_since(self, number: int) -> bool:
        """Whether retention has let this seal go while the chain was walked."""
        if not any(cut.up_to >= number for cut in self.cuts):
            self.cuts.clear()
            for _ in self._check_cuts():
                pass  # told at the beginning
        return any(cut.up_to >= number for cut in self.cuts)

    def _check(self, seal: AuditSeal, event: AuditEvent, before: str, *, broken: bool) -> Iterator[Fault]:
        """One act and its seal. `broken`: the seal before is gone, so this one's mac proves nothing."""
        self.walked += 1
        self.first_at = min(self.first_at or event.at, event.at)
        self.last_at = max(self.last_at or event.at, event.at)
        digest = chain.personal(event)
        sealed = broken or chain.same(seal.mac, chain.seal_mac(before, seal.number, event, seal.personal))
        stamped = chain.same(event.stamp, chain.stamp(event)) if event.stamp else self._from_before()
        name = _named(event, seal.number)
        if stamped and not (sealed and chain.same(digest, seal.personal)):
            yield Fault("reordered" if event.stamp else "altered", f"{name} is not where it was sealed")
        elif not sealed or not chain.same(digest, seal.personal):
            yield Fault("altered", name)
        elif not stamped:
            yield Fault("inserted", f"{name} was not written, or was changed before it was sealed")

    def _from_before(self) -> bool:
        """Whether an act at this place of the chain may have no stamp."""
        return bool(self._unstamped_until and self.last_at and self.last_at <= self._unstamped_until)

    def _check_end(self, head: str, count: int | None) -> Iterator[Fault]:
        number, mac = self._reached
        name = _named(self._last, number)
        if number < self.count:
            yield Fault("cut off", f"{_seals(number + 1, self.count)}, after {name}")
        elif not chain.same(mac, self.head):
            yield Fault("head", f"it does not say what the last seal says, of {name}")
        end = AuditSeal.objects.values_list("number", flat=True).last() or 0  # before the count: a sealer may go on
        if end > (AuditHead.objects.values_list("count", flat=True).first() or 0):
            yield Fault("head", f"seal {end} stands behind it")
        if count is not None and count > number:
            yield Fault("cut off", f"{_seals(number + 1, count)} that were published, after {name}")


def _compare(head: str, mac: str, count: int) -> Iterator[Fault]:
    if head and not chain.same(head.lower(), mac):
        yield Fault("head", f"seal {count} is not the one that was published: the chain was written anew")


def _copies() -> Iterator[Fault]:
    """Acts that share a salt: a genuine row, put in a second time."""
    salts = AuditEvent.objects.order_by().exclude(salt="").values("salt").annotate(rows=Count("pk")).filter(rows__gt=1)
    for salt in salts.values_list("salt", flat=True).iterator():
        for event in AuditEvent.objects.filter(salt=salt).order_by("pk")[1:]:
            yield Fault("copied", _named(event, None))


def _seals(first: int, last: int) -> str:
    return f"seal {first}" if first == last else f"seals {first} to {last}"


def _named(event: AuditEvent | None, number: int | None) -> str:
    if event is None:
        return "the beginning"
    seal = f" (seal {number})" if number else ""
    return f"event {event.pk}{seal}, {event.action} at {event.at:%Y-%m-%d %H:%M:%S} UTC"
