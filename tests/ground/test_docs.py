"""What the documents say is so."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from portal.providers import VARIABLES
from tests.ground.processes import ROOT, portal

README = (ROOT / "README.md").read_text()
READ = re.compile(r"""(?:env(?:\.\w+)?|_kept|environ\.get)\(\s*"([A-Z_]+)\"""")


def test_the_table_of_the_readme_names_every_variable_that_is_read_and_no_other():
    sources = [ROOT / "portal" / name for name in ("settings.py", "gunicorn.py", "health.py")]
    read = {name for source in sources for name in READ.findall(source.read_text())} | VARIABLES
    rows = README.split("## Configuration")[1].split("## More")[0]
    told = {name for row in re.findall(r"^\| (`.+?) \|", rows, re.M) for name in re.findall(r"`([A-Z_]+)`", row)}
    assert told == read - {"PYTEST_XDIST_WORKER"}


DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


@pytest.mark.parametrize("file", DOCUMENTS, ids=[str(each.relative_to(ROOT)) for each in DOCUMENTS])
def test_every_link_between_pages_leads_somewhere(file):
    """To a file that exists, and to a heading that it has."""
    for link in re.findall(r"\]\(([^):]+)\)", file.read_text()):
        page, _, heading = link.partition("#")
        there = file.parent / page if page else file
        assert there.exists(), link
        assert not heading or heading in _headings(there), link


def test_the_index_of_the_documents_names_each_of_them():
    index = (ROOT / "docs" / "README.md").read_text()
    assert [each.name for each in ROOT.glob("docs/*.md") if each.name != "README.md" and each.name not in index] == []


def _headings(document: Path) -> set[str]:
    """As GitHub makes anchors of them."""
    titles = re.findall(r"^#+ (.+)$", document.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_first_script_of_the_readme_works_as_it_stands(tmp_path):
    script = re.search(r"runs this block.*?```sh\n(.*?)```", README, re.S)
    assert script
    with portal(tmp_path / "data") as (_, port, env):
        (tmp_path / ".venv" / "bin").mkdir(parents=True)
        python = tmp_path / ".venv" / "bin" / "python"
        python.write_text(f'#!/bin/sh\ncd "{ROOT}" && exec "{sys.executable}" "$@"\n')
        python.chmod(0o755)
        here = (
            script[1].replace("localhost:8000", f"localhost:{port}").replace("rm key.json", "cat key.json; rm key.json")
        )
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", here], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60
        )
    assert done.returncode == 0, done.stderr
    assert '"state":"active"' in done.stdout.replace(" ", "")
    assert re.search(r'"state":"revok(ed|ing)"', done.stdout.replace(" ", ""))
    assert not list(Path(tmp_path).glob("key*"))
