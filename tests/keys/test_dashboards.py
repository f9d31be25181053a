"""What dashboards add up: days and those before them, where a budget leads, keys by state and age, what is promised."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
import time_machine

from keys.models import Counter, Lease, SpendDay, State
from keys.services.dashboards import mine, money, platform
from keys.services.dashboards import team as board
from keys.services.dashboards.spans import Span, presets, this_month
from keys.templatetags import dashboards as say
from teams.models import Team
from tests.keys.statement_rows import row

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
TODAY = NOON.date()
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def at_noon():
    with time_machine.travel(NOON, tick=False):
        yield


@pytest.mark.parametrize(
    ("span", "before", "words"),
    [
        (Span(date(2026, 11, 1), TODAY), Span(date(2026, 10, 1), date(2026, 10, 21)), "1 to 21 Nov"),
        (Span(date(2026, 10, 1), date(2026, 10, 31)), Span(date(2026, 9, 1), date(2026, 9, 30)), "1 to 31 Oct"),
        (Span(date(2026, 3, 1), date(2026, 3, 30)), Span(date(2026, 2, 1), date(2026, 2, 28)), "1 to 30 Mar"),
        (Span(date(2026, 2, 1), date(2026, 2, 28)), Span(date(2026, 1, 1), date(2026, 1, 31)), "1 to 28 Feb"),
        (Span(TODAY, TODAY), Span(date(2026, 11, 20), date(2026, 11, 20)), "21 Nov"),
        (Span(date(2025, 12, 30), date(2026, 1, 2)), Span(date(2025, 12, 26), date(2025, 12, 29)),
         "30 Dec 2025 to 2 Jan"),
    ],
)  # fmt: skip
def test_days_are_compared_with_the_same_days_of_the_month_before_or_as_many_right_before(span, before, words):
    assert (span.before, span.words) == (before, words)


def test_presets_end_today_and_one_is_the_whole_last_month():
    assert [(each.name, each.span.length) for each in presets(TODAY)] == [
        ("This month", 21), ("Last month", 31), ("30 days", 30), ("90 days", 90),
    ]  # fmt: skip


@pytest.fixture
def burning(sandbox, team, make_key):
    """$100 a day on twenty days, of a budget of $2,400 a month: gone on the 25th."""
    lease = make_key().lease
    Team.objects.filter(pk=team.pk).update(max_budget=2400, created_at=NOON - timedelta(days=99))
    for day in range(1, 21):
        row(lease, date(2026, 11, day), "100")
    Counter.objects.create(gateway=lease.gateway, team=team, spend=Decimal(2000), read_at=NOON)
    team.refresh_from_db()
    return lease


def test_a_budget_burns_down_to_where_it_leads(burning, team):
    (purse,) = board.purses(team)
    assert (purse.left, purse.spent, purse.forecast) == (Decimal(400), Decimal(2000), Decimal(2930))
    assert purse.gone_at.date() == date(2026, 11, 25)
    assert say.lasts([purse]) == "The budget lasts until Wednesday 25 November, six days short."
    assert len(purse.burn) == 30
    first, today, last = purse.burn[0], purse.burn[20], purse.burn[-1]
    assert (first.spend, first.left, first.even) == (Decimal(100), Decimal(2300), Decimal(2320))
    assert (today.day, today.left, today.forecast) == (TODAY, Decimal(400), Decimal(400))
    assert (last.left, last.forecast, last.even) == (None, Decimal(0), Decimal(0))
    forecasts = [each.forecast or Decimal(0) for each in purse.burn[20:]]
    assert forecasts == sorted(forecasts, reverse=True)


def test_a_budget_that_holds_is_not_announced_as_short(burning, team):
    Team.objects.update(max_budget=9000)
    team.refresh_from_db()
    (purse,) = board.purses(team)
    assert (purse.over, purse.gone_at, say.lasts([purse])) == (Decimal(0), None, "")
    assert purse.burn[-1].forecast == 9000 - Decimal(2930)


@pytest.mark.parametrize(("window", "drawn"), [("1h", 0), ("1d", 0), ("7d", 7), ("30d", 30), ("1mo", 30), ("", 0)])
def test_only_windows_of_some_days_are_drawn(burning, team, window, drawn):
    Team.objects.update(budget_duration=window)
    team.refresh_from_db()
    assert len(board.purses(team)[0].burn) == drawn


def test_keys_are_counted_by_state_and_age(sandbox, team, make_key, robot):
    old, soon, paused, ended = (make_key(name=name).lease for name in ("old", "soon", "paused", "ended"))
    make_key(name="machine", holder=robot)
    Lease.objects.filter(pk=old.pk).update(issued_at=NOON - timedelta(days=100))
    Lease.objects.filter(pk=soon.pk).update(expires_at=NOON + timedelta(days=2), issued_at=NOON - timedelta(days=10))
    Lease.objects.filter(pk=paused.pk).update(state=State.PAUSED)
    Lease.objects.filter(pk=ended.pk).update(state=State.REVOKED, ended_at=NOON)
    told = board.keys_of(team)
    assert (told.live, told.people, told.machines, told.ended) == (4, 1, 1, 1)
    assert {each.name: each.count for each in told.states if each.count} == {
        "Active": 2, "End within 7 days": 1, "Paused": 1,
    }  # fmt: skip
    assert {each.name: each.count for each in told.ages if each.count} == {
        "Under 7 days": 2, "7 to 30 days": 1, "Over 90 days": 1,
    }  # fmt: skip
    assert [each.width for each in told.states if each.count] == ["50.00%", "25.00%", "25.00%"]


def test_what_is_promised_counts_shorter_windows_as_often_as_they_run(sandbox, team, make_key, make_role):
    monthly, weekly = make_role(), make_role(name="weekly", max_budget=Decimal(7), budget_duration="7d")
    make_key(role=monthly)
    make_key(role=weekly)
    make_key(role=make_role(name="free", max_budget=None, budget_duration=""))
    told = board.keys_of(team)
    assert (told.promised, told.unlimited) == (Decimal(50 + 30), 1)


def test_unused_keys_are_those_nobody_used_for_thirty_days(sandbox, team, bob, make_key):
    idle, fresh, used = (make_key(name=name, holder=bob).lease for name in ("idle", "fresh", "used"))
    Lease.objects.filter(pk__in=[idle.pk, used.pk]).update(issued_at=NOON - timedelta(days=80))
    Lease.objects.filter(pk=used.pk).update(last_used_at=NOON - timedelta(days=29))
    assert list(board.unused(team, bob)) == [idle]
    assert fresh not in board.unused(team, bob)


def test_groups_lay_spend_beside_that_before_and_keep_who_spends_no_more(sandbox, team, bob, make_key):
    hers, his = make_key().lease, make_key(holder=bob).lease
    row(hers, TODAY, "3")
    row(his, date(2026, 10, 3), "4")
    row(his, date(2026, 10, 30), "100")  # not on the same days
    table = money.grouped(SpendDay.objects.filter(team=team), "holder", this_month(TODAY))
    assert [(each.name, each.spend, each.before, say.change(each)) for each in table.rows] == [
        ("Alice", Decimal(3), Decimal(0), "new"), ("Bob", Decimal(0), Decimal(4), f"{say.MINUS}100 %"),
    ]  # fmt: skip
    assert (table.total.spend, table.total.before) == (Decimal(3), Decimal(4))
    assert [each.name for each in table.movers] == ["Bob", "Alice"]
    assert mine.of(bob).spent.before == 4


def test_who_was_renamed_in_the_middle_is_one_row_under_the_name_of_now(sandbox, team, bob, make_key):
    his = make_key(holder=bob).lease
    row(his, date(2026, 11, 2), "4")
    row(his, TODAY, "3", holder_name="Zoe", team_name="Zebra")
    for by, name in (("holder", "Bob"), ("team", "Search Platform")):
        (only,) = money.grouped(SpendDay.objects.all(), by, this_month(TODAY)).rows
        assert (only.name, only.spend) == (name, Decimal(7))


def test_every_figure_costs_the_same_few_queries(burning, team, ruth, django_assert_num_queries):
    for day in range(1, 29):
        for model in "abcdef":
            row(burning, date(2026, 10, day), "1", model=model)
    span = this_month(TODAY)
    for number, figure in (
        (3, lambda: board.purses(team)),
        (3, lambda: board.keys_of(team)),
        (1, lambda: board.pending_requests(team)),
        (1, lambda: money.grouped(SpendDay.objects.all(), "model", span)),
        (1, lambda: money.daily(SpendDay.objects.all(), span)),
        (1, lambda: money.total(SpendDay.objects.all(), span)),
        (3, lambda: mine.of(ruth)),
        (8, lambda: platform.board(span)),
    ):
        with django_assert_num_queries(number):
            figure()
