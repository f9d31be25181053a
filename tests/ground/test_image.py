"""The Dockerfile, as far as it can be seen without Docker: what it copies is there, and its own commands work."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

from portal.management import first_start
from tests.ground.processes import ROOT, apart

DOCKERFILE = (ROOT / "Dockerfile").read_text()
COPIED = [found.split()[0] for found in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.M)]


def test_what_the_image_copies_is_there_and_reaches_it():
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert set(COPIED) == let_in
    assert [path for path in COPIED if not (ROOT / path).exists()] == []


def test_the_image_runs_as_nobody_special_and_holds_no_secret():
    last = DOCKERFILE.rsplit("\nFROM ", 1)[1]
    assert re.search(r"^USER keydesk$", last, re.M)
    assert "HEALTHCHECK" in last
    assert not re.search(r"(_KEYS?|PASSWORD)=", DOCKERFILE)


def test_static_files_can_be_made_from_what_the_image_copies(tmp_path):
    app = tmp_path / "app"
    for path in COPIED:
        if (ROOT / path).is_dir():
            shutil.copytree(ROOT / path, app / path, ignore=shutil.ignore_patterns("__pycache__"))
        elif path.endswith(".py"):
            shutil.copy(ROOT / path, app)
        app.mkdir(exist_ok=True)
    command = re.search(
        r"^RUN KEYDESK_STATIC_ROOT=\S+ KEYDESK_DATA_DIR=\S+ python -c (\"(?:.|\n)+?\")$", DOCKERFILE, re.M
    )
    assert command
    env = apart(tmp_path / "build", DJANGO_SETTINGS_MODULE="portal.settings", KEYDESK_STATIC_ROOT=str(app / "static"))
    subprocess.run(["sh", "-c", f'"{sys.executable}" -c {command[1]}'], cwd=app, env=env, check=True, timeout=60)
    assert (app / "static" / "staticfiles.json").exists()
    assert not list(app.rglob("*.key*"))


def test_static_files_are_collected_again_only_when_they_have_changed(settings, tmp_path, monkeypatch):
    settings.STATIC_ROOT = tmp_path
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"}
    }
    collected: list[str] = []
    monkeypatch.setattr(first_start, "call_command", lambda name, **how: collected.append(name))
    first_start.collect_static()
    first_start.collect_static()
    assert collected == ["collectstatic"]
    (tmp_path / first_start.STAMP).write_text("of an older version")
    first_start.collect_static()
    assert collected == ["collectstatic"] * 2
