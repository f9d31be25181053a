"""Let go of old acts, provably: the cut is recorded and sealed before any row goes."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from portal.audit import chain, sealing
from portal.audit.writing import record
from portal.models import AuditCut, AuditEvent, AuditHead, AuditSeal

BATCH = 1000  # acts deleted in one transaction


class Desk:
    """Keydesk itself, as the one who acts."""

    audit_id = ""
    audit_name = "Keydesk"
    audit_kind = "system"


def cut(now: datetime | None = None) -> int:
    """Delete the acts that are older than AUDIT_KEEP_DAYS; answers how many. A sweep: a killed one goes on here.

    The cut row says up to which seal, and is signed; the act `audit.cut` tells of it in the chain itself. What is left
    is proved from there. Acts that a stream has not taken yet stay. Raises HeadForged.
    """
    now = now or timezone.now()
    if settings.AUDIT_KEEP_DAYS:
        _record_cut(now - timedelta(days=settings.AUDIT_KEEP_DAYS), now)
        sealing.seal()
    return _let_go()


def _record_cut(horizon: datetime, now: datetime) -> None:
    with transaction.atomic():
        head = chain.checked(AuditHead.objects.select_for_update().filter(pk=1).first())
        last = AuditCut.objects.last()
        first = last.up_to + 1 if last else 1
        until = _first_to_keep(first, horizon) or head.count + 1
        if settings.AUDIT_STREAM or settings.AUDIT_WEBHOOK:
            until = min(until, head.streamed + 1)
        seal = AuditSeal.objects.filter(number=until - 1, number__gte=first).first()
        if seal is None:
            return
        new = AuditCut(
            up_to=seal.number, event_id=seal.event_id, count=seal.number - first + 1, until=horizon, head=seal.mac,
            made_at=now,
        )  # fmt: skip
        new.mac = chain.cut_mac(last.mac if last else "", new)
        new.save()
        record("audit.cut", new, by=Desk(), acts=new.count, up_to=new.up_to, until=horizon)


def _first_to_keep(first: int, horizon: datetime) -> int | None:
    """The first seal of an act that is not older than the horizon; the walk ends there."""
    start = first
    while seals := dict(AuditSeal.objects.filter(number__gte=start)[:BATCH].values_list("event_id", "number")):
        young = AuditEvent.objects.filter(pk__in=seals, at__gte=horizon).values_list("pk", flat=True)
        if found := [seals[pk] for pk in young]:
            return min(found)
        start = max(seals.values()) + 1
    return None


def _let_go() -> int:
    """Delete what the last cut covers, if it is ours."""
    last = AuditCut.objects.last()
    if last is None:
        return 0
    before = AuditCut.objects.filter(up_to__lt=last.up_to).last()
    if not chain.same(last.mac, chain.cut_mac(before.mac if before else "", last)):
        raise chain.HeadForged("A cut of the audit trail is not signed with this Keydesk's audit key.")
    gone = 0
    while True:
        with transaction.atomic():
            seals = dict(AuditSeal.objects.filter(number__lte=last.up_to)[:BATCH].values_list("number", "event_id"))
            if not seals:
                return gone
            gone += AuditEvent.objects.filter(pk__in=list(seals.values())).fall()
            AuditSeal.objects.filter(number__in=list(seals)).fall()
