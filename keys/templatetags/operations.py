"""Words of the platform's operations: sweeps, promises, findings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django import template
from django.contrib.humanize.templatetags.humanize import intcomma
from django.template import Context
from django.utils import timezone

from keys.models import Finding, Gateway, Intent, State
from portal.forms import WINDOW_WORDS
from portal.sweeps import SweepStatus
from portal.templatetags.ui import money, rough, when, words
from teams.access import allowed
from teams.models import Team, User
from teams.roles import Can

register = template.Library()

SWEEPS = {  # name of the task: what people call it, and what it does
    "settle_intents": ("Keep promises", "Ends, pauses and changes keys on the gateways, and looks whether it is so."),
    "expire_leases": ("Expire leases", "Ends keys whose time is over."),
    "end_leases": ("End what lost its ground", "Ends keys whose holder left, or whose team or key role ended."),
    "reconcile_gateways": ("Compare both sides", "Lays a gateway beside our books, once a day or when somebody asks."),
    "sync_spend": ("Read spend", "Copies the ledgers of the gateways, and reads the counters of keys that moved."),
    "remind": ("Remind", "Writes to holders 7, 3 and 1 days before a key ends."),
    "prune_old": ("Forget", "Drops what nobody needs any more."),
    "send_letters": ("Send letters", "Sends the mail that waits."),
    "seal_audit": ("Seal the audit", "Puts new acts into the chain that proves them."),
    "stream_audit": ("Stream the audit", "Sends sealed acts to where the settings say."),
    "cut_audit": ("Cut the audit", "Lets go of acts that are older than they are kept."),
}


@dataclass(frozen=True, slots=True)
class SweepWords:
    name: str
    does: str


@register.filter
def sweep_words(status: SweepStatus) -> SweepWords:
    """What people call a sweep, and what it does; one that is not known here is still readable."""
    name, does = SWEEPS.get(status.name, (status.name.replace("_", " ").capitalize(), ""))
    return SweepWords(name, does)


@register.filter
def counted(counts: Mapping[str, int]) -> str:
    """`3 kept, 1 gateway`, of those that are not 0."""
    named = {name.replace("_", " "): number for name, number in counts.items() if number}
    return ", ".join(
        f"{intcomma(number)} {name.removesuffix('s') if number == 1 else name}" for name, number in named.items()
    )


@register.filter
def took(seconds: float | None) -> str:
    """A measured time: `0.4 s`, `2 minutes`."""
    if seconds is None:
        return ""
    return f"{seconds:.2g} s" if seconds < 10 else brief(timedelta(seconds=seconds))


@register.filter
def every(seconds: float) -> str:
    """The time between two runs: `20 s`, `5 minutes`, `1 hour`."""
    return f"{seconds:g} s" if seconds < 60 else words(timedelta(seconds=seconds))


def brief(span: timedelta) -> str:
    """A span as a row has room for it: `12 s`, `4 minutes`, `19 hours`."""
    seconds = round(span.total_seconds())
    return f"{max(seconds, 0)} s" if seconds < 100 else rough(span)


@register.filter
def lately(moment: datetime | None) -> str:
    """`11 s ago`, for what happens often."""
    return f"{brief(timezone.now() - moment)} ago" if moment else ""


@register.filter
def coming(moment: datetime | None) -> str:
    """When something is due: `now`, `in 40 s`, `in 4 minutes`."""
    if moment is None:
        return ""
    rest = moment - timezone.now()
    return f"in {brief(rest)}" if rest > timedelta(0) else "now"


@register.filter
def subject(intent: Intent) -> str:
    """What a promise is about, as it is called on the gateway: `sk-...abcd`, an alias, a team."""
    if intent.version:
        return intent.version.key_name or intent.version.alias
    return str(intent.team)


@register.filter
def must(intent: Intent) -> str:
    """What must become true of it there."""
    if intent.kind == Intent.Kind.GONE:
        return "must not stay"
    if intent.kind == Intent.Kind.BLOCK and intent.version:
        return "must not answer" if intent.version.lease.state == State.PAUSED else "must answer again"
    return "must look like its lease" if intent.version else "must be as the team is here"


@dataclass(frozen=True, slots=True)
class Fact:
    """One field of a finding; `theirs` None: a plain fact, without two sides."""

    name: str
    ours: str
    theirs: str | None = None


FIELDS = {
    "models": "Models",
    "max_budget": "Budget",
    "budget_duration": "The budget is for",
    "tpm_limit": "Tokens a minute",
    "rpm_limit": "Requests a minute",
    "max_parallel_requests": "At the same time",
    "expires": "Ends",
    "blocked": "Answers",
    "alias": "Alias",
    "team_id": "Team",
    "user_id": "Holder",
    "metadata": "Whose it is",
    "name": "Name",
    "state": "Here it is",
    "reason": "Why it ended",
    "key_name": "Secret",
    "created_at": "Made",
    "expires_at": "Ends",
    "difference": "Difference",
}
TIMES = frozenset({"expires", "expires_at", "created_at"})
AMOUNTS = frozenset({"tpm_limit", "rpm_limit", "max_parallel_requests"})
MODELS_SHOWN = 12
TWO_SIDES = frozenset(
    {Finding.Kind.LIMITS, Finding.Kind.BLOCK, Finding.Kind.EXPIRY, Finding.Kind.METADATA, Finding.Kind.TEAM}
)


@register.filter
def facts(finding: Finding) -> list[Fact]:
    """The facts of a finding, as a person reads them."""
    if finding.kind not in TWO_SIDES:
        return [Fact(_field(name), said) for name, raw in finding.facts.items() if (said := _value(name, raw))]
    return [
        Fact(_field(name), _value(name, both[0]) or "nothing", _value(name, both[1]) or "nothing")
        for name, both in finding.facts.items()
    ]


@register.filter
def two_sides(finding: Finding) -> bool:
    """Whether its facts are ours and theirs."""
    return finding.kind in TWO_SIDES and bool(finding.facts)


def _field(name: str) -> str:
    return FIELDS.get(name, name.replace("_", " ").capitalize())


def _value(name: str, raw: Any) -> str:
    if name == "models":
        return _models(raw)
    if name == "max_budget":
        return "no limit" if raw is None else money(raw)
    if name == "difference":
        return money(raw)
    if name == "budget_duration":
        return str(WINDOW_WORDS.get(raw or "", raw))
    if name in AMOUNTS:
        return "no limit" if raw is None else intcomma(raw)
    if name == "blocked":
        return "no, it is blocked" if raw else "yes"
    if name in TIMES:
        return _moment(raw)
    if name == "metadata":
        return f"lease {str(raw['lease'])[:8]}, version {raw.get('version', '?')}" if _is_mark(raw) else "nothing"
    if name in {"team_id", "user_id", "holder"}:
        return _who(raw)
    return "" if raw is None else str(raw)


def _models(raw: Any) -> str:
    if not raw:
        return "every model"
    shown = ", ".join(str(name) for name in raw[:MODELS_SHOWN])
    return shown if len(raw) <= MODELS_SHOWN else f"{shown} and {len(raw) - MODELS_SHOWN} more"


def _moment(raw: Any) -> str:
    if not raw:
        return "never"
    try:
        return f"{when(datetime.fromisoformat(str(raw)))} UTC"
    except ValueError:
        return str(raw)


def _is_mark(raw: Any) -> bool:
    return isinstance(raw, Mapping) and bool(raw.get("lease"))


def _who(raw: Any) -> str:
    """Who is behind one of our ids on a proxy; another's id as it is."""
    text = str(raw or "")
    try:
        pk = UUID(text.removeprefix("kd-"))
    except ValueError:
        return text or "nobody"
    known = Team.objects.filter(pk=pk).first() or User.objects.filter(pk=pk).first()
    return str(known or text)


@register.simple_tag(takes_context=True)
def held_gateways(context: Context) -> list[Gateway]:
    """Gateways that are held, for platform admins."""
    if not allowed(context["request"].user, Can.MANAGE_PLATFORM):
        return []
    return list(Gateway.objects.filter(held_since__isnull=False).defer("master_key"))
