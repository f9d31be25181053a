"""Words and drawings: money, time left, the key line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace

import pytest
import time_machine

from portal.templatetags import ui

NOW = datetime(2026, 11, 20, 14, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _now():
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.mark.parametrize(
    ("value", "words"),
    [("1234.5", "$1,234.50"), ("40", "$40.00"), ("0", "$0.00"), ("0.0025", "$0.0025"), ("0.1250", "$0.125")],
)
def test_money_has_two_decimals_unless_they_would_hide_it(value, words):
    assert ui.money(Decimal(value)) == words


def test_prices_are_for_a_million_tokens():
    assert ui.per_million(Decimal("0.00000025")) == "$0.25"
    assert ui.per_million(Decimal("0.000015")) == "$15.00"
    assert ui.per_million(None) == ""


@pytest.mark.parametrize(
    ("rest", "words"),
    [
        (timedelta(hours=19, minutes=11), "19 hours left"),
        (timedelta(days=11, hours=20), "12 days left"),
        (timedelta(days=30) - timedelta(seconds=1), "30 days left"),
        (timedelta(minutes=90), "90 minutes left"),
        (timedelta(seconds=61), "1 minute left"),
        (timedelta(seconds=20), "less than a minute left"),
        (timedelta(seconds=-1), "over"),
    ],
)
def test_time_left_is_said_as_a_person_would(rest, words):
    assert ui.left(NOW + rest) == words


def test_moments_name_their_year_only_when_it_is_another():
    assert ui.when(datetime(2026, 11, 21, 9, 12, tzinfo=UTC)) == "Sat 21 Nov, 09:12"
    assert ui.when(datetime(2027, 2, 2, 10, 40, tzinfo=UTC)) == "Tue 2 Feb 2027, 10:40"


def test_lifetimes_are_words():
    assert [ui.words(timedelta(**each)) for each in ({"days": 30}, {"hours": 36}, {"minutes": 1})] == [
        "30 days", "36 hours", "1 minute",
    ]  # fmt: skip


def test_counts_agree_with_their_nouns():
    assert [ui.count(number, "live key") for number in (0, 1, 4, 12)] == [
        "no live keys", "one live key", "four live keys", "12 live keys",
    ]  # fmt: skip
    assert ui.count(1, "ends,end") == "one ends"


def lease(left: timedelta, whole: timedelta, state: str = "active") -> SimpleNamespace:
    ends = NOW + left
    return SimpleNamespace(state=state, issued_at=ends - whole, expires_at=ends, ended_at=None)


@pytest.mark.parametrize(
    ("left", "whole", "tone"),
    [
        (timedelta(hours=19), timedelta(days=30), "warn"),
        (timedelta(hours=1), timedelta(days=30), "danger"),
        (timedelta(days=2), timedelta(days=30), ""),
        (timedelta(hours=7), timedelta(hours=8), ""),
        (timedelta(minutes=30), timedelta(hours=8), "danger"),
    ],
)
def test_only_what_is_soon_over_has_a_colour(left, whole, tone):
    assert ui.urgency(lease(left, whole)) == tone
    assert ui.urgency(lease(left, whole, state="revoked")) == ""


def test_a_key_line_stays_inside_its_drawing():
    for left, whole in [(-5, 10), (0, 10), (10, 10), (3, 10), (1, 10_000)]:
        drawn = ui.key_line(lease(timedelta(hours=left), timedelta(hours=whole)))
        now, end = float(drawn.now[:-1]), float(drawn.end[:-1])
        assert 0 < now <= end <= 99


def test_the_lines_of_one_list_compare():
    short, long = lease(timedelta(days=7), timedelta(days=7)), lease(timedelta(days=30), timedelta(days=30))
    whole = ui.longest([short, long])
    assert float(ui.key_line(short, whole).end[:-1]) < 30
    assert float(ui.key_line(long, whole).end[:-1]) == 99
