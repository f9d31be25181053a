"""The letters about a webhook that fails. All other letters: portal/mail.py."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.conf import settings
from django.utils.translation import gettext

from portal import dates
from portal.languages import in_their_language
from portal.outbox import post


@in_their_language
def fails(to: Iterable[str], key: str, *, name: str, since: datetime, said: str, path: str) -> None:
    """Tell who runs a webhook that the first of its events was given up; `said`: what is wrong, a sentence."""
    post(
        key,
        to,
        gettext("Keydesk: the webhook %(name)s takes nothing") % {"name": name},
        gettext(
            "Nothing has reached the webhook %(name)s since %(since)s. %(said)s\nEvents are given up a "
            "day after they happened. Three days after the first failure it turns itself off.\n\nWhat was "
            "tried:\n%(url)s%(path)s\n"
        )
        % {"name": name, "since": dates.full(since), "said": said, "url": settings.URL, "path": path},
        kind="webhook.failing",
    )


@in_their_language
def turned_off(to: Iterable[str], key: str, *, name: str, said: str, path: str) -> None:
    """Tell who runs a webhook that it was turned off after three days of failures."""
    post(
        key,
        to,
        gettext("Keydesk: the webhook %(name)s is turned off") % {"name": name},
        gettext(
            "For three days nothing has reached the webhook %(name)s, so Keydesk has turned it off. "
            "%(said)s\nWhat happens meanwhile is not sent later. Put the other side right, then turn it "
            "on again.\n\nTurn it on there:\n%(url)s%(path)s\n"
        )
        % {"name": name, "said": said, "url": settings.URL, "path": path},
        kind="webhook.turned_off",
    )
