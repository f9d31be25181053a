"""Lay what a gateway had beside our rows. Only reads our tables, and only suspects: nothing is sure before a look."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

from django.db.models import Exists, OuterRef

from keys.models import Gateway, Intent, KeyVersion, State
from keys.models.intent import HORIZON
from keys.models.lease import LIVE, SETTLED
from keys.services.reconcile.walk import There, instance_of, mark
from portal.litellm import KeyInfo
from portal.models import Installation

CHUNK = 500  # hashes in one question to our database


@dataclass(slots=True)
class Books:
    """One gateway, both sides. Every list is of suspects older than HORIZON, by hash or by version."""

    live: dict[str, KeyVersion]  # our live, issued versions, by hash
    orphans: list[tuple[KeyInfo, KeyVersion]] = field(default_factory=list)  # ours, and ended here
    unknown: list[KeyInfo] = field(default_factory=list)  # they say they are ours, and we never heard of them
    missing: list[KeyVersion] = field(default_factory=list)  # live here, not in the walk
    probes: list[KeyInfo] = field(default_factory=list)  # left over from a measurement
    foreign: list[KeyInfo] = field(default_factory=list)  # nobody's, or another Keydesk's


def compare(gateway: Gateway, there: There) -> Books:
    """Sort what was there. Our table is read now, after the gateway: a key that was listed has its row committed."""
    live = _live_versions(gateway, there.at)
    books = Books(live={version.token_hash or "": version for version in live})
    others = {token: key for token, key in there.keys.items() if token not in books.live}
    known = _known(others)
    mine, horizon = Installation.current(), there.at - HORIZON
    for token, key in others.items():
        version, instance = known.get(token), instance_of(key)
        if instance not in {mine, ""} or (version is None and not instance):
            books.foreign.append(key)
        elif key.created_at is not None and key.created_at > horizon:
            continue  # an issue may be running, or a late request has just landed: its intent watches
        elif mark(key).get("probe") is True:
            books.probes.append(key)
        elif version is None:
            books.unknown.append(key)
        elif _is_ended(version):
            books.orphans.append((key, version))
    books.missing = [
        version for version in live if version.token_hash not in there.keys and _is_settled(version, horizon)
    ]
    return books


def _live_versions(gateway: Gateway, now: datetime) -> list[KeyVersion]:
    ending = Intent.objects.filter(version=OuterRef("pk"), kind=Intent.Kind.GONE, due_at__lte=now)
    issuing = Intent.objects.filter(version__lease=OuterRef("lease"), issuing=True)
    live = KeyVersion.objects.filter(
        lease__gateway=gateway, lease__state__in=SETTLED, ended_at=None, issued_at__isnull=False
    ).exclude(token_hash=None)
    return list(
        live.annotate(is_ending=Exists(ending), in_rotation=Exists(issuing))
        .select_related("lease__team", "lease__holder", "lease__role")
        .order_by("token_hash")
    )


def _known(keys: dict[str, KeyInfo]) -> dict[str, KeyVersion]:
    """Which of these keys we have a row for, on whichever gateway: two of ours may lead to the same proxy.

    A version whose secret the proxy chose, and whose answer was lost, is known by its alias alone.
    """
    promised = Exists(Intent.objects.filter(version=OuterRef("pk"), kind=Intent.Kind.GONE))
    rows = KeyVersion.objects.select_related("lease").annotate(is_promised=promised)
    found: dict[str, KeyVersion] = {}
    for tokens in _chunks(keys):
        found |= {version.token_hash or "": version for version in rows.filter(token_hash__in=tokens)}
    mine = Installation.current()
    nameless = {key.alias: token for token, key in keys.items() if token not in found and instance_of(key) == mine}
    for aliases in _chunks([alias for alias in nameless if alias]):
        for version in rows.filter(alias__in=aliases, token_hash=None):
            version.token_hash = nameless[version.alias]  # in memory: what the walk has told
            found[nameless[version.alias]] = version
    return found


def _is_ended(version: KeyVersion) -> bool:
    """Whether our books say that this key must not be there, and nobody sees to it yet."""
    if version.is_promised:  # type: ignore[attr-defined]
        return False  # it is being issued, or ended
    return not (version.lease.state in LIVE and version.is_live)


def _is_settled(version: KeyVersion, horizon: datetime) -> bool:
    """Whether its absence means something: not issued just now, nor in the middle of a rotation or an ending."""
    if version.in_rotation or version.is_ending or version.lease.state == State.ROTATING:  # type: ignore[attr-defined]
        return False
    return version.issued_at is not None and version.issued_at <= horizon


def _chunks(tokens: Collection[str]) -> Iterator[list[str]]:
    rest = iter(tokens)
    while some := list(islice(rest, CHUNK)):
        yield some
