"""Teams and users: deletes take keys along, and makers who race get a 500."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from portal.litellm import AlreadyExists, Invalid, KeyNotFound, NotFound, TeamNotFound


def test_a_team_keeps_the_id_that_we_chose(proxy):
    team = proxy.team(alias="x team", models=["gpt-4o"], max_budget=50, metadata={"a": 1})
    seen = proxy.client.teams.info(team.team_id).team
    assert (seen.team_id, seen.alias, seen.models, seen.max_budget) == (
        team.team_id,
        "x team",
        ("gpt-4o",),
        50,
    )
    assert (seen.spend, seen.blocked, dict(seen.metadata)) == (0, False, {"a": 1})
    assert [(m.user_id, m.role) for m in seen.members] == [("default_user_id", "admin")]
    with pytest.raises(AlreadyExists) as refusal:
        proxy.client.teams.new(team_id=team.team_id)
    assert refusal.value.status == 400


def test_makers_of_one_team_at_once_leave_one_team(proxy):
    team_id = proxy.team_id()

    def make(_):
        return proxy.http("POST", "/team/new", {"team_id": team_id, "max_budget": 5}).status_code

    with ThreadPoolExecutor(8) as pool:
        answers = sorted(pool.map(make, range(8)))
    assert answers.count(200) == 1
    assert set(answers) <= {200, 400, 500}  # 500: lost between the look and the insert
    assert proxy.client.teams.info(team_id).team.max_budget == 5
    with pytest.raises(AlreadyExists):
        proxy.client.teams.new(team_id=team_id)


def test_a_team_that_never_was_is_not_found(proxy):
    unknown = proxy.name("nowhere")
    for act in (proxy.client.teams.info, proxy.client.teams.update, proxy.client.teams.delete):
        with pytest.raises(TeamNotFound):
            act(unknown)
    for act in (proxy.client.teams.block, proxy.client.teams.unblock):
        with pytest.raises(TeamNotFound):
            act(unknown)
    with pytest.raises(TeamNotFound):
        proxy.client.keys.update(proxy.key().token, team_id=unknown)


def test_a_teams_update_replaces_metadata_and_clears_with_null(proxy):
    team = proxy.team(max_budget=50, metadata={"a": 1}, models=["gpt-4o"])
    changed = proxy.client.teams.update(team.team_id, max_budget=None, metadata={"z": 1})
    assert (changed.max_budget, dict(changed.metadata), changed.models) == (None, {"z": 1}, ("gpt-4o",))


def test_deleting_a_team_deletes_its_keys(proxy):
    team = proxy.team()
    key = proxy.key(team_id=team.team_id)
    assert [row.token for row in proxy.client.teams.info(team.team_id).keys] == [key.token]
    proxy.client.teams.delete(team.team_id)
    assert proxy.client.keys.info(key.token).status == "deleted"
    assert proxy.chat(key.key).status_code == 401


def test_one_unknown_team_saves_the_others_from_a_delete(proxy):
    team = proxy.team()
    with pytest.raises(TeamNotFound):
        proxy.client.teams.delete([team.team_id, proxy.name("nowhere")])
    assert proxy.client.teams.info(team.team_id).team_id == team.team_id


def test_removing_a_member_deletes_that_members_keys(proxy):
    team, user = proxy.team(), proxy.user_id()
    proxy.client.teams.member_add(team.team_id, user_id=user)
    theirs, other = proxy.key(team_id=team.team_id, user_id=user), proxy.key(team_id=team.team_id)
    with pytest.raises(AlreadyExists):
        proxy.client.teams.member_add(team.team_id, user_id=user)
    proxy.client.teams.member_delete(team.team_id, user_id=user)
    assert proxy.client.keys.info(theirs.token).status == "deleted"
    assert proxy.client.keys.info(other.token).status == "active"
    with pytest.raises(Invalid):
        proxy.client.teams.member_delete(team.team_id, user_id=user)


def test_a_new_member_becomes_a_user(proxy):
    team, user = proxy.team(), proxy.user_id()
    proxy.client.teams.member_add(team.team_id, user_id=user, max_budget_in_team=3)
    found = proxy.client.users.get(user)
    assert (found.user.role, found.user.teams) == ("internal_user", (team.team_id,))
    [member] = [m for m in proxy.client.teams.info(team.team_id).memberships if m.user_id == user]
    assert member.budget["max_budget"] == 3
    assert [t.team_id for t in proxy.client.teams.list(user_id=user)] == [team.team_id]


def test_teams_are_listed_in_pages(proxy):
    alias = proxy.name("alias")
    teams = {proxy.team(alias=alias).team_id for _ in range(3)}
    page = proxy.client.teams.list_v2_page(page_size=2, team_alias=alias)
    assert (len(page.items), page.total, page.pages) == (2, 3, 2)
    assert {team.team_id for team in proxy.client.teams.list_v2(team_alias=alias)} == teams
    assert proxy.http("GET", "/v2/team/list?page_size=101").status_code == 422
    assert proxy.client.teams.available() == ()


def test_a_user_is_made_without_a_key_unless_asked(proxy):
    user, other = proxy.user_id(), proxy.user_id()
    made = proxy.client.users.create(user_id=user, email=f"{user}@example.com", max_budget=5)
    assert (made.key, made.max_budget) == (None, 5)
    assert proxy.client.users.create(user_id=other, auto_create_key=True).key
    assert proxy.client.users.get(user).keys == ()
    assert len(proxy.client.users.get(other).keys) == 1


def test_ids_and_addresses_of_users_are_unique(proxy):
    user = proxy.user_id()
    proxy.client.users.create(user_id=user, email=f"{user}@example.com")
    for fields in ({"user_id": user}, {"email": f"{user}@EXAMPLE.com"}):
        with pytest.raises(AlreadyExists) as refusal:
            proxy.client.users.create(**fields)
        assert refusal.value.status == 409


def test_updating_an_unknown_user_makes_one(proxy):
    user = proxy.user_id()
    assert proxy.client.users.update(user, max_budget=1).max_budget == 1
    assert proxy.client.users.get_v2(user).max_budget == 1


def test_deleting_a_user_deletes_keys_without_a_trace(proxy):
    user = proxy.user_id()
    proxy.client.users.create(user_id=user)
    key = proxy.key(user_id=user)
    assert proxy.client.users.delete(user) == 1
    with pytest.raises(KeyNotFound):
        proxy.client.keys.info(key.token)
    for act in (proxy.client.users.get, proxy.client.users.get_v2, proxy.client.users.delete):
        with pytest.raises(NotFound):
            act(user)


def test_naming_a_user_on_a_key_makes_no_user(proxy):
    user = proxy.name("nobody")
    proxy.key(user_id=user)
    with pytest.raises(NotFound):
        proxy.client.users.get(user)


def test_users_are_found_by_id_and_address(proxy):
    user = proxy.user_id()
    proxy.client.users.create(user_id=user, email=f"{user}@example.com", role="internal_user")
    for query in ({"user_ids": user}, {"user_email": user}, {"search": user}):
        assert [found.user_id for found in proxy.client.users.list(**query)] == [user]
    assert proxy.http("GET", "/user/list?page_size=101").status_code == 422
    assert proxy.http("GET", "/user/list?sort_by=colour").status_code == 400
