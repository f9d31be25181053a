"""Find the words of a template that no translator sees: text, and attributes that people read or hear."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser

COMMENT = re.compile(r"\{#.*?#\}|\{% comment .*?endcomment %\}", re.DOTALL)
MARKED = re.compile(r"\{%-? blocktranslate\b.*?\{% endblocktranslate %\}", re.DOTALL)
TAG = re.compile(r"\{%.*?%\}|\{\{.*?\}\}", re.DOTALL)
IN_FILTER = re.compile(r"\|(?:default|default_if_none|yesno|pluralize|add)(?::)(\"[^\"]*\"|'[^']*')")
INCLUDE = re.compile(r"\{% include .*?%\}", re.DOTALL)
GIVEN = re.compile(r"\b([\w-]+)=(\"[^\"]*\"|'[^']*')")
WORD = re.compile(r"[A-Za-z]{2,}")
READ = {  # attributes of HTML, then those of our components
    *("alt", "title", "aria-label", "aria-description", "placeholder", "data-label", "data-said", "data-words"),
    *("label", "lead", "words", "before", "after", "says", "text", "what", "help", "act", "name-of"),
}
NAMES = re.compile(
    r"\b(?:Keydesk|LiteLLM|SCIM|UTC|USD|TTL|CSV|JSON|FOCUS|HMAC|SHA-?256|URL|API|OIDC|GitHub|POST|GET|TPM|RPM|ID)\b"
)


def unmarked(template: str) -> list[tuple[int, str]]:
    """Line and text of each; what is inside `<code>`, `<pre>`, `<script>` and `translate="no"` is no language."""
    bare = COMMENT.sub(_lines, template)
    found = [(bare.count("\n", 0, hit.start()) + 1, hit[1].strip("\"'")) for hit in IN_FILTER.finditer(bare)]
    for tag in INCLUDE.finditer(bare):
        given = [value.strip("\"'") for name, value in GIVEN.findall(tag[0]) if name in READ and name != "act"]
        found += [(bare.count("\n", 0, tag.start()) + 1, words) for words in given]
    reader = _Reader()
    reader.feed(TAG.sub(_lines, MARKED.sub(_lines, bare)))
    reader.close()
    return sorted((line, words) for line, words in [*found, *reader.found] if WORD.search(NAMES.sub("", words)))


def _lines(hit: re.Match[str]) -> str:
    return "\x00" + "\n" * hit[0].count("\n")


class _Reader(HTMLParser):
    VOID = frozenset({"br", "hr", "img", "input", "link", "meta", "line", "circle", "path", "rect"})

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[int, str]] = []
        self.silent: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._read(tag, attrs)
        quiet = tag in {"code", "pre", "script", "style"} or ("translate", "no") in attrs
        if tag not in self.VOID and (quiet or self.silent):
            self.silent.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._read(tag, attrs)

    def _read(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        ours = tag.startswith("c-") and tag != "c-vars"
        for name, value in [*attrs] if ours else attrs:
            if name in READ and value and not (name == "label" and not ours):
                self._note(value)

    def handle_endtag(self, tag: str) -> None:
        if self.silent and tag == self.silent[-1]:
            self.silent.pop()

    def handle_data(self, data: str) -> None:
        if not self.silent:
            self._note(data)

    def _note(self, words: str) -> None:
        lines = list(_texts(words))
        self.found += [(self.getpos()[0] + offset, text) for offset, text in lines]


def _texts(words: str) -> Iterator[tuple[int, str]]:
    for offset, line in enumerate(words.split("\n")):
        for text in line.split("\x00"):
            if WORD.search(text):
                yield offset, " ".join(text.split())
