"""Write the audit trail. An act whose event cannot be written does not happen: same transaction."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Protocol
from uuid import UUID

from django.db import models, transaction
from django.dispatch import Signal
from django.utils import translation

from portal.audit import chain
from portal.models import AuditEvent


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an act comes from; a door sets it once per request."""

    ip: str | None = None
    token_id: str = ""
    request_id: str = ""


class Stranger:
    """Somebody who is not signed in."""

    audit_id = ""
    audit_name = "Somebody not signed in"
    audit_kind = "stranger"


NOWHERE = Origin()
STRANGER = Stranger()
origin: ContextVar[Origin] = ContextVar("origin", default=NOWHERE)
recorded = Signal()  # an event is written: `event`, inside the act's transaction, so receivers must be quick


class Actor(Protocol):
    """Whoever acts: a person, a service account, or Keydesk itself."""

    @property
    def audit_id(self) -> str: ...
    @property
    def audit_name(self) -> str: ...
    @property
    def audit_kind(self) -> str: ...


def record(
    action: str, target: models.Model, *, by: Actor, secret: str | None = "", on_behalf_of: Actor | None = None,
    **facts: Any,
) -> AuditEvent:  # fmt: skip
    """Append one event, inside the transaction of the act it tells of.

    `secret`: the hash of the secret concerned, never the secret: LiteLLM's sha256 of a virtual key, or the digest of
    an API token. `on_behalf_of`: for whom, where the target's holder or owner does not say it. Facts named `before`
    and `after` have columns of their own. No fact must ever hold a secret.
    Raises TransactionManagementError outside a transaction.
    """
    if not transaction.get_connection().in_atomic_block:
        raise transaction.TransactionManagementError(f"{action}: an event belongs to the act's transaction")
    here = origin.get()
    team = target if target._meta.label == "teams.Team" else getattr(target, "team", None)
    with translation.override("en"):  # whatever language the page is in
        said, called = {name: _plain(value) for name, value in facts.items()}, str(target)
    event = AuditEvent(
        action=action,
        actor_id=by.audit_id,
        actor=by.audit_name,
        actor_kind=by.audit_kind,
        on_behalf_of=(on_behalf_of.audit_name if on_behalf_of else _for_whom(target, by))[:254],
        target_type=target._meta.model_name or "",
        target_id=str(target.pk),
        target=called[:254],
        team_id=str(team.pk) if team else "",
        ip=here.ip,
        token_id=here.token_id,
        request_id=here.request_id,
        secret_hash=chain.secret_hash(secret) if secret else "",
        before=said.pop("before", None),
        after=said.pop("after", None),
        facts=said,
        salt=secrets.token_hex(16),
    )
    event.stamp = chain.stamp(event)
    event.save()
    recorded.send(AuditEvent, event=event)
    return event


def _for_whom(target: models.Model, by: Actor) -> str:
    """Whose thing it is that somebody else acts on. Nobody's, when Keydesk itself acts."""
    for whose in ("holder", "owner"):
        key = getattr(target, f"{whose}_id", None)
        if by.audit_id and key and str(key) != by.audit_id:
            return str(getattr(target, whose).audit_name)
    return ""


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return int(value.total_seconds())
    if isinstance(value, Decimal | UUID):
        return str(value)
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return value
