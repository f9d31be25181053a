"""What a key would be, and the most that it can cost, before anybody presses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.services.terms import Ask, ceiling, terms, worst_ceiling
from portal.litellm import BudgetWindow

FRIDAY = datetime(2026, 11, 20, 14, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("window", "lifetime", "windows"),
    [
        ("", timedelta(days=400), 1),  # one budget for its whole life
        ("1mo", timedelta(days=14), 2),  # until 1 December, and from then on
        ("1mo", timedelta(days=10), 1),
        ("30d", timedelta(days=14), 2),  # LiteLLM resets it on the 1st as well
        ("7d", timedelta(days=14), 3),  # two Mondays
        ("1d", timedelta(hours=8), 1),
        ("1d", timedelta(hours=10), 2),  # over midnight
        ("1h", timedelta(hours=1), 2),
    ],
)
def test_a_key_can_cost_its_budget_once_for_every_window_it_touches(window, lifetime, windows):
    assert ceiling(Decimal("40"), window, FRIDAY, FRIDAY + lifetime) == 40 * windows


@pytest.mark.parametrize(("seconds", "windows"), [(49, 1), (50, 2), (58, 2)])
def test_the_seconds_that_litellm_may_add_to_a_life_count(seconds, windows):
    start = datetime(2026, 11, 20, 22, 59, seconds, tzinfo=UTC)
    assert ceiling(Decimal("5"), "1d", start, start + timedelta(hours=1)) == 5 * windows


def test_without_a_budget_there_is_no_most():
    assert ceiling(None, "1mo", FRIDAY, FRIDAY + timedelta(days=1)) is None


@given(
    st.sampled_from(list(BudgetWindow)),
    st.timedeltas(timedelta(seconds=30), timedelta(days=200)),
    st.datetimes(datetime(2026, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
)
def test_no_key_ever_costs_more_than_the_worst_of_its_role(window, lifetime, issued_at):
    worst = worst_ceiling(Decimal(3), window, lifetime)
    real = ceiling(Decimal(3), window, issued_at, issued_at + lifetime)
    assert real is not None
    assert worst is not None
    assert real <= worst


@given(
    st.sampled_from(list(BudgetWindow)),
    st.timedeltas(timedelta(seconds=30), timedelta(days=200)),
    st.timedeltas(timedelta(seconds=1), timedelta(days=50)),
)
def test_a_longer_life_never_costs_less(window, lifetime, more):
    short = ceiling(Decimal(1), window, FRIDAY, FRIDAY + lifetime)
    assert short is not None
    assert short <= (ceiling(Decimal(1), window, FRIDAY, FRIDAY + lifetime + more) or 0)


@pytest.mark.django_db
def test_the_slip_says_what_is_given_when_nothing_is_asked(sandbox, team, alice, make_role):
    slip = terms(Ask(team=team, role=make_role()), holder=alice, now=FRIDAY)
    assert (slip.ttl, slip.expires_at) == (timedelta(days=30), FRIDAY + timedelta(days=30))
    assert slip.max_expires_at == FRIDAY + timedelta(days=90)
    assert (slip.max_budget, slip.windows, slip.ceiling) == (Decimal(50), 2, Decimal(100))
    assert slip.problems == ()


@pytest.mark.django_db
def test_a_role_without_ttls_takes_the_gateways(sandbox, team, make_role):
    role = make_role(ttl=timedelta(0), max_ttl=timedelta(0), max_budget=None, budget_duration="")
    assert (role.default_ttl, role.longest_ttl) == (sandbox.gateway.ttl, sandbox.gateway.max_ttl)
    assert worst_ceiling(role.max_budget, role.budget_duration, role.default_ttl) is None


def test_a_century_of_hours_is_counted_without_stepping_through_it(monkeypatch):
    century = timedelta(days=36_500)
    asked: list[datetime] = []
    real = BudgetWindow.next_reset

    def next_reset(window: BudgetWindow, after: datetime) -> datetime:
        asked.append(after)
        return real(window, after)

    monkeypatch.setattr(BudgetWindow, "next_reset", next_reset)
    assert ceiling(Decimal(50), "1h", FRIDAY, FRIDAY + century) == 50 * (36_500 * 24 + 1)
    assert len(asked) < 10


@pytest.mark.django_db
def test_all_that_stands_in_the_way_is_told_at_once(sandbox, team, alice, make_role):
    ask = Ask(team=team, role=make_role(), ttl=timedelta(days=60), models=("gpt-5",), max_budget=Decimal("51"))
    fields = [next(iter(problem.details)) for problem in terms(ask, holder=alice).problems]
    assert fields == ["ttl", "models", "max_budget"]
