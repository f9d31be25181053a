"""The outbox: letters are written here, sorted by what people want to hear at once, and sent.

`post` writes a letter in the transaction of what it tells of; the sweep `send_letters` sends it within seconds. No
request ever talks to the mail server: one that is away loses no letter, and one that hangs holds up nobody.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import structlog
from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from portal import letterhead, links, notices
from portal.languages import ENGLISH, letter_in
from portal.models import DigestLine, Letter, storable
from portal.notices import When

log = structlog.get_logger(__name__)

ANSWER_LIMIT = 10  # seconds for each answer of the mail server, where EMAIL_URL says nothing else
PATIENCE = 60.0  # seconds for one round of sending
BATCH = 500  # letters a round
KEPT = timedelta(days=90)  # after it was sent, so that a repeated key is still known
INVITATION, LINK = "invitation", "(the link)"  # letters of that kind hold LINK until they are sent
DIGEST = "digest"  # the kind of a daily letter


def post(key: str, to: Iterable[str], subject: str, text: str, *, kind: str = "") -> bool:
    """Write a letter, to be sent once this transaction is committed; answers whether it is new.

    `kind` is what it tells of, like "request.submitted": who wants to read of that once a day does, who wants no
    word of it gets none. Without one it goes to all at once.
    False: one with that key was written before, or there is nobody to send it to. Safe to repeat, and at once.
    """
    people = list(dict.fromkeys(filter(None, to)))
    if not people:
        return False
    language, key = letter_in.get(), storable(key)
    if (
        language != ENGLISH and kind != DIGEST
    ):  # the same news in two languages are two letters; a daily one is one's own
        key = f"{key}:{language}"
    if len(key) > 120:
        key = f"{key[:55]}:{hashlib.sha256(key.encode()).hexdigest()}"
    wanted = notices.sort(people, kind)
    fields: dict[str, Any] = {
        "kind": kind,
        "language": language,
        "to": [person for person in people if wanted[person] is When.NOW],
        "subject": " ".join(storable(subject).split())[:200],
        "text": storable(text),
    }
    if not fields["to"]:
        fields |= {"due_at": None, "sent_at": timezone.now()}
    with transaction.atomic():
        letter, new = Letter.objects.get_or_create(key=key, defaults=fields)
        if new and (later := [person for person in people if wanted[person] is When.DAILY]):
            DigestLine.objects.bulk_create([DigestLine(letter=letter, address=person) for person in later])
    return new


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
    """Delete the letters that were sent 90 days ago, and that no daily letter has yet to tell; answers how many."""
    old = Letter.objects.filter(sent_at__lt=(now or timezone.now()) - KEPT)
    return (
        old.exclude(Exists(DigestLine.objects.filter(letter=OuterRef("pk"), digest=None)))
        .delete()[1]
        .get(Letter._meta.label, 0)
    )


def _message(letter: Letter, line: BaseEmailBackend) -> EmailMultiAlternatives:
    """Text, and the same as HTML, in the language it was written in.

    Each try has the same Message-ID, so that a mail server may drop the second copy of a letter sent twice.
    """
    number = f"{letter.pk}.{letter.created_at:%Y%m%d%H%M%S%f}"
    headers = {
        "Message-ID": f"<{number}@{urlsplit(settings.URL).hostname}>",
        "Auto-Submitted": "auto-generated",  # RFC 3834: nobody's holiday notice answers it
    }
    with translation.override(letter.language):
        text, foot = _text(letter), _foot(letter)
        html = letterhead.as_html(letter.subject, text, foot=foot, button=letter.kind != DIGEST)
    whole = f"{text.rstrip()}\n\n-- \n{foot}\n" if foot else text
    message = EmailMultiAlternatives(letter.subject, whole, None, letter.to, headers=headers, connection=line)
    message.attach_alternative(html, "text/html")
    return message


def _text(letter: Letter) -> str:
    """The letter's words; those of an invitation with its link, which only a key of our own making brings in."""
    kind, _, rest = letter.key.partition(":")
    if kind != INVITATION:
        return letter.text
    path = reverse("invitations:open", args=[links.secret_of(kind, rest.partition(":")[0])])
    return letter.text.replace(LINK, f"{settings.URL}{path}")


def _foot(letter: Letter) -> str:
    """Where letters like this one are turned down; blank for those that cannot be."""
    if letter.kind != DIGEST and notices.group_of(letter.kind) is None:
        return ""
    said = _("Which letters you get, and when:")
    return f"{said}\n{settings.URL}{reverse('notices')}"


def _put_off(letter: Letter, error: Exception, now: datetime) -> None:
    letter.put_off(error, now)
    log.warning("letter_not_sent", letter_id=letter.pk, attempts=letter.attempts, reason=letter.last_error)


def _hang_up(line: BaseEmailBackend) -> None:
    with suppress(OSError):
        line.close()
