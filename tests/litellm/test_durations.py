from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from portal.litellm import (
    BudgetWindow,
    InvalidDuration,
    LiteLLMError,
    format_duration,
    parse_duration,
    wire_duration,
)
from portal.litellm.durations import LONGEST_LIFETIME

lifetimes = st.integers(1, int(LONGEST_LIFETIME.total_seconds())).map(lambda n: timedelta(seconds=n))
moments = st.datetimes(datetime(2000, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
windows = st.sampled_from(BudgetWindow)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("30m", 1800),
        ("24h", 86_400),
        ("7d", 604_800),
        ("2w", 1_209_600),
        ("3600", 3600),
        (3600, 3600),
        (timedelta(hours=1), 3600),
        (" 24H ", 86_400),
        ("hourly", 3600),
        ("Daily", 86_400),
        ("weekly", 604_800),
    ],
)
def test_lifetimes_are_read_in_litellms_grammar(text, seconds):
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("1h30m", "write 90m"),  # LiteLLM: one hour, without a word
        ("1h 30m", "write 90m"),
        ("1d12h", "write 36h"),
        ("2days", "Write 2d"),  # LiteLLM: two days, by luck
        ("1 day", "Write 1d"),
        ("5 min", "Write 5m"),
        ("1.5h", "Write 90m"),
        ("0.5d", "Write 12h"),
        ("1mo", "write 30d"),
        ("2 months", "write 30d"),
        ("monthly", "write 30d"),
        ("", "empty"),
        ("   ", "empty"),
        ("-1", "positive"),
        ("-5m", "positive"),
        (-5, "positive"),
        ("0s", "more than zero"),
        ("0", "more than zero"),
        (0, "more than zero"),
        (timedelta(0), "more than zero"),
        ("99999999d", "too long"),
        ("9" * 5000 + "w", "too long"),
        ("forever", "not a lifetime"),
        ("1h;", "not a lifetime"),
        ("h", "not a lifetime"),
        ("\u0661h", "not a lifetime"),  # an Arabic one: a digit to Python
        (True, "whole number of seconds"),
        (1.5, "whole number of seconds"),
        (None, "whole number of seconds"),
    ],
)
def test_what_litellm_would_misread_is_refused_with_what_to_write_instead(text, advice):
    with pytest.raises(InvalidDuration) as refused:
        parse_duration(text)
    assert advice in refused.value.message
    assert isinstance(refused.value, ValueError)
    assert isinstance(refused.value, LiteLLMError)


@given(lifetimes)
def test_a_formatted_lifetime_reads_back_as_itself(lifetime):
    assert parse_duration(format_duration(lifetime)) == lifetime
    assert parse_duration(wire_duration(lifetime)) == lifetime


@given(lifetimes)
def test_the_wire_form_is_whole_seconds(lifetime):
    assert wire_duration(lifetime) == f"{int(lifetime.total_seconds())}s"


@given(st.text(max_size=20))
def test_any_text_is_read_or_refused_and_never_breaks(text):
    with suppress(InvalidDuration):
        assert parse_duration(text) > timedelta()


@given(st.from_regex(r"[0-9]{1,3}[smhdw][0-9]{1,3}[smhdw]", fullmatch=True))
def test_no_compound_is_ever_accepted(text):
    with pytest.raises(InvalidDuration):
        parse_duration(text)


@pytest.mark.parametrize(
    ("lifetime", "text"),
    [
        (timedelta(days=30), "30d"),
        (timedelta(days=1), "24h"),
        (timedelta(hours=36), "36h"),
        (timedelta(seconds=90), "90s"),
        (timedelta(minutes=60), "1h"),
        (timedelta(weeks=1), "7d"),
    ],
)
def test_lifetimes_are_written_in_one_friendly_unit(lifetime, text):
    assert format_duration(lifetime) == text


@pytest.mark.parametrize("lifetime", [timedelta(0), timedelta(seconds=-1), timedelta(seconds=1.5)])
def test_fractions_and_nothing_cannot_go_to_the_proxy(lifetime):
    with pytest.raises(InvalidDuration):
        wire_duration(lifetime)


@pytest.mark.parametrize("text", ["1h", "1d", "7d", "30d", "1mo", " 1D "])
def test_the_five_windows_are_sent_as_they_are(text):
    assert BudgetWindow.parse(text) == text.strip().lower()


@pytest.mark.parametrize("text", ["24h", "3600s", "60d", "monthly", "", "2mo", "1h30m"])
def test_other_windows_are_refused_and_the_five_are_named(text):
    with pytest.raises(InvalidDuration) as refused:
        BudgetWindow.parse(text)
    assert refused.value.action == "Choose one of 1h, 1d, 7d, 30d, 1mo."


SATURDAY = datetime(2026, 11, 21, 12, 9, 46, 5, UTC)


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        ("1h", datetime(2026, 11, 21, 13, tzinfo=UTC)),
        ("1d", datetime(2026, 11, 22, tzinfo=UTC)),
        ("7d", datetime(2026, 11, 23, tzinfo=UTC)),
        ("30d", datetime(2026, 12, 1, tzinfo=UTC)),
        ("1mo", datetime(2026, 12, 1, tzinfo=UTC)),
    ],
)
def test_resets_fall_where_the_real_proxy_put_them(window, expected):
    assert BudgetWindow(window).next_reset(SATURDAY) == expected  # budget_reset_at, LiteLLM 1.106.2


@pytest.mark.parametrize(
    ("window", "after", "expected"),
    [
        ("7d", datetime(2026, 11, 23, tzinfo=UTC), datetime(2026, 11, 30, tzinfo=UTC)),
        ("1d", datetime(2026, 11, 22, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC)),
        ("1mo", datetime(2026, 12, 31, 23, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
        ("1mo", datetime(2028, 2, 1, tzinfo=UTC), datetime(2028, 3, 1, tzinfo=UTC)),
        (
            "1d",
            datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=3))),
            datetime(2026, 1, 1, tzinfo=UTC),
        ),
    ],
)
def test_a_reset_is_later_than_its_moment_even_on_the_boundary(window, after, expected):
    assert BudgetWindow(window).next_reset(after) == expected


@given(windows, moments)
def test_no_reset_lies_between_a_moment_and_its_next_reset(window, after):
    then = window.next_reset(after)
    assert after < then
    assert window.next_reset(then - timedelta(microseconds=1)) == then
    assert then.utcoffset() == timedelta(0)


@given(windows, moments, st.integers(0, 40 * 86_400), st.integers(0, 40 * 86_400))
def test_resets_of_adjacent_spans_add_up(window, start, first, second):
    middle = start + timedelta(seconds=first)
    end = middle + timedelta(seconds=second)
    whole = window.resets_between(start, end)
    assert whole == window.resets_between(start, middle) + window.resets_between(middle, end)


@given(windows, moments)
def test_an_empty_span_holds_no_reset(window, start):
    assume(window)
    assert window.resets_between(start, start) == 0


SIZES = {"1h": timedelta(hours=1), "1d": timedelta(days=1), "7d": timedelta(days=7)}


@given(windows, moments, st.floats(0, 50), st.booleans())
def test_resets_are_counted_as_if_one_stepped_from_each_to_the_next(window, start, length, on_the_boundary):
    end = start + SIZES.get(window, timedelta(days=31)) * length
    if on_the_boundary:
        end = window.next_reset(end)
    steps, reset = 0, window.next_reset(start)
    while reset <= end:
        steps, reset = steps + 1, window.next_reset(reset)
    assert window.resets_between(start, end) == steps
