"""Monthly statements: frozen once a month has settled, corrected on the next one, equal to the ledger to its end."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from keys import tasks
from keys.models import Lease, Statement, StatementLine
from keys.services import focus, leases, statements
from portal.errors import NotAllowed
from portal.models import AuditEvent
from portal.sheets import lines as as_csv
from teams.services import change_team
from tests.keys.statement_rows import ledger_of, row, stated

pytestmark = pytest.mark.django_db
OCTOBER, NOVEMBER, DECEMBER = date(2026, 10, 1), date(2026, 11, 1), date(2026, 12, 1)
SETTLED = datetime(2026, 11, 4, tzinfo=UTC)  # three days after October


@pytest.fixture
def october(sandbox, make_key, alice, bob):
    """Two keys that spent something in October, and one of them in November too."""
    mine, his = make_key(name="laptop").lease, make_key(holder=bob, name="batch").lease
    row(mine, date(2026, 10, 3), "1.250000001")
    row(mine, date(2026, 10, 31), "0.75")
    row(mine, date(2026, 10, 31), "0.1", model="gpt-4o-mini")
    row(his, date(2026, 10, 9), "40")
    row(mine, NOVEMBER, "7")
    return mine, his


def close(at: datetime) -> int:
    return statements.close_due(at)


def test_a_month_is_closed_once_it_has_settled_and_not_a_second_before(october, team):
    assert close(SETTLED - timedelta(seconds=1)) == 0
    assert close(SETTLED) == 1
    assert close(SETTLED + timedelta(hours=1)) == 0
    statement = Statement.objects.get()
    assert (statement.month, statement.total, str(statement)) == (
        OCTOBER, Decimal("42.100000001"), "Search Platform, October 2026",
    )  # fmt: skip
    event = AuditEvent.objects.get(action="statement.closed")
    assert (event.actor_kind, event.team_id, event.facts["corrections"]) == ("system", str(team.pk), 0)


def test_the_sweep_closes_what_is_due(october):
    counts = tasks.close_statements()
    assert counts == {"closed": Statement.objects.count()}


def test_how_long_a_month_settles_is_a_setting(october, settings):
    settings.STATEMENT_AFTER = timedelta(days=10)
    assert close(SETTLED) == 0
    assert close(SETTLED + timedelta(days=7)) == 1


def test_there_is_a_line_for_each_holder_key_and_model(october, team):
    close(SETTLED)
    found = StatementLine.objects.values_list("holder_name", "key_alias", "model", "spend", "requests")
    mine, his = october
    assert list(found) == [
        ("Alice", mine.alias, "gpt-4o", Decimal("2.000000001"), 6),
        ("Alice", mine.alias, "gpt-4o-mini", Decimal("0.1"), 3),
        ("Bob", his.alias, "gpt-4o", Decimal(40), 3),
    ]


def test_a_rotation_splits_no_line(october, alice):
    mine, _ = october
    first = mine.current
    leases.rotate(mine, by=alice)
    mine = Lease.objects.get(pk=mine.pk)
    row(mine, date(2026, 10, 20), "3", version=mine.current)
    assert mine.current != first
    close(SETTLED)
    assert StatementLine.objects.get(lease=mine, model="gpt-4o").spend == Decimal("5.000000001")


def test_names_stay_as_they_were_in_the_rows(october, team, alice, ruth):
    change_team(team, cost_centre="CC-100", by=ruth)
    close(SETTLED)
    alice.name = "Alice Abel"
    alice.save()
    change_team(team, name="Search", cost_centre="CC-200", by=ruth)
    statement = Statement.objects.get()
    assert (statement.team_name, statement.cost_centre) == ("Search Platform", "CC-100")
    assert set(statement.lines.values_list("holder_name", flat=True)) == {"Alice", "Bob"}


def test_what_changes_in_a_closed_month_is_a_dated_line_of_the_next_statement(october, team):
    mine, his = october
    close(SETTLED)
    before = list(Statement.objects.get().lines.values())
    row(mine, date(2026, 10, 31), "0.95", at=datetime(2026, 11, 9, 8, tzinfo=UTC))  # 20 cents more
    row(his, date(2026, 10, 9), "39.5", at=datetime(2026, 11, 10, 8, tzinfo=UTC))  # 50 cents less
    assert statements.pending(team) == Decimal("-0.3")
    assert close(SETTLED + timedelta(days=20)) == 0
    assert list(Statement.objects.get().lines.values()) == before
    assert close(datetime(2026, 12, 4, tzinfo=UTC)) == 1
    assert list(Statement.objects.get(month=OCTOBER).lines.values()) == before
    told = Statement.objects.get(month=NOVEMBER)
    corrections = told.lines.filter(noted_on__isnull=False)
    assert list(corrections.values_list("of_month", "noted_on", "holder_name", "spend")) == [
        (OCTOBER, date(2026, 11, 9), "Alice", Decimal("0.2")),
        (OCTOBER, date(2026, 11, 10), "Bob", Decimal("-0.5")),
    ]
    assert told.total == Decimal("6.7")
    assert statements.pending(team) == 0


def test_a_correction_is_corrected_in_its_turn_and_only_once(october, team):
    mine, _ = october
    close(SETTLED)
    row(mine, date(2026, 10, 3), "2.250000001", at=datetime(2026, 11, 9, tzinfo=UTC))
    close(datetime(2026, 12, 4, tzinfo=UTC))
    row(mine, date(2026, 10, 3), "2", at=datetime(2026, 12, 9, tzinfo=UTC))
    close(datetime(2027, 1, 4, tzinfo=UTC))
    last = Statement.objects.get(month=DECEMBER)
    assert list(last.lines.values_list("of_month", "spend")) == [(OCTOBER, Decimal("-0.250000001"))]
    assert close(datetime(2027, 2, 4, tzinfo=UTC)) == 0  # nothing spent, nothing changed: nothing to state


def test_statements_add_up_to_the_ledger_whatever_happened(october, team, make_key):
    mine, his = october
    late = make_key(name="late").lease
    days = [date(2026, month, day) for month in (8, 9, 10, 11, 12) for day in (1, 15, 28)]
    for number, day in enumerate(days):
        row(mine, day, f"{number}.{number:09}")
    for year, month in ((2026, 10), (2026, 11), (2026, 12), (2027, 1), (2027, 2)):
        close(datetime(year, month, 4, tzinfo=UTC))
        at = datetime(year, month, 20, tzinfo=UTC)
        row(late, date(2026, 9, month), f"0.{month:09}", at=at)  # a key that nobody knew of
        row(his, date(2026, 10, 9), f"4{month}.000000007", at=at)  # a row that grows
        row(mine, days[month % 6], "0.5", model="o1", at=at)
    close(datetime(2027, 3, 4, tzinfo=UTC))
    assert stated(team) == ledger_of(team, date(2027, 3, 1))
    assert stated(team) == sum(Statement.objects.values_list("total", flat=True))
    assert stated(team, noted_on__isnull=False) != 0
    assert statements.pending(team) == 0


def test_months_before_the_first_statement_are_closed_in_their_order(october, team):
    mine, _ = october
    row(mine, date(2026, 8, 2), "5")
    assert close(SETTLED) == 2
    assert list(Statement.objects.order_by("month").values_list("month", "total")) == [
        (date(2026, 8, 1), Decimal(5)), (OCTOBER, Decimal("42.100000001")),
    ]  # fmt: skip
    assert not StatementLine.objects.filter(noted_on__isnull=False).exists()


def test_a_row_for_a_month_without_a_statement_comes_on_the_next_one(october, team):
    mine, _ = october
    close(SETTLED)
    row(mine, date(2026, 8, 2), "5", at=SETTLED)
    close(datetime(2026, 12, 4, tzinfo=UTC))
    line = StatementLine.objects.get(of_month=date(2026, 8, 1))
    assert (line.statement.month, line.is_correction, line.spend) == (NOVEMBER, True, Decimal(5))


def test_how_much_there_is_changes_no_number_of_questions(october, team, django_assert_num_queries):
    mine, his = october

    def asked(month: date, at: datetime) -> int:
        from django.db import connection
        from django.test.utils import CaptureQueriesContext

        with CaptureQueriesContext(connection) as few:
            close(at)
        return len(few)

    few = asked(OCTOBER, SETTLED)
    for day in range(1, 29):
        for model in ("a", "b", "c"):
            row(mine, date(2026, 11, day), "1", model=model)
            row(his, date(2026, 10, day), "1", model=model)
    assert asked(NOVEMBER, datetime(2026, 12, 4, tzinfo=UTC)) <= few + 1


def table_of(rows):
    return list(csv.DictReader(io.StringIO("".join(as_csv(focus.COLUMNS, rows)))))


def test_the_focus_export_has_what_focus_asks_for_and_adds_up(october, team, ines, ruth):
    change_team(team, cost_centre="CC-100", by=ruth)
    mine, his = october
    close(SETTLED)
    row(his, date(2026, 10, 9), "39.5", at=datetime(2026, 11, 10, tzinfo=UTC))
    close(datetime(2026, 12, 4, tzinfo=UTC))
    found = list(Statement.objects.order_by("month"))
    told = table_of(focus.rows(statements.export(found, kind="focus", by=ines)))
    assert set(focus.MANDATORY) <= set(told[0])
    assert len(focus.MANDATORY) == 21
    nullable = {"ChargeClass"}
    assert not [name for each in told for name in set(focus.MANDATORY) - nullable if each[name] == ""]
    for cost in ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost"):
        assert sum(Decimal(each[cost]) for each in told) == sum(each.total for each in found)
    first, last = told[0], told[-1]
    assert {"ChargeCategory": "Usage", "ChargeClass": "", "BillingCurrency": "USD"}.items() <= first.items()
    assert (first["BillingPeriodStart"], first["BillingPeriodEnd"]) == ("2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z")
    assert (first["ResourceId"], first["SubAccountId"]) == (str(mine.pk), str(team.pk))
    assert json.loads(first["Tags"]) == {"cost_centre": "CC-100", "key_role": "coding", "holder": "Alice"}
    assert first["ServiceCategory"] == "AI and Machine Learning"
    correction = next(each for each in told if each["ChargeClass"])
    assert (correction["ChargeClass"], correction["ChargeCategory"], correction["BilledCost"]) == (
        "Correction", "Usage", "-0.50",
    )  # fmt: skip
    assert correction["ChargePeriodStart"] == "2026-10-01T00:00:00Z"
    assert correction["BillingPeriodStart"] == "2026-11-01T00:00:00Z"
    assert last["ChargePeriodEnd"] == "2026-12-01T00:00:00Z"
    assert AuditEvent.objects.filter(action="statement.exported", facts__kind="focus").count() == 2


def test_who_may_not_see_reports_exports_none(october, alice, bob):
    close(SETTLED)
    for who in (alice, bob):
        with pytest.raises(NotAllowed):
            statements.export(Statement.objects.all(), kind="csv", by=who)
    assert not AuditEvent.objects.filter(action="statement.exported").exists()
