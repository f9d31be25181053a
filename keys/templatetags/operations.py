"""Words of the platform's operations: sweeps, promises, findings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django import template
from django.contrib.humanize.templatetags.humanize import intcomma
from django.template import Context
from django.utils import timezone
from django.utils.translation import gettext, ngettext_lazy
from django.utils.translation import gettext_lazy as _

from keys.models import Finding, Gateway, Intent, State
from portal.forms import WINDOW_WORDS
from portal.sweeps import SweepStatus
from portal.templatetags.ui import grouped, money, rough, when, words
from teams.access import allowed
from teams.models import Team, User
from teams.roles import Can

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise as StrOrPromise

register = template.Library()

SWEEPS = {  # name of the task: what people call it, and what it does
    "settle_intents": (
        _("Keep promises"),
        _("Ends, pauses and changes keys on the gateways, and looks whether it is so."),
    ),
    "expire_leases": (_("Expire leases"), _("Ends keys whose time is over.")),
    "end_leases": (_("End what lost its ground"), _("Ends keys whose holder left, or whose team or key role ended.")),
    "reconcile_gateways": (
        _("Compare both sides"),
        _("Lays a gateway beside our books, once a day or when somebody asks."),
    ),
    "sync_spend": (
        _("Read spend"),
        _("Copies the ledgers of the gateways, and reads the counters of keys that moved."),
    ),
    "refresh_catalogs": (_("Read the models"), _("Asks the gateways what their models can do and cost.")),
    "look_after_requests": (_("Look after requests"), _("Reminds, escalates and lapses requests; takes back rises.")),
    "remind": (_("Remind"), _("Writes to holders 7, 3 and 1 days before a key ends.")),
    "close_statements": (_("Close statements"), _("Freezes what each team spent in a month, once that has settled.")),
    "prune_old": (_("Forget"), _("Drops what nobody needs any more.")),
    "send_letters": (
        _("Send letters"),
        _("Sends the mail that waits, and writes the daily letters once they are due."),
    ),
    "deliver_webhooks": (_("Deliver to webhooks"), _("Sends events to the webhooks of teams and of the platform.")),
    "seal_audit": (_("Seal the audit"), _("Puts new acts into the chain that proves them.")),
    "stream_audit": (_("Stream the audit"), _("Sends sealed acts to where the settings say.")),
    "cut_audit": (_("Cut the audit"), _("Lets go of acts that are older than they are kept.")),
}


COUNTED: dict[str, StrOrPromise] = {  # what sweeps count: `words` is the number as it is written
    "kept": _("%(words)s kept"),
    "ended": _("%(words)s ended"),
    "blocked": _("%(words)s blocked"),
    "lapsed": _("%(words)s lapsed"),
    "escalated": _("%(words)s escalated"),
    "reminded": _("%(words)s reminded"),
    "warned": _("%(words)s warned"),
    "reverted": _("%(words)s reverted"),
    "handed_on": _("%(words)s handed on"),
    "announced": _("%(words)s announced"),
    "failed": _("%(words)s failed"),
    "opened": _("%(words)s opened"),
    "closed": _("%(words)s closed"),
    "advice": _("%(words)s advice"),
    "cached": _("%(words)s cached"),
    "daily": _("%(words)s daily"),
    "sent": _("%(words)s sent"),
    "sealed": _("%(words)s sealed"),
    "cut": _("%(words)s cut"),
    "taken": _("%(words)s taken"),
    "read": _("%(words)s read"),
    "away": _("%(words)s away"),
    "done": _("%(words)s done"),
    "letters": ngettext_lazy("%(words)s letter", "%(words)s letters", "number"),
    "tokens": ngettext_lazy("%(words)s token", "%(words)s tokens", "number"),
    "gateways": ngettext_lazy("%(words)s gateway", "%(words)s gateways", "number"),
    "rows": ngettext_lazy("%(words)s row", "%(words)s rows", "number"),
    "leases": ngettext_lazy("%(words)s lease", "%(words)s leases", "number"),
    "counters": ngettext_lazy("%(words)s counter", "%(words)s counters", "number"),
    "deliveries": ngettext_lazy("%(words)s delivery", "%(words)s deliveries", "number"),
    "invitations": ngettext_lazy("%(words)s invitation", "%(words)s invitations", "number"),
    "proposals": ngettext_lazy("%(words)s proposal", "%(words)s proposals", "number"),
    "findings": ngettext_lazy("%(words)s finding", "%(words)s findings", "number"),
    "sessions": ngettext_lazy("%(words)s session", "%(words)s sessions", "number"),
}


@dataclass(frozen=True, slots=True)
class SweepWords:
    name: str
    does: str


@register.filter
def sweep_words(status: SweepStatus) -> SweepWords:
    """What people call a sweep, and what it does; one that is not known here is still readable."""
    name, does = SWEEPS.get(status.name, (status.name.replace("_", " ").capitalize(), ""))
    return SweepWords(str(name), str(does))


@register.filter
def counted(counts: Mapping[str, int]) -> str:
    """`3 kept, 1 gateway`, of those that are not 0."""
    return ", ".join(_tallied(name, number) for name, number in counts.items() if number)


def _tallied(name: str, number: int) -> str:
    said = {"number": number, "words": intcomma(number)}
    if known := COUNTED.get(name):
        return known % said
    plain = name.replace("_", " ")
    return f"{said['words']} {plain.removesuffix('s') if number == 1 else plain}"


@register.filter
def took(seconds: float | None) -> str:
    """A measured time: `0.4 s`, `2 minutes`."""
    if seconds is None:
        return ""
    return f"{grouped(f'{seconds:.2g}')} s" if seconds < 10 else brief(timedelta(seconds=seconds))


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
    return gettext("%(now)s ago") % {"now": brief(timezone.now() - moment)} if moment else ""


@register.filter
def coming(moment: datetime | None) -> str:
    """When something is due: `now`, `in 40 s`, `in 4 minutes`."""
    if moment is None:
        return ""
    rest = moment - timezone.now()
    return gettext("in %(span)s") % {"span": brief(rest)} if rest > timedelta(0) else gettext("now")


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
        return gettext("must not stay")
    if intent.kind == Intent.Kind.BLOCK and intent.version:
        return (
            gettext("must not answer") if intent.version.lease.state == State.PAUSED else gettext("must answer again")
        )
    return gettext("must look like its lease") if intent.version else gettext("must be as the team is here")


@dataclass(frozen=True, slots=True)
class Fact:
    """One field of a finding; `theirs` None: a plain fact, without two sides."""

    name: str
    ours: str
    theirs: str | None = None


FIELDS = {
    "models": _("Models"),
    "max_budget": _("Budget"),
    "budget_duration": _("The budget is for"),
    "tpm_limit": _("Tokens a minute"),
    "rpm_limit": _("Requests a minute"),
    "max_parallel_requests": _("At the same time"),
    "expires": _("Ends"),
    "blocked": _("Answers"),
    "alias": _("Alias"),
    "team_id": _("Team"),
    "user_id": _("Holder"),
    "metadata": _("Whose it is"),
    "name": _("Name"),
    "state": _("Here it is"),
    "reason": _("Why it ended"),
    "key_name": _("Secret"),
    "created_at": _("Made"),
    "expires_at": _("Ends"),
    "difference": _("Difference"),
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
        Fact(_field(name), _value(name, both[0]) or gettext("nothing"), _value(name, both[1]) or gettext("nothing"))
        for name, both in finding.facts.items()
    ]


@register.filter
def two_sides(finding: Finding) -> bool:
    """Whether its facts are ours and theirs."""
    return finding.kind in TWO_SIDES and bool(finding.facts)


def _field(name: str) -> str:
    return str(FIELDS.get(name, name.replace("_", " ").capitalize()))


def _value(name: str, raw: Any) -> str:
    if name == "models":
        return _models(raw)
    if name == "max_budget":
        return gettext("no limit") if raw is None else money(raw)
    if name == "difference":
        return money(raw)
    if name == "budget_duration":
        return str(WINDOW_WORDS.get(raw or "", raw))
    if name in AMOUNTS:
        return gettext("no limit") if raw is None else intcomma(raw)
    if name == "blocked":
        return gettext("no, it is blocked") if raw else gettext("yes")
    if name in TIMES:
        return _moment(raw)
    if name == "metadata":
        return (
            gettext("lease %(lease)s, version %(value)s")
            % {"lease": str(raw["lease"])[:8], "value": raw.get("version", "?")}
            if _is_mark(raw)
            else gettext("nothing")
        )
    if name in {"team_id", "user_id", "holder"}:
        return _who(raw)
    return "" if raw is None else str(raw)


def _models(raw: Any) -> str:
    if not raw:
        return gettext("every model")
    shown = ", ".join(str(name) for name in raw[:MODELS_SHOWN])
    return (
        shown
        if len(raw) <= MODELS_SHOWN
        else gettext("%(shown)s and %(raw)s more") % {"shown": shown, "raw": len(raw) - MODELS_SHOWN}
    )


def _moment(raw: Any) -> str:
    if not raw:
        return gettext("never")
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
        return text or gettext("nobody")
    known = Team.objects.filter(pk=pk).first() or User.objects.filter(pk=pk).first()
    return str(known or text)


@register.simple_tag(takes_context=True)
def held_gateways(context: Context) -> list[Gateway]:
    """Gateways that are held, for platform admins."""
    if not allowed(context["request"].user, Can.MANAGE_PLATFORM):
        return []
    return list(Gateway.objects.filter(held_since__isnull=False).defer("master_key"))
