"""What a key on a gateway must look like by our row, in what it differs, and how it is made to fit."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from keys.models import KeyVersion, State
from keys.services.errors import GatewayRefused
from keys.services.terms import SLACK
from portal.litellm import BudgetWindow, Client, KeyInfo, KeyNotFound
from portal.models import Installation

LIMITS = ("models", "max_budget", "budget_duration", "tpm_limit", "rpm_limit", "max_parallel_requests")
PLACE = ("alias", "team_id", "user_id")
STAMP = ("instance", "lease", "version", "holder")  # the part of our metadata by which a key is compared


def wanted(version: KeyVersion) -> dict[str, Any]:
    """The key as our row has it: LIMITS, PLACE, `expires` (UTC), `blocked`, and our part of `metadata`."""
    lease, limits = version.lease, version.lease.limits
    return {
        "models": list(limits["models"]),  # empty: every model
        "max_budget": lease.max_budget,
        "budget_duration": limits["budget_duration"] or None,
        "tpm_limit": limits["tpm_limit"],
        "rpm_limit": limits["rpm_limit"],
        "max_parallel_requests": limits["max_parallel_requests"],
        "alias": version.alias,
        "team_id": lease.team.litellm_id,
        "user_id": lease.holder.litellm_id,
        "expires": version.dies_at or lease.expires_at,
        "blocked": lease.state == State.PAUSED,
        "metadata": {**lease.role.metadata, "keydesk": stamp(version)},
    }


def stamp(version: KeyVersion) -> dict[str, Any]:
    """What we write on a key, to know it again."""
    lease = version.lease
    return {
        "instance": Installation.current(),
        "lease": str(lease.pk),
        "version": version.number,
        "role": lease.role.name,
        "team": lease.team.slug,
        "holder": lease.holder.litellm_id,
    }


def differences(version: KeyVersion, there: KeyInfo) -> dict[str, tuple[Any, Any]]:
    """In what the key there is not as our row has it: `{field: (ours, theirs)}`."""
    ours = wanted(version)
    found: dict[str, tuple[Any, Any]] = {}
    for name in (*LIMITS, *PLACE, "blocked"):
        mine, theirs = ours[name], getattr(there, name)
        if (sorted(mine) != sorted(theirs)) if name == "models" else (mine != theirs):
            found[name] = (mine, list(theirs) if name == "models" else theirs)
    if there.expires is None or abs(there.expires - ours["expires"]) > SLACK:
        found["expires"] = (ours["expires"], there.expires)
    mine, theirs = ours["metadata"]["keydesk"], there.metadata.get("keydesk") or {}
    if not isinstance(theirs, dict) or any(mine[name] != theirs.get(name) for name in STAMP):
        found["metadata"] = (mine, theirs)
    return found


def rest_of(moment: datetime) -> timedelta:
    """Whole seconds from now until `moment`, at least one, and rather less than more.

    LiteLLM counts a lifetime from when it reads it: so the key never outlives its lease there by more than the way.
    """
    return timedelta(seconds=max(1, math.floor((moment - timezone.now()).total_seconds())))


def fit(client: Client, version: KeyVersion) -> None:
    """Make the key there look like our row, but for `blocked`. A key that is not there is left to reconcile.

    Raises LiteLLMError, and GatewayRefused when the proxy takes the change but keeps its own values.
    """
    token = version.token_hash or ""
    try:
        there = client.keys.info(token)
    except KeyNotFound:
        return
    if there.status == "deleted" or not (changes := _changes(version, there)):
        return
    if "team_id" in changes and there.user_id:  # the proxy checks the old user against the new team (tried, 1.106.2)
        client.keys.update(token, user_id=None)
        changes["user_id"] = wanted(version)["user_id"]
    client.keys.update(token, **changes)
    kept = sorted(set(differences(version, client.keys.info(token))) & set(changes) - {"metadata"})
    if kept:
        raise GatewayRefused(f"The gateway keeps its own {', '.join(kept)}.")


def _changes(version: KeyVersion, there: KeyInfo) -> dict[str, Any]:
    found = differences(version, there)
    found.pop("blocked", None)
    changes = {name: ours for name, (ours, _) in found.items() if name not in {"expires", "metadata"}}
    if changes.get("budget_duration"):
        changes["budget_duration"] = BudgetWindow(changes["budget_duration"])
    if "expires" in found:
        changes["duration"] = rest_of(found["expires"][0])
    if "metadata" in found:  # replaced whole by the proxy, with the per-model limits in it: read, merge, write
        changes["metadata"] = {**there.metadata, **wanted(version)["metadata"]}
    return changes
