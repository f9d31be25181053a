"""Acts of the audit trail as sentences. An act that is not known here is still readable."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django import template

from portal.templatetags.ui import budget, money, rough, when

register = template.Library()
Facts = dict[str, Any]

REASONS = {
    "asked": "revoked by hand",
    "expired": "its time was over",
    "holder left": "its holder left the team or was deactivated",
    "role ended": "its key role was ended",
    "team ended": "its team was ended",
    "gone from the gateway": "somebody deleted it on the gateway itself",
}
OURS = {"finding": "Difference", "intent": "Promise", "key": ""}  # what stands before a verb that we do not know


@register.filter
def end_words(lease: Any) -> str:
    """Why a lease ended."""
    return REASONS.get(lease.end_reason, lease.end_reason) or "not said"


@register.filter
def pause_words(lease: Any) -> str:
    """Why a lease is paused; nothing where nobody said more than that."""
    reason = str(lease.pause_reason)
    return "" if reason in {"", "asked"} else REASONS.get(reason, f"“{reason}”")


@register.filter
def event_words(event: Any) -> str:
    """One act as a sentence."""
    if known := SAID.get(event.action):
        return known(event.all_facts)
    noun, _, verb = str(event.action).rpartition(".")
    return f"{OURS.get(noun, noun)} {verb}".replace("_", " ").strip().capitalize()


def _because(facts: Facts, plain: str = "asked") -> str:
    """What was given as the reason, after a colon; nothing when nobody said more than that."""
    reason = str(facts.get("reason") or "")
    return "" if reason in {"", plain} else f": {REASONS.get(reason, f'“{reason}”')}"


def _moment(facts: Facts, name: str) -> datetime | None:
    try:
        return datetime.fromisoformat(str(facts.get(name, "")))
    except ValueError:
        return None


def _issued(facts: Facts) -> str:
    return f"Issued from {facts.get('role', 'its role')}, {budget(facts)}"


def _renewed(facts: Facts) -> str:
    before, until = _moment(facts, "before"), _moment(facts, "expires_at")
    if not until:
        return "Renewed"
    longer = f" by {rough(until - before)}" if before and until > before else ""
    return f"Renewed{longer}, to {when(until)}"


def _rotated(facts: Facts) -> str:
    issued = f"version {facts['version']} issued" if "version" in facts else "a new secret issued"
    grace, until = facts.get("grace"), _moment(facts, "old_ends_at")
    if not grace:
        return f"Secret replaced: {issued}, the old one ends at once"
    ends = f", until {when(until)}" if until else ""
    return f"Rotated: {issued}, the old one works {rough(timedelta(seconds=int(grace)))} more{ends}"


def _revocation_asked(facts: Facts) -> str:
    if facts.get("reason") == "expired":
        return "Time is over; the gateway was told to end it"
    return f"Revocation asked{_because(facts)}"


def _revoked(facts: Facts) -> str:
    if facts.get("reason") == "gone from the gateway":
        return "Ended: somebody deleted it on the gateway itself"
    return "Revoked; the gateway confirmed that it is gone"


def _version_ended(facts: Facts) -> str:
    if facts.get("reason") == "gone from the gateway":
        return f"Version {facts.get('version', '')} ended: somebody deleted it on the gateway itself"
    return f"Version {facts.get('version', '')} ended; the gateway confirmed it"


def _member_budget(facts: Facts) -> str:
    amount, who = facts.get("after"), facts.get("person", "a member")
    return f"Budget of {who} set to {money(amount)}" if amount else f"{who} has no budget of their own any more"


def _found(verb: str) -> Callable[[Facts], str]:
    return lambda facts: f"{verb}: {str(facts.get('kind', 'a difference')).replace('_', ' ')} changed on the gateway"


SAID: dict[str, Callable[[Facts], str]] = {
    "key.issued": _issued,
    "key.issue_failed": lambda facts: f"Not issued{_because(facts)}",
    "key.renewed": _renewed,
    "key.rotated": _rotated,
    "key.rotation_failed": lambda facts: f"Not rotated{_because(facts)}. The secret is as it was",
    "key.version_ended": _version_ended,
    "key.paused": lambda facts: f"Paused{_because(facts)}",
    "key.resumed": lambda _: "Resumed",
    "key.revocation_asked": _revocation_asked,
    "key.revoked": _revoked,
    "key.expired": lambda _: "Expired; the gateway confirmed that it is gone",
    "key.transferred": lambda facts: f"Handed over from {facts.get('before')} to {facts.get('after')}",
    "key.imported": lambda facts: f"Taken over from the gateway into {facts.get('role', 'a role')}, {budget(facts)}",
    "key.adopted": lambda _: "What was changed on the gateway was taken over",
    "key.orphan_doomed": lambda facts: f"Version {facts.get('version', '')} was still on the gateway; it is ended",
    "budget.reached": lambda facts: f"{facts.get('percent', 'All')} % of the budget used",
    "finding.restored": _found("Put back as it was"),
    "finding.adopted": _found("Taken over"),
    "finding.ignored": _found("Left as it is"),
    "intent.forced": lambda facts: f"Closed in our books without the word of the gateway{_because(facts)}",
    "intent.forgotten": lambda facts: f"A promise about it was dropped{_because(facts)}",
    "member.budget_changed": _member_budget,
    "role.ended": lambda _: "Key role ended, with the keys it gave",
    "team.ended": lambda _: "Team ended, with the keys it had",
}
