"""The letters about API tokens. All other letters: portal/mail.py."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.conf import settings
from django.utils.translation import gettext, gettext_noop

from portal import dates
from portal.languages import in_their_language
from portal.outbox import post


@in_their_language
def token_ends_soon(to: Iterable[str], key: str, *, name: str, whose: str, when: datetime, path: str) -> None:
    """Remind that an API token expires; `whose`: blank for one's own; `key` makes it sent once."""
    named = {"name": name, "whose": whose, "when": dates.full(when)}
    mine = gettext_noop("Your API token %(name)s expires %(when)s; calls with it are refused from then on.")
    then = gettext("It cannot be made longer: make another one, and give it to the programs that use this one.")
    theirs = gettext_noop(
        "The API token %(name)s of the service account %(whose)s expires %(when)s; "
        "calls with it are refused from then on."
    )
    post(
        key,
        to,
        gettext("Keydesk: the token %(name)s expires %(when)s") % {"name": name, "when": dates.short(when)},
        f"{gettext(theirs if whose else mine) % named}\n{then}\n\n{settings.URL}{path}\n",
        kind="token.ends_soon",
    )


@in_their_language
def token_ended(to: str, key: str, *, name: str, actor: str, path: str) -> None:
    """Tell somebody that another person ended their API token; `key` makes it sent once."""
    post(
        key,
        [to],
        gettext("Keydesk: %(actor)s ended your token %(name)s") % {"actor": actor, "name": name},
        gettext(
            "%(actor)s ended your API token %(name)s; calls with it are refused now. Make another one if a program "
            "still needs it.\n\n%(url)s%(path)s\n"
        )
        % {"actor": actor, "name": name, "url": settings.URL, "path": path},
        kind="token.ended",
    )
