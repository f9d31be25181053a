"""Right-sizing: what keys and key roles have and do not need, what is proposed, and the answers to it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Count, Sum, Value
from django.db.models.functions import Coalesce
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET, require_http_methods

from keys.forms.why import SnoozeForm
from keys.models import Advice, KeyRole, Lease
from keys.services import advice as advising
from portal.errors import Invalid, NotAllowed, PortalError
from portal.paging import stretch_of
from portal.templatetags.ui import count, day, money, per_window, words
from portal.ui import render_part
from teams.access import require, within
from teams.models import Team
from teams.requests import SignedIn
from teams.roles import Can

NONE = _("no limit of its own")
PER_KEY = 5  # on the page of a key
NOT_KNOWN = Decimal(-1)  # less than any saving


@dataclass(frozen=True, slots=True)
class Change:
    """One line of a proposal."""

    name: str
    before: str
    after: str


@login_required
@require_GET
def advice_list(request: SignedIn) -> HttpResponse:
    seen = Advice.objects.visible_to(request.user)
    teams = Team.objects.filter(within(request.user, Can.SEE_TEAM, team="pk"), ended_at=None).order_by("name")
    team = next((each for each in teams if each.slug == request.GET.get("team")), None)
    kind = _one_of(request.GET.get("kind"), Advice.Kind.values)
    state = _one_of(request.GET.get("state"), Advice.State.values, Advice.State.OPEN)
    shown = seen.filter(lease__team=team) if team else seen
    if kind:
        shown = shown.filter(kind=kind)
    by_state = shown.order_by().values("state").annotate(all=Count("pk"), sum=Sum("saves"))
    counts: dict[str, Any] = {row["state"]: row for row in by_state}
    rows = shown.filter(state=state).rows().annotate(worth=Coalesce("saves", Value(NOT_KNOWN)))
    page = stretch_of(request, rows, "-worth", "-first_seen_at", "-pk")
    for each in page:
        each.why = why_words(each)  # type: ignore[attr-defined]
    context = {
        "page": page,
        "team": team,
        "teams": teams,
        "kind": kind,
        "kinds": Advice.Kind.choices,
        "state": state,
        "states": [(name, label, counts.get(name, {}).get("all", 0)) for name, label in Advice.State.choices],
        "saves": counts.get(Advice.State.OPEN, {}).get("sum"),
        "open": counts.get(Advice.State.OPEN, {}).get("all", 0),
    }
    return render_part(request, "keys/advice/list.html", "keys/advice/_list.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def advice(request: SignedIn, pk: int) -> HttpResponse:
    """One proposal as a slip, before and after; on POST `act` applies, snoozes or wakes it."""
    found = get_object_or_404(Advice.objects.visible_to(request.user).rows(), pk=pk)
    if request.method == "GET":
        return _page(request, found, SnoozeForm(auto_id="snooze_%s"))
    _require(request, found)
    act = request.POST.get("act", "")
    if act == "snooze":
        return _snooze(request, found)
    if act not in {"apply", "wake"}:
        raise Invalid(gettext("There is no such act."))
    try:
        done = (advising.apply if act == "apply" else advising.wake)(found, by=request.user)
    except NotAllowed:
        raise
    except PortalError as error:
        messages.error(request, f"{error.message} {error.action}")
        return redirect("keys:advice_one", found.pk)
    if act == "wake":
        messages.success(request, gettext("It is open again."))
        return redirect("keys:advice_one", done.pk)
    messages.success(request, _done(done))
    return redirect("keys:advice")


def of_lease(lease: Lease) -> list[Advice]:
    """What waits about one key, with its words, for the key's page."""
    found = list(lease.advice.filter(state__in=[Advice.State.OPEN, Advice.State.SNOOZED])[:PER_KEY])
    for each in found:
        each.lease = lease
        each.why = why_words(each)  # type: ignore[attr-defined]
    return found


def _one_of(wanted: str | None, known: list[str], otherwise: str = "") -> str:
    return wanted if wanted in known else otherwise


def _require(request: SignedIn, found: Advice) -> None:
    """Raises NotAllowed before a form that was filled in badly is shown again."""
    if not advising.may_answer(found, request.user):
        require(request.user, Can.REVOKE_KEY if found.lease else Can.MANAGE_PLATFORM, found.lease)


def _snooze(request: SignedIn, found: Advice) -> HttpResponse:
    form = SnoozeForm(request.POST, auto_id="snooze_%s")
    if done := form.hand_to(partial(advising.snooze, found), by=request.user):
        messages.success(
            request,
            gettext("Put off until %(snoozed_until)s. It comes back then, if it is still true.")
            % {"snoozed_until": day(done.snoozed_until)},
        )
        return redirect("keys:advice")
    return _page(request, found, form)


def _page(request: SignedIn, found: Advice, form: SnoozeForm) -> HttpResponse:
    context: dict[str, Any] = {
        "advice": found,
        "why": why_words(found),
        "changes": changes(found),
        "may_answer": advising.may_answer(found, request.user) and found.is_waiting,
        "button": button(found),
        "form": form,
    }
    return render(request, "keys/advice/advice.html", context, status=form.status)


def _done(done: Advice) -> str:
    if done.role_id:
        return gettext("%(subject)s is narrower from now on. Keys that were issued from it keep what they have.") % {
            "subject": done.subject
        }
    if done.proposed.get("end"):
        return gettext("%(subject)s is revoked.") % {"subject": done.subject}
    return gettext("%(subject)s is narrowed. Its gateway follows.") % {"subject": done.subject}


# --- words -----------------------------------------------------------------------------------------


def why_words(found: Advice) -> str:
    """Why it is said, in one sentence."""
    facts, kind = found.facts, found.kind
    if kind == Advice.Kind.UNUSED:
        return gettext("No call for %(days)s days or more.") % {"days": facts["days"]}
    if kind == Advice.Kind.MODELS:
        said = ngettext(
            "%(models)s was not called in 30 days.", "%(models)s were not called in 30 days.", len(facts["never"])
        )
        return said % {"models": _few(facts["never"])}
    if kind == Advice.Kind.BUDGET:
        said = gettext("%(share)s of the budget was used in its whole life: %(used)s of %(allowed)s.")
        if facts["days"]:
            said = gettext("%(share)s of the budget was used in %(days)s days: %(used)s of %(allowed)s.")
        figures = {"used": money(facts["used"]), "allowed": money(facts["allowed"])}
        return said % {"share": _share(facts), "days": facts["days"], **figures}
    if kind == Advice.Kind.LONG and found.lease:
        return gettext("It lives until %(expires_at)s, and nobody is asked before.") % {
            "expires_at": day(found.lease.expires_at)
        }
    if kind == Advice.Kind.LONG:
        return gettext("Its keys live %(ttl)s days, and nobody is asked before.") % {"ttl": facts["ttl"]}
    if kind == Advice.Kind.ALL_MODELS:
        called = gettext("None was called in 30 days.")
        if facts["called"]:
            called = gettext("Called in 30 days: %(models)s.") % {"models": _few(facts["called"])}
        return gettext("It may call every model, also those added later. %(called)s") % {"called": called}
    if kind == Advice.Kind.NO_BUDGET:
        said = gettext("Nothing of its own stops what it costs. It spent %(used)s in 30 days.")
        if found.role_id:
            said = gettext("Nothing of its own stops what it costs. The dearest of its keys spent %(used)s in 30 days.")
        return said % {"used": money(facts["used"])}
    return gettext("It reaches more of the gateway than models: its routes are %(key_type)s.") % {
        "key_type": facts["key_type"].replace("_", " ")
    }


def changes(found: Advice) -> list[Change]:
    """What would be otherwise, line by line; nothing where nothing is proposed."""
    proposed, subject = found.proposed, found.subject
    limits = subject.limits if isinstance(subject, Lease) else subject.limits()
    lines: list[Change] = []
    if proposed.get("end"):
        lines.append(Change(gettext("Key"), gettext("active"), gettext("revoked")))
    if "models" in proposed:
        before = gettext("all of its gateway") if limits.get("all_models") else _few(limits["models"])
        lines.append(Change(gettext("Models"), before, _few(proposed["models"])))
    if "max_budget" in proposed:
        window = proposed.get("budget_duration") or limits.get("budget_duration") or ""
        before = (
            str(NONE) if limits.get("max_budget") is None else f"{money(limits['max_budget'])} {per_window(window)}"
        )
        lines.append(Change(gettext("Budget"), before, f"{money(proposed['max_budget'])} {per_window(window)}"))
    if days := proposed.get("lasts"):
        lines.append(_shorter(subject, timedelta(days=days)))
    if "key_type" in proposed:
        lines.append(Change(gettext("Routes"), str(limits.get("key_type")).replace("_", " "), gettext("models only")))
    return lines


def _shorter(subject: Lease | KeyRole, lasts: timedelta) -> Change:
    if isinstance(subject, Lease):
        return Change(gettext("Ends"), day(subject.expires_at), day(timezone.now() + lasts))
    return Change(gettext("A key lives"), words(subject.default_ttl), words(lasts))


def button(found: Advice) -> str:
    """What the act is called; blank where nothing is proposed."""
    if not found.proposed:
        return ""
    if found.proposed.get("end"):
        return gettext("Revoke %(subject)s") % {"subject": found.subject}
    return gettext("Narrow %(subject)s") % {"subject": found.subject}


def _share(facts: dict[str, Any]) -> str:
    """Of the whole, in per cent: a figure below 1 is said as that."""
    allowed = Decimal(facts["allowed"])
    percent = Decimal(facts["used"]) * 100 / allowed if allowed else Decimal(0)
    return gettext("Nothing") if not percent else gettext("Less than 1 %") if percent < 1 else f"{percent:.0f} %"


def _few(names: list[str]) -> str:
    if len(names) <= PER_KEY:
        return ", ".join(names)
    said = {"names": ", ".join(names[:3]), "more": count(len(names) - 3, "more,more")}
    return gettext("%(names)s and %(more)s") % said
