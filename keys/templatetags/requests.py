"""Requests in words: what is asked, who decides, how it stands."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

from django import template
from django.template import Context
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from keys.models import Bounds, Decider, KeyRequest, RequestEntry
from keys.services.beside import Weight
from keys.services.requests import History, Stake
from keys.templatetags.leases import Badge
from portal.litellm import format_duration
from portal.templatetags.ui import day, money, per_window, rough, when, words
from teams.access import allowed
from teams.models import User
from teams.roles import Can, Reach, roles_with

register = template.Library()
State, Act = KeyRequest.State, RequestEntry.Act
NAMED = 3  # people in one sentence
SOON = timedelta(hours=6)
AN_HOUR = timedelta(hours=1)

STATES = {
    State.PENDING: Badge(_("Waits for a decision"), "ring", "warn"),
    State.APPROVED: Badge(_("Approved, not issued"), "ring", "warn"),
    State.DENIED: Badge(_("Denied"), "cross", "quiet"),
    State.CANCELLED: Badge(_("Taken back"), "bar", "quiet"),
    State.LAPSED: Badge(_("Lapsed"), "bar", "quiet"),
    State.FULFILLED: Badge(_("Issued")),
}


@register.simple_tag(takes_context=True)
def request_badge(context: Context, request: KeyRequest) -> Badge:
    """How a request stands, in a few words, for whoever looks."""
    if request.is_running and request.reverts_at:
        return Badge(gettext("Raised until %(reverts_at)s") % {"reverts_at": day(request.reverts_at)})
    if request.is_rise and request.state == State.FULFILLED:
        return Badge(gettext("Over, as before"), "bar", "quiet")
    if request.state == State.CANCELLED and request.reason:
        return Badge(gettext("Closed"), "bar", "quiet")
    if request.state == State.APPROVED and request.holder_id == context["request"].user.pk:
        return Badge(gettext("Approved, yours to issue"), "ring", "warn")
    return STATES[State(request.state)]


@register.filter
def terms_line(request: KeyRequest) -> str:
    """What is asked, or granted, in one line: `30 days, $300.00 a month, 3 models`."""
    return bounds_line(request.bounds, request)


def bounds_line(bounds: Bounds, request: KeyRequest) -> str:
    if request.is_rise:
        said = {"more": _raised(bounds, request), "span": words(bounds.ttl)}
        return gettext("%(more)s for %(span)s, then back by itself") % said
    money_ = gettext("no budget of its own") if bounds.max_budget is None else _a_window(bounds)
    models = gettext("all models") if bounds.models is None else _models(len(bounds.models))
    return f"{words(bounds.ttl)}, {money_}, {models}"


def _raised(bounds: Bounds, request: KeyRequest) -> str:
    """What a rise changes: `$80.00 a month and gpt-5`."""
    money_ = None if bounds.max_budget is None else _a_window(bounds)
    before = request.applied["before"] if request.applied else request.lease and request.lease.max_budget
    if money_ and before:
        money_ = gettext("%(before)s to %(after)s") % {"before": money(before), "after": money_}
    models = ", ".join(bounds.models or ())
    if money_ and models:
        return gettext("%(budget)s and %(models)s") % {"budget": money_, "models": models}
    return money_ or gettext("%(models)s, same budget") % {"models": models}


def _a_window(bounds: Bounds) -> str:
    return f"{money(bounds.max_budget)} {per_window(bounds.budget_duration)}"


def _models(number: int) -> str:
    return ngettext("%(number)s model", "%(number)s models", number) % {"number": number}


@register.filter
def waits(request: KeyRequest) -> str:
    """How long it has waited: `waits 6 hours`."""
    return gettext("waits %(span)s") % {"span": rough(timezone.now() - request.submitted_at)}


@register.filter
def goes_on(request: KeyRequest) -> str:
    """What happens by itself within hours, if nobody decides; else nothing."""
    soon = timezone.now() + SOON
    if request.escalates_at and not request.escalated_at and request.escalates_at <= soon:
        return gettext("goes to the platform %(moment)s") % {"moment": when(request.escalates_at)}
    if request.lapses_at > soon:
        return ""
    return gettext("lapses %(moment)s") % {"moment": when(request.lapses_at)}


@register.simple_tag
def decided_by(people: Sequence[User], decider: str, usual: timedelta | None) -> str:
    """Who decides, and how fast as a rule: `Bob Lindqvist or Ines Carvalho decides, usually within 3 hours.`"""
    if not people and decider == Decider.PLATFORM:
        return gettext("There is no other platform admin who could decide about it.")
    if not people:
        return gettext("Nobody in the team can decide about it; a platform admin is asked in time.")
    said = {"who": _any_of(people), "names": _names(people), "span": _usually(usual)}
    if decider == Decider.TWO and len(people) > 1:
        if usual:
            return gettext("Two of them decide, usually within %(span)s: %(names)s.") % said
        return gettext("Two of them decide: %(names)s.") % said
    if decider == Decider.TWO:
        if usual:
            return gettext("%(who)s and one more decide, usually within %(span)s.") % said
        return gettext("%(who)s and one more decide.") % said
    return (gettext("%(who)s decides, usually within %(span)s.") if usual else gettext("%(who)s decides.")) % said


def _usually(span: timedelta | None) -> str:
    if span is None:
        return ""
    return gettext("an hour") if span <= AN_HOUR else rough(span)


@register.simple_tag
def goes_to(decider: str) -> str:
    if decider == Decider.PLATFORM:
        return gettext("Goes to a platform admin")
    return gettext("Goes to two approvers") if decider == Decider.TWO else gettext("Goes to an approver")


@register.simple_tag
def month_words(weight: Weight) -> str:
    """Where the team's money leads, with the request and without it."""
    if weight.adds is None:
        said = gettext("It has no limit of its own: only what the team has left, %(free)s, stops it.")
        return said % {"free": money(weight.free)}
    days = {"day": day(weight.reached_at), "sooner": day(weight.reached_with)}
    if weight.reached_at and weight.reached_with and weight.reached_with < weight.reached_at:
        said = gettext("The team is already forecast to reach its budget on %(day)s. With this: %(sooner)s.")
        return said % days
    if weight.reached_at:
        return gettext("The team is already forecast to reach its budget on %(day)s.") % days
    if weight.reached_with:
        return gettext("With this the team is forecast to reach its budget on %(sooner)s.") % days
    if weight.over:
        said = gettext("If all of it is spent, %(over)s are missing in the budget of the team.")
        return said % {"over": money(weight.over)}
    return gettext("The budget of the team has room for it.")


@register.simple_tag
def past_words(past: History) -> str:
    """What somebody asked for before, and used of it."""
    if past.asked <= 1:
        return gettext("not yet")
    number = past.asked - 1
    said = ngettext(
        "%(number)s time: %(approved)s approved, %(denied)s denied",
        "%(number)s times: %(approved)s approved, %(denied)s denied",
        number,
    ) % {"number": number, "approved": past.approved, "denied": past.denied}
    if past.used is None:
        return said
    used = gettext("used %(percent)s %% of what was approved") % {"percent": f"{past.used * 100:.0f}"}
    return f"{said}; {used}"


@register.simple_tag
def stake_words(request: KeyRequest, stake: Stake, bounds: Bounds) -> str:
    """How the sum comes about."""
    if stake.each is None:
        return gettext("no limit of its own; only the budget of the team stops it")
    if request.is_rise and bounds.max_budget is None:
        return gettext("same budget, which other models may spend faster")
    if not stake.window:
        return gettext("one budget for its whole life")
    said = {"each": money(stake.each), "window": per_window(stake.window), "day": day(stake.until)}
    if request.is_rise:
        has = request.lease.max_budget if request.lease and not request.applied else None
        if has is not None:
            return gettext("%(each)s %(window)s on top of %(has)s, until %(day)s") % {**said, "has": money(has)}
        return gettext("%(each)s %(window)s, until %(day)s") % said
    if stake.windows == 1:
        return gettext("%(each)s until %(day)s, before the budget starts anew") % said
    said["windows"] = str(stake.windows)
    return gettext("it touches %(windows)s budget windows until %(day)s, %(each)s each") % said


@register.simple_tag
def who_decides(people: Sequence[User]) -> str:
    """`Bob Lindqvist or Ines Carvalho`."""
    return _any_of(people)


def _any_of(people: Sequence[User]) -> str:
    names = [str(person) for person in people[:NAMED]]
    rest = len(people) - len(names)
    if rest:
        said = {"names": ", ".join(names), "number": rest}
        return ngettext("%(names)s or %(number)s other", "%(names)s or %(number)s others", rest) % said
    if len(names) < 2:
        return "".join(names)
    return gettext("%(names)s or %(name)s") % {"names": ", ".join(names[:-1]), "name": names[-1]}


def _names(people: Sequence[User]) -> str:
    names = ", ".join(str(person) for person in people[:NAMED])
    rest = len(people) - NAMED
    if rest <= 0:
        return names
    said = {"names": names, "number": rest}
    return ngettext("%(names)s and %(number)s other", "%(names)s and %(number)s others", rest) % said


ENTRIES = {
    Act.ASKED: _("asked"),
    Act.SAID: "",
    Act.APPROVED: _("approved"),
    Act.DENIED: _("denied it"),
    Act.CANCELLED: _("took it back"),
    Act.ESCALATED: _("brought it to the platform admins, as nobody had decided"),
    Act.REMINDED: _("reminded whoever decides"),
    Act.LAPSED: _("closed it, as its time was over"),
    Act.CLAIMED: _("issued the key"),
    Act.APPLIED: _("raised the key"),
    Act.REVERTED: _("put the key back as it was before"),
}


@register.simple_tag
def entry_words(entry: RequestEntry, request: KeyRequest) -> str:
    """What was done, after the name of who did it."""
    said = str(ENTRIES[Act(entry.act)])
    if entry.act == Act.CANCELLED and entry.who_id is None:
        return gettext("closed it")
    if entry.terms and entry.act in {Act.ASKED, Act.APPROVED}:
        return f"{said}: {bounds_line(Bounds.read(entry.terms), request)}"
    return said


@register.simple_tag(takes_context=True)
def open_requests(context: Context) -> int | None:
    """How many wait for whoever looks; None: they decide nowhere. One query, of those who do."""
    user = context["request"].user
    roles = roles_with(Can.DECIDE, Reach.OTHERS, Reach.ANY)
    rail: Any = context.get("rail")
    if not user.is_authenticated or rail is None:
        return None
    mine = {membership.role for membership in rail.memberships}
    if mine.isdisjoint(roles) and not allowed(user, Can.MANAGE_PLATFORM):
        return None
    if "open_requests" not in vars(rail):  # the page and its rail ask both
        rail.open_requests = KeyRequest.objects.waiting_for(user).count()
    return int(rail.open_requests)


@register.simple_tag
def again_url(request: KeyRequest) -> str:
    """The form on which the same can be asked again, filled in."""
    bounds = request.wanted
    sent: dict[str, Any] = {"again": str(request.pk), "purpose": request.purpose}
    if bounds.max_budget is not None:
        sent["max_budget"] = f"{bounds.max_budget:f}"
    if bounds.models is not None:
        sent["models"] = list(bounds.models)
    if request.is_rise:
        address = reverse("keys:rise", args=[request.lease_id])
        return f"{address}?{urlencode({**sent, 'lasts': format_duration(bounds.ttl)}, doseq=True)}"
    sent |= {"team": request.team.slug, "role": str(request.role_id), "name": request.name}
    sent["ttl"] = format_duration(bounds.ttl)
    if request.holder_id != request.asked_by_id:
        sent["holder"] = str(request.holder_id)
    return f"{reverse('keys:issue')}?{urlencode(sent, doseq=True)}"


@register.simple_tag
def new_token() -> UUID:
    """A form's one-time token."""
    return uuid4()
