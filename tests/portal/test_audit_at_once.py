"""Many processes write the trail at once, and more than one host seals it; the chain holds all of it, once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.ground.conftest import database
from tests.ground.processes import ROOT, apart, manage, new_secrets

__all__ = ["database"]

PROCESSES, EACH = 8, 250
WRITE = f"""
import sys, django
django.setup()
from django.db import transaction
from portal import audit
from portal.audit import sealing
from portal.models import Installation
from teams.access import SYSTEM
place = Installation.objects.get_or_create(pk=1)[0]
for number in range({EACH}):
    with transaction.atomic():
        audit.record("tried.at_once", place, by=SYSTEM, process=sys.argv[1], number=number)
        if number % 50 == 7:
            transaction.set_rollback(True)  # an act that did not happen: its number stays free
    if number % 50 == 49 and int(sys.argv[1]) < 3:
        sealing.seal()  # three hosts seal meanwhile
"""
TURNED_BACK = PROCESSES * EACH // 50


def together(env: dict[str, str]) -> None:
    environment = env | {"DJANGO_SETTINGS_MODULE": "portal.settings", "KEYDESK_LOG_LEVEL": "WARNING"}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", WRITE, str(number)], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
        )
        for number in range(PROCESSES)
    ]
    for each in running:
        _, trouble = each.communicate(timeout=240)
        assert each.returncode == 0, trouble


def prove(env: dict[str, str]) -> None:
    manage("migrate", "--verbosity=0", env=env)
    together(env)
    done = manage("audit_verify", env=env)
    assert f"count    {PROCESSES * EACH - TURNED_BACK}" in done.stdout
    assert done.stdout.rstrip().endswith("Proved.")


@pytest.mark.apart
def test_eight_processes_write_two_thousand_acts_at_once_and_the_chain_verifies(tmp_path: Path):
    env = apart(tmp_path)
    prove(env)
    break_a_byte = (
        "from django.db import connection; from portal import append_only; append_only.take_down(connection);"
        "c = connection.cursor(); c.execute(\"UPDATE portal_auditevent SET actor = 'Keydesl' WHERE id = 1000\");"
        "append_only.put_up(connection)"
    )
    manage("shell", "--command", break_a_byte, env=env)
    done = manage("audit_verify", env=env, code=1)
    found = [line for line in done.stdout.splitlines() if line.startswith("!!")]
    assert len(found) == 1
    assert "event 1000 (seal " in found[0]
    assert ", tried.at_once at 2" in found[0]


@pytest.mark.postgres
def test_and_on_postgresql(tmp_path: Path, database: str):
    prove(apart(tmp_path, DATABASE_URL=database, **new_secrets()))
