"""Letters as HTML, made of their text while they are sent: the text stays the source, and nothing else is kept.

A letter's text has paragraphs between blank lines. An address alone on its line is a link, and the last one is a button
that says what the line before it says, if that ends with a colon. A line between `== ` and ` ==` is a heading, one that
begins with `- ` an item; a long line goes on in the next one. In a paragraph that begins like `Budget: $50.00 a month`
each such line is a fact. No picture, nothing from elsewhere, nothing that tells
whether somebody read it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import pairwise

from django.template.loader import render_to_string
from django.utils.translation import gettext_lazy as _

ADDRESS = re.compile(r"https?://\S+\Z")
HEADING = re.compile(r"== (.+) ==\Z")
OPEN = _("Open in Keydesk")
FACT = re.compile(r"([^\W\d_][^:.,]{0,30}): (\S.*)\Z")
BROKEN = 70  # characters of a line that was broken to fit, at least


@dataclass(frozen=True, slots=True)
class Block:
    """One piece. `kind`: text, above (a link), item, fact, link, button or heading; `label`: of a fact or a button."""

    kind: str
    words: str
    label: str = ""


def as_html(subject: str, text: str, *, foot: str = "", button: bool = True) -> str:
    """The letter as a page of HTML that mail programs show. `button`: its last link is one."""
    context = {"subject": subject, "blocks": blocks_of(text, button=button), "foot": blocks_of(foot, button=False)}
    return render_to_string("mail/letter.html", context)


def blocks_of(text: str, *, button: bool = True) -> list[Block]:
    """The pieces of a text, in its order."""
    found: list[Block] = []
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        found += _of_paragraph(paragraph.splitlines())
    last = max((n for n, block in enumerate(found) if block.kind == "link"), default=None)
    if button and last is not None:
        before = found[last - 1] if last else Block("text", "")
        named = before.kind == "text" and before.words.endswith(":") and len(before.words) <= 40
        found[last] = Block("button", found[last].words, before.words.removesuffix(":") if named else str(OPEN))
        if named:
            del found[last - 1]
    for at, (block, following) in enumerate(pairwise(found)):
        if block.kind == "text" and following.kind == "link":
            found[at] = replace(block, kind="above")
    return found


def _of_paragraph(lines: list[str]) -> list[Block]:
    found: list[Block] = []
    facts = len(lines) > 1 and FACT.match(lines[0])
    for line in filter(None, map(str.strip, lines)):
        if ADDRESS.match(line):
            found.append(Block("link", line))
        elif heading := HEADING.match(line):
            found.append(Block("heading", heading[1]))
        elif line.startswith("- "):
            found.append(Block("item", line[2:]))
        elif facts and (fact := FACT.match(line)):
            found.append(Block("fact", fact[2], fact[1]))
        elif found and found[-1].kind in {"text", "item", "fact"}:
            said = found[-1].words
            follows = " " if len(said.rpartition("\n")[2]) >= BROKEN else "\n"
            found[-1] = replace(found[-1], words=f"{said}{follows}{line}")
        else:
            found.append(Block("text", line))
    return found
