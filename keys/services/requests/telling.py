"""Letters about requests. Each leads to the page where somebody decides; none decides anything itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from django.conf import settings
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from keys.models import KeyRequest, RequestEntry
from keys.services.requests.deciders import deciders, may_say
from keys.services.requests.weighing import stake
from keys.services.words import one_line
from keys.templatetags.told import retold
from portal import dates
from portal.languages import in_their_language
from portal.mail import post
from portal.templatetags.ui import budget, dollars, words
from teams.access import Actor, allowed
from teams.models import User
from teams.roles import Can
from teams.services.service_accounts import people_of


def submitted(request: KeyRequest, *, by: Actor) -> None:
    """Ask those who may decide it."""

    def say() -> tuple[str, str]:
        said = _("%(who)s asks for %(what)s, in %(team)s.") % {**_names(request), "team": request.team}
        return _subject(request), _with_terms(request, said)

    _tell(request, _addresses(deciders(request)), "submitted", say, by=by)


def reminded(request: KeyRequest) -> None:
    """Ask once more, of those who have not answered."""

    def say() -> tuple[str, str]:
        said = _("%(who)s has waited since %(since)s for %(what)s.") % {
            **_names(request),
            "since": dates.short(request.submitted_at),
        }
        then = _("Without a decision it lapses on %(moment)s.") % {"moment": dates.short(request.lapses_at)}
        if request.escalates_at:
            moment = dates.short(request.escalates_at)
            then = _("On %(moment)s the platform admins are asked as well.") % {"moment": moment}
        subject = _("Still waiting: %(subject)s") % {"subject": _subject(request)}
        return subject, _with_terms(request, f"{said} {then}")

    _tell(request, _addresses(deciders(request)), "reminded", say)


def escalated(request: KeyRequest) -> None:
    """Ask the platform admins, as nobody of the team has decided."""

    def say() -> tuple[str, str]:
        said = _(
            "%(who)s of %(team)s asks for %(what)s, and nobody of the team has decided since %(since)s. "
            "Now platform admins are asked as well."
        ) % {**_names(request), "team": request.team, "since": dates.short(request.submitted_at)}
        return _("Escalated: %(subject)s") % {"subject": _subject(request)}, _with_terms(request, said)

    _tell(request, _addresses(deciders(request)), "escalated", say)


def approved(request: KeyRequest, *, by: Actor) -> None:
    """Tell who asked what they got: in force, or to be claimed."""

    def say() -> tuple[str, str]:
        said = _("%(by)s approved %(what)s.") % {**_names(request), "by": _name(by)}
        if request.granted != request.asked:
            said = _("%(by)s approved %(what)s. It is less than was asked.") % {**_names(request), "by": _name(by)}
        if request.reverts_at:
            until = dates.full(request.reverts_at)
            then = _("It is in force until %(until)s, and ends by itself then.") % {"until": until}
        else:
            until = dates.full(request.claim_until) if request.claim_until else ""
            then = _("Claim the key there, until %(until)s. Nobody else sees it.") % {"until": until}
        text = f"{_with_terms(request, said + _quoted(request.reason))}\n\n{then}"
        return _("Approved: %(what)s") % {"what": _short(request)}, text

    _tell(request, asking(request), "approved", say, by=by)


def denied(request: KeyRequest, *, by: Actor) -> None:
    """Tell who asked, with the reason."""

    def say() -> tuple[str, str]:
        said = _("%(by)s denied %(what)s.") % {**_names(request), "by": _name(by)}
        again = _("You can ask again there, for something that fits.")
        text = f"{said}{_quoted(request.reason)}\n\n{again}"
        return _("Denied: %(what)s") % {"what": _short(request)}, text

    _tell(request, asking(request), "denied", say, by=by)


def lapsed(request: KeyRequest, *, was_approved: bool) -> None:
    """Tell who asked that nobody decided, or that nobody claimed."""

    def say() -> tuple[str, str]:
        text = _("Nobody decided it in time. You can ask again there.")
        if was_approved:
            text = _("The time to claim it is over. You can ask again there.")
        return _("Lapsed: %(what)s") % {"what": _short(request)}, text

    _tell(request, asking(request), "lapsed", say)


def ended(request: KeyRequest) -> None:
    """Tell who asked, where they are still here, why nothing can become of it."""

    def say() -> tuple[str, str]:
        said = {"what": _capital(_what(request)), "reason": retold(request.reason)}
        text = _("%(what)s was asked for, and nothing can become of it: %(reason)s") % said
        return _("Closed: %(what)s") % {"what": _short(request)}, text

    _tell(request, asking(request), "ended", say)


def claim_ends_soon(request: KeyRequest) -> None:
    """Remind whoever can claim it."""

    def say() -> tuple[str, str]:
        until = dates.short(request.claim_until) if request.claim_until else ""
        said = {"what": _capital(_what(request)), "until": until}
        text = _("%(what)s is approved, and nobody has claimed it. After %(until)s the approval lapses.") % said
        return _("Claim %(what)s by %(until)s") % {"what": _short(request), "until": until}, text

    _tell(request, asking(request), "claim", say)


def reverted(request: KeyRequest) -> None:
    """Tell who asked that the key is as it was; nothing of one that ended before."""
    lease = request.lease
    if lease is None or not lease.is_live:
        return

    def say() -> tuple[str, str]:
        text = _("The rise of %(lease)s is over: the key has its own limits again.") % {"lease": lease}
        return _("The rise of %(lease)s is over") % {"lease": lease}, text

    _tell(request, asking(request), "reverted", say)


def said(request: KeyRequest, entry: RequestEntry, *, by: User) -> None:
    """Tell the others in the thread; while nobody else is in it, those who may decide."""
    spoke = User.objects.filter(pk__in=request.entries.exclude(who=None).values("who"), is_active=True)
    others = [*asking(request), *_addresses(person for person in spoke if may_say(request, person))]
    if request.state == KeyRequest.State.PENDING and set(others) <= {*asking(request)}:
        others += _addresses(deciders(request))

    def say() -> tuple[str, str]:
        text = _("%(by)s wrote about %(what)s:") % {"by": by, "what": _what(request)} + _quoted(entry.text)
        return _("%(by)s about %(what)s") % {"by": by, "what": _short(request)}, text

    _tell(request, others, f"said:{entry.pk}", say, by=by)


def asking(request: KeyRequest) -> list[str]:
    """Addresses of who waits for it, and is still here: who asked, and its holder or who answers for that machine."""
    people = (person for person in (request.asked_by, request.holder) if allowed(person, Can.SEE_TEAM, request.team))
    found = [address for person in people for address in people_of(person)]
    return list(dict.fromkeys(address for address in found if address))


def _tell(
    request: KeyRequest, to: Iterable[str], what: str, say: Callable[[], tuple[str, str]], *, by: Actor | None = None
) -> None:
    """One letter of a kind for each request; `say`: its subject and text, in each reader's language. `by` knows."""
    _write([address for address in to if address != getattr(by, "email", None)], request, what, say)


@in_their_language
def _write(to: list[str], request: KeyRequest, what: str, say: Callable[[], tuple[str, str]]) -> None:
    subject, text = say()
    where = f"{settings.URL}{reverse('keys:request', args=[request.pk])}"
    kind = f"request.{what.partition(':')[0]}"
    key = f"request:{request.pk}:{what}:{timezone.now():%Y%m%d%H%M%S%f}"
    post(key, to, f"Keydesk: {subject}", f"{text}\n\n{where}\n", kind=kind)


def _addresses(people: Iterable[User]) -> list[str]:
    return [person.email for person in people if person.email]


def _name(by: Actor) -> str:
    return str(by) if isinstance(by, User) else by.audit_name


def _subject(request: KeyRequest) -> str:
    return _("%(who)s asks for %(what)s") % {"who": request.asked_by, "what": _short(request)}


def _names(request: KeyRequest) -> dict[str, object]:
    return {"who": request.asked_by, "what": _what(request)}


def _short(request: KeyRequest) -> str:
    if request.is_rise:
        return _("a rise of %(lease)s") % {"lease": request.lease}
    return _("a key of %(role)s") % {"role": request.role}


def _what(request: KeyRequest) -> str:
    if request.holder_id == request.asked_by_id:
        return _short(request)
    return _("%(what)s for %(holder)s") % {"what": _short(request), "holder": request.holder}


def _with_terms(request: KeyRequest, said: str) -> str:
    return f"{said}\n\n{_terms(request)}"


def _terms(request: KeyRequest) -> str:
    """What it is about, a line each."""
    bounds, at_stake = request.bounds, stake(request)
    lines = [_("What for: %(purpose)s") % {"purpose": request.purpose}]
    models = {"models": ", ".join(bounds.models or ())}
    if request.is_rise:
        lines.append(_("For: %(span)s") % {"span": words(bounds.ttl)})
        lines += [_("More models: %(models)s") % models] if bounds.models else []
        lines += [_("Budget: %(budget)s") % {"budget": budget(bounds)}] if bounds.max_budget is not None else []
    else:
        lines.append(_("Lives: %(span)s") % {"span": words(bounds.ttl)})
        lines.append(_("Models: %(models)s") % models if bounds.models else _("Models: all"))
        lines.append(_("Budget: %(budget)s") % {"budget": budget(bounds)})
    most = _("no limit of its own") if at_stake.total is None else dollars(f"{at_stake.total:,.2f}")
    return "\n".join([*lines, _("At stake: %(most)s") % {"most": most}])


def _quoted(text: str) -> str:
    """On one line, so that no heading and no link of a letter is of anybody but Keydesk."""
    return f'\n\n"{one_line(text)}"' if text else ""


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
