"""What somebody can do about a refusal: only what they may, the fitting one first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from django.utils import timezone
from django.utils.translation import gettext as _

from keys.models import KeyRole, State
from keys.services import leases
from keys.services.refused.places import Place, Step
from keys.services.refused.reading import Cause
from keys.services.refused.walking import Answer, gives
from portal.templatetags.ui import when, words
from teams.access import allowed, may_hold, who_can
from teams.models import User
from teams.roles import Can

A_WEEK = "7d"  # how long a rise is asked for, until the person says otherwise


class Do(StrEnum):
    """An act, by what it does; the pages know where it is done."""

    RENEW = "renew"
    RESUME = "resume"
    REPLACE = "replace"  # the secret
    ANOTHER = "another"  # key of the same role
    ROLE = "role"  # a key of another role that has it
    RISE = "rise"
    TEAM_BUDGET = "team_budget"
    HOLDER_BUDGET = "holder_budget"
    SEE = "see"  # the key's page
    WAIT = "wait"
    ASK = "ask"  # somebody: no button


@dataclass(frozen=True, slots=True)
class Way:
    """One thing that helps: what, a second line, and what its page is told."""

    do: Do
    title: str
    second: str = ""
    role: KeyRole | None = None
    told: dict[str, str] = field(default_factory=dict)


def ways(answer: Answer, user: User) -> list[Way]:
    """What `user` can do about it, the most fitting first; who else can help, where they cannot."""
    step = answer.binding
    if step is None:
        return list(_nothing_stops(answer, user))
    by_place = {
        Place.KEY: _about_key,
        Place.ROLE: _about_key,
        Place.MODELS: _about_models,
        Place.BUDGET: _about_money,
        Place.HOLDER: _about_money,
        Place.TEAM: _about_money,
        Place.GATEWAY: _about_gateway,
        Place.RATES: _about_rates,
    }
    return list(by_place[step.place](answer, step, user))


def _about_key(answer: Answer, step: Step, user: User) -> Iterator[Way]:
    lease = answer.lease
    if lease.state == State.PAUSED and allowed(user, Can.REVOKE_KEY, lease) and leases.may_lift(lease, user):
        if may_hold(lease.holder, lease.team):
            yield Way(Do.RESUME, _("Resume %(lease)s") % {"lease": lease}, _("It answers again at once."))
    elif lease.state == State.PAUSED:
        yield Way(Do.ASK, _("Have it resumed"), who_can(user, Can.LIFT_PAUSE, lease)[0])
    elif answer.version.pk != lease.current.pk and lease.is_live:
        newer = lease.current
        yield Way(
            Do.SEE,
            _("Use version %(number)s, %(key_name)s") % {"number": newer.number, "key_name": newer.key_name},
            _("Move the program to the newer secret."),
        )
        yield from _replace(answer, user)
    elif lease.is_live and answer.reading and answer.reading.cause is Cause.UNKNOWN_KEY:
        yield from _replace(answer, user)
    elif answer.reading and answer.reading.cause is Cause.RIGHTS:
        yield Way(Do.ASK, _("Have the key role changed"), who_can(user, Can.MANAGE_PLATFORM)[0])
    if not lease.is_live or lease.expires_at <= timezone.now():
        yield from _another(answer, user)
    if not lease.is_live:
        yield Way(
            Do.SEE,
            _("See what happened to %(lease)s") % {"lease": lease},
            _("Its history says who ended it, and when."),
        )


def _replace(answer: Answer, user: User) -> Iterator[Way]:
    lease = answer.lease
    if lease.state == State.ACTIVE and allowed(user, Can.RENEW_KEY, lease):
        yield Way(Do.REPLACE, _("Replace the secret"), _("You get a new one, and the one in use ends at once."))


def _about_models(answer: Answer, step: Step, user: User) -> Iterator[Way]:
    lease, model = answer.lease, answer.reading.model if answer.reading else ""
    if model and allowed(user, Can.RENEW_KEY, lease):
        if gives(lease.role.all_models, lease.role.models, model):
            second = _("Its key role %(role)s gives %(model)s; this key was issued without it.") % {
                "role": lease.role,
                "model": model,
            }
            yield Way(Do.ANOTHER, _("Get a key with %(model)s") % {"model": model}, second, role=lease.role)
        elif other := _other_role(answer, model):
            second = _("The key role %(other)s gives it to %(team)s.") % {"other": other, "team": lease.team}
            yield Way(Do.ROLE, _("Get a key with %(model)s") % {"model": model}, second, role=other)
        if lease.role.excess or gives(lease.role.all_models, lease.role.models, model):
            told = {"models": model, "lasts": A_WEEK}
            yield Way(
                Do.RISE,
                _("Ask for %(model)s on %(lease)s") % {"model": model, "lease": lease},
                _("For a while; it goes back by itself."),
                told=told,
            )
    yield Way(Do.SEE, _("See what it may call"), _("The models of %(lease)s are on its page.") % {"lease": lease})
    yield Way(Do.ASK, _("Have the key role changed"), who_can(user, Can.MANAGE_PLATFORM)[0])


def _other_role(answer: Answer, model: str) -> KeyRole | None:
    open_to_it = KeyRole.objects.open_to(answer.lease.team).filter(gateway=answer.lease.gateway)
    return next((role for role in open_to_it.order_by("name") if gives(role.all_models, role.models, model)), None)


def _about_money(answer: Answer, step: Step, user: User) -> Iterator[Way]:
    lease, team = answer.lease, answer.lease.team
    if step.place is Place.BUDGET:
        most, own = lease.role.max_budget, lease.max_budget
        role_has_more = own is not None and (most is None or most > own)
        rises = role_has_more or bool(lease.role.excess)
        if rises and allowed(user, Can.RENEW_KEY, lease):
            yield Way(
                Do.RISE, _("Ask for more on %(lease)s") % {"lease": lease}, _("For a while; it goes back by itself.")
            )
        elif rises:
            yield Way(Do.ASK, _("Have its holder ask for more"), who_can(user, Can.RENEW_KEY, lease)[0])
        if role_has_more and allowed(user, Can.RENEW_KEY, lease):
            yield from _another(
                answer,
                user,
                _("The key role %(role)s gives more than this key was issued with.") % {"role": lease.role},
            )
    if step.place in {Place.HOLDER, Place.TEAM}:
        if allowed(user, Can.SET_TEAM_BUDGET, team):
            of_holder = step.place is Place.HOLDER
            title = (
                _("Raise the budget of %(holder)s in %(team)s") % {"holder": lease.holder, "team": team}
                if of_holder
                else _("Raise the budget of %(team)s") % {"team": team}
            )
            yield Way(Do.HOLDER_BUDGET if of_holder else Do.TEAM_BUDGET, title, _("It holds at once."))
        else:
            yield Way(Do.ASK, _("Have the budget raised"), who_can(user, Can.SET_TEAM_BUDGET, team)[0])
    yield from _wait(step)


def _about_gateway(answer: Answer, step: Step, user: User) -> Iterator[Way]:
    yield Way(
        Do.ASK, _("Ask who runs %(gateway)s") % {"gateway": answer.lease.gateway}, who_can(user, Can.MANAGE_PLATFORM)[0]
    )
    if step.resets_at and not step.link:
        yield Way(Do.WAIT, _("Wait; Keydesk tries again %(resets_at)s UTC") % {"resets_at": when(step.resets_at)})
    else:
        yield from _wait(step)


def _about_rates(answer: Answer, step: Step, user: User) -> Iterator[Way]:
    yield Way(
        Do.WAIT, _("Wait a minute, then call again"), _("Let the program wait and repeat when it is answered 429.")
    )
    if allowed(user, Can.RENEW_KEY, answer.lease):
        yield from _another(answer, user, _("Another program with a key of its own has a rate of its own."))


def _wait(step: Step) -> Iterator[Way]:
    if step.resets_at:
        yield Way(
            Do.WAIT,
            _("Wait until %(resets_at)s UTC") % {"resets_at": when(step.resets_at)},
            _("The budget starts anew by itself."),
        )


def _another(answer: Answer, user: User, second: str = "") -> Iterator[Way]:
    lease = answer.lease
    if lease.team.ended_at or lease.role.ended_at or not allowed(user, Can.ISSUE_KEY, lease.team):
        return
    yield Way(
        Do.ANOTHER,
        _("Get another key"),
        second or _("From %(role)s, for %(team)s.") % {"role": lease.role, "team": lease.team},
        role=lease.role,
    )


def _nothing_stops(answer: Answer, user: User) -> Iterator[Way]:
    lease = answer.lease
    cause = answer.reading.cause if answer.reading else None
    if cause is Cause.NO_KEY:
        yield Way(Do.SEE, _("Send the secret as a bearer token"), _("The page of the key has the address to call."))
    elif cause in {Cause.PROVIDER, Cause.SERVER, Cause.AWAY}:
        yield Way(
            Do.ASK, _("Ask who runs %(gateway)s") % {"gateway": lease.gateway}, who_can(user, Can.MANAGE_PLATFORM)[0]
        )
    else:
        yield Way(Do.WAIT, _("Make the call again"), _("By our books it passes now."))
    plan = leases.renewal(lease) if allowed(user, Can.RENEW_KEY, lease) else None
    if plan and not plan.problem:
        yield Way(
            Do.RENEW,
            _("Renew it for %(default_ttl)s") % {"default_ttl": words(lease.role.default_ttl)},
            _("It ends %(expires_at)s UTC.") % {"expires_at": when(lease.expires_at)},
        )
