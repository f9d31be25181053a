"""The sweeps' records: what ran, when, with which end; and one at a time where need be."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.conf import settings as real
from django.db import DatabaseError, connection
from django.utils import timezone

from portal import sweeps
from portal.celery import app
from portal.models import Sweep
from tests.portal.sweeping import DAY, Killed, daily, killed, plain, row, schedule, seen, single, work  # noqa: F401
from tests.threads import together

# --- what is kept ---------------------------------------------------------------------------------


def test_a_run_leaves_when_it_was_how_long_it_took_and_what_it_counted(db):
    before = timezone.now()
    assert plain() == {"kept": 3}
    kept = seen()
    assert before <= kept.started_at <= kept.succeeded_at <= kept.finished_at <= timezone.now()
    assert 0 <= kept.seconds < 5
    assert (kept.counts, kept.error, kept.failures, kept.running_since) == ({"kept": 3}, "", 0, None)
    assert kept.due_at == kept.started_at + timedelta(seconds=20)
    assert sweeps.last_succeeded("plain") == kept.succeeded_at
    assert sweeps.last_succeeded("never heard of") is None


@pytest.mark.parametrize(("told", "kept"), [(7, {"done": 7}), (None, {}), ({"a": 1, "b": 0}, {"a": 1, "b": 0})])
def test_a_sweep_may_return_a_number_or_named_ones_or_nothing(db, told, kept):
    work[:] = [lambda: told]
    plain()
    assert row().counts == kept


def test_a_failed_run_is_kept_without_its_secrets_and_raised_again(db):
    plain()
    good = row()

    def fail() -> None:
        raise ValueError(f"cannot use\nsk-abcdefghijklmnop\0\udc80 {'x' * 1000}")

    work[:] = [fail]
    for _ in range(2):
        with pytest.raises(ValueError, match="cannot use"):
            plain()
    kept = row()
    assert kept.error.startswith("ValueError: cannot use [hidden]? xx")
    assert len(kept.error) <= 300
    assert (kept.failures, kept.running_since, kept.counts) == (2, None, {"kept": 3})
    assert (kept.succeeded_at, kept.finished_at > good.finished_at) == (good.succeeded_at, True)

    work[:] = [lambda: 1]
    plain()
    assert (row().error, row().failures) == ("", 0)


def test_celery_writes_the_traceback_of_a_failed_run_once(db, caplog):
    def fail() -> None:
        raise ValueError("what went wrong")

    work[:] = [fail]
    plain.apply()
    told = [record for record in caplog.records if record.exc_info]
    assert [(record.levelname, "what went wrong" in record.exc_text) for record in told] == [("ERROR", True)]


@pytest.mark.parametrize("trouble", [DatabaseError("away"), TypeError("not ours")])
def test_the_work_is_done_even_where_its_record_cannot_be_written(db, monkeypatch, trouble):
    class Broken:
        @property
        def objects(self) -> Any:
            raise trouble

    done: list[int] = []
    work[:] = [lambda: done.append(1)]
    monkeypatch.setattr(sweeps, "Sweep", Broken())
    plain()
    assert done == [1]


def test_what_must_be_alone_does_not_run_where_that_cannot_be_claimed(db, monkeypatch):
    def away(*_: Any, **__: Any) -> bool:
        raise DatabaseError

    done: list[int] = []
    work[:] = [lambda: done.append(1)]
    monkeypatch.setattr(sweeps, "_begin", away)
    with pytest.raises(DatabaseError):
        single()
    assert done == []


@pytest.mark.django_db(transaction=True)
def test_no_transaction_is_held_while_a_sweep_runs():
    held: list[Any] = []

    def look() -> None:
        held.append(connection.in_atomic_block)
        held.extend(together(lambda: Sweep.objects.create(name="another writer").name))

    work[:] = [look]
    single()
    assert held == [False, "another writer"]


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_run_whose_connection_was_cut_is_recorded_by_another_one():
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no connection to cut: set DATABASE_URL")

    def cut() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    work[:] = [cut]
    with pytest.raises(DatabaseError):
        single()
    assert row("single").failures == 1
    assert row("single").running_since is None


def test_each_run_costs_two_writes(db, django_assert_num_queries):
    for task in (plain, single):
        task()
        with django_assert_num_queries(2):
            task()


# --- one at a time --------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("known", [False, True])
def test_of_many_hosts_one_runs_what_must_be_alone(known):
    if known:
        Sweep.objects.create(name="single")
    others, all_gone, turned_away, runs = 5, threading.Event(), [], []

    def hold() -> int:
        runs.append(1)
        assert all_gone.wait(20)
        return 1

    def host() -> Any:
        answer = single()
        if answer is None:
            turned_away.append(1)
            if len(turned_away) == others:
                all_gone.set()
        return answer

    work[:] = [hold]
    assert [each for each in together(*[host] * (others + 1)) if each] == [{"done": 1}]
    assert len(runs) == 1
    assert row("single").running_since is None
    assert single() == {"done": 1}  # the next may run


@pytest.mark.django_db(transaction=True)
def test_others_run_together_and_the_last_note_stays():
    both = threading.Barrier(2, timeout=20)
    work[:] = [lambda: both.wait() * 0]
    assert together(plain, plain) == [{"done": 0}] * 2
    assert Sweep.objects.filter(name="plain").count() == 1


def test_a_killed_run_holds_its_claim_until_it_cannot_live_any_more(db):
    work[:] = [killed]
    with time_machine.travel("2026-03-01 12:00Z", tick=False) as clock:
        with pytest.raises(Killed):
            single()
        assert seen("single").running_since == timezone.now()
        work[:] = [lambda: 1]
        clock.shift(real.CELERY_TASK_TIME_LIMIT - 1)
        assert single() is None
        clock.shift(1)
        assert seen("single").running_since is None
        assert single() == {"done": 1}
        assert row("single").running_since is None


def test_a_run_that_was_given_up_for_dead_leaves_its_successors_claim_alone(db):
    successor = timezone.now() + timedelta(minutes=11)
    work[:] = [lambda: Sweep.objects.filter(name="single").update(running_since=successor)]
    assert single() == {"done": 1}
    assert row("single").running_since == successor


# --- rare ones ------------------------------------------------------------------------------------


def test_a_daily_sweep_runs_once_a_day_however_often_it_is_offered_and_beat_restarts(db):
    ran: list[float] = []
    with time_machine.travel("2026-03-01 12:00Z", tick=False) as clock:
        start = timezone.now()
        work[:] = [lambda: ran.append((timezone.now() - start).total_seconds())]
        for _ in range(3 * 288):  # each five minutes, for three days
            clock.shift(300)
            daily()
    assert ran == [300, 300 + DAY, 300 + 2 * DAY]


def test_a_daily_sweep_that_failed_is_due_again_at_once(db):
    def fail() -> None:
        raise ValueError("no luck")

    work[:] = [fail]
    with pytest.raises(ValueError, match="no luck"):
        daily()
    assert seen("daily").due_at == row("daily").started_at + timedelta(seconds=300)
    work[:] = [lambda: 1]
    assert daily() == {"done": 1}
    assert daily() is None
    assert seen("daily").due_at == row("daily").started_at + timedelta(days=1)


@pytest.mark.django_db(transaction=True)
def test_a_daily_sweep_offered_to_many_hosts_runs_on_one():
    work[:] = [lambda: 1]
    assert [each for each in together(*[daily] * 6) if each] == [{"done": 1}]


def test_beat_offers_every_sweep_and_a_late_message_is_worth_nothing():
    app.loader.import_default_modules()
    ours = {name for name in app.tasks if name.split(".")[0] in {"portal", "teams", "keys"}}
    tasks: dict[str, Any] = {str(entry["task"]): entry for entry in real.CELERY_BEAT_SCHEDULE.values()}
    assert {name for name in tasks if name not in ours} == set(), "scheduled, but no such task"
    assert ours - set(tasks) == set(), "a task that nothing schedules: add it to settings.SWEEPS"
    names = [name.rpartition(".")[2] for name in ours]
    assert len(set(names)) == len(names), "two sweeps of one name share a row"
    for entry in tasks.values():
        assert entry["schedule"] == entry["options"]["expires"] <= real.SWEEPS_OFFERED_EVERY
