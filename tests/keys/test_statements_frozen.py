"""A closed statement stays as it is: the database says so, two workers make one, and late books are waited for."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from importlib import import_module
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.db import DatabaseError, connection, transaction

from keys.frozen import STATEMENTS
from keys.models import Gateway, Lease, Statement, StatementLine
from keys.services import statements
from portal import append_only
from portal.management.commands import doctor
from tests.keys.statement_rows import ledger_of, row, stated
from tests.threads import together

pytestmark = pytest.mark.django_db
SETTLED = datetime(2026, 11, 4, tzinfo=UTC)


@pytest.fixture
def key(sandbox, make_key):
    lease = make_key(name="laptop").lease
    Lease.objects.update(issued_at=datetime(2026, 10, 1, tzinfo=UTC))
    return lease


@pytest.fixture
def closed(key) -> Statement:
    row(key, date(2026, 10, 3), "1.25")
    assert statements.close_due(SETTLED) == 1
    return Statement.objects.get()


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE keys_statement SET total = 0",
        "UPDATE keys_statement SET cost_centre = 'mine'",
        "UPDATE keys_statementline SET spend = 0",
        "DELETE FROM keys_statementline",
        "DELETE FROM keys_statement",
    ],
)
def test_the_database_refuses_to_change_a_closed_statement(closed, sql):
    with pytest.raises(DatabaseError, match="never changes"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql)
    assert stated(closed.team) == closed.total == Decimal("1.25")


def test_a_closed_statement_takes_no_line_more(closed):
    line = closed.lines.get()
    line.pk = None
    with pytest.raises(DatabaseError, match="never changes"), transaction.atomic():
        line.save()
    assert StatementLine.objects.count() == 1


def test_the_triggers_come_with_the_migration_and_go_with_it():
    assert append_only.missing(connection, STATEMENTS) == []
    frozen = import_module("keys.migrations.0008_statements_are_frozen")
    editor = SimpleNamespace(connection=connection)
    frozen.take_down(apps, editor)
    assert "keys_statementline_no_insert" in append_only.missing(connection, STATEMENTS)
    assert any("closed statements" in each.said and each.do for each in doctor.database())
    frozen.put_up(apps, editor)
    assert append_only.missing(connection, STATEMENTS) == []


@pytest.mark.django_db(transaction=True)
def test_workers_that_close_at_once_make_one_statement(key):
    row(key, date(2026, 10, 3), "1.25")
    assert sum(together(*[lambda: statements.close_due(SETTLED)] * 4)) == 1
    assert stated(key.team) == Statement.objects.get().total


def test_a_month_waits_for_books_that_were_not_read_since_it_ended_but_not_for_ever(key):
    row(key, date(2026, 10, 3), "1.25")
    Gateway.objects.update(spend_synced_at=datetime(2026, 10, 31, 23, 55, tzinfo=UTC))
    assert statements.close_due(SETTLED) == 0
    row(key, date(2026, 10, 31), "2")
    Gateway.objects.update(spend_synced_at=datetime(2026, 11, 1, tzinfo=UTC))
    assert statements.close_due(SETTLED) == 1
    assert Statement.objects.get().total == Decimal("3.25")


def test_a_gateway_that_never_answers_again_holds_a_month_up_for_two_weeks(key):
    row(key, date(2026, 10, 3), "1.25")
    Gateway.objects.update(spend_synced_at=datetime(2026, 10, 5, tzinfo=UTC))
    assert statements.close_due(SETTLED + timedelta(days=10)) == 0
    assert statements.close_due(SETTLED + timedelta(days=11)) == 1


@pytest.mark.parametrize("scale", ["0.00000001", "1", "1000000"])
def test_lines_total_and_ledger_agree_whatever_the_size_and_nothing_is_corrected_that_did_not_change(key, team, scale):
    seeded = random.Random(7)
    for month in (8, 9, 10):
        for day in range(1, 29):
            amount = Decimal(seeded.randrange(1, 10**9)) / 10**9 * Decimal(scale)
            row(key, date(2026, month, day), f"{amount:.9f}")
    statements.close_due(SETTLED)
    row(key, date(2026, 10, 7), f"{Decimal('0.123456789') * Decimal(scale):.9f}", at=SETTLED)
    statements.close_due(datetime(2026, 12, 4, tzinfo=UTC))
    assert statements.pending(team) == 0
    assert statements.close_due(datetime(2027, 1, 4, tzinfo=UTC)) == 0
    assert stated(team) == sum(Statement.objects.values_list("total", flat=True), Decimal(0))
    assert abs(stated(team) - ledger_of(team, date(2026, 11, 1))) <= Decimal("0.0000001")
