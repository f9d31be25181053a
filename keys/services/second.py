"""Four eyes: what must be confirmed by a second platform admin is saved as a proposal instead of done."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import transaction
from django.urls import reverse

from keys.models import Gateway, KeyRole, Proposal
from portal import audit, mail
from portal.errors import SecondNeeded
from teams.access import Actor, admin_addresses
from teams.models import Team, User

SECRET = {"master_key": "a new master key", "ca_bundle": "a new CA bundle"}  # never shown


def needed(
    verb: Proposal.Verb, target: Gateway | KeyRole, fields: Mapping[str, Any], *, by: Actor,
    before: Mapping[str, Any] | None = None, confirmed: bool,
) -> None:  # fmt: skip
    """Save the change as a proposal and refuse it, if this installation wants a second platform admin.

    `before`: what stands there now, of what would change; None: nothing is there yet. The same proposal is not saved
    twice. Raises SecondNeeded.
    """
    if confirmed or not settings.SECOND_ADMIN or not isinstance(by, User):
        return  # what the environment says was said by whoever runs the installation
    was, will = shown(before or {}), shown({name: fields[name] for name in (fields if before is None else before)})
    known = {"gateway": target} if isinstance(target, Gateway) else {"role": target}
    facts: dict[str, Any] = {"verb": verb, "name": target.name, "proposed_by": by, **(known if target.pk else {})}
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=by.pk)
        same = Proposal.objects.open().filter(**facts, before=was, after=will)
        found = next((each for each in same if unpack(each.payload) == dict(fields)), None)
        if found is None:
            stored = type(target).objects.filter(pk=target.pk).values_list("version", flat=True).first()
            found = Proposal.objects.create(
                **facts, target_version=stored or 0, payload=pack(fields), before=was, after=will
            )
            audit.record("proposal.made", found, by=by, verb=verb.value, before=was, after=will)
            mail.proposal_waits(
                admin_addresses(but=by),
                f"proposal:{found.pk}", what=str(found), person=str(by), path=reverse("keys:proposals"),
            )  # fmt: skip
    raise SecondNeeded(details={"proposal": found.pk})


def shown(fields: Mapping[str, Any]) -> dict[str, str]:
    """The fields as text, without a secret."""
    return {name: (SECRET[name] if value else "") if name in SECRET else _text(value) for name, value in fields.items()}


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)


def pack(fields: Mapping[str, Any]) -> str:
    return json.dumps(dict(fields), default=_tagged)


def _tagged(value: Any) -> dict[str, Any]:
    if isinstance(value, timedelta):
        return {"seconds": value.total_seconds()}
    if isinstance(value, Decimal):
        return {"decimal": str(value)}
    if isinstance(value, Gateway | Team):
        return {type(value).__name__: str(value.pk)}
    raise TypeError(f"{type(value).__name__} has no place in a proposal")


def unpack(payload: str) -> dict[str, Any]:
    """The fields of a proposal, with rows as they are now."""
    found: dict[str, Any] = json.loads(payload, object_hook=_untagged)
    return found


def _untagged(value: dict[str, Any]) -> Any:
    match value:
        case {"seconds": seconds} if len(value) == 1:
            return timedelta(seconds=seconds)
        case {"decimal": text} if len(value) == 1:
            return Decimal(text)
        case {"Gateway": pk} if len(value) == 1:
            return Gateway.objects.get(pk=pk)
        case {"Team": pk} if len(value) == 1:
            return Team.objects.get(pk=pk)
    return value
