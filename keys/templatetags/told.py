"""Sentences of our books in the language of the page: they are written down in English, whoever reads them later."""

from __future__ import annotations

import re
from functools import cache

from django import template
from django.utils.translation import get_language, gettext, gettext_noop

from portal.languages import ENGLISH

register = template.Library()

SENTENCES = (  # as services write them; each name stands for some words
    gettext_noop("The limits of %(what)s were changed on the gateway."),
    gettext_noop("The expiry of %(what)s was changed on the gateway."),
    gettext_noop("%(what)s lost on the gateway what says whose it is."),
    gettext_noop("%(what)s was blocked on the gateway."),
    gettext_noop("%(what)s was unblocked on the gateway."),
    gettext_noop("%(what)s has another %(fields)s on the gateway."),
    gettext_noop("%(what)s is not a team on the gateway: its keys are refused."),
    gettext_noop("%(what)s is another on the gateway."),
    gettext_noop("%(what)s is on the gateway, and ended here."),
    gettext_noop("A request landed late, somebody put it back, or its ending was forgotten."),
    gettext_noop("%(what)s is live here, and not on the gateway."),
    gettext_noop("Somebody deleted the key, its team or its user there; or this is another proxy."),
    gettext_noop("%(what)s is of this installation, and not in its database."),
    gettext_noop("This database is older than the key: a backup was put back. Or two Keydesks share a copy of one."),
    gettext_noop("%(what)s is used and costs nothing."),
    gettext_noop("The proxy has no price for it, so no budget stops it."),
    gettext_noop("%(what)s: the counter says %(counter)s, the ledger %(ledger)s."),
    gettext_noop("Calls are not in the ledger yet."),
    gettext_noop("The proxy never wrote these calls into its ledger."),
    gettext_noop("The ledger has more: the counter lost its last seconds."),
    gettext_noop("Somebody reset the counter on the gateway."),
    gettext_noop("Spend was carried over or set on the gateway: the budget ends sooner."),
    gettext_noop("Checking after a pause: a database that was restored looks like one whose sweeps stood still."),
    gettext_noop("Keys on the gateway that are of this installation, and not in its database: %(number)s."),
    gettext_noop("%(number)s of %(live)s keys end later on the gateway than by our database."),
    gettext_noop("%(gateway)s does not answer since %(time)s UTC."),
    gettext_noop("%(gateway)s does not answer: %(why)s"),
    gettext_noop("%(gateway)s refused: %(why)s"),
    gettext_noop("The gateway took too long."),
    gettext_noop("The gateway said it deleted the key, but still has it."),
    gettext_noop("The portal stopped before the gateway's answer was read."),
    gettext_noop("Something broke here; the log has it."),
    gettext_noop("%(what)s was ended."),
    gettext_noop("The key role %(role)s was ended."),
    gettext_noop("The key was handed over to somebody else."),
    gettext_noop("The key was ended."),
    gettext_noop("%(holder)s may not hold keys of %(team)s any more."),
    gettext_noop("%(target)s was changed since."),
    gettext_noop("%(who)s is no platform admin any more."),
    gettext_noop("%(gateway)s is not called: %(why)s"),
    gettext_noop("Too many people wait for %(gateway)s right now."),
    gettext_noop("The proxy refused: %(why)s"),
    gettext_noop("The gateway's answers were lost."),
    gettext_noop("The gateway did not block the key."),
    gettext_noop("The gateway did not unblock the key."),
    gettext_noop("The gateway keeps its own %(fields)s."),
    gettext_noop("The gateway did not make the team."),
    gettext_noop("The gateway is held: %(why)s"),
    gettext_noop("%(number)s keys would have to end; by itself a reconcile ends at most %(most)s."),
    gettext_noop("the key role %(role)s gives nothing of it any more"),
    gettext_noop("not used for %(days)s days"),
    gettext_noop("blocked on the gateway"),
)


@cache
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    """The longest first: of two that fit, it says more."""
    ranked = sorted(SENTENCES, key=lambda sentence: -len(re.sub(r"%\(\w+\)s", "", sentence)))
    return [(re.compile(re.sub(r"%\\\((\w+)\\\)s", r"(?P<\1>.+?)", re.escape(each)), re.S), each) for each in ranked]


@register.filter
def retold(written: object) -> str:
    """A sentence that Keydesk wrote down, in the reader's language; anything else as it is."""
    text = str(written or "")
    if get_language() == ENGLISH:
        return text
    for pattern, sentence in _patterns():
        if found := pattern.fullmatch(text):
            return gettext(sentence) % found.groupdict()
    return text
