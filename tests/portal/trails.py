"""A short audit trail, and what somebody can do to it who has the database but not the key."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction

from portal import append_only, audit
from portal.audit.verifying import Fault, Proof
from portal.models import AuditEvent, AuditHead
from teams.access import SYSTEM
from teams.models import Team, User


def act(action: str, target: Any = None, **facts: Any) -> AuditEvent:
    """One act, written as services do."""
    with transaction.atomic():
        return audit.record(action, target or Team(name="Search"), **{"by": SYSTEM} | facts)


def acts(count: int, **facts: Any) -> list[AuditEvent]:
    return [act(f"tried.number_{number}", number=number, **facts) for number in range(1, count + 1)]


def person(name: str = "alice") -> User:
    return User(email=f"{name}@example.com", kind=User.Kind.PERSON)


@contextmanager
def attacker() -> Iterator[Any]:
    """A cursor of somebody who owns the database: the triggers are dropped, and nobody sees that they were."""
    append_only.take_down(connection)
    with connection.cursor() as cursor:
        yield cursor
    append_only.put_up(connection)


def faults(**published: Any) -> list[Fault]:
    return list(Proof().faults(**published))


def kinds(**published: Any) -> list[str]:
    return [fault.kind for fault in faults(**published)]


def published() -> dict[str, Any]:
    """The head as a log line or the stream has told it."""
    head = AuditHead.objects.get()
    return {"head": head.mac, "count": head.count}


def columns(*but: str) -> str:
    """The columns of an event's row, to copy it."""
    return ", ".join(str(field.column) for field in AuditEvent._meta.concrete_fields if field.column not in but)
