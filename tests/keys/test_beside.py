"""What lies beside a request when somebody decides: where the team's money leads, and what fits at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from keys.models import Counter
from keys.services.beside import weigh
from keys.services.fitting import fitting
from keys.services.terms import Ask

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
LATER = NOW + timedelta(days=30)
DAY = timedelta(days=1)


@pytest.fixture
def spent(sandbox, team):
    """The team's budget is $2,400.00 a month, and so much of it is spent."""
    team.max_budget, team.budget_duration = Decimal(2400), "1mo"
    team.created_at = NOW - timedelta(days=200)
    team.save()

    def spend(amount) -> None:
        resets = datetime(2026, 12, 1, tzinfo=UTC)
        Counter.objects.create(gateway=sandbox.gateway, team=team, spend=Decimal(amount), read_at=NOW, resets_at=resets)

    return spend


def test_a_request_brings_the_end_of_the_budget_nearer(sandbox, team, spent):
    spent(1800)
    weight = weigh(team, sandbox.gateway, Decimal(300), LATER, NOW)
    assert (weight.spent, weight.adds, weight.left, weight.over) == (1800, 300, 300, 0)
    assert weight.reached_at.date() == date(2026, 11, 27)
    assert weight.reached_with.date() == date(2026, 11, 25)


def test_only_the_request_can_use_it_up(sandbox, team, spent):
    spent(800)
    weight = weigh(team, sandbox.gateway, Decimal(1500), LATER, NOW)
    assert weight.reached_at is None
    assert weight.reached_with > NOW
    assert weigh(team, sandbox.gateway, Decimal(100), LATER, NOW).reached_with is None


def test_a_spent_budget_is_reached_now_and_no_limit_leaves_nothing_to_say(sandbox, team, spent):
    spent(2500)
    weight = weigh(team, sandbox.gateway, Decimal(100), LATER, NOW)
    assert (weight.reached_at, weight.left, weight.over) == (NOW, 0, 200)
    assert weigh(team, sandbox.gateway, None, LATER, NOW).left is None


def test_early_in_a_window_nothing_is_foretold(sandbox, team, spent):
    spent(500)
    early = datetime(2026, 11, 1, 1, tzinfo=UTC)
    assert weigh(team, sandbox.gateway, Decimal(300), LATER, early).reached_with is None


def test_a_team_without_a_budget_has_nothing_to_weigh(sandbox, team):
    assert weigh(team, sandbox.gateway, Decimal(300), LATER, NOW) is None


def test_what_fits_is_no_more_than_the_role_gives_at_once(sandbox, team, alice, make_role):
    ask = Ask(team, make_role(excess="team"), ttl=90 * DAY, models=("gpt-4o", "opus"), max_budget=Decimal(80))
    fits = fitting(ask, holder=alice)
    assert (fits.ttl, fits.models, fits.max_budget) == (30 * DAY, ("gpt-4o",), Decimal(50))
    assert fitting(replace(ask, models=("opus",)), holder=alice) is None


def test_of_a_role_that_asks_only_what_it_lets_pass_fits(sandbox, team, alice, make_role):
    strict = make_role(name="strict", approval="team")
    assert fitting(Ask(team, strict), holder=alice) is None
    eased = make_role(name="eased", approval="team", auto_ttl=7 * DAY, auto_budget=Decimal(10))
    fits = fitting(Ask(team, eased), holder=alice)
    assert (fits.ttl, fits.max_budget) == (7 * DAY, Decimal(10))
