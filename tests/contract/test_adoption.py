"""What taking a key over, carrying a counter on and putting limits back rely on."""

from __future__ import annotations

from decimal import Decimal

import pytest

from portal.litellm import BudgetWindow, Forbidden, TeamNotFound

from .conftest import eventually


def refused(proxy, key):
    answer = proxy.chat(key.key, "gpt-4o-mini")
    return not answer.ok and (answer.status_code, answer.json()["error"]["type"])


SPENT = (422, "budget_exceeded")


def test_a_carried_counter_is_no_part_of_what_the_key_itself_has_spent(proxy):
    key = proxy.key(spend=1.5)
    for seen in (proxy.client.keys.info(key.token), *proxy.client.keys.list(key_hash=key.token)):
        assert (seen.spend, seen.total_spend) == (Decimal("1.5"), 0)
    assert proxy.works(key.key)
    seen = eventually(lambda: [row for row in proxy.client.keys.list(key_hash=key.token) if row.total_spend])[0]
    assert abs(seen.spend - seen.total_spend - Decimal("1.5")) < Decimal("0.00000001")  # floats over there


def test_setting_the_counter_leaves_the_sum_of_a_life_and_is_enforced_at_once(proxy):
    key = proxy.key(max_budget=5, spend=2)
    assert proxy.works(key.key)
    total = eventually(lambda: proxy.client.keys.info(key.token).total_spend)
    for spend in (6, 5):
        changed = proxy.client.keys.update(key.token, spend=spend)
        assert (changed.spend, changed.total_spend) == (spend, total)
        assert refused(proxy, key) == SPENT
    back = proxy.client.keys.reset_spend(key.token, 1)
    assert (back.previous_spend, back.spend) == (5, 1)
    assert proxy.client.keys.info(key.token).total_spend == total
    proxy.client.keys.update(key.token, spend=6)
    proxy.client.keys.update(key.token, spend=0)
    assert not refused(proxy, key)


@pytest.mark.parametrize("spend", [5, 6])
def test_a_key_made_with_its_budget_spent_is_refused_from_the_first_call(proxy, spend):
    key = proxy.key(max_budget=5, spend=spend)
    assert refused(proxy, key) == SPENT
    proxy.client.keys.update(key.token, max_budget=7)
    assert not refused(proxy, key)


def test_limits_are_put_back_in_one_call_and_the_counter_stays(proxy):
    key = proxy.key(max_budget=5, budget_duration="1d", rpm_limit=5, models=["gpt-4o"], spend=2, metadata={"a": 1})
    changed = proxy.client.keys.update(
        key.token, models=[], max_budget=None, budget_duration=None, rpm_limit=None, tpm_limit=None,
        max_parallel_requests=None, metadata={"b": 1}, user_id=proxy.name("nobody"), alias=proxy.name("mine"),
    )  # fmt: skip
    assert (changed.models, changed.max_budget, changed.budget_duration, changed.budget_reset_at) == (
        (),
        None,
        None,
        None,
    )
    assert (changed.rpm_limit, dict(changed.metadata), changed.spend) == (None, {"b": 1}, 2)


@pytest.mark.parametrize("window", list(BudgetWindow))
def test_the_same_window_again_is_not_started_again(proxy, window):
    key = proxy.key(max_budget=5, budget_duration=window, spend=1)
    successor = proxy.client.keys.info(proxy.key(max_budget=5, budget_duration=window, spend=1).token)
    before = proxy.client.keys.info(key.token)
    after = proxy.client.keys.update(key.token, max_budget=6, budget_duration=window)
    assert before.budget_reset_at == successor.budget_reset_at == after.budget_reset_at
    assert after.spend == 1


@pytest.mark.parametrize(
    ("had", "refused_as"),
    [
        ({}, None),
        ({"models": ["gpt-4o"]}, None),
        ({"models": ["all-team-models"]}, None),
        ({"tpm_limit": 10}, None),
        ({"max_budget": 99}, None),
        ({"rpm_limit": 99}, None),  # compared only where tokens are limited too
        ({"models": ["gpt-4o", "pricey"]}, "team_model_access_denied"),
        ({"models": ["gpt-4*"]}, "team_model_access_denied"),
        ({"models": ["no-default-models"]}, "team_model_access_denied"),
        ({"tpm_limit": 11}, "auth_error"),
        ({"tpm_limit": 9, "rpm_limit": 6}, "auth_error"),
        ({"user_id": "x-nobody"}, "auth_error"),
    ],
)
def test_a_key_moves_only_into_a_team_that_it_suits(proxy, had, refused_as):
    team = proxy.team(models=["gpt-4o"], max_budget=2, tpm_limit=10, rpm_limit=5)
    answer = proxy.http("POST", "/key/update", {"key": proxy.key(**had).token, "team_id": team.team_id})
    assert answer.status_code == (403 if refused_as else 200)
    assert not refused_as or answer.json()["error"]["type"] == refused_as


def test_a_move_is_judged_by_the_key_as_it_was_so_taking_over_takes_two_calls(proxy):
    team, user = proxy.team(models=["gpt-4o"], tpm_limit=10), proxy.name("holder")
    key = proxy.key(models=["pricey"], tpm_limit=99, user_id=proxy.name("nobody"), spend=2)
    ours = {"models": ["gpt-4o"], "tpm_limit": 5, "user_id": user, "metadata": {"ours": 1}}
    with pytest.raises(Forbidden):
        proxy.client.keys.update(key.token, team_id=team.team_id, **ours)
    assert proxy.client.keys.info(key.token).models == ("pricey",)  # refused whole
    proxy.client.keys.update(key.token, models=[], tpm_limit=None, user_id=None)
    moved = proxy.client.keys.update(key.token, team_id=team.team_id, **ours)
    assert (moved.team_id, moved.user_id, moved.models, moved.spend) == (team.team_id, user, ("gpt-4o",), 2)
    again = proxy.client.keys.update(key.token, team_id=team.team_id, models=["pricey"])  # no move, no check
    assert again.models == ("pricey",)


def test_a_member_may_bring_a_key_along(proxy):
    team, user = proxy.team(), proxy.user_id()
    proxy.client.teams.member_add(team.team_id, user_id=user)
    key = proxy.key(user_id=user)
    assert proxy.client.keys.update(key.token, team_id=team.team_id).team_id == team.team_id


def test_a_key_leaves_its_team_by_null_and_stays_by_an_empty_name(proxy):
    team = proxy.team()
    key = proxy.key(team_id=team.team_id)
    assert proxy.client.keys.update(key.token, team_id="").team_id == team.team_id
    assert proxy.client.keys.update(key.token, team_id=None).team_id is None
    with pytest.raises(TeamNotFound):
        proxy.client.keys.update(key.token, team_id=proxy.name("nowhere"))
