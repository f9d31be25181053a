"""docs/parity.md: a tick is a test that exists."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROW = re.compile(r"^\| ([ABC]\d+) \|.*\| (✓?) ?\| (?:`(?P<file>tests/[\w/]+\.py)::(?P<test>test_\w+)`)?", re.M)


def test_every_row_of_the_three_systems_is_there_once():
    rows = [found[1] for found in ROW.finditer((ROOT / "docs/parity.md").read_text())]
    wanted = [f"{system}{n}" for system, last in (("A", 37), ("B", 22), ("C", 30)) for n in range(1, last + 1)]
    assert rows == wanted


def test_every_tick_names_a_test_that_exists():
    for row in ROW.finditer((ROOT / "docs/parity.md").read_text()):
        if row[2]:
            assert row["file"], f"{row[1]} is ticked without a test"
            assert f"def {row['test']}(" in (ROOT / row["file"]).read_text(), f"{row[1]}: {row['test']} is not there"
