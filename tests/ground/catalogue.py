"""Read what translators write: the entries of a .po file."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from pathlib import Path

LINE = re.compile(r'(?:(msgctxt|msgid_plural|msgid|msgstr(?:\[\d])?) )?(".*")\Z')


@dataclass
class Entry:
    """One message. `key`: as a .mo file names it; `said`: its translation, each form of it."""

    is_fuzzy: bool = False
    words: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        context = f"{self.words['msgctxt']}\x04" if "msgctxt" in self.words else ""
        return context + self.words["msgid"]

    @property
    def asked(self) -> list[str]:
        return [words for name, words in self.words.items() if name.startswith("msgid")]

    @property
    def said(self) -> list[str]:
        return [words for name, words in self.words.items() if name.startswith("msgstr")]


def entries_of(catalogue: Path) -> dict[str, Entry]:
    """The entries by key; the head and what is no longer used are left out."""
    found = [_entry(block) for block in catalogue.read_text().split("\n\n")]
    return {entry.key: entry for entry in found if entry and entry.words["msgid"]}


def _entry(block: str) -> Entry | None:
    entry, name = Entry(), ""
    for line in block.splitlines():
        if line.startswith("#"):
            entry.is_fuzzy |= line.startswith("#,") and "fuzzy" in line
        elif match := LINE.match(line):
            name = match[1] or name
            entry.words[name] = entry.words.get(name, "") + ast.literal_eval(match[2])
    return entry if "msgid" in entry.words else None
