"""Words: every one is marked, collected and translated, and what runs is what translators wrote."""

from __future__ import annotations

import ast
import gettext
import re
import shutil
import subprocess
import sys
from typing import Any

import pytest

from portal.nouns import NOUNS
from tests.ground.catalogue import entries_of
from tests.ground.processes import ROOT
from tests.ground.unmarked import unmarked

GERMAN = ROOT / "locale/de/LC_MESSAGES"
SOURCES = ("portal", "teams", "keys", "templates", "locale", "manage.py")
NO_WORDS = {'hx-history="false"', "danger,warn", "restore", "adopt", "revoke"}  # attributes and values, not language
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|(?<![{%])\{\w+\}")
COUNTED = re.compile(r"""\|count:"([^"]+)"|\bcount\([^\n]+?, ["']([a-zA-Z ,]+)["']\)""")
TRANSLATES = re.compile(r"(n|p|np)?gettext(_lazy|_noop)?\Z|_\Z")
KEPT = re.compile(r"\A\n*|\n*\Z")


def test_every_message_has_its_german():
    entries = entries_of(GERMAN / "django.po")
    assert len(entries) > 2000
    assert [key for key, entry in entries.items() if entry.is_fuzzy or not all(entry.said)] == []


def test_translations_keep_what_is_put_into_them():
    """A form for one may leave the number out; none may name what is not there."""
    wrong = []
    for key, entry in entries_of(GERMAN / "django.po").items():
        asked = set().union(*(PLACEHOLDER.findall(words) for words in entry.asked))
        said = [set(PLACEHOLDER.findall(words)) for words in entry.said]
        if said[-1] != asked or not said[0] <= asked or [KEPT.findall(entry.asked[0])] != [KEPT.findall(entry.said[0])]:
            wrong.append(key)
    assert wrong == []


def test_what_runs_is_what_translators_wrote():
    """`make messages` makes both: a fresh clone has no gettext and is German nevertheless."""
    with (GERMAN / "django.mo").open("rb") as file:
        running = gettext.GNUTranslations(file)._catalog
    written: dict[Any, str] = {}
    for key, entry in entries_of(GERMAN / "django.po").items():
        forms = {(key, number): said for number, said in enumerate(entry.said)}
        written |= forms if "msgid_plural" in entry.words else {key: entry.said[0]}
    assert {key: said for key, said in running.items() if key} == written


@pytest.mark.skipif(not shutil.which("xgettext"), reason="Debian's gettext is not installed")
def test_every_word_is_collected(tmp_path):
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    make = (ROOT / "Makefile").read_text()
    rules = re.findall(r"manage\.py (makemessages .+)", make)[0].partition(" $(NO_WORDS")[0]
    ignored = re.findall(r"NO_WORDS := \$\(VENV\) (.+)", make)[0].replace('"', "").split()
    command = [sys.executable, "manage.py", *rules.split(), *(f"--ignore={name}" for name in ignored)]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    collected = entries_of(tmp_path / "locale/de/LC_MESSAGES/django.po")
    kept = entries_of(GERMAN / "django.po")
    assert sorted(collected.keys() ^ kept.keys()) == [], "make messages"


def test_templates_have_no_words_that_translators_do_not_see():
    found = {
        f"{path.relative_to(ROOT)}:{line}": words
        for path in (ROOT / "templates").rglob("*.html")
        for line, words in unmarked(path.read_text())
        if words not in NO_WORDS
    }
    assert found == {}


def test_unmarked_words_are_found():
    page = """<p>{# not this #}{% translate "Nor this" %}
      Hello <b title="Sir">{{ name|default:"nobody" }}</b><code>ls</code>
      <c-empty title="{% translate 'Fine' %}" lead="Not fine" /></p>
      {% include "a.html" with label="Nor this" help=_("But this") %}"""
    assert unmarked(page) == [(2, "Hello"), (2, "Sir"), (2, "nobody"), (3, "Not fine"), (4, "Nor this")]


def test_whatever_is_counted_has_its_plurals():
    files = [*(ROOT / "templates").rglob("*.html")]
    files += [
        path for room in ("portal", "teams", "keys") for path in (ROOT / room).rglob("*.py") if "demo" not in str(path)
    ]
    counted = {one or other for path in files for one, other in COUNTED.findall(path.read_text())}
    assert len(counted) > 40
    assert counted - NOUNS.keys() == set()


def test_no_word_is_hidden_in_an_f_string():
    """xgettext does not look into them."""
    hidden = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for room in ("portal", "teams", "keys")
        for path in (ROOT / room).rglob("*.py")
        for text in ast.walk(ast.parse(path.read_text()))
        if isinstance(text, ast.JoinedStr)
        for call in ast.walk(text)
        if isinstance(call, ast.Call)
        and TRANSLATES.match(ast.unparse(call.func))
        and isinstance(call.args[0], ast.Constant)
    ]
    assert hidden == []
