"""Write the audit trail. An act whose event cannot be written does not happen: same transaction."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Protocol
from uuid import UUID

from django.db import models, transaction

from portal.models import AuditEvent


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an act comes from; a door sets it once per request."""

    ip: str | None = None
    token_id: str = ""
    request_id: str = ""


NOWHERE = Origin()
origin: ContextVar[Origin] = ContextVar("origin", default=NOWHERE)


class Actor(Protocol):
    """Whoever acts: a person, a service account, or Keydesk itself."""

    @property
    def audit_id(self) -> str: ...
    @property
    def audit_name(self) -> str: ...
    @property
    def audit_kind(self) -> str: ...


def record(action: str, target: models.Model, *, by: Actor, **facts: Any) -> AuditEvent:
    """Append one event, inside the transaction of the act it tells of.

    `facts` must never hold a secret. Raises TransactionManagementError outside a transaction.
    """
    if not transaction.get_connection().in_atomic_block:
        raise transaction.TransactionManagementError(f"{action}: an event belongs to the act's transaction")
    here = origin.get()
    team = target if target._meta.label == "teams.Team" else getattr(target, "team", None)
    return AuditEvent.objects.create(
        action=action,
        actor_id=by.audit_id,
        actor=by.audit_name,
        actor_kind=by.audit_kind,
        target_type=target._meta.model_name or "",
        target_id=str(target.pk),
        target=str(target)[:254],
        team_id=str(team.pk) if team else "",
        ip=here.ip,
        token_id=here.token_id,
        request_id=here.request_id,
        facts={name: _plain(value) for name, value in facts.items()},
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return int(value.total_seconds())
    if isinstance(value, Decimal | UUID):
        return str(value)
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return value
