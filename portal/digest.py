"""The daily letter: one a day and person, of what they asked to hear of once a day."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from portal import dates, languages
from portal.letterhead import ADDRESS
from portal.models import DigestLine, Letter
from portal.notices import GROUPS, group_of
from portal.outbox import DIGEST, post
from portal.templatetags.ui import count

MOST = 100  # letters told in one; of the rest, how many there are
PEOPLE = 500  # a round


def write_due(now: datetime | None = None) -> int:
    """Write the daily letters that are due; answers how many. A sweep: safe to repeat, to miss, and on ten hosts.

    What was set aside before KEYDESK_DIGEST_HOUR (UTC) is told from then on. The letter's key names the person and the
    day, and each line is marked in the letter's own transaction: none is told twice, none is lost.
    """
    now = now or timezone.now()
    close = now.replace(hour=settings.DIGEST_HOUR, minute=0, second=0, microsecond=0)
    close -= timedelta(days=1) if close > now else timedelta()
    waiting = DigestLine.objects.untold(close).order_by("address").values_list("address", flat=True).distinct()
    spoken = languages.of_addresses(waiting[:PEOPLE])
    return sum(_write(address, language, close) for language, people in spoken.items() for address in people)


def _write(address: str, language: str, close: datetime) -> bool:
    """False: this day's letter to them is written."""
    key = f"{DIGEST}:{hashlib.sha256(address.encode()).hexdigest()[:40]}:{close:%Y-%m-%d}"
    with transaction.atomic(), languages.writing_in(language):
        lines = list(DigestLine.objects.untold(close).filter(address=address).select_related("letter").order_by("-pk"))
        letters = [line.letter for line in lines]
        if not letters or not post(key, [address], _subject(letters, close), _text(letters), kind=DIGEST):
            return False
        # Whoever else has read these lines waits for the key above, and finds it taken.
        DigestLine.objects.filter(pk__in=[line.pk for line in lines]).update(digest=Letter.objects.get(key=key))
    return True


def _subject(letters: list[Letter], close: datetime) -> str:
    news = count(letters, "piece of news,pieces of news")
    return _("Keydesk, %(day)s: %(news)s") % {"day": dates.padded_weekday(close), "news": news}


def _text(letters: list[Letter]) -> str:
    told, more = letters[:MOST], len(letters) - MOST
    parts = [_("What you asked to hear of once a day, the newest first.")]
    for title, theirs in _grouped(told):
        parts += [f"== {title} ==", *map(_line, theirs)]
    if more > 0:
        said = ngettext("There is %(number)d more.", "There are %(number)d more.", more) % {"number": more}
        where = _("Keydesk itself shows how everything stands:")
        parts.append(f"{said} {where}\n{settings.URL}/")
    return "\n\n".join(parts)


def _grouped(letters: Iterable[Letter]) -> Iterator[tuple[str, list[Letter]]]:
    """In the order of the page where they are chosen; what has lost its group comes last."""
    rows = list(letters)
    for group in (*GROUPS, None):
        if theirs := [letter for letter in rows if group_of(letter.kind) == group]:
            yield str(group.title) if group else _("Other news"), theirs


def _line(letter: Letter) -> str:
    said = letter.subject.removeprefix("Keydesk: ")
    links = [line for line in map(str.strip, letter.text.splitlines()) if ADDRESS.match(line)]
    return "\n".join([f"{said[:1].upper()}{said[1:]} ({dates.short(letter.created_at)})", *links[-1:]])
