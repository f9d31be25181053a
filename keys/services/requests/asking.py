"""Ask for what a person must decide: a key, or a rise of a live one for a while. Say something, take it back."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from keys.models import Bounds, Decider, Intent, KeyRequest, Lease, RequestEntry
from keys.models.request import OPEN
from keys.services import intents, words
from keys.services.requests import rising, telling
from keys.services.requests.deciders import deciders, may_say
from keys.services.requests.errors import NothingToDecide, NotOpen, TooManyWaiting
from keys.services.requests.thread import add
from keys.services.terms import Ask, bounds_of, terms
from portal import audit
from portal.errors import Invalid, NotAllowed, TooMany
from portal.templatetags.ui import amid
from teams.access import Actor, allowed, has_scope, require
from teams.models import Team, User
from teams.roles import Can

Act = RequestEntry.Act
Kind, State = KeyRequest.Kind, KeyRequest.State
ENDED_WITHOUT = {State.DENIED, State.CANCELLED, State.LAPSED}  # these can be asked again
MOST_WAITING = 20  # pending requests of one person: each of them is a letter to every approver
MOST_AN_HOUR = 100  # requests, and lines in threads, of one person: each is a letter to several
AN_HOUR = timedelta(hours=1)


def submit(
    ask: Ask, *, holder: User, by: User, again: KeyRequest | None = None, once: UUID | None = None
) -> KeyRequest:
    """Ask for a key that needs a decision, for oneself or a service account of one's team.

    `again`: what was denied before; its thread goes on. `once` is a form's token: sent twice, it answers the same one.
    Raises NotAllowed, Invalid, NothingToDecide, TooManyWaiting, TooMany, NotOpen, and what stands in the way of the
    key itself: OverLimit, AllowanceSpent, RoleEnded, TeamEnded.
    """
    require(by, Can.ISSUE_KEY, Lease(team=ask.team, holder=holder))
    if before := _asked_before(by, once):
        return before
    found = terms(ask, holder=holder)
    if found.problems:
        raise found.problems[0]
    if not found.decider:
        raise NothingToDecide
    purpose = _purpose(ask.purpose)
    with transaction.atomic(durable=True):
        _alone(by)
        if before := _asked_before(by, once):
            return before
        _not_too_many(by)
        return _write(
            Kind.KEY, bounds_of(ask), found.decider, again, by=by, team=ask.team, role=ask.role, holder=holder,
            name=words.one_line(ask.name), purpose=purpose, once=once,
        )  # fmt: skip


def submit_rise(
    lease: Lease, *, models: Iterable[str] = (), max_budget: Decimal | None = None, lasts: timedelta, purpose: str,
    by: User, again: KeyRequest | None = None, once: UUID | None = None,
) -> KeyRequest:  # fmt: skip
    """Ask that a live key may do more for a while: these models as well, and this budget instead of its own.

    What its role would give at once is in force at once. By whoever may renew the key. `once` as in `submit`.
    Raises NotAllowed, Invalid, OverLimit, NotNow, RiseRunning, RoleEnded, TeamEnded, HolderLeft, TooManyWaiting.
    """
    require(by, Can.RENEW_KEY, lease)
    purpose, now = _purpose(purpose), timezone.now()
    promises: list[Intent] = []
    with transaction.atomic(durable=True):
        _alone(by)
        if before := _asked_before(by, once):
            return before
        _not_too_many(by)
        row = rising.locked(lease)
        require(by, Can.RENEW_KEY, row)
        bounds, decider = rising.work_out(row, models, max_budget, lasts, now)
        request = _write(
            Kind.RISE, bounds, decider or Decider.TEAM, again, by=by, at_once=not decider, team=row.team, role=row.role,
            holder=row.holder, lease=row, name=row.name, purpose=purpose, lasts=bounds.ttl, once=once,
        )  # fmt: skip
        if not decider:
            request.granted, request.decided_at = bounds.stored(), now
            promises = rising.apply(request, bounds, now, by=by)
            request.save()
    intents.settle(promises)
    return request


def cancel(request: KeyRequest, *, by: Actor) -> KeyRequest:
    """Take it back, also when it is approved and not claimed: by who asked, its holder, or a team admin for a machine.

    A claim that is on its way at this moment comes to nothing. Raises NotAllowed, NotOpen.
    """
    now = timezone.now()
    with transaction.atomic(durable=True):
        row = KeyRequest.objects.select_for_update(of=("self",)).select_related("holder", "team").get(pk=request.pk)
        if not _asked_it(row, by):
            require(by, Can.ISSUE_KEY, row)
        if not row.move(OPEN, State.CANCELLED, decided_at=now):
            raise NotOpen(
                _("This request is %(get_state_display)s: it cannot be cancelled.")
                % {"get_state_display": amid(row.get_state_display())}
            )
        add(row, Act.CANCELLED, by=by, at=now)
        audit.record("request.cancelled", row, by=by)
    return row


def may_cancel(request: KeyRequest, by: Actor) -> bool:
    """Whether `by` may take it back now."""
    return request.state in OPEN and (_asked_it(request, by) or allowed(by, Can.ISSUE_KEY, request))


def _asked_it(request: KeyRequest, by: Actor) -> bool:
    """Whether it is theirs to take back, whatever their role is by now; a token needs the scope to ask."""
    mine = isinstance(by, User) and by.pk == request.asked_by_id
    return mine and has_scope(by, Can.ISSUE_KEY) and allowed(by, Can.SEE_TEAM, request.team)


def say(request: KeyRequest, *, by: User, text: str) -> RequestEntry:
    """Add a line to the thread, of whoever has a part in it; the others are told.

    Raises NotAllowed, Invalid, TooMany.
    """
    if not may_say(request, by):
        if not has_scope(by, Can.ISSUE_KEY):
            require(by, Can.ISSUE_KEY, request)
        raise NotAllowed(
            _("You have no part in this request."), right=Can.DECIDE.name.lower(), action=_("Only look at it.")
        )
    if not words.clean(text):
        raise Invalid(details={"text": _("Write something.")})
    words.no_secret(text=text)
    said = RequestEntry.objects.filter(who=by, act=Act.SAID, at__gt=timezone.now() - AN_HOUR)
    _not_too_often(said.values_list("at", flat=True).order_by("-at"))
    with transaction.atomic():
        entry = add(request, Act.SAID, by=by, at=timezone.now(), text=text)
        telling.said(request, entry, by=by)
    return entry


def _purpose(text: str) -> str:
    if not (purpose := words.one_line(text)):
        raise Invalid(details={"purpose": _("Say what it is for: whoever decides reads it.")})
    words.no_secret(purpose=purpose)
    return purpose


def _alone(by: User) -> None:
    """One at a time of what a person asks: the second of two equal forms finds the first."""
    User.objects.select_for_update(no_key=True).get(pk=by.pk)


def _asked_before(by: User, once: UUID | None) -> KeyRequest | None:
    return KeyRequest.objects.filter(asked_by=by, once=once).first() if once else None


def _not_too_many(by: User) -> None:
    """Under the lock on the person. Raises TooManyWaiting, TooMany."""
    asked = KeyRequest.objects.filter(asked_by=by, submitted_at__gt=timezone.now() - AN_HOUR)
    _not_too_often(asked.values_list("submitted_at", flat=True).order_by("-submitted_at"))
    if KeyRequest.objects.pending().filter(asked_by=by).count() >= MOST_WAITING:
        raise TooManyWaiting(
            _("%(most_waiting)s requests of yours wait for a decision.") % {"most_waiting": MOST_WAITING}
        )


def _not_too_often(times: QuerySet[Any, datetime]) -> None:
    """`times`: of the last hour, the last one first. Raises TooMany."""
    for oldest in times[MOST_AN_HOUR - 1 : MOST_AN_HOUR]:
        raise TooMany(retry_after=int((oldest + AN_HOUR - timezone.now()).total_seconds()) + 1)


def _write(
    kind: KeyRequest.Kind, bounds: Bounds, decider: str, again: KeyRequest | None, *, by: User, at_once: bool = False,
    **fields: Any,
) -> KeyRequest:  # fmt: skip
    """The row, its first line, its event and its letters. Nobody who could decide: it is escalated at once."""
    now, pk = timezone.now(), uuid4()
    if again is not None:
        again = _ended(again, kind, fields["holder"], fields["team"])
    request = KeyRequest(
        pk=pk, kind=kind, asked=bounds.stored(), decider=decider, asked_by=by, submitted_at=now, again=again,
        thread=again.thread if again else pk, approvals_needed=2 if decider == Decider.TWO else 1,
        remind_at=now + settings.ESCALATE_AFTER / 2, lapses_at=now + settings.REQUESTS_WAIT, **fields,
    )  # fmt: skip
    if decider != Decider.PLATFORM:
        request.escalates_at = _escalates_at(request, now)
    request.save(force_insert=True)
    add(request, Act.ASKED, by=by, at=now, text=request.purpose, terms=request.asked)
    audit.record(
        "request.submitted", request, by=by, kind=kind.value, role=request.role.name, decider=decider,
        purpose=request.purpose, **request.asked,
    )  # fmt: skip
    if not at_once:
        telling.submitted(request, by=by)
    return request


def _escalates_at(request: KeyRequest, now: datetime) -> datetime:
    enough = deciders(request).count() >= request.approvals_needed
    return now + settings.ESCALATE_AFTER if enough else now


def _ended(request: KeyRequest, kind: KeyRequest.Kind, holder: User, team: Team) -> KeyRequest:
    """What is asked again, if it is over and nobody has asked again; whoever reads its thread may. Raises NotOpen."""
    row = KeyRequest.objects.get(pk=request.pk)
    asked_again = KeyRequest.objects.filter(thread=row.thread, state__in=OPEN).exists()
    is_same = (row.kind, row.holder_id, row.team_id) == (kind, holder.pk, team.pk)
    if row.state not in ENDED_WITHOUT or not is_same or asked_again:
        raise NotOpen(_("This is not a request that can be asked again."), action=_("Ask anew."))
    return row
