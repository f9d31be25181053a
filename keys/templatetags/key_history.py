"""Acts of the audit trail as sentences. An act that is not known here is still readable."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django import template
from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_lazy as _

from keys.models import Advice
from keys.templatetags.told import retold
from portal.templatetags.ui import budget, money, rough, when

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise as StrOrPromise

register = template.Library()
Facts = dict[str, Any]

REASONS = {
    "asked": _("revoked by hand"),
    "expired": _("its time was over"),
    "holder left": _("its holder left the team or was deactivated"),
    "role ended": _("its key role was ended"),
    "team ended": _("its team was ended"),
    "gone from the gateway": _("somebody deleted it on the gateway itself"),
}
OURS = {"finding": _("Difference"), "intent": _("Promise"), "key": ""}  # stands before a verb that we do not know


@register.filter
def end_words(lease: Any) -> str:
    """Why a lease ended."""
    return str(REASONS.get(lease.end_reason, lease.end_reason)) or gettext("not said")


@register.filter
def pause_words(lease: Any) -> str:
    """Why a lease is paused; nothing where nobody said more than that."""
    reason = str(lease.pause_reason)
    return "" if reason in {"", "asked"} else _reason(reason)


def _reason(reason: str) -> str:
    return str(REASONS[reason]) if reason in REASONS else gettext("“%(words)s”") % {"words": retold(reason)}


@register.filter
def event_words(event: Any) -> str:
    """One act as a sentence."""
    if known := SAID.get(event.action):
        return known(event.all_facts)
    noun, _dot, verb = str(event.action).rpartition(".")
    return f"{OURS.get(noun, noun)} {verb}".replace("_", " ").strip().capitalize()


def _because(facts: Facts, plain: str = "asked") -> str:
    """What was given as the reason, after a colon; nothing when nobody said more than that."""
    reason = str(facts.get("reason") or "")
    return "" if reason in {"", plain} else f": {_reason(reason)}"


def _moment(facts: Facts, name: str) -> datetime | None:
    try:
        return datetime.fromisoformat(str(facts.get(name, "")))
    except ValueError:
        return None


def _issued(facts: Facts) -> str:
    said = {"role": facts.get("role") or gettext("its role"), "budget": budget(facts)}
    return gettext("Issued from %(role)s, %(budget)s") % said


def _renewed(facts: Facts) -> str:
    before, until = _moment(facts, "before"), _moment(facts, "expires_at")
    if not until:
        return gettext("Renewed")
    if before and until > before:
        said = {"span": rough(until - before), "moment": when(until)}
        return gettext("Renewed by %(span)s, to %(moment)s") % said
    return gettext("Renewed, to %(moment)s") % {"moment": when(until)}


def _rotated(facts: Facts) -> str:
    issued = gettext("a new secret issued")
    if "version" in facts:
        issued = gettext("version %(version)s issued") % {"version": facts["version"]}
    grace, until = facts.get("grace"), _moment(facts, "old_ends_at")
    if not grace:
        return gettext("Secret replaced: %(issued)s, the old one ends at once") % {"issued": issued}
    said = {"issued": issued, "span": rough(timedelta(seconds=int(grace))), "moment": when(until)}
    if until:
        return gettext("Rotated: %(issued)s, the old one works %(span)s more, until %(moment)s") % said
    return gettext("Rotated: %(issued)s, the old one works %(span)s more") % said


def _revocation_asked(facts: Facts) -> str:
    if facts.get("reason") == "expired":
        return gettext("Time is over; the gateway was told to end it")
    return gettext("Revocation asked") + _because(facts)


def _revoked(facts: Facts) -> str:
    if facts.get("reason") == "gone from the gateway":
        return gettext("Ended: somebody deleted it on the gateway itself")
    return gettext("Revoked; the gateway confirmed that it is gone")


def _version(facts: Facts) -> dict[str, Any]:
    return {"version": facts.get("version", "")}


def _version_ended(facts: Facts) -> str:
    if facts.get("reason") == "gone from the gateway":
        return gettext("Version %(version)s ended: somebody deleted it on the gateway itself") % _version(facts)
    return gettext("Version %(version)s ended; the gateway confirmed it") % _version(facts)


def _member_budget(facts: Facts) -> str:
    amount, who = facts.get("after"), facts.get("person") or gettext("a member")
    if amount:
        return gettext("Budget of %(who)s set to %(amount)s") % {"who": who, "amount": money(amount)}
    return gettext("%(who)s has no budget of their own any more") % {"who": who}


def _raised(facts: Facts) -> str:
    more = ", ".join(str(name) for name in facts.get("models") or ())
    after, until = facts.get("budget_after"), _moment(facts, "until")
    given = money(after) if after else more
    if after and more:
        given = gettext("%(budget)s and %(models)s") % {"budget": money(after), "models": more}
    if until:
        said = {"given": given, "moment": when(until)}
        return gettext("Raised to %(given)s until %(moment)s, then back by itself") % said
    return gettext("Raised to %(given)s, then back by itself") % {"given": given}


def _found(said: StrOrPromise) -> Callable[[Facts], str]:
    return lambda facts: str(said) % {"kind": _kind_of_finding(facts)}


def _kind_of_finding(facts: Facts) -> str:
    kind = str(facts.get("kind") or "")
    return str(FOUND.get(kind, kind.replace("_", " "))) or gettext("a difference")


FOUND = {
    "limits": _("limits"),
    "block": _("block"),
    "expiry": _("expiry"),
    "metadata": _("metadata"),
    "team": _("team"),
}


def _advice(facts: Facts) -> str:
    kind = str(facts.get("kind", ""))
    if kind not in Advice.Kind.values:
        return kind
    label = str(Advice.Kind(kind).label)
    return label[:1].lower() + label[1:] if get_language() == "en" else label


def _words(said: StrOrPromise) -> Callable[[Facts], str]:
    return lambda facts: str(said)


def _with_reason(said: StrOrPromise) -> Callable[[Facts], str]:
    return lambda facts: f"{said}{_because(facts)}"


def _not_rotated(facts: Facts) -> str:
    return gettext("Not rotated%(because)s. The secret is as it was") % {"because": _because(facts)}


def _handed_over(facts: Facts) -> str:
    said = {"before": facts.get("before"), "after": facts.get("after")}
    return gettext("Handed over from %(before)s to %(after)s") % said


def _imported(facts: Facts) -> str:
    said = {"role": facts.get("role") or gettext("a role"), "budget": budget(facts)}
    return gettext("Taken over from the gateway into %(role)s, %(budget)s") % said


def _orphan(facts: Facts) -> str:
    return gettext("Version %(version)s was still on the gateway; it is ended") % _version(facts)


def _budget_reached(facts: Facts) -> str:
    if "percent" not in facts:
        return gettext("All of the budget used")
    return gettext("%(percent)s %% of the budget used") % {"percent": facts["percent"]}


def _sized(facts: Facts) -> str:
    return gettext("Right-sized: %(kind)s") % {"kind": _advice(facts)}


def _put_off(facts: Facts) -> str:
    return gettext("Right-sizing put off, %(kind)s") % {"kind": _advice(facts)} + _because(facts)


SAID: dict[str, Callable[[Facts], str]] = {
    "key.issued": _issued,
    "key.issue_failed": _with_reason(_("Not issued")),
    "key.renewed": _renewed,
    "key.rotated": _rotated,
    "key.rotation_failed": _not_rotated,
    "key.version_ended": _version_ended,
    "key.paused": _with_reason(_("Paused")),
    "key.resumed": _words(_("Resumed")),
    "key.revocation_asked": _revocation_asked,
    "key.revoked": _revoked,
    "key.expired": _words(_("Expired; the gateway confirmed that it is gone")),
    "key.transferred": _handed_over,
    "key.raised": _raised,
    "key.rise_reverted": _words(_("The rise is over: as it was before")),
    "key.imported": _imported,
    "key.adopted": _words(_("What was changed on the gateway was taken over")),
    "key.orphan_doomed": _orphan,
    "budget.reached": _budget_reached,
    "advice.applied": _sized,
    "advice.snoozed": _put_off,
    "finding.restored": _found(_("Put back as it was: %(kind)s changed on the gateway")),
    "finding.adopted": _found(_("Taken over: %(kind)s changed on the gateway")),
    "finding.ignored": _found(_("Left as it is: %(kind)s changed on the gateway")),
    "intent.forced": _with_reason(_("Closed in our books without the word of the gateway")),
    "intent.forgotten": _with_reason(_("A promise about it was dropped")),
    "member.budget_changed": _member_budget,
    "role.ended": _words(_("Key role ended, with the keys it gave")),
    "team.ended": _words(_("Team ended, with the keys it had")),
}
