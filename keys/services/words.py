"""Words that people write where others read them: what for, a name, a reason. No secret, and nothing that misleads."""

from __future__ import annotations

import re

from django.utils.translation import gettext, gettext_noop

from portal.errors import Invalid

# Virtual keys, our tokens, webhooks', Vault's, clouds' and forges', JWTs, private keys. A digit or a capital is needed
# after `sk-`, so that sk-learn-like-names stay words.
SECRET = re.compile(
    r"(?<![A-Za-z0-9])(?:sk-(?=[\w-]*[0-9A-Z])[\w-]{16,}|(?:kd_|whsec_|hv[sbr]\.|gh[pousr]_)[\w+/=-]{16,}"
    r"|AKIA[0-9A-Z]{16}|eyJ[\w-]{10,}\.[\w-]{10,})|-----BEGIN [A-Z ]*PRIVATE KEY"
    r"|\b[Bb]earer\s+(?=\S*\d)[\w.+/=-]{16,}"
)
NOT_HERE = gettext_noop("This looks like a secret, which everybody who reads this would have. Write it without.")
# What shows text in another order than it is written, or hides it. Source: Unicode, UAX #9.
TURNS = re.compile("[\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]")


def clean(text: str) -> str:
    """`text` as a row may keep it and a page may show it: without NUL, halves of characters, and turns of direction."""
    whole = text.replace("\0", "").encode("utf-8", "ignore").decode()
    return TURNS.sub("", whole).strip()


def one_line(text: str) -> str:
    """The same on one line: a letter that quotes it has no lines which nobody of Keydesk wrote."""
    return " ".join(clean(text).split())


def has_secret(text: str) -> bool:
    """Whether somebody pasted what looks like a secret."""
    return bool(SECRET.search(text))


def problems(**fields: str) -> list[Invalid]:
    """One for each field in which somebody pasted a secret; it names the field, and never the text."""
    return [
        Invalid(
            gettext(NOT_HERE), details={name: gettext(NOT_HERE)}, action=gettext("If it is a real one, replace it.")
        )
        for name, text in fields.items()
        if has_secret(text)
    ]


def no_secret(**fields: str) -> None:
    """Refuse a text in which somebody pasted a secret. Raises Invalid."""
    for problem in problems(**fields):
        raise problem
