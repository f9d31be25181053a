"""Words about key roles: who decides, what changed from one version to the next, what of a key is outside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django import template
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from keys.models import Approval, How, KeyRole, Lease, RoleVersion
from keys.services.bounds import Held
from portal.templatetags.ui import budget, count, grouped, when, words

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise as StrOrPromise

register = template.Library()
Terms = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Difference:
    """One term that changed. `before` blank: `after` says it all."""

    label: StrOrPromise
    before: str
    after: str


GATEWAY = _("as the gateway has it")
DECIDES = {
    Approval.AUTO: _("Issued at once"),
    Approval.TEAM: _("One approver of the team decides"),
    Approval.TWO: _("Two approvers of the team decide"),
    Approval.PLATFORM: _("A platform admin decides"),
}
MORE = {
    "": _("Nobody gets more"),
    "team": _("One approver of the team decides about more"),
    "two": _("Two approvers of the team decide about more"),
    "platform": _("A platform admin decides about more"),
}
DONE = {
    How.LEAVE: _("Keys that lived then kept what they had."),
    How.RENEWAL: _("Keys with more shrink when they are renewed."),
    How.NOW: _("It was applied at once to the keys that had more."),
}
RATES = {
    "tpm_limit": _("tokens a minute"),
    "rpm_limit": _("requests a minute"),
    "max_parallel_requests": _("at the same time"),
}


@register.filter
def approval_words(role: KeyRole) -> str:
    """Who decides about a key of the role."""
    return str(DECIDES[Approval(role.approval)])


@register.filter
def more_words(role: KeyRole) -> str:
    """Who decides about more than the role gives."""
    return str(MORE[role.excess])


@register.filter
def how_words(version: RoleVersion) -> str:
    """What the change that made this version did to live keys. Blank: it is the first one that is known."""
    return str(DONE[How(version.how)]) if version.by_name and version.number > 1 else ""


@register.filter
def differs_from(version: RoleVersion, older: RoleVersion) -> list[Difference]:
    """What this version says otherwise than an older one."""
    pairs = ((label, say(older.terms), say(version.terms)) for label, say in SAID)
    found = [Difference(label, before, after) for label, before, after in pairs if before != after]
    return [*_models(older.terms, version.terms), *found]


@register.filter
def outside_words(each: Any) -> list[Difference]:
    """What a key has more than its role will give. `each`: a simulator's Outside."""
    return [Difference(LIMITS[name], _has(each.has, name), _has(each.gets, name)) for name in each.limits]


@register.filter
def shrunk_to(lease: Lease, gets: Held) -> list[Difference]:
    """What a key loses of its limits when it is renewed."""
    has = Held.by(lease)
    names = ("models", "max_budget", *RATES)
    pairs = ((LIMITS[name], _has(has, name), _has(gets, name)) for name in names)
    return [Difference(label, before, after) for label, before, after in pairs if before != after]


LIMITS = {
    "models": _("Models"),
    "max_budget": _("Budget"),
    "tpm_limit": _("Tokens"),
    "rpm_limit": _("Requests"),
    "max_parallel_requests": _("At the same time"),
    "ttl": _("Ends"),
    "max_ttl": _("Renewing reaches"),
}


def _has(held: Held, name: str) -> str:
    match name:
        case "models":
            return _listed(held.limits)
        case "max_budget":
            return budget(held.limits)
        case "ttl":
            return f"{when(held.expires_at)} UTC"
        case "max_ttl":
            return f"{when(held.max_expires_at)} UTC"
    limit = held.limits[name]
    return gettext("no limit") if limit is None else _rated(limit, name)


def _rated(limit: int, name: str) -> str:
    return f"{grouped(f'{limit:,}')} {RATES[name]}"


def _listed(limits: Terms) -> str:
    return gettext("all models") if limits["all_models"] else ", ".join(limits["models"]) or gettext("none")


def _models(older: Terms, newer: Terms) -> list[Difference]:
    """Models by what came and went, as lists are long."""
    if older["all_models"] or newer["all_models"]:
        before, after = _listed(older), _listed(newer)
        return [Difference(gettext("Models"), before, after)] if before != after else []
    had, has = set(older["models"]), set(newer["models"])
    moves = ((has - had, gettext("%(models)s added")), (had - has, gettext("%(models)s removed")))
    said = [done % {"models": ", ".join(sorted(names))} for names, done in moves if names]
    return [Difference(gettext("Models"), "", "; ".join(said))] if said else []


def _span(seconds: int | None, none: StrOrPromise) -> str:
    return words(timedelta(seconds=seconds)) if seconds else str(none)


def _auto(terms: Terms) -> str:
    if terms["auto_budget"] is None:
        return gettext("nothing")
    limit = {"max_budget": terms["auto_budget"], "budget_duration": terms["budget_duration"]}
    said = {"budget": budget(limit), "span": _span(terms["auto_ttl"], gettext("no time"))}
    return gettext("up to %(budget)s and %(span)s") % said


def _rate(name: str) -> Any:
    return lambda terms: gettext("no limit") if terms[name] is None else _rated(terms[name], name)


SAID: list[tuple[StrOrPromise, Any]] = [
    (_("Name"), lambda terms: terms["name"]),
    (_("What it is for"), lambda terms: terms["description"] or gettext("nothing said")),
    (_("Budget of each key"), budget),
    (_("Tokens"), _rate("tpm_limit")),
    (_("Requests"), _rate("rpm_limit")),
    (_("At the same time"), _rate("max_parallel_requests")),
    (_("TTL"), lambda terms: _span(terms["ttl"], GATEWAY)),
    (_("Max TTL"), lambda terms: _span(terms["max_ttl"], GATEWAY)),
    (_("Approval"), lambda terms: str(DECIDES[Approval(terms["approval"])])),
    (_("At once without approval"), _auto),
    (_("More than it gives"), lambda terms: str(MORE[terms["excess"]])),
    (
        _("Live keys for each person"),
        lambda terms: count(terms["max_live_keys"], "key") if terms["max_live_keys"] else gettext("no limit"),
    ),
    (
        _("Open to"),
        lambda terms: gettext("all teams") if terms["all_teams"] else ", ".join(terms["teams"]) or gettext("no team"),
    ),
    (_("Alias prefix"), lambda terms: terms["alias_prefix"] or gettext("the name of the role")),
    (
        _("Metadata"),
        lambda terms: ", ".join(f"{name}={value}" for name, value in terms["metadata"].items()) or gettext("none"),
    ),
]
