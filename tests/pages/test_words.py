"""Words and drawings: money, time left, the key line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace

import pytest
import time_machine

from keys.templatetags import key_history
from portal import drawing
from portal.models import AuditEvent
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
    return SimpleNamespace(state=state, issued_at=ends - whole, expires_at=ends, ended_at=None, renewable=False)


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
    assert drawing.urgency(lease(left, whole)) == tone
    assert drawing.urgency(lease(left, whole, state="revoked")) == ""


def test_a_key_line_stays_inside_its_drawing():
    for left, whole in [(-5, 10), (0, 10), (10, 10), (3, 10), (1, 10_000)]:
        drawn = drawing.key_line(lease(timedelta(hours=left), timedelta(hours=whole)))
        now, end = float(drawn.now[:-1]), float(drawn.end[:-1])
        assert 0 < now <= end <= 99


def test_the_lines_of_one_list_compare():
    short, long = lease(timedelta(days=7), timedelta(days=7)), lease(timedelta(days=30), timedelta(days=30))
    whole = drawing.longest([short, long])
    assert float(drawing.key_line(short, whole).end[:-1]) < 30
    assert float(drawing.key_line(long, whole).end[:-1]) == 99


def renewable(left: timedelta, whole: timedelta, reach: timedelta) -> SimpleNamespace:
    found = lease(left, whole)
    found.renewable, found.max_expires_at = True, found.issued_at + reach
    found.role = found.team = SimpleNamespace(ended_at=None)
    return found


def test_a_key_line_is_dotted_as_far_as_renewing_reaches():
    drawn = drawing.key_line(renewable(timedelta(days=20), timedelta(days=30), timedelta(days=90)))
    assert float(drawn.end[:-1]) == pytest.approx(2 + 97 / 3, abs=0.1)
    assert drawn.far == "99.0%"
    assert drawing.key_line(renewable(timedelta(days=20), timedelta(days=30), timedelta(days=30))).far == ""


def test_what_cannot_be_renewed_any_more_is_not_dotted():
    found = renewable(timedelta(days=20), timedelta(days=30), timedelta(days=90))
    found.role = SimpleNamespace(ended_at=NOW)
    assert drawing.key_line(found).far == ""


@pytest.mark.parametrize(
    ("used", "percent", "tone"),
    [("38.2", "95.5%", "danger"), ("34", "85.0%", "warn"), ("3", "7.5%", ""), ("60", "100.0%", "danger")],
)
def test_a_bar_has_a_colour_only_when_the_budget_is_nearly_spent(used, percent, tone):
    drawn = drawing.bar(Decimal(used), Decimal(40))
    assert drawn == drawing.Bar(percent, tone)
    assert drawing.bar(Decimal(used), None) is None


def event(action: str, **facts: object) -> AuditEvent:
    return AuditEvent(action=action, facts=facts)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (event("key.renewed", before="2026-11-12T10:40:00+00:00", expires_at="2026-12-02T10:40:00+00:00"),
         "Renewed by 20 days, to Wed 2 Dec, 10:40"),
        (event("key.rotated", version=4, grace=86400, old_ends_at="2026-11-21T07:05:00+00:00"),
         "Rotated: version 4 issued, the old one works 24 hours more, until Sat 21 Nov, 07:05"),
        (event("key.rotated", version=4, grace=0), "Secret replaced: version 4 issued, the old one ends at once"),
        (event("key.rotation_failed", reason="timed out"), "Not rotated: “timed out”. The secret is as it was"),
        (event("key.version_ended", version=3), "Version 3 ended; the gateway confirmed it"),
        (event("key.paused", reason="asked"), "Paused"),
        (event("key.paused", reason="A leak"), "Paused: “A leak”"),
        (event("key.resumed"), "Resumed"),
        (event("key.revoked", reason="gone from the gateway"), "Ended: somebody deleted it on the gateway itself"),
        (event("key.imported", role="coding", max_budget="5", budget_duration="1mo"),
         "Taken over from the gateway into coding, $5.00 a month"),
        (event("budget.reached", percent=80), "80 % of the budget used"),
        (event("finding.adopted", kind="limits"), "Taken over: limits changed on the gateway"),
        (event("intent.forced", reason="The proxy is gone"),
         "Closed in our books without the word of the gateway: “The proxy is gone”"),
        (event("member.budget_changed", person="alice", after="500.00"), "Budget of alice set to $500.00"),
        (event("member.budget_changed", person="alice", after=None), "alice has no budget of their own any more"),
        (event("role.ended"), "Key role ended, with the keys it gave"),
        (event("key.moved_to_mars"), "Moved to mars"),
        (event("robot.woke_up"), "Robot woke up"),
        (event("key.renewed"), "Renewed"),
    ],
)  # fmt: skip
def test_every_act_is_a_sentence_and_an_unknown_one_is_still_readable(told, words):
    assert key_history.event_words(told) == words


@pytest.mark.parametrize(
    ("value", "words"), [("0.02854585", "$0.0285"), ("0.00000015", "$0.00000015"), ("0.00999999", "$0.01")]
)
def test_fractions_of_a_cent_are_cut_where_they_say_nothing_more(value, words):
    assert ui.money(Decimal(value)) == words
