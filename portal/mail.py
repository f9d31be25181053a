"""Letters, one function each. No letter ever holds a secret; the link of an invitation is put in while it is sent.

`post` writes a letter in the transaction of what it tells of; the sweep `send_letters` sends it within seconds. No
request ever talks to the mail server: one that is away loses no letter, and one that hangs holds up nobody.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal
from urllib.parse import urlsplit
from uuid import UUID

import structlog
from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.urls import reverse
from django.utils import timezone

from portal import links
from portal.models import Letter, storable

log = structlog.get_logger(__name__)

ANSWER_LIMIT = 10  # seconds for each answer of the mail server, where EMAIL_URL says nothing else
PATIENCE = 60.0  # seconds for one round of sending
BATCH = 500  # letters a round
KEPT = timedelta(days=90)  # after it was sent, so that a repeated key is still known
_NOT_YOU = "Was it not you? Tell a platform admin at once, and set a new password.\n"
INVITATION, LINK = "invitation", "(the link)"  # letters of that kind hold LINK until they are sent


def invitation(to: str, pk: UUID, *, team: str, inviter: str, role: str, until: datetime) -> None:
    """Offer a place in a team. The link's secret is put in while the letter is sent, so that the outbox keeps none."""
    post(
        f"{INVITATION}:{pk}:{until:%Y%m%d%H%M%S}",
        [to],
        f"Keydesk: {inviter} invites you to {team}",
        f"{inviter} invites you to {team} on Keydesk, the desk for virtual keys, as {role}.\n\n"
        f"Accept here:\n{LINK}\n\n"
        f"The link is for {to} alone. It works once, until {until:%a %d %b %Y, %H:%M} UTC.\n"
        "If you do not know what this is about, leave it: nothing happens by itself.\n",
    )


def password_changed(to: str, key: str) -> None:
    """Tell somebody that their password is another one now."""
    post(
        key,
        [to],
        "Keydesk: your password was changed",
        f"The password of {to} was changed, and every other session of yours is signed out.\n\n{_NOT_YOU}",
    )


def address_changed(to: str, key: str, *, now: str) -> None:
    """Tell the address of before that another one is the login."""
    post(
        key,
        [to],
        "Keydesk: your address was changed",
        f"Your directory has changed your address at Keydesk from {to} to {now}. Sign in with that one from now on; "
        f"this one lets nobody in any more.\n\nWas that no change of yours? Tell a platform admin at once.\n",
    )


def factor_changed(to: str, key: str, said: str) -> None:
    """Tell somebody what happened to their second factors; `said` is a sentence."""
    where = f"{settings.URL}{reverse('account')}"
    text = f"{said}\n\nWhat you have set up:\n{where}\n\n{_NOT_YOU}"
    post(key, [to], "Keydesk: your second factors were changed", text)


def way_in_changed(to: str, key: str, *, provider: str, shown: str, done: str) -> None:
    """Tell somebody that another account opens theirs, or does no more; `done` is like "connected to"."""
    named = f" ({shown})" if shown else ""
    then = "It signs you in here from now on." if done.startswith("connected") else "It does not sign you in any more."
    where = f"{settings.URL}{reverse('socialaccount_connections')}"
    said = f"An account at {provider}{named} was {done} your account {to}. {then}"
    text = f"{said}\n\nWhat is connected:\n{where}\n\n{_NOT_YOU}"
    post(key, [to], f"Keydesk: {provider} was {done} your account", text)


def key_changed(to: Iterable[str], key: str, *, alias: str, done: str, actor: str, reason: str, path: str) -> None:
    """Tell a holder that somebody else acted on their key; `key` makes it sent once, `done` is like "revoked"."""
    said = f'\n\nThe reason given: "{reason}"' if reason else ""
    post(
        key,
        to,
        f"Keydesk: your key {alias} was {done}",
        f"{actor} {done} your virtual key {alias}.{said}\n\nHow it stands now:\n{settings.URL}{path}\n",
    )


def key_ends_soon(to: Iterable[str], key: str, *, alias: str, when: datetime, renewable: bool, path: str) -> None:
    """Remind that a key ends; `key` makes it sent once."""
    can = "Renew it there, or issue another key." if renewable else "It cannot be renewed any more: issue another key."
    post(
        key,
        to,
        f"Keydesk: {alias} ends {when:%a %d %b, %H:%M} UTC",
        f"Your virtual key {alias} ends {when:%a %d %b %Y, %H:%M} UTC; calls with it are refused from then on.\n"
        f"{can}\n\n{settings.URL}{path}\n",
    )


def key_handed_over(
    to: Iterable[str], key: str, *, alias: str, before: str, after: str, actor: str, yours: bool, path: str
) -> None:
    """Tell both holders that a key was handed over; `yours`: this one goes to the new holder."""
    if yours:
        said = (
            f"{actor} handed the virtual key {alias} of {before} over to you.\n"
            f"{before} has seen its secret: replace it, and give the new one to the programs that use the key."
        )
    else:
        said = f"{actor} handed your virtual key {alias} over to {after}. You see it no more, and its spend is theirs."
    subject = f"Keydesk: {alias} is yours now" if yours else f"Keydesk: {alias} is {after}'s now"
    post(key, to, subject, f"{said}\n\n{settings.URL}{path}\n")


def service_account_is_yours(to: str, key: str, *, account: str, team: str, actor: str, path: str) -> None:
    """Tell somebody that they answer for a service account from now on."""
    post(
        key,
        [to],
        f"Keydesk: you answer for {account}",
        f"{actor} named you as who answers for the service account {account} of {team}. Letters about its keys and\n"
        f"tokens come to you.\n\n{settings.URL}{path}\n",
    )


def token_ends_soon(to: Iterable[str], key: str, *, name: str, whose: str, when: datetime, path: str) -> None:
    """Remind that an API token expires; `whose`: blank for one's own; `key` makes it sent once."""
    post(
        key,
        to,
        f"Keydesk: the token {name} expires {when:%a %d %b, %H:%M} UTC",
        f"{f'The API token {name} of {whose}' if whose else f'Your API token {name}'} expires"
        f" {when:%a %d %b %Y, %H:%M} UTC; calls with it are refused from then on.\n"
        f"It cannot be made longer: make another one, and give it to the programs that use this one.\n\n"
        f"{settings.URL}{path}\n",
    )


def emergency_sign_in(to: Iterable[str], key: str, *, person: str, at: datetime, ip: str) -> None:
    """Tell every platform admin that the break-glass account was used; `key` makes it sent once."""
    post(
        key,
        to,
        "Keydesk: emergency sign-in",
        f"{person} signed in with a password at {at:%a %d %b %Y, %H:%M} UTC, from {ip}, past single sign-on.\n"
        "That is what the account of KEYDESK_BREAK_GLASS is for. If nobody here knows of it: change its password, and\n"
        f"look at what was done.\n\n{settings.URL}/\n",
    )


def departures_held(to: Iterable[str], hour: str) -> None:
    """Ask platform admins about a mass removal; one letter an hour."""
    post(
        f"departures-held:{hour}",
        to,
        "Keydesk: many people lost their access at once",
        "The identity provider took so many people out within an hour that Keydesk waits for you: their keys still\n"
        f"work until you decide.\n\n{settings.URL}/operations/\n",
    )


def team_without_admin(to: Iterable[str], *, team: str, slug: str, day: str) -> None:
    """Tell platform admins that a team's last admin has lost access; one letter a day and team."""
    post(
        f"without-admin:{slug}:{day}",
        to,
        f"Keydesk: {team} has no admin",
        f"The last admin of {team} has no access any more. Its keys work on, but nobody in it can change who\n"
        f"is in it. Make somebody a team admin:\n\n{settings.URL}{reverse('teams:team', args=[slug])}\n",
    )


def proposal_waits(to: Iterable[str], key: str, *, what: str, person: str, path: str) -> None:
    """Ask the other platform admins to look at a proposal."""
    post(
        key,
        to,
        f"Keydesk: {person} proposes a change",
        f"{what}\n\nNothing is done until another platform admin confirms it, within seven days:\n\n"
        f"{settings.URL}{path}\n",
    )


def last_admin_kept(to: Iterable[str], *, source: str, day: str) -> None:
    """Tell the last platform admin that a provider would have ended that; one letter a day."""
    post(
        f"last-admin-kept:{day}",
        to,
        "Keydesk: you are the last platform admin",
        f"What {source} says of you would have ended your platform role. Keydesk kept it, as nobody else could let\n"
        "anybody in. Make somebody else a platform admin, or put the group right.\n\n"
        f"{settings.URL}{reverse('mappings:list')}\n",
    )


def key_vanished(to: Iterable[str], key: str, *, name: str, secret: str, last: bool, gateway: str, path: str) -> None:
    """Tell a holder that somebody deleted a key of theirs on the gateway itself. `last`: the lease ended with it."""
    closed = "Keydesk has closed it. Issue another key if you still need one."
    follows = closed if last else "The newer secret works on."
    post(
        key,
        to,
        f"Keydesk: your key {name} is gone",
        f"The virtual key {secret} of {name} is not on {gateway} any more: somebody deleted it there, not here.\n"
        f"{follows}\n\nHow it stands now:\n{settings.URL}{path}\n",
    )


def gateway_held(to: Iterable[str], key: str, *, gateway: str, reason: str, path: str) -> None:
    """Tell platform admins that a gateway is held, as the database may be older than it."""
    post(
        key,
        to,
        f"Keydesk: {gateway} is held",
        f"{reason}\n\nThat is what a database looks like that was restored from a backup. So that no key is ended by\n"
        "what it says, nothing expires and nothing is cleaned up there until you have looked. Keys end by the\n"
        f"gateway's own clock meanwhile, and revoking works.\n\n{settings.URL}{path}\n",
    )


def reconcile_stopped(to: Iterable[str], key: str, *, gateway: str, reason: str, path: str) -> None:
    """Tell platform admins that a reconcile would end more than it may by itself."""
    post(
        key,
        to,
        f"Keydesk: {gateway} and its books are far apart",
        f"{reason}\nNothing was ended. Look at the list, then approve it, or find out what happened there first.\n\n"
        f"{settings.URL}{path}\n",
    )


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
    when = f"It resets on {resets_at:%d %B %Y, %H:%M} UTC." if resets_at else "It does not reset."
    after = "Calls are refused now." if percent >= 100 else "At 100 % calls are refused."
    post(
        key,
        to,
        f"Keydesk: {percent} % of a budget is spent",
        f"{_usd(spent)} of the {_usd(limit)} budget of {what} is spent. {after} {when}\n\n"
        f"How it stands now:\n{settings.URL}{path}\n",
    )


def post(key: str, to: Iterable[str], subject: str, text: str) -> bool:
    """Write a letter, to be sent once this transaction is committed; answers whether it is new.

    False: one with that key was written before, or there is nobody to send it to. Safe to repeat, and at once.
    """
    people = list(dict.fromkeys(filter(None, to)))
    key = storable(key)
    if len(key) > 120:
        key = f"{key[:55]}:{hashlib.sha256(key.encode()).hexdigest()}"
    fields = {"to": people, "subject": " ".join(storable(subject).split())[:200], "text": storable(text)}
    return bool(people) and Letter.objects.get_or_create(key=key, defaults=fields)[1]


def send_due(now: datetime | None = None) -> int:
    """Send the letters that are due, the longest due first; answers how many went. A sweep: safe to repeat.

    Two hosts never hold the same letter. One that cannot be sent is put off and holds up no other; with the mail server
    away, one letter is put off in each round, and the rest go as soon as it is back.
    """
    now = now or timezone.now()
    ends, sent = time.monotonic() + PATIENCE, 0
    line = get_connection(timeout=settings.EMAIL_TIMEOUT or ANSWER_LIMIT)
    try:
        for letter in Letter.objects.due(now)[:BATCH]:
            if time.monotonic() > ends:
                break
            if not letter.claim(now):
                continue
            try:
                line.open()
            except Exception as away:
                _put_off(letter, away, now)
                break
            try:
                _message(letter, line).send()
            except Exception as error:
                _put_off(letter, error, now)
                _hang_up(line)  # in the middle of a conversation, nobody knows where
            else:
                letter.was_sent(now)
                sent += 1
    finally:
        _hang_up(line)
    return sent


def forget_old(now: datetime | None = None) -> int:
    """Delete the letters that were sent 90 days ago; answers how many."""
    return Letter.objects.filter(sent_at__lt=(now or timezone.now()) - KEPT).delete()[0]


def _message(letter: Letter, line: BaseEmailBackend) -> EmailMessage:
    """Each try has the same Message-ID, so that a mail server may drop the second copy of a letter sent twice."""
    number = f"{letter.pk}.{letter.created_at:%Y%m%d%H%M%S%f}"
    headers = {
        "Message-ID": f"<{number}@{urlsplit(settings.URL).hostname}>",
        "Auto-Submitted": "auto-generated",  # RFC 3834: nobody's holiday notice answers it
    }
    return EmailMessage(letter.subject, _text(letter), None, letter.to, headers=headers, connection=line)


def _text(letter: Letter) -> str:
    """The letter's words; those of an invitation with its link, which only a key of our own making brings in."""
    kind, _, rest = letter.key.partition(":")
    if kind != INVITATION:
        return letter.text
    path = reverse("invitations:open", args=[links.secret_of(kind, rest.partition(":")[0])])
    return letter.text.replace(LINK, f"{settings.URL}{path}")


def _put_off(letter: Letter, error: Exception, now: datetime) -> None:
    letter.put_off(error, now)
    log.warning("letter_not_sent", letter_id=letter.pk, attempts=letter.attempts, reason=letter.last_error)


def _usd(amount: Decimal) -> str:
    return f"${amount:,.2f}" if amount >= 1 else f"${amount:.4f}"


def _hang_up(line: BaseEmailBackend) -> None:
    with suppress(OSError):
        line.close()
