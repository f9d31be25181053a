"""Letters, one function each. No letter ever holds a secret; the link of an invitation is put in while it is sent.

How they are kept, sorted and sent: portal/outbox.py. A letter's `kind` is in a group of portal/notices.py, or goes to
everybody at once: what a person must hear of, and what somebody did to their account.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal
from typing import TypeAlias
from uuid import UUID

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext, gettext_lazy

from portal import dates
from portal.changes import CHANGES
from portal.languages import in_their_language
from portal.outbox import INVITATION, LINK, forget_old, post, send_due
from portal.templatetags.ui import amid, dollars

__all__ = ["INVITATION", "LINK", "forget_old", "post", "send_due"]  # beside the letters below

_NOT_YOU = gettext_lazy("Was it not you? Tell a platform admin at once, and set a new password.")
Saying: TypeAlias = Callable[[], str]  # a sentence, said in the language of the letter


@in_their_language
def invitation(to: str, pk: UUID, *, team: str, inviter: str, role: object, until: datetime) -> None:
    """Offer a place in a team. The link's secret is put in while the letter is sent, so that the outbox keeps none."""
    post(
        f"{INVITATION}:{pk}:{until:%Y%m%d%H%M%S}",
        [to],
        gettext("Keydesk: %(inviter)s invites you to %(team)s") % {"inviter": inviter, "team": team},
        gettext(
            "%(inviter)s invites you to %(team)s on Keydesk, the desk for virtual keys, as %(role)s.\n\n"
            "Accept here:\n%(link)s\n\nThe link is for %(to)s alone. It works once, until %(until)s.\nIf you "
            "do not know what this is about, leave it: nothing happens by itself.\n"
        )
        % {"inviter": inviter, "team": team, "role": amid(role), "link": LINK, "to": to, "until": dates.full(until)},
        kind="person.invited",
    )


@in_their_language
def password_changed(to: str, key: str) -> None:
    """Tell somebody that their password is another one now."""
    post(
        key,
        [to],
        gettext("Keydesk: your password was changed"),
        gettext("The password of %(to)s was changed, and every other session of yours is signed out.\n\n%(not_you)s\n")
        % {"to": to, "not_you": _NOT_YOU},
        kind="person.password_changed",
    )


@in_their_language
def address_changed(to: str, key: str, *, now: str) -> None:
    """Tell the address of before that another one is the login."""
    post(
        key,
        [to],
        gettext("Keydesk: your address was changed"),
        gettext(
            "Your directory has changed your address at Keydesk from %(to)s to %(now)s. Sign in with "
            "that one from now on; this one lets nobody in any more.\n\nWas that no change of yours? Tell "
            "a platform admin at once.\n"
        )
        % {"to": to, "now": now},
        kind="person.address_changed",
    )


@in_their_language
def factor_changed(to: str, key: str, said: Saying) -> None:
    """Tell somebody what happened to their second factors; `said` is a sentence."""
    where = f"{settings.URL}{reverse('account')}"
    text = gettext("%(said)s\n\nWhat you have set up:\n%(where)s\n\n%(not_you)s\n") % {
        "said": said(),
        "where": where,
        "not_you": _NOT_YOU,
    }
    post(key, [to], gettext("Keydesk: your second factors were changed"), text, kind="person.factor_changed")


@in_their_language
def way_in_changed(to: str, key: str, *, provider: str, shown: str, connected: bool) -> None:
    """Tell somebody that another account opens theirs, or does no more; `connected`: from now on."""
    named = {"account": f"{provider} ({shown})" if shown else provider, "provider": provider, "to": to}
    if connected:
        subject = gettext("Keydesk: %(provider)s was connected to your account") % named
        said = gettext("An account at %(account)s was connected to your account %(to)s.") % named
        then = gettext("It signs you in here from now on.")
    else:
        subject = gettext("Keydesk: %(provider)s was disconnected from your account") % named
        said = gettext("An account at %(account)s was disconnected from your account %(to)s.") % named
        then = gettext("It does not sign you in any more.")
    where = f"{settings.URL}{reverse('socialaccount_connections')}"
    what = gettext("What is connected:")
    text = f"{said} {then}\n\n{what}\n{where}\n\n{_NOT_YOU}\n"
    post(key, [to], subject, text, kind="person.way_in_changed")


@in_their_language
def key_changed(to: Iterable[str], key: str, *, alias: str, done: str, actor: str, reason: str, path: str) -> None:
    """Tell a holder that somebody else acted on their key; `key` makes it sent once, `done` is one of CHANGES."""
    named = {"actor": actor, "alias": alias}
    subject, said = (gettext(words) % named for words in CHANGES[done])
    if reason:
        said += "\n\n" + gettext('The reason given: "%(reason)s"') % {"reason": reason}
    now = gettext("How it stands now:")
    text = f"{said}\n\n{now}\n{settings.URL}{path}\n"
    post(key, to, subject, text, kind="key.changed")


@in_their_language
def key_ends_soon(to: Iterable[str], key: str, *, alias: str, when: datetime, renewable: bool, path: str) -> None:
    """Remind that a key ends; `key` makes it sent once."""
    can = (
        gettext("Renew it there, or issue another key.")
        if renewable
        else gettext("It cannot be renewed any more: issue another key.")
    )
    post(
        key,
        to,
        gettext("Keydesk: %(alias)s ends %(when)s") % {"alias": alias, "when": dates.short(when)},
        gettext(
            "Your virtual key %(alias)s ends %(when)s; calls with it are refused from then on.\n%(can)s\n\n"
            "%(url)s%(path)s\n"
        )
        % {"alias": alias, "when": dates.full(when), "can": can, "url": settings.URL, "path": path},
        kind="key.ends_soon",
    )


@in_their_language
def key_handed_over(
    to: Iterable[str], key: str, *, alias: str, before: str, after: str, actor: str, yours: bool, path: str
) -> None:
    """Tell both holders that a key was handed over; `yours`: this one goes to the new holder."""
    if yours:
        said = gettext(
            "%(actor)s handed the virtual key %(alias)s of %(before)s over to you.\n%(before)s has seen "
            "its secret: replace it, and give the new one to the programs that use the key."
        ) % {"actor": actor, "alias": alias, "before": before}
    else:
        said = gettext(
            "%(actor)s handed your virtual key %(alias)s over to %(after)s. You see it no more, and its "
            "spend is theirs."
        ) % {"actor": actor, "alias": alias, "after": after}
    subject = (
        gettext("Keydesk: %(alias)s is yours now") % {"alias": alias}
        if yours
        else gettext("Keydesk: %(alias)s is %(after)s's now") % {"alias": alias, "after": after}
    )
    post(key, to, subject, f"{said}\n\n{settings.URL}{path}\n", kind="key.handed_over")


@in_their_language
def service_account_is_yours(to: str, key: str, *, account: str, team: str, actor: str, path: str) -> None:
    """Tell somebody that they answer for a service account from now on."""
    post(
        key,
        [to],
        gettext("Keydesk: you answer for %(account)s") % {"account": account},
        gettext(
            "%(actor)s named you as who answers for the service account %(account)s of %(team)s. Letters "
            "about its keys and\ntokens come to you.\n\n%(url)s%(path)s\n"
        )
        % {"actor": actor, "account": account, "team": team, "url": settings.URL, "path": path},
        kind="service_account.yours",
    )


@in_their_language
def device_signed_in(to: str, key: str, *, machine: str, ip: str, at: datetime) -> None:
    """Tell somebody that the command line of a machine is signed in as them now."""
    post(
        key,
        [to],
        gettext("Keydesk: the command line on %(machine)s is signed in") % {"machine": machine},
        gettext(
            "keydesk on %(machine)s (%(ip)s) is signed in as %(to)s since %(at)s.\nYou see and end its login on "
            "the page API tokens:\n\n%(url)s%(path)s\n\n%(not_you)s\n"
        )
        % {"machine": machine, "ip": ip or "?", "to": to, "at": dates.full(at), "url": settings.URL,
           "path": reverse("tokens:list"), "not_you": _NOT_YOU},
        kind="person.device_signed_in",
    )  # fmt: skip


@in_their_language
def login_copied(to: str, key: str, *, name: str, at: datetime) -> None:
    """Tell somebody that a login of the command line was ended, as two had its secret."""
    post(
        key,
        [to],
        gettext("Keydesk: the login %(name)s was ended") % {"name": name},
        gettext(
            "At %(at)s somebody used a secret of %(name)s that had been replaced before: two have a copy of it, or "
            "a backup was\nput back. The login is ended; `keydesk login` makes another one.\n\n%(not_you)s\n"
        )
        % {"name": name, "at": dates.full(at), "not_you": _NOT_YOU},
        kind="person.login_copied",
    )


@in_their_language
def emergency_sign_in(to: Iterable[str], key: str, *, person: str, at: datetime, ip: str) -> None:
    """Tell every platform admin that the break-glass account was used; `key` makes it sent once."""
    post(
        key,
        to,
        gettext("Keydesk: emergency sign-in"),
        gettext(
            "%(person)s signed in with a password at %(at)s, from %(ip)s, past single sign-on.\nThat is "
            "what the account of KEYDESK_BREAK_GLASS is for. If nobody here knows of it: change its "
            "password, and\nlook at what was done.\n\n%(url)s/\n"
        )
        % {"person": person, "at": dates.full(at), "ip": ip, "url": settings.URL},
        kind="person.emergency_sign_in",
    )


@in_their_language
def departures_held(to: Iterable[str], hour: str) -> None:
    """Ask platform admins about a mass removal; one letter an hour."""
    post(
        f"departures-held:{hour}",
        to,
        gettext("Keydesk: many people lost their access at once"),
        gettext(
            "The identity provider took so many people out within an hour that Keydesk waits for you: "
            "their keys still\nwork until you decide.\n\n%(url)s/operations/\n"
        )
        % {"url": settings.URL},
        kind="departure.held",
    )


@in_their_language
def team_without_admin(to: Iterable[str], *, team: str, slug: str, day: str) -> None:
    """Tell platform admins that a team's last admin has lost access; one letter a day and team."""
    post(
        f"without-admin:{slug}:{day}",
        to,
        gettext("Keydesk: %(team)s has no admin") % {"team": team},
        gettext(
            "The last admin of %(team)s has no access any more. Its keys work on, but nobody in it can "
            "change who\nis in it. Make somebody a team admin:\n\n%(url)s%(reverse)s\n"
        )
        % {"team": team, "url": settings.URL, "reverse": reverse("teams:team", args=[slug])},
        kind="team.without_admin",
    )


@in_their_language
def proposal_waits(to: Iterable[str], key: str, *, what: str, person: str, path: str) -> None:
    """Ask the other platform admins to look at a proposal."""
    post(
        key,
        to,
        gettext("Keydesk: %(person)s proposes a change") % {"person": person},
        gettext(
            "%(what)s\n\nNothing is done until another platform admin confirms it, within seven days:\n\n"
            "%(url)s%(path)s\n"
        )
        % {"what": what, "url": settings.URL, "path": path},
        kind="proposal.waits",
    )


@in_their_language
def last_admin_kept(to: Iterable[str], *, source: str, day: str) -> None:
    """Tell the last platform admin that a provider would have ended that; one letter a day."""
    post(
        f"last-admin-kept:{day}",
        to,
        gettext("Keydesk: you are the last platform admin"),
        gettext(
            "What %(source)s says of you would have ended your platform role. Keydesk kept it, as nobody "
            "else could let\nanybody in. Make somebody else a platform admin, or put the group right.\n\n"
            "%(url)s%(reverse)s\n"
        )
        % {"source": source, "url": settings.URL, "reverse": reverse("mappings:list")},
        kind="person.last_admin_kept",
    )


@in_their_language
def key_vanished(to: Iterable[str], key: str, *, name: str, secret: str, last: bool, gateway: str, path: str) -> None:
    """Tell a holder that somebody deleted a key of theirs on the gateway itself. `last`: the lease ended with it."""
    closed = gettext("Keydesk has closed it. Issue another key if you still need one.")
    follows = closed if last else gettext("The newer secret works on.")
    post(
        key,
        to,
        gettext("Keydesk: your key %(name)s is gone") % {"name": name},
        gettext(
            "The virtual key %(secret)s of %(name)s is not on %(gateway)s any more: somebody deleted it "
            "there, not here.\n%(follows)s\n\nHow it stands now:\n%(url)s%(path)s\n"
        )
        % {"secret": secret, "name": name, "gateway": gateway, "follows": follows, "url": settings.URL, "path": path},
        kind="key.vanished",
    )


@in_their_language
def gateway_held(to: Iterable[str], key: str, *, gateway: str, reason: str, path: str) -> None:
    """Tell platform admins that a gateway is held, as the database may be older than it."""
    post(
        key,
        to,
        gettext("Keydesk: %(gateway)s is held") % {"gateway": gateway},
        gettext(
            "%(reason)s\n\nThat is what a database looks like that was restored from a backup. So that no "
            "key is ended by\nwhat it says, nothing expires and nothing is cleaned up there until you "
            "have looked. Keys end by the\ngateway's own clock meanwhile, and revoking works.\n\n"
            "%(url)s%(path)s\n"
        )
        % {"reason": reason, "url": settings.URL, "path": path},
        kind="gateway.held",
    )


@in_their_language
def reconcile_stopped(to: Iterable[str], key: str, *, gateway: str, reason: str, path: str) -> None:
    """Tell platform admins that a reconcile would end more than it may by itself."""
    post(
        key,
        to,
        gettext("Keydesk: %(gateway)s and its books are far apart") % {"gateway": gateway},
        gettext(
            "%(reason)s\nNothing was ended. Look at the list, then approve it, or find out what happened "
            "there first.\n\n%(url)s%(path)s\n"
        )
        % {"reason": reason, "url": settings.URL, "path": path},
        kind="gateway.apart",
    )


@in_their_language
def budget_reached(
    to: Iterable[str],
    key: str,
    *,
    what: str,
    percent: int,
    spent: Decimal,
    limit: Decimal,
    resets_at: datetime | None,
    path: str,
) -> None:
    """Tell that a budget (USD) reached a threshold in its window; `what` is like "the team Search"."""
    when = (
        gettext("It resets on %(moment)s UTC.") % {"moment": dates.long(resets_at)}
        if resets_at
        else gettext("It does not reset.")
    )
    # xgettext:no-python-format
    later = gettext("At 100 % calls are refused.")
    after = gettext("Calls are refused now.") if percent >= 100 else later
    post(
        key,
        to,
        gettext("Keydesk: %(percent)s %% of a budget is spent") % {"percent": percent},
        gettext(
            "%(spent)s of the %(limit)s budget of %(what)s is spent. %(after)s %(when)s\n\nHow it stands "
            "now:\n%(url)s%(path)s\n"
        )
        % {
            "spent": _usd(spent),
            "limit": _usd(limit),
            "what": what,
            "after": after,
            "when": when,
            "url": settings.URL,
            "path": path,
        },
        kind="budget.reached",
    )


def _usd(amount: Decimal) -> str:
    return dollars(f"{amount:,.2f}" if amount >= 1 else f"{amount:.4f}")
