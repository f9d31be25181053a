"""What became of many keys that were to end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django import template

from keys.models import State
from keys.services.leases import Ending

register = template.Library()


@dataclass(frozen=True, slots=True)
class Counts:
    done: int
    waiting: int
    refused: int


@register.simple_tag
def tally(ended: Sequence[Ending]) -> Counts:
    refused = sum(1 for each in ended if each.trouble)
    waiting = sum(1 for each in ended if not each.trouble and each.lease.state == State.REVOKING)
    return Counts(len(ended) - refused - waiting, waiting, refused)


@register.filter
def result_words(ending: Ending) -> str:
    """`ended, 14:07:02 UTC`; or that it is not yet effective; or why it was refused."""
    if ending.trouble:
        return f"{ending.trouble.message} {ending.trouble.action}"
    lease = ending.lease
    if lease.state == State.REVOKING:
        return f"Not yet effective: {lease.gateway} has not confirmed it. Until then it may still answer."
    at = f" at {lease.ended_at:%H:%M:%S} UTC" if lease.ended_at else ""
    return f"Ended; {lease.gateway} confirmed it{at}."
