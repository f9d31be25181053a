"""Write down what a run saw: keys to end, keys that nobody knows, keys that are not ours."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from keys.models import Finding, Gateway, KeyVersion, UnmanagedKey
from keys.services import findings
from keys.services.reconcile.walk import instance_of, mark
from portal.litellm import KeyInfo

KEPT = 1_000  # rows of one kind; the counts are of all
TOO_MUCH = Decimal(10) ** 9 - 1  # USD: what fits the column, also as a float
BILLIONTH = Decimal(1).scaleb(-9)


def tell(
    gateway: Gateway,
    orphans: Sequence[KeyVersion],
    missing: Sequence[KeyVersion],
    unknown: Sequence[KeyInfo],
    now: datetime,
) -> None:
    """A finding for each key that should end, or that nobody knows."""
    for version in orphans[:KEPT]:
        findings.note(
            gateway, Finding.Kind.ORPHAN, version.token_hash or "", version=version, now=now,
            message=f"{version} is on the gateway, and ended here.",
            cause="A request landed late, somebody put it back, or its ending was forgotten.",
            facts={"alias": version.alias, "state": version.lease.state, "reason": version.lease.end_reason},
        )  # fmt: skip
    for version in missing[:KEPT]:
        findings.note(
            gateway, Finding.Kind.MISSING, version.token_hash or "", version=version, now=now,
            message=f"{version} is live here, and not on the gateway.",
            cause="Somebody deleted the key, its team or its user there; or this is another proxy.",
            facts={"alias": version.alias, "expires_at": version.dies_at},
        )  # fmt: skip
    for key in unknown[:KEPT]:
        said = mark(key)
        findings.note(
            gateway, Finding.Kind.ORPHAN, key.token, now=now,
            message=f"{key.alias or key.name or key.token[:12]} is of this installation, and not in its database.",
            cause="This database is older than the key: a backup was put back. Or two Keydesks share a copy of one.",
            facts={
                "alias": key.alias, "key_name": key.name, "lease": said.get("lease"), "holder": said.get("holder"),
                "team": said.get("team"), "created_at": key.created_at, "expires_at": key.expires,
            },
        )  # fmt: skip


def keep_foreign(gateway: Gateway, keys: Sequence[KeyInfo], now: datetime) -> None:
    """Replace the rows of foreign keys by this run's, the first thousand in the order of their hashes."""
    rows = [_row(gateway, key, now) for key in sorted(keys, key=lambda key: key.token)[:KEPT]]
    UnmanagedKey.objects.bulk_create(
        rows,
        batch_size=100,
        update_conflicts=True,
        unique_fields=["gateway", "token_hash"],
        update_fields=[
            field.name for field in UnmanagedKey._meta.fields if field.name not in {"id", "gateway", "token_hash"}
        ],
    )
    UnmanagedKey.objects.filter(gateway=gateway, seen_at__lt=now).delete()


def _row(gateway: Gateway, key: KeyInfo, now: datetime) -> UnmanagedKey:
    return UnmanagedKey(
        gateway=gateway,
        token_hash=key.token,
        key_name=_text(key.name, 20),
        alias=_text(key.alias, 200),
        team=_text(key.team_id, 200),
        holder=_text(key.user_id, 200),
        instance=_text(instance_of(key), 40),
        models=list(key.models),
        max_budget=None if key.max_budget is None else _money(key.max_budget),
        budget_duration=_text(key.budget_duration, 20),
        spend=_money(max(key.total_spend, key.spend)),
        expires_at=key.expires,
        last_used_at=key.last_active,
        seen_at=now,
    )


def _text(value: str | None, most: int) -> str:
    return (value or "").replace("\0", "")[:most]


def _money(value: Decimal) -> Decimal:
    """What somebody else wrote there, in what a column of ours can hold."""
    return min(max(value, Decimal(0)), TOO_MUCH).quantize(BILLIONTH)
