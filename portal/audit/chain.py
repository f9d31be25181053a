"""What the chain is made of: keyed digests over canonical bytes. See docs/adr/0009-audit-chain.md.

All of it is HMAC-SHA256 under keys that come from `settings.AUDIT_KEY`, one for each purpose. A change of what is
digested here makes every earlier seal wrong.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import ip_address
from typing import Any

from django.conf import settings

from portal.errors import Unavailable
from portal.models import AuditCut, AuditEvent, AuditHead

# Who by id did what to what by id, and when. All else may name people, and is in the chain as a salted digest only:
# with its salt, it can be taken out of a row, and the chain stays provable.
LASTING = (
    "at", "action", "actor_id", "actor_kind", "target_type", "target_id", "team_id", "token_id", "request_id",
    "secret_hash",
)  # fmt: skip
PERSONAL = ("actor", "target", "on_behalf_of", "ip", "facts", "before", "after")


class HeadForged(Unavailable):
    """The row that says where the chain ends was not signed with our key, or is gone."""

    code = "audit_head_forged"
    message = "The head of the audit chain is not signed with this Keydesk's audit key."
    action = (
        "If KEYDESK_AUDIT_KEY (or without it KEYDESK_SECRET_KEY) was changed, set it back. If not, somebody wrote to"
        " the database past Keydesk: compare it with the heads in your logs."
    )


def secret_hash(token_hash: str) -> str:
    """How a secret stands in the trail: a keyed hash of its hash, which nobody can try secrets against."""
    return _mac("secret", token_hash)


def personal(event: AuditEvent) -> str:
    """The salted digest of what an act says of people."""
    return _mac("personal", event.salt, {name: _plain(event, name) for name in PERSONAL})


def stamp(event: AuditEvent) -> str:
    """That Keydesk wrote this act: over all of it but its number, which is not known before it is written."""
    return _mac("event", _lasting(event), personal(event))


def seal_mac(before: str, number: int, event: AuditEvent, digest: str) -> str:
    """The mac of one seal: `before` is that of the seal before it, `digest` what `personal` says of the act."""
    return _mac("seal", before, number, event.pk, _lasting(event), digest)


def cut_mac(before: str, cut: AuditCut) -> str:
    """The mac of one cut: `before` is that of the cut before it."""
    until, made = _moment(cut.until), _moment(cut.made_at)
    return _mac("cut", before, cut.up_to, cut.event_id, cut.count, until, cut.head, made)


def signature(
    count: int, mac: str, begun_at: datetime, *, unstamped: int = 0, settled: int = 0, streamed: int = 0
) -> str:
    """What the head's row is signed with: all that decides which acts are sealed, proved, sent and let go."""
    return _mac("head", count, mac, _moment(begun_at), unstamped, settled, streamed)


def sign(head: AuditHead) -> None:
    """Sign what the head says now; the caller holds its lock, has `checked` it, and saves it."""
    head.signature = _signature(head)


def checked(head: AuditHead | None) -> AuditHead:
    """The head, if it is ours. Raises HeadForged."""
    if head is None or not same(head.signature, _signature(head)):
        raise HeadForged
    return head


def _signature(head: AuditHead) -> str:
    more = {"unstamped": head.unstamped, "settled": head.settled, "streamed": head.streamed}
    return signature(head.count, head.mac, head.begun_at, **more)


def same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def _lasting(event: AuditEvent) -> dict[str, Any]:
    return {name: _plain(event, name) for name in LASTING}


def _plain(event: AuditEvent, name: str) -> Any:
    """One column as any database and any Python gives it back."""
    value = getattr(event, name)
    if name == "at":
        return _moment(value)
    if name == "ip" and value:
        address = ip_address(value)
        return f"{address.version}:{int(address)}"  # its text differs between databases, and between Pythons
    return _level(value)


def _level(value: Any) -> Any:
    """JSON as it comes back from jsonb, where 1e16 is a whole number."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {name: _level(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_level(each) for each in value]
    return value


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _mac(purpose: str, *parts: Any) -> str:
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hmac.digest(_key(settings.AUDIT_KEY, purpose), text.encode(), hashlib.sha256).hex()


@lru_cache(maxsize=16)
def _key(audit_key: str, purpose: str) -> bytes:
    return hmac.digest(audit_key.encode(), f"keydesk.audit.{purpose}".encode(), hashlib.sha256)
