"""Who notices when a sweep does not run."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.conf import settings as real
from django.core.management import call_command
from django.db import DatabaseError
from django.utils import timezone

from portal import sweeps
from portal.management.commands import doctor
from portal.models import Sweep
from tests.ground.processes import ask, eventually, manage, portal
from tests.portal.sweeping import DAY, Killed, killed, plain, schedule, seen, single, work  # noqa: F401
from tests.threads import together

# --- who notices ----------------------------------------------------------------------------------


def test_nothing_is_late_on_a_new_installation_until_it_was_waited_for(db):
    with time_machine.travel("2026-03-01 12:00Z", tick=False) as clock:
        assert sweeps.late() == []
        clock.shift(120)
        assert sweeps.late() == []
        clock.shift(1)
        assert sweeps.late() == ["plain", "single"]
        clock.shift(3 * DAY)
        assert sweeps.late() == ["plain", "single", "daily"]
    assert [each.name for each in sweeps.status()] == ["plain", "single", "daily"]
    assert Sweep.objects.count() == 3


def test_a_sweep_that_ends_badly_each_time_is_late_as_one_that_does_not_run(db):
    with time_machine.travel("2026-03-01 12:00Z", tick=False) as clock:
        plain(), single()
        clock.shift(121)
        single()
        work[:] = [killed]
        with pytest.raises(Killed):
            plain()
        assert sweeps.late() == ["plain"]
        work[:] = [lambda: 1]
        plain()
        assert sweeps.late() == []


def test_a_long_run_that_began_in_time_is_not_late_until_it_cannot_live_any_more(db):
    with time_machine.travel("2026-03-01 12:00Z", tick=False) as clock:
        single(), plain()
        clock.shift(20)
        work[:] = [killed]
        with pytest.raises(Killed):
            single()
        clock.shift(real.CELERY_TASK_TIME_LIMIT - 1)
        assert sweeps.late() == ["plain"]
        clock.shift(1)
        assert sweeps.late() == ["plain", "single"]


def test_a_sweep_that_is_killed_in_each_run_is_late_though_it_always_seems_to_run(db):
    with time_machine.travel("2026-03-01 12:00Z", tick=False) as clock:
        plain(), single()
        work[:] = [killed]
        for _ in range(7):
            clock.shift(20)
            with pytest.raises(Killed):
                plain()
        assert seen().running_since == timezone.now()
        assert "plain" in sweeps.late()


@pytest.mark.django_db(transaction=True)
def test_many_may_look_for_the_first_time_at_once():
    assert together(*[sweeps.late] * 6) == [[]] * 6
    assert Sweep.objects.count() == 3


def test_health_names_a_late_sweep_and_leaves_the_host_in_service(db, client):
    assert client.get("/healthz").json()["sweeps"] == "ok"
    with time_machine.travel(timezone.now() + timedelta(minutes=5)):
        answer = client.get("/healthz")
    assert answer.status_code == 200
    assert answer.json()["status"] == "ok"
    assert answer.json()["sweeps"] == "late: plain, single"


def test_health_is_told_where_the_table_is_not_there_yet(db, client, monkeypatch):
    def no_table() -> list[str]:
        raise DatabaseError

    monkeypatch.setattr(sweeps, "late", no_table)
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()["sweeps"]) == (200, "unknown")


def test_the_doctor_reports_what_is_late_and_what_fails(db):
    assert [each.do for each in doctor.sweep_rows()] == [""]

    def fail() -> None:
        raise ValueError("no such gateway")

    work[:] = [fail]
    with pytest.raises(ValueError, match="no such gateway"):
        single()
    with time_machine.travel(timezone.now() + timedelta(minutes=5)):
        found = list(doctor.sweep_rows())
    assert [bool(each.do) for each in found] == [True, True, False]
    assert "plain: last well never" in found[0].said
    assert "single: failed 1x" in found[1].said
    assert "no such gateway" in found[1].said
    assert found[2].said == "1 on time"


LOOK = """
from portal import sweeps
from portal.models import Letter
often = [each for each in sweeps.status() if each.every < 1]
print(len(often) > 2 and all(each.succeeded_at for each in often), Letter.objects.filter(sent_at=None).count())
"""
POST = "from portal import mail; print(mail.departures_held(['bea@example.com'], 'now'))"


@pytest.mark.apart
def test_the_one_web_process_runs_and_records_all_sweeps_and_sends_the_letters(tmp_path):
    with portal(tmp_path, KEYDESK_SWEEP_EVERY="0.5") as (process, port, env):
        manage("shell", "--no-imports", "-c", POST, env=env)
        said = lambda: manage("shell", "--no-imports", "-c", LOOK, env=env).stdout.strip()  # noqa: E731
        eventually(lambda: said() == "True 0", "each frequent sweep has run well, and the letter is sent")
        assert "Subject: Keydesk: many people lost their access at once" in process.said
        assert (ask(port) or {})["sweeps"] == "ok"


def test_the_migrations_are_those_of_the_models(db):
    call_command("makemigrations", "portal", check=True, dry_run=True, verbosity=0)
