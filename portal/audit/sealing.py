"""The sealer: appends the acts that are new to the chain, in one place at a time, so that writers never queue."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.utils import timezone

from portal.audit import chain
from portal.models import AuditEvent, AuditHead, AuditSeal

log = structlog.get_logger(__name__)

BATCH = 500  # acts in one transaction: on SQLite, writers wait that long
LATE = timedelta(days=1)  # after it, no act comes late any more: no transaction lives that long


def begin(now: datetime | None = None) -> AuditHead:
    """Make the head of an empty chain. A migration does that, once: a head that is gone is never made again."""
    now = now or timezone.now()
    head = AuditHead(pk=1, begun_at=now, unstamped=last_unstamped(AuditEvent))
    chain.sign(head)
    head.save(force_insert=True)
    return head


def last_unstamped(events: type[AuditEvent]) -> int:
    """The last act without a stamp, 0 without any; `events`: the model, which a migration has of its own."""
    return events.objects.filter(stamp="").order_by("-pk").values_list("pk", flat=True).first() or 0


def seal(*, all_of_them: bool = False) -> int:
    """Seal what is not sealed yet; answers how many. A sweep: safe to repeat, at once, and to be killed.

    `all_of_them`: look at every act there is, not only above the point below which none was missing a day ago.
    The new head and count go to the log, which an attacker of the database does not have. Raises HeadForged.
    """
    count, after = 0, 0 if all_of_them else None
    head = None
    while True:
        sealed, after, head = _batch(after)
        count += sealed
        if sealed < BATCH:
            break
    if count:
        log.info("audit_sealed", sealed=count, count=head.count, head=head.mac)
    return count


def _batch(after: int | None) -> tuple[int, int, AuditHead]:
    """Seal one batch of acts with ids above `after`. Answers how many, the last one's id, and the head."""
    with transaction.atomic():
        head = chain.checked(AuditHead.objects.select_for_update().filter(pk=1).first())
        above = head.settled if after is None else after
        events = list(AuditEvent.objects.unsealed(above)[:BATCH])
        seals = []
        for event in events:
            digest = chain.personal(event)
            head.count, head.mac = head.count + 1, chain.seal_mac(head.mac, head.count + 1, event, digest)
            seals.append(AuditSeal(number=head.count, event_id=event.pk, personal=digest, mac=head.mac))
        if seals:
            if AuditSeal.objects.filter(number__gte=seals[0].number).exists():
                raise chain.HeadForged("Seals stand behind the head of the audit chain.")
            AuditSeal.objects.bulk_create(seals)
            head.sealed_at = timezone.now()
            chain.sign(head)
            head.save(update_fields=["count", "mac", "signature", "sealed_at"])
        elif after is None and (settled := _settled(head)) > head.settled:
            head.settled = settled
            chain.sign(head)
            head.save(update_fields=["settled", "signature"])
    return len(seals), events[-1].pk if events else above, head


def _settled(head: AuditHead) -> int:
    """The last act that is older than LATE, now that none above the former one waits."""
    old = AuditEvent.objects.filter(pk__gt=head.settled, at__lt=timezone.now() - LATE)
    return old.order_by("-pk").values_list("pk", flat=True).first() or head.settled
