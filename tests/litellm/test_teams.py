from datetime import UTC, datetime
from decimal import Decimal

import pytest

from portal.litellm import InvalidDuration, errors
from tests.litellm.servers import BASE, sent

# As LiteLLM 1.106.2 answers, shortened
TEAM = {
    "team_alias": "alias-f158a7", "team_id": "team-f158a7", "organization_id": None,
    "members_with_roles": [{"user_id": "default_user_id", "user_email": None, "role": "admin"}],
    "metadata": {"a": 1}, "tpm_limit": 100000, "rpm_limit": None, "max_budget": 50.5, "models": ["gpt-4o"],
    "blocked": False, "spend": 0.00034, "budget_reset_at": "2026-12-01T00:00:00Z",
    "created_at": "2026-11-21T08:24:47.402Z",
}  # fmt: skip
KEY = {"token": "a" * 64, "key_alias": "ci", "spend": 0.0}


def test_a_team_is_read_with_members_and_amounts(client, proxy):
    proxy.post(f"{BASE}/team/new", json=TEAM)
    team = client.teams.new(
        team_id="team-f158a7", alias="alias-f158a7", max_budget=Decimal("50.5"), budget_duration="1mo"
    )
    assert (team.team_id, team.alias, team.spend) == ("team-f158a7", "alias-f158a7", Decimal("0.00034"))
    assert [(member.user_id, member.role) for member in team.members] == [("default_user_id", "admin")]
    assert team.budget_reset_at == datetime(2026, 12, 1, tzinfo=UTC)
    assert sent(proxy) == {
        "team_id": "team-f158a7",
        "team_alias": "alias-f158a7",
        "max_budget": 50.5,
        "budget_duration": "1mo",
    }


def test_a_team_budget_window_is_checked_before_it_is_sent(client, proxy):
    with pytest.raises(InvalidDuration):
        client.teams.new(budget_duration="24h")


def test_a_team_made_by_another_at_the_same_time_already_exists(client, proxy):
    told = {"error": {"message": "Unique constraint failed on the fields: (`team_id`)", "code": "500"}}
    proxy.post(f"{BASE}/team/new", json=told, status=500)
    with pytest.raises(errors.AlreadyExists):
        client.teams.new(team_id="t")


def test_info_holds_the_team_its_keys_and_memberships(client, proxy):
    membership = {
        "user_id": "u",
        "team_id": "t",
        "spend": 0.5,
        "total_spend": 1,
        "litellm_budget_table": {"max_budget": 3.0},
    }
    answer = {"team_id": "t", "team_info": TEAM, "keys": [KEY], "team_memberships": [membership]}
    proxy.get(f"{BASE}/team/info", json=answer)
    info = client.teams.info("t")
    assert info.team.alias == "alias-f158a7"
    assert info.keys[0].alias == "ci"
    assert (info.memberships[0].spend, info.memberships[0].budget) == (Decimal("0.5"), {"max_budget": 3.0})
    assert proxy.calls[0].request.url == f"{BASE}/team/info?team_id=t"


def test_update_clears_none_and_reads_the_row_inside(client, proxy):
    proxy.post(f"{BASE}/team/update", json={"team_id": "t", "data": {**TEAM, "max_budget": None}})
    assert client.teams.update("t", max_budget=None, alias="new").max_budget is None
    assert sent(proxy) == {"team_id": "t", "max_budget": None, "team_alias": "new"}


def test_the_paged_list_is_walked_and_the_bare_one_read(client, proxy):
    for number in (1, 2):
        team = {**TEAM, "team_id": f"t{number}", "keys_count": 3}
        proxy.get(f"{BASE}/v2/team/list", json={"teams": [team], "total": 2, "page": number, "total_pages": 2})
    proxy.get(f"{BASE}/team/list", json=[TEAM])
    proxy.get(f"{BASE}/team/available", json=[])
    assert [team.team_id for team in client.teams.list_v2(team_alias="a")] == ["t1", "t2"]
    assert "sort_by=team_id" in proxy.calls[0].request.url
    assert [team.team_id for team in client.teams.list()] == ["team-f158a7"]
    assert client.teams.available() == ()


def test_members_are_added_changed_and_removed(client, proxy):
    proxy.post(f"{BASE}/team/member_add", json=TEAM)
    proxy.post(f"{BASE}/team/member_update", json={"user_id": "u", "max_budget_in_team": 3.5})
    proxy.post(f"{BASE}/team/member_delete", json=TEAM)
    client.teams.member_add("t", user_id="u", max_budget_in_team=3)
    assert sent(proxy) == {
        "team_id": "t",
        "member": {"user_id": "u", "role": "user"},
        "max_budget_in_team": 3,
    }
    assert client.teams.member_update("t", user_id="u", max_budget_in_team=3.5)["max_budget_in_team"] == 3.5
    client.teams.member_delete("t", email="u@example.com")
    assert sent(proxy) == {"team_id": "t", "user_email": "u@example.com"}


def test_a_member_is_named_in_one_way(client):
    with pytest.raises(TypeError):
        client.teams.member_add("t")
    with pytest.raises(TypeError):
        client.teams.member_delete("t", user_id="u", email="u@example.com")


@pytest.mark.parametrize("verb", ["block", "unblock"])
def test_a_team_is_blocked_by_its_id(client, proxy, verb):
    proxy.post(f"{BASE}/team/{verb}", json={**TEAM, "blocked": verb == "block"})
    assert getattr(client.teams, verb)("t").blocked is (verb == "block")
    assert sent(proxy) == {"team_id": "t"}


def test_teams_are_deleted_by_id(client, proxy):
    proxy.post(f"{BASE}/team/delete", json={"deleted_teams": ["t"]})
    assert client.teams.delete("t") == ("t",)
    assert sent(proxy) == {"team_ids": ["t"]}


def test_a_key_is_moved_into_a_team_by_its_hash(client, proxy):
    proxy.post(f"{BASE}/key/update", json={**KEY, "team_id": "t"})
    assert client.with_key("sk-example-own").teams.assign_key("t").team_id == "t"
    assert len(sent(proxy)["key"]) == 64
    client.teams.assign_key("t", "a" * 64)
    assert sent(proxy) == {"key": "a" * 64, "team_id": "t"}
