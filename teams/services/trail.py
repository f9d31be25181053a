"""Read the audit trail: what of it somebody may see, what they look for, and an export that is itself on record."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from django.db import transaction
from django.db.models import Q, QuerySet

from portal import audit, sheets
from portal.audit import chain
from portal.audit.stream import row
from portal.litellm import hash_key
from portal.models import AuditEvent, AuditHead, Installation
from teams.access import allowed, require, within
from teams.models import ApiToken, Team, User
from teams.roles import Can

KINDS = {"csv": sheets.TYPE, "jsonl": "application/jsonl; charset=utf-8"}  # of files: their content type
BATCH = 1000  # acts read at a time by an export


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody looks for; everything is blank at first. Days are UTC, both included."""

    start: date | None = None
    end: date | None = None
    action: str = ""  # key.issued, or key. for all about keys
    actor: str = ""  # part of a name or an address, of who acted or for whom
    target: str = ""  # an id, or part of a name
    team: Team | None = None
    ip: str = ""
    token: str = ""  # id of an API token
    secret: str = ""  # keyed hash, as `hash_of` answers it

    def __bool__(self) -> bool:
        return self != Wanted()


def audited_teams(user: User) -> QuerySet[Team]:
    """The teams whose trail this person may see."""
    return Team.objects.filter(within(user, Can.SEE_TEAM_AUDIT, team="pk"))


def trail(user: User, wanted: Wanted) -> QuerySet[AuditEvent]:
    """The acts that this person may see, newest first. Raises NotAllowed for whom there is none.

    What belongs to no team is for those who may see all of it.
    """
    events = AuditEvent.objects.filter(_seen(user))
    if wanted.start:
        events = events.filter(at__gte=datetime.combine(wanted.start, time.min, UTC))
    if wanted.end and wanted.end < date.max:  # after that day there is none
        events = events.filter(at__lt=datetime.combine(wanted.end + timedelta(days=1), time.min, UTC))
    if wanted.action:
        of_a_kind = wanted.action.endswith(".")
        events = events.filter(**{"action__startswith" if of_a_kind else "action": wanted.action})
    if wanted.actor:
        events = events.filter(
            Q(actor__icontains=wanted.actor) | Q(on_behalf_of__icontains=wanted.actor) | Q(actor_id=wanted.actor)
        )
    if wanted.target:
        events = events.filter(Q(target_id=wanted.target) | Q(target__icontains=wanted.target))
    for column, value in (("ip", wanted.ip), ("token_id", wanted.token), ("secret_hash", wanted.secret)):
        if value:
            events = events.filter(**{column: value})
    if wanted.team:
        events = events.filter(team_id=str(wanted.team.pk))
    return events.order_by("-pk")


def may_look(user: User) -> bool:
    """Whether there is a trail that this person may see."""
    return allowed(user, Can.SEE_TEAM_AUDIT) or audited_teams(user).exists()


def require_look(user: User) -> None:
    """Refuse whom there is no trail for. Raises NotAllowed."""
    if not may_look(user):
        require(user, Can.SEE_TEAM_AUDIT)


def _seen(user: User) -> Q:
    if allowed(user, Can.SEE_TEAM_AUDIT):
        return Q()
    require_look(user)
    teams = [str(pk) for pk in audited_teams(user).values_list("pk", flat=True)]
    return Q(team_id__in=teams)  # as text: the trail outlives its teams


def hash_of(secret: str) -> str:
    """How a pasted secret stands in the trail: a virtual key, its hash on LiteLLM, or an API token."""
    plain = secret.strip()
    if plain.startswith(ApiToken.PREFIX):
        return chain.secret_hash(ApiToken.digest_of(plain))
    return chain.secret_hash(plain if re.fullmatch(r"[0-9a-f]{64}", plain) else hash_key(plain))


def export(wanted: Wanted, *, kind: str, by: User) -> Iterator[AuditEvent]:
    """The acts as `trail` finds them, in batches; the export itself is on record before the first one is given out.

    Raises NotAllowed.
    """
    events = trail(by, wanted)
    newest = AuditEvent.objects.values_list("pk", flat=True).first() or 0
    looked_for = {
        "start": wanted.start, "end": wanted.end, "action": wanted.action, "actor": wanted.actor,
        "target": wanted.target, "ip": wanted.ip, "token": wanted.token, "secret_hash": wanted.secret,
    }  # fmt: skip
    looked_for = {name: value for name, value in looked_for.items() if value}
    whole = allowed(by, Can.SEE_TEAM_AUDIT) and not wanted.team
    with transaction.atomic():
        if whole:
            subject = Installation.objects.get_or_create(pk=1)[0]
            audit.record("audit.exported", subject, by=by, kind=kind, looked_for=looked_for)
        for team in [] if whole else [wanted.team] if wanted.team else audited_teams(by):
            audit.record("audit.exported", team, by=by, kind=kind, looked_for=looked_for)
    return _batches(events.filter(pk__lte=newest))


def lines(events: Iterable[AuditEvent], kind: str) -> Iterator[str]:
    """The acts as lines of a file of that kind."""
    if kind == "csv":
        return sheets.lines(row(AuditEvent()), (row(event).values() for event in events))
    return (json.dumps(row(event), ensure_ascii=False) + "\n" for event in events)


def _batches(events: QuerySet[AuditEvent]) -> Iterator[AuditEvent]:
    """All of them, in short reads: a download of an hour holds no transaction open."""
    rows = list(events[:BATCH])
    while rows:
        yield from rows
        rows = list(events.filter(pk__lt=rows[-1].pk)[:BATCH])


@dataclass(frozen=True, slots=True)
class Sealed:
    """How far the trail is sealed."""

    count: int
    at: datetime | None
    waiting: int


def sealed() -> Sealed:
    head = AuditHead.objects.first()
    waiting = AuditEvent.objects.unsealed(head.settled if head else 0).count()
    return Sealed(head.count if head else 0, head.sealed_at if head else None, waiting)
