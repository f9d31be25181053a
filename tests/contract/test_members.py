"""Budgets of single people in a team: given, changed, enforced, counted and reset."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from portal.litellm import AlreadyExists, BudgetWindow, Invalid, LicenceNeeded, TeamNotFound

from .conftest import eventually

CHEAP = "gpt-4o-mini"


def membership(proxy, team, user):
    found = [row for row in proxy.client.teams.info(team.team_id, key_limit=1).memberships if row.user_id == user]
    return found[0] if found else None


def refused(proxy, key):
    """What a call is told about a spent budget, "" if it passes."""
    answer = proxy.chat(key.key, CHEAP)
    if answer.ok:
        return ""
    assert (answer.status_code, answer.json()["error"]["type"]) == (422, "budget_exceeded")
    return answer.json()["error"]["message"]


def test_a_limit_of_keys_cuts_no_members(proxy):
    team, user = proxy.team(), proxy.user_id()
    proxy.client.teams.member_add(team.team_id, user_id=user, max_budget_in_team=1)
    tokens = {proxy.key(team_id=team.team_id).token for _ in range(3)}
    assert {key.token for key in proxy.client.teams.info(team.team_id).keys} == tokens
    for limit in (1, 2, 9):
        info = proxy.client.teams.info(team.team_id, key_limit=limit)
        assert len(info.keys) == min(limit, 3)
        assert {row.user_id for row in info.memberships} == {"default_user_id", user}
    for wrong, problem in (("0", "greater_than"), ("-1", "greater_than"), ("x", "int_parsing")):
        answer = proxy.http("GET", f"/team/info?team_id={team.team_id}&key_limit={wrong}")
        assert (answer.status_code, answer.json()["detail"][0]["type"]) == (422, problem)


def test_a_budget_in_a_team_comes_with_its_window(proxy):
    team, user = proxy.team(), proxy.user_id()
    before = datetime.now(UTC)
    proxy.client.teams.member_add(team.team_id, user_id=user, max_budget_in_team=3, budget_duration="1d")
    ends = {BudgetWindow.DAY.next_reset(moment) for moment in (before, datetime.now(UTC))}
    seen = membership(proxy, team, user)
    assert (seen.spend, seen.total_spend, seen.max_budget, seen.budget_duration) == (0, 0, 3, "1d")
    assert seen.budget_reset_at in ends
    proxy.client.teams.member_update(team.team_id, user_id=user, max_budget_in_team=4)
    assert membership(proxy, team, user).budget_reset_at in ends  # what is left out stays
    proxy.client.teams.member_update(team.team_id, user_id=user, budget_duration=None)
    seen = membership(proxy, team, user)
    assert (seen.max_budget, seen.budget_duration, seen.budget_reset_at) == (4, None, None)
    proxy.client.teams.member_update(team.team_id, user_id=user, max_budget_in_team=None)
    assert membership(proxy, team, user).budget_id is None  # nothing left of it


def test_a_change_of_a_members_budget_holds_from_the_next_call(proxy):
    team, user = proxy.team(), proxy.user_id()
    proxy.client.teams.member_add(team.team_id, user_id=user)
    key = proxy.key(team_id=team.team_id, user_id=user)
    assert not refused(proxy, key)
    for most in (0, 5, 0, None):
        proxy.client.teams.member_update(team.team_id, user_id=user, max_budget_in_team=most)
        told = refused(proxy, key)
        assert bool(told) is (most == 0)
        assert not told or f"User={user} in Team={team.team_id}" in told


def test_a_members_budget_binds_their_keys_in_that_team_only(proxy):
    team, user = proxy.team(), proxy.user_id()
    mine, other = proxy.key(team_id=team.team_id, user_id=user), proxy.key(team_id=team.team_id)
    elsewhere, alone = proxy.key(team_id=proxy.team().team_id, user_id=user), proxy.key(user_id=user)
    assert not refused(proxy, mine)
    proxy.client.teams.member_add(team.team_id, user_id=user, max_budget_in_team=0)
    assert refused(proxy, mine)  # made before, and neither deleted nor changed by the joining
    assert proxy.client.keys.info(mine.token).status == "active"
    for key in (other, elsewhere, alone):
        assert not refused(proxy, key)


def test_what_a_members_keys_spend_is_counted_for_them(proxy):
    team, user = proxy.team(), proxy.user_id()
    proxy.client.teams.member_add(team.team_id, user_id=user, max_budget_in_team=0.5)
    keys = [proxy.key(team_id=team.team_id, user_id=user) for _ in range(2)]
    assert proxy.works(keys[0].key, "pricey")
    assert eventually(lambda: refused(proxy, keys[1]))
    seen = eventually(lambda: (row := membership(proxy, team, user)) and row.spend > 1 and row)
    assert seen.spend == seen.total_spend


def test_the_budget_of_a_member_starts_anew_with_its_window(proxy):
    team, user = proxy.team(), proxy.user_id()
    add = {"team_id": team.team_id, "member": {"user_id": user, "role": "user"}}
    assert proxy.http("POST", "/team/member_add", add | {"max_budget_in_team": 1, "budget_duration": "5s"}).ok
    key = proxy.key(team_id=team.team_id, user_id=user)
    assert proxy.works(key.key, "pricey")
    eventually(lambda: (row := membership(proxy, team, user)).total_spend > 1 and row.spend == 0, within=40)
    assert not refused(proxy, key)


def test_a_budget_needs_no_member_and_not_even_a_user(proxy):
    team, user = proxy.team(), proxy.name("holder")
    key = proxy.key(team_id=team.team_id, user_id=user)
    assert not refused(proxy, key)
    assert membership(proxy, team, user) is None
    proxy.client.teams.member_update(team.team_id, user_id=user, max_budget_in_team=None)
    assert membership(proxy, team, user) is None
    proxy.client.teams.member_update(team.team_id, user_id=user, max_budget_in_team=0)
    assert refused(proxy, key)
    info = proxy.client.teams.info(team.team_id)
    assert user not in {member.user_id for member in info.team.members}
    assert user in {row.user_id for row in info.memberships}
    assert proxy.http("GET", f"/v2/user/info?user_id={user}").status_code == 404
    with pytest.raises(Invalid, match="User not found in team"):
        proxy.client.teams.member_delete(team.team_id, user_id=user)
    proxy.client.teams.member_update(team.team_id, user_id=user, max_budget_in_team=5)
    assert proxy.works(key.key)
    eventually(lambda: membership(proxy, team, user).spend > 0)


def test_joining_does_not_change_a_budget_that_was_there_before(proxy):
    team, user = proxy.team(), proxy.user_id()
    proxy.client.teams.member_update(team.team_id, user_id=user, max_budget_in_team=1)
    proxy.client.teams.member_add(team.team_id, user_id=user, max_budget_in_team=3)
    assert membership(proxy, team, user).max_budget == 1
    with pytest.raises(AlreadyExists):
        proxy.client.teams.member_add(team.team_id, user_id=user, max_budget_in_team=4)
    assert membership(proxy, team, user).max_budget == 1


def test_who_leaves_and_comes_back_begins_with_nothing_spent(proxy):
    team, user = proxy.team(), proxy.user_id()
    proxy.client.teams.member_add(team.team_id, user_id=user, max_budget_in_team=3)
    key = proxy.key(team_id=team.team_id, user_id=user)
    assert proxy.works(key.key)
    eventually(lambda: membership(proxy, team, user).spend)
    proxy.client.teams.member_delete(team.team_id, user_id=user)
    assert membership(proxy, team, user) is None
    proxy.client.teams.member_add(team.team_id, user_id=user, max_budget_in_team=4)
    seen = membership(proxy, team, user)
    assert (seen.spend, seen.total_spend, seen.max_budget) == (0, 0, 4)


def test_a_members_counter_can_be_set_back(proxy):
    team, user = proxy.team(), proxy.user_id()
    proxy.client.teams.member_add(team.team_id, user_id=user)
    key = proxy.key(team_id=team.team_id, user_id=user)
    assert proxy.works(key.key)
    spent = eventually(lambda: membership(proxy, team, user).spend)
    path = f"/team/{team.team_id}/member/{user}/reset_spend"
    assert proxy.http("POST", path, {"reset_to": 99}).status_code == 400
    assert proxy.http("POST", path, {"reset_to": -1}).status_code == 400
    assert proxy.http("POST", path.replace(user, "x-nobody"), {"reset_to": 0}).status_code == 404
    answer = proxy.http("POST", path, {"reset_to": 0}).json()
    assert (answer["user_id"], answer["spend"], answer["max_budget"]) == (user, 0, None)
    seen = membership(proxy, team, user)
    assert (seen.spend, seen.total_spend) == (0, spent)


def test_what_is_wrong_with_a_members_budget(proxy):
    team, user = proxy.team(), proxy.user_id()
    teams, nowhere = proxy.client.teams, proxy.name("nowhere")
    with pytest.raises(TeamNotFound):
        teams.member_add(nowhere, user_id=user)
    with pytest.raises(TeamNotFound):
        teams.member_update(nowhere, user_id=user, max_budget_in_team=1)
    with pytest.raises(LicenceNeeded):
        teams.member_update(team.team_id, user_id=user, role="admin")
    for path, who in (("add", {"member": {"user_id": user, "role": "user"}}), ("update", {"user_id": user})):
        body = {"team_id": team.team_id, "max_budget_in_team": 1, **who}
        answer = proxy.http("POST", f"/team/member_{path}", body | {"budget_duration": "banana"})
        assert (answer.status_code, "Invalid budget_duration 'banana'" in answer.text) == (400, True)
        assert proxy.http("POST", f"/team/member_{path}", body | {"max_budget_in_team": "x"}).status_code == 422
    assert proxy.http("POST", "/team/member_update", {"team_id": team.team_id, "rpm_limit": 1}).status_code == 422
    stranger = {"team_id": team.team_id, "user_email": "x-nobody@example.com", "max_budget_in_team": 1}
    assert proxy.http("POST", "/team/member_update", stranger).status_code == 400
    assert membership(proxy, team, user) is None
