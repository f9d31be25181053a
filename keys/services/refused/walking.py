"""Walk the chain of a key and name the one limit that binds, who set it and when it resets. From our tables alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from fnmatch import fnmatchcase

from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from keys.models import KeyVersion, Lease, State
from keys.services.budgets import Chain, Link, chain
from keys.services.refused.places import OF_LINK, Place, Step
from keys.services.refused.reading import Cause, Reading
from portal.models import AuditEvent
from portal.templatetags.ui import amid, count, money, per_window, when
from teams.models import User

FEW = 3  # names in a sentence; more are counted
MOST_FOUND = 20  # keys that a text may be about
RATES = {
    "rpm_limit": _("requests a minute"),
    "tpm_limit": _("tokens a minute"),
    "max_parallel_requests": _("calls at the same time"),
}


@dataclass(frozen=True, slots=True)
class Answer:
    """Why, as far as our books can tell. `binding` None: nothing stops a call with the key now."""

    lease: Lease
    reading: Reading | None
    version: KeyVersion
    chain: Chain
    steps: tuple[Step, ...]
    headline: str
    nearest: Link | None  # the budget with the least left, where nothing stops

    @property
    def binding(self) -> Step | None:
        return next((step for step in self.steps if step.stops), None)


def keys_meant(reading: Reading, user: User) -> list[KeyVersion]:
    """The secrets that a text names, of keys that `user` may see: by hash, else by the ending; live ones first."""
    seen = KeyVersion.objects.filter(lease__in=Lease.objects.visible_to(user)).select_related("lease")
    found = list(seen.filter(token_hash__in=reading.hashes)[:MOST_FOUND]) if reading.hashes else []
    if not found and reading.endings:
        named = seen.filter(key_name__in=reading.endings, issued_at__isnull=False)
        found = list(named.order_by("-issued_at")[:MOST_FOUND])
    return sorted(found, key=lambda version: (version.ended_at is not None, not version.lease.is_live))


def walk(
    lease: Lease, reading: Reading | None = None, version: KeyVersion | None = None, now: datetime | None = None
) -> Answer:
    """Walk the chain of this key, for what the text was about. `version`: the secret that it names, if it does.

    What stops every call now comes before what a text tells of: that may be over. The lease comes with `rows()`.
    """
    now = now or timezone.now()
    found = chain(lease, now)
    version = version or lease.current
    cause = reading.cause if reading and reading.is_error else None
    steps = list(_steps(lease, found, now))
    stop = (
        _dead_key(lease, version, found, cause, now)
        or _named(lease, reading, cause, found, now)
        or (_unasked(lease, found) if cause in {None, Cause.UNCLEAR, Cause.AWAY, Cause.SERVER} else None)
    )
    if stop:
        steps = [stop if step.place == stop.place else step for step in steps]
    headline = _headline(lease, stop, reading, cause)
    return Answer(lease, reading, version, found, tuple(steps), headline, None if stop else found.binding)


# --- the steps, when nothing stops -----------------------------------------------------------------


def _steps(lease: Lease, found: Chain, now: datetime) -> Iterator[Step]:
    yield Step(
        Place.KEY,
        gettext("%(lease)s is %(get_state_display)s.")
        % {"lease": lease, "get_state_display": amid(lease.get_state_display())},
        gettext("Ends %(expires_at)s UTC.") % {"expires_at": when(lease.expires_at)},
    )
    yield Step(Place.MODELS, _models(lease))
    links = {link.kind: link for link in found.links}
    for kind in ("key", "holder", "team"):
        yield _budget(OF_LINK[kind], links[kind])
    role = links["role"]
    least = {"limit": money(role.limit), "window": per_window(role.window)}
    most = "" if role.limit is None else gettext("Its keys have at most %(limit)s %(window)s.") % least
    yield Step(Place.ROLE, gettext("%(role)s is in force.") % {"role": lease.role}, most)
    yield _gateway(lease, links["gateway"])
    yield Step(Place.RATES, _rates(lease))


def _models(lease: Lease) -> str:
    if lease.limits.get("all_models"):
        return gettext("Every model of %(gateway)s.") % {"gateway": lease.gateway}
    names = list(lease.limits.get("models") or ())
    more = " " + gettext("and %(names)s") % {"names": count(len(names) - FEW, "more,more")} if len(names) > FEW else ""
    return f"{', '.join(names[:FEW])}{more}."


def _budget(place: Place, link: Link) -> Step:
    if link.limit is None:
        return Step(place, gettext("No budget of its own."), gettext("Nothing to check."), link=link)
    words = gettext("%(left)s left of %(limit)s %(window)s.") % {
        "left": money(link.left),
        "limit": money(link.limit),
        "window": per_window(link.window),
    }
    read = gettext("As of %(as_of)s UTC.") % {"as_of": when(link.as_of)} if link.as_of else gettext("Not read yet.")
    return Step(place, words, read, link=link)


def _gateway(lease: Lease, link: Link) -> Step:
    gateway = lease.gateway
    if link.limit is not None:
        return replace(
            _budget(Place.GATEWAY, link), note=gettext("All keys of %(gateway)s together.") % {"gateway": gateway}
        )
    note = gettext("Nothing to check.")
    if gateway.held_since:
        note = gettext("Held since %(held_since)s UTC; calls pass.") % {"held_since": when(gateway.held_since)}
    return Step(Place.GATEWAY, gettext("%(gateway)s has no budget of its own.") % {"gateway": gateway}, note, link=link)


def _rates(lease: Lease) -> str:
    told = [f"{lease.limits[name]:,} {words}" for name, words in RATES.items() if lease.limits.get(name)]
    return f"{', '.join(told)}." if told else gettext("No limit of its own.")


# --- the one that stops ----------------------------------------------------------------------------


def _dead_key(lease: Lease, version: KeyVersion, found: Chain, cause: Cause | None, now: datetime) -> Step | None:
    """What no budget and no model has a part in: the key, or this secret of it, does not answer at all."""
    if found.stops:
        return _stopped(lease, found.stops[0], now)
    over = version.ended_at or (version.dies_at if version.dies_at and version.dies_at <= now else None)
    if over and version.number < lease.current.number:
        newer = lease.current
        return Step(
            Place.KEY,
            gettext("%(key_name)s is version %(number)s of %(lease)s: it ended %(over)s UTC.")
            % {"key_name": version.key_name, "number": version.number, "lease": lease, "over": when(over)},
            gettext("Version %(number)s, %(key_name)s, works.") % {"number": newer.number, "key_name": newer.key_name},
            stops=True,
            limit=gettext("an older secret"),
            set_by=_who(lease, "key.rotated", gettext("Its rotation")),
        )
    if cause is Cause.UNKNOWN_KEY:
        return Step(
            Place.KEY,
            gettext("%(gateway)s does not know this secret; our books say that it works.") % {"gateway": lease.gateway},
            gettext("The next comparison of both sides finds it."),
            stops=True,
            limit=gettext("the secret itself"),
        )
    return None


def _stopped(lease: Lease, words: str, now: datetime) -> Step:
    place = Place.ROLE if lease.role.ended_at and lease.is_live and lease.expires_at > now else Place.KEY
    step = Step(place, words, stops=True, limit=gettext("the key itself"))
    if lease.state == State.PAUSED:
        return replace(
            step,
            set_by=str(lease.paused_by or "Keydesk"),
            limit=gettext("a pause"),
            note=gettext("Until it is resumed."),
        )
    if lease.state in {State.REVOKING, State.REVOKED}:
        return replace(step, set_by=_who(lease, "key.revocation_asked", "Keydesk"), note=_because(lease))
    if lease.state == State.EXPIRED or lease.expires_at <= now:
        set_by = gettext("key role %(role)s, when it was issued or renewed") % {"role": lease.role}
        note = gettext("It ended %(ended_at)s UTC.") % {"ended_at": when(lease.ended_at or lease.expires_at)}
        return replace(step, limit=gettext("its time"), set_by=set_by, note=note)
    return replace(step, note=_because(lease))


def _because(lease: Lease) -> str:
    return (
        gettext("The reason given: %(end_reason)s.") % {"end_reason": lease.end_reason}
        if lease.end_reason and lease.end_reason != "asked"
        else ""
    )


def _named(lease: Lease, reading: Reading | None, cause: Cause | None, found: Chain, now: datetime) -> Step | None:
    """What the text says, laid beside our books. None: by them it would pass now."""
    if reading is None or cause is None:
        return None
    if cause is Cause.BUDGET:
        return _spent(_meant(reading, found) or found.binding, told=True)
    if cause is Cause.MODEL:
        return _no_model(lease, reading.model)
    if cause is Cause.RATES:
        return Step(
            Place.RATES, _rates(lease), gettext("It frees itself within a minute."), stops=True,
            limit=gettext("calls in a short time"), set_by=gettext("key role %(role)s") % {"role": lease.role},
            resets_at=now + timedelta(minutes=1),
        )  # fmt: skip
    if cause is Cause.RIGHTS:
        routes = gettext("Keys of this role call models, and nothing else.") if _only_models(lease) else ""
        return Step(
            Place.ROLE, gettext("It does not reach that address of the gateway."), routes, stops=True,
            limit=gettext("its routes"), set_by=gettext("a platform admin"),
        )  # fmt: skip
    return None


def _meant(reading: Reading, found: Chain) -> Link | None:
    """The budget that a text is about: of whom it names, else the only one that is as much as it names."""
    limiting = [link for link in found.links if link.enforced and link.limit is not None]
    named = [link for link in limiting if link.kind == reading.scope]
    as_much = [link for link in limiting if reading.most is not None and link.limit == reading.most]
    return named[0] if named else as_much[0] if len(as_much) == 1 else None


def _unasked(lease: Lease, found: Chain) -> Step | None:
    """What stops calls now, whatever was said: a budget that is spent, a gateway that does not answer."""
    if found.is_spent and found.binding:
        return _spent(found.binding)
    gateway = lease.gateway
    if gateway.away_since:
        words = gettext("%(gateway)s has not answered Keydesk since %(away_since)s UTC.") % {
            "gateway": gateway,
            "away_since": when(gateway.away_since),
        }
        return Step(
            Place.GATEWAY,
            words,
            gettext("Calls may fail until it does. Nothing is lost."),
            stops=True,
            limit=gettext("the gateway"),
            resets_at=gateway.next_try_at,
        )
    return None


def _spent(link: Link | None, *, told: bool = False) -> Step | None:
    if link is None:
        return None
    step = _budget(OF_LINK[link.kind], link)
    note = step.note
    if told and link.left:
        note = gettext("%(note)s The gateway counts newer calls: it says that nothing is left.") % {"note": note}
    whole = f"{money(link.limit)} {per_window(link.window)}"
    return replace(step, stops=True, limit=whole, set_by=link.set_by, resets_at=link.resets_at, note=note)


def _no_model(lease: Lease, model: str) -> Step | None:
    """None: the key has the model, and its gateway lists it."""
    limits, gateway = lease.limits, lease.gateway
    has = limits.get("all_models") or (model and _fits(model, limits.get("models") or ()))
    if not has:
        narrowed = bool(model) and gives(lease.role.all_models, lease.role.models, model)
        who = (
            gettext("%(issued_by)s, when it was issued") % {"issued_by": lease.issued_by or lease.holder}
            if narrowed
            else gettext("key role %(role)s") % {"role": lease.role}
        )
        said = (
            gettext("It may not call %(model)s.") % {"model": model}
            if model
            else gettext("It may not call that model.")
        )
        note = gettext("It may call: %(lease)s") % {"lease": _models(lease)}
        return Step(Place.MODELS, said, note, stops=True, limit=gettext("its models"), set_by=who)
    if model and gateway.models_seen and not _fits(model, gateway.models_seen):
        return Step(
            Place.GATEWAY,
            gettext("%(gateway)s does not list %(model)s.") % {"gateway": gateway, "model": model},
            gettext("The key may call it; there is nothing to call."),
            stops=True,
            limit=gettext("its models"),
            set_by=gettext("a platform admin"),
        )
    return None


def gives(all_models: bool, names: Iterable[str], model: str) -> bool:
    """Whether a list of models, or all of them, has this one."""
    return all_models or _fits(model, names)


def _fits(model: str, names: Iterable[str]) -> bool:
    return any(fnmatchcase(model, each) for each in names)


def _only_models(lease: Lease) -> bool:
    return (lease.limits.get("key_type") or "llm_api") == "llm_api"


def _who(lease: Lease, action: str, otherwise: str) -> str:
    """Who did that to the key the last time."""
    events = AuditEvent.objects.filter(Q(action=action), target_type="lease", target_id=str(lease.pk))
    event = events.only("actor", "actor_id", "at").order_by("-at").first()
    if event is None:
        return otherwise
    person = User.objects.filter(pk=event.actor_id).first() if event.actor_id else None
    return gettext("%(person)s, on %(at)s") % {"person": person or event.actor, "at": f"{event.at:%d %b %Y}"}


# --- in one sentence -------------------------------------------------------------------------------

NOW_FINE = {
    Cause.BUDGET: _("There is money again"),
    Cause.MODEL: _("The key may call that model now"),
    Cause.EXPIRED: _("It was over its time then; it lives now"),
    Cause.BLOCKED: _("It was blocked then; it answers now"),
    Cause.PROVIDER: _("The provider of the model said no, not a limit of yours"),
    Cause.NO_KEY: _("The call carried no virtual key"),
    Cause.SERVER: _("The gateway had a trouble of its own"),
    Cause.AWAY: _("The call got no answer; no limit of yours did that"),
}


def _headline(lease: Lease, stop: Step | None, reading: Reading | None, cause: Cause | None) -> str:
    if stop is None:
        fine = gettext("Nothing stops %(lease)s now") % {"lease": lease}
        return str(NOW_FINE.get(cause, fine)) if cause else fine
    if stop.place is Place.KEY or (stop.place is Place.ROLE and cause is not Cause.RIGHTS):
        return stop.words.removesuffix(".")
    if stop.link and stop.link.limit is not None and (cause in {Cause.BUDGET} or not stop.link.left):
        whose = {
            "key": str(lease),
            "holder": gettext("%(holder)s in %(team)s") % {"holder": lease.holder, "team": lease.team},
            "team": str(lease.team),
        }
        return gettext("The budget of %(kind)s is spent") % {"kind": whose.get(stop.link.kind, stop.link.who)}
    if stop.place is Place.RATES:
        return gettext("%(lease)s called too often in a short time") % {"lease": lease}
    return stop.words.removesuffix(".")


def missing(answer: Answer) -> Decimal | None:
    """What is left by the limit that binds, USD; None: it is not a sum."""
    link = answer.binding.link if answer.binding else answer.nearest
    return link.left if link else None
