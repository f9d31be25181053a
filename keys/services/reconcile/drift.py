"""What on a gateway is not as our rows have it, and neither ours to end nor gone: drift. Found, told, never mended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from keys.models import Finding, Gateway, Intent, KeyVersion
from keys.models.lease import LIVE, SETTLED
from keys.services import findings
from keys.services.reconcile.walk import Look, There
from keys.services.shape import LIMITS, differences
from keys.services.terms import SLACK
from portal.litellm import KeyInfo
from teams.models import Team

Kind = Finding.Kind
KINDS = (Kind.LIMITS, Kind.EXPIRY, Kind.BLOCK, Kind.METADATA, Kind.TEAM)
OF_FIELD = {**dict.fromkeys(LIMITS, Kind.LIMITS), "expires": Kind.EXPIRY, "blocked": Kind.BLOCK}  # else: METADATA
LOOKS = 200  # drifted keys that are looked at once more; with more of them, one mistake more does not matter
SAID = {
    Kind.LIMITS: "The limits of {} were changed on the gateway.",
    Kind.EXPIRY: "The expiry of {} was changed on the gateway.",
    Kind.METADATA: "{} lost on the gateway what says whose it is.",
}


@dataclass(frozen=True, slots=True)
class Drift:
    """One version that differs: `{field: (ours, theirs)}`, and the key as it was seen."""

    version: KeyVersion
    there: KeyInfo
    fields: Mapping[str, tuple[Any, Any]]

    @property
    def expires_later(self) -> bool:
        """Whether the gateway has a later end than we: somebody lengthened it there, or here a renewal was lost."""
        ours, theirs = self.fields.get("expires", (None, None))
        return theirs is not None and theirs > ours + SLACK


TeamDrift = tuple[Team, dict[str, tuple[Any, Any]]]


def of_keys(live: Mapping[str, KeyVersion], keys: Mapping[str, KeyInfo]) -> list[Drift]:
    """Live versions whose key is there, and differs."""
    both = ((version, keys[token]) for token, version in live.items() if token in keys)
    return list(_different(both))


def looked_at_again(found: list[Drift], look: Look) -> list[Drift]:
    """The same, each with row and key read at this moment: a renewal between the two reads is no drift."""
    fresh = KeyVersion.objects.select_related("lease__team", "lease__holder", "lease__role").filter(
        ended_at=None, lease__state__in=SETTLED
    )
    sure: list[Drift] = []
    for drift in found[:LOOKS]:
        there = look.key(drift.version.token_hash or "")
        version = fresh.filter(pk=drift.version.pk).first()
        if there is not None and version is not None:
            sure += _different([(version, there)])
    return sure + found[LOOKS:]


def _different(pairs: Iterable[tuple[KeyVersion, KeyInfo]]) -> Iterator[Drift]:
    for version, there in pairs:
        if fields := differences(version, there):
            yield Drift(version, there, fields)


def tell(gateway: Gateway, found: Iterable[Drift], now: datetime) -> int:
    """One finding for each kind of difference; answers how many. What we have promised to mend is no finding."""
    waiting = set(_promised(gateway).exclude(version=None).values_list("version_id", flat=True))
    gateway.findings.filter(version_id__in=waiting, kind__in=KINDS, seen_at__lt=now).update(seen_at=now)
    count = 0
    for drift in found:
        if drift.version.pk in waiting:
            continue
        for kind, group in groupby(sorted(drift.fields, key=_kind_of), key=_kind_of):
            facts = {field: drift.fields[field] for field in group}
            findings.note(
                gateway, kind, drift.version.token_hash or "", message=_said(kind, drift, facts), facts=facts,
                version=drift.version, now=now,
            )  # fmt: skip
            count += 1
    return count


def _promised(gateway: Gateway) -> Any:
    return Intent.objects.filter(gateway=gateway, kind__in=[Intent.Kind.SHAPE, Intent.Kind.BLOCK])


def _kind_of(field: str) -> Finding.Kind:
    return OF_FIELD.get(field, Kind.METADATA)


def _said(kind: Finding.Kind, drift: Drift, facts: Mapping[str, Any]) -> str:
    name = str(drift.version)
    if kind == Kind.BLOCK:
        return f"{name} was {'blocked' if facts['blocked'][1] else 'unblocked'} on the gateway."
    if kind == Kind.METADATA and "metadata" not in facts:
        return f"{name} has another {' and '.join(WORDS[field] for field in facts)} on the gateway."
    return SAID[kind].format(name)


WORDS = {"alias": "alias", "team_id": "team", "user_id": "holder"}


def of_teams(gateway: Gateway, there: There, look: Look) -> list[TeamDrift]:
    """Our teams with live keys on the gateway that are not there as they are here; each is looked at once more."""
    teams = Team.objects.filter(leases__gateway=gateway, leases__state__in=LIVE, ended_at=None).distinct()
    suspects = [team for team in teams if findings.team_differences(team, there.teams.get(team.litellm_id))]
    found = []
    for team in suspects[:LOOKS]:
        row = look.team(team.litellm_id)
        team.refresh_from_db()
        if fields := findings.team_differences(team, row):
            found.append((team, fields))
    return found


def tell_teams(gateway: Gateway, found: Iterable[TeamDrift], now: datetime) -> int:
    """One finding for each team out of step; answers how many."""
    waiting = set(_promised(gateway).exclude(team=None).values_list("team_id", flat=True))
    gateway.findings.filter(team_id__in=waiting, kind=Kind.TEAM, seen_at__lt=now).update(seen_at=now)
    count = 0
    for team, fields in found:
        if team.pk in waiting:
            continue
        gone = "team" in fields
        said = "is not a team on the gateway: its keys are refused." if gone else "is another on the gateway."
        findings.note(
            gateway, Kind.TEAM, team.litellm_id, message=f"{team} {said}", facts=fields, team=team, now=now
        )  # fmt: skip
        count += 1
    return count
