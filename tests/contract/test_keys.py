"""Keys: the hash is the identity, null clears, metadata is replaced whole, lists page at 100."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from portal.litellm import AlreadyExists, Invalid, KeyNotFound, LicenceNeeded, hash_key


def test_a_chosen_key_is_known_by_its_sha256(proxy):
    secret = proxy.secret()
    issued = proxy.client.keys.generate(key=secret, alias=proxy.name("chosen"), max_budget=2)
    assert (issued.key, issued.token) == (secret, hash_key(secret))
    assert issued.name == f"sk-...{secret[-4:]}"
    for handle in (secret, issued.token):
        found = proxy.http("GET", f"/key/info?key={handle}").json()
        assert found["key"] == handle
        assert (found["info"]["status"], found["info"]["max_budget"]) == ("active", 2)


def test_a_key_that_the_proxy_chose_is_shown_once(proxy):
    issued = proxy.key()
    assert issued.key.startswith("sk-")
    assert hash_key(issued.key) == issued.token
    assert issued.key not in proxy.http("GET", f"/key/info?key={issued.token}").text


@pytest.mark.parametrize(
    ("key", "reason"),
    [("plain-0123456789", "must start with 'sk-'"), ("sk-short", "at least 16 characters long")],
)
def test_a_chosen_key_has_a_form(proxy, key, reason):
    answer = proxy.generate(key=key)
    assert answer.status_code == 400
    assert reason in answer.json()["error"]["message"]


def test_the_same_key_again_without_an_alias_answers_with_new_values_and_keeps_the_old_ones(proxy):
    secret = proxy.secret()
    proxy.client.keys.generate(key=secret, max_budget=2)
    again = proxy.client.keys.generate(key=secret, max_budget=3)
    assert (again.token, again.max_budget) == (hash_key(secret), 3)
    assert proxy.client.keys.info(hash_key(secret)).max_budget == 2


def test_the_same_key_again_with_its_alias_is_refused_although_it_landed(proxy):
    secret, alias = proxy.secret(), proxy.name("again")
    proxy.client.keys.generate(key=secret, alias=alias)
    with pytest.raises(AlreadyExists) as refusal:
        proxy.client.keys.generate(key=secret, alias=alias)
    assert refusal.value.status == 400
    assert proxy.client.keys.info(hash_key(secret)).status == "active"


def test_many_creates_of_one_hash_make_one_row(proxy):
    secret, user = proxy.secret(), proxy.name("owner")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: proxy.generate(key=secret, user_id=user).status_code, range(8)))
    # The real proxy may answer the losers of the race with a 500, and it makes no second row.
    assert 200 in answers
    assert set(answers) <= {200, 500}
    assert proxy.client.keys.list_page(user_id=user).total == 1


def test_an_alias_is_taken_once_and_free_after_a_delete(proxy):
    alias = proxy.name("alias")
    first = proxy.key(alias=alias)
    with pytest.raises(AlreadyExists):
        proxy.key(alias=alias)
    with pytest.raises(AlreadyExists):
        proxy.client.keys.update(proxy.key().token, alias=alias)
    proxy.client.keys.delete(first.token)
    assert proxy.key(alias=alias).token != first.token


@pytest.mark.parametrize("alias", ["a/../b", "a\nb"])
def test_an_alias_is_one_plain_line(proxy, alias):
    with pytest.raises(Invalid, match="Invalid key_alias"):
        proxy.key(alias=alias)


def test_what_is_absent_stays_and_what_is_null_is_cleared(proxy):
    key = proxy.key(max_budget=5, rpm_limit=9, models=["gpt-4o"], metadata={"a": 1}, alias=proxy.name("upd"))
    renamed = proxy.name("renamed")
    changed = proxy.client.keys.update(key.token, max_budget=None, alias=renamed)
    assert (changed.max_budget, changed.alias) == (None, renamed)
    seen = proxy.client.keys.info(key.token)
    assert (seen.max_budget, seen.rpm_limit, seen.models) == (None, 9, ("gpt-4o",))
    assert (dict(seen.metadata), seen.alias) == ({"a": 1}, renamed)


def test_metadata_is_replaced_whole_and_holds_the_limits_per_model(proxy):
    key = proxy.key(metadata={"a": 1}, model_rpm_limit={"gpt-4o": 5})
    assert dict(proxy.client.keys.info(key.token).metadata) == {"a": 1, "model_rpm_limit": {"gpt-4o": 5}}
    proxy.client.keys.update(key.token, metadata={"b": 2})
    assert dict(proxy.client.keys.info(key.token).metadata) == {"b": 2}


def test_a_spend_can_be_carried_over_and_set_back(proxy):
    key = proxy.key(spend=1.5, max_budget=10)
    assert proxy.client.keys.info(key.token).spend == 1.5
    proxy.client.keys.update(key.token, spend=2.5)
    assert proxy.client.keys.info(key.token).spend == 2.5
    back = proxy.client.keys.reset_spend(key.token, 1)
    assert (back.previous_spend, back.spend) == (2.5, 1)
    with pytest.raises(Invalid, match="must be <= current spend"):
        proxy.client.keys.reset_spend(key.token, 99)


def test_unknown_fields_are_ignored_in_silence(proxy):
    answer = proxy.generate(no_such_field=1)
    assert answer.status_code == 200
    assert "no_such_field" not in answer.json()


def test_a_team_or_a_model_that_is_not_there_is_no_reason_to_refuse_a_key(proxy):
    key = proxy.key(team_id=proxy.name("nowhere"), models=["no-such-model"])
    assert proxy.client.keys.info(key.token).models == ("no-such-model",)


def test_deleting_takes_effect_at_once_and_leaves_a_trace(proxy):
    key = proxy.key(alias=proxy.name("gone"))
    assert proxy.works(key.key)
    proxy.client.keys.delete(key.token)
    refusal = proxy.chat(key.key)
    assert (refusal.status_code, refusal.json()["error"]["type"]) == (401, "token_not_found_in_db")
    seen = proxy.client.keys.info(key.token)
    assert seen.status == "deleted"
    assert seen.deleted_at is not None
    assert [row.token for row in proxy.client.keys.list(key_hash=key.token, status="deleted")] == [key.token]
    assert list(proxy.client.keys.list(key_hash=key.token)) == []


def test_generating_a_deleted_hash_revives_it(proxy):
    secret = proxy.secret()
    proxy.client.keys.generate(key=secret, max_budget=2, alias=proxy.name("first"))
    proxy.client.keys.delete(hash_key(secret))
    proxy.client.keys.generate(key=secret, max_budget=9)
    seen = proxy.client.keys.info(hash_key(secret))
    assert (seen.status, seen.max_budget, seen.alias) == ("active", 9, None)
    assert proxy.works(secret)


def test_a_hash_that_never_was_is_not_found_anywhere(proxy):
    unknown = hash_key(proxy.secret())
    for act in (proxy.client.keys.info, proxy.client.keys.delete, proxy.client.keys.block):
        with pytest.raises(KeyNotFound):
            act(unknown)
    with pytest.raises(KeyNotFound):
        proxy.client.keys.update(unknown, max_budget=1)


def test_a_second_delete_finds_nothing(proxy):
    key = proxy.key()
    proxy.client.keys.delete(key.token)
    with pytest.raises(KeyNotFound):
        proxy.client.keys.delete(key.token)


def test_a_mixed_list_is_echoed_whole(proxy):
    key, unknown = proxy.key(), hash_key(proxy.secret())
    assert set(proxy.client.keys.delete([key.token, unknown])) == {key.token, unknown}
    with pytest.raises(KeyNotFound):
        proxy.client.keys.info(unknown)


def test_keys_can_be_deleted_by_alias(proxy):
    key = proxy.key(alias=proxy.name("named"))
    proxy.client.keys.delete(aliases=[str(key.alias)])
    assert proxy.client.keys.info(key.token).status == "deleted"
    with pytest.raises(KeyNotFound):
        proxy.client.keys.delete(aliases=[str(key.alias)])


def test_a_hundred_keys_are_listed_in_one_page_looked_up_and_deleted_in_one_call(proxy):
    user = proxy.name("crowd")
    with ThreadPoolExecutor(8) as pool:
        tokens = [key.token for key in pool.map(lambda _: proxy.key(user_id=user), range(101))]
    page = proxy.client.keys.list_page(user_id=user, size=100, sort_by="token", sort_order="asc")
    assert (len(page.items), page.total, page.pages) == (100, 101, 2)
    assert [row.token for row in page.items] == sorted(tokens)[:100]
    walked = [row.token for row in proxy.client.keys.list(user_id=user)]
    assert sorted(walked) == sorted(tokens)
    assert len(proxy.client.keys.info_many(tokens[:100])) == 100
    assert len(proxy.client.keys.delete(tokens[:100])) == 100
    assert [row.token for row in proxy.client.keys.list(user_id=user)] == tokens[100:]


def test_a_page_of_keys_has_limits_and_shows_hashes_unless_asked_for_more(proxy):
    key = proxy.key(alias=proxy.name("listed"))
    body = proxy.http("GET", f"/key/list?key_alias={key.alias}").json()
    assert body == {"keys": [key.token], "total_count": 1, "current_page": 1, "total_pages": 1}
    [row] = proxy.http("GET", f"/key/list?key_alias={key.alias}&return_full_object=true").json()["keys"]
    assert (row["token"], row["key_alias"]) == (key.token, key.alias)
    assert "status" not in row
    for query, status in (("size=101", 422), ("page=0", 422), ("sort_by=colour", 400), ("status=odd", 400)):
        assert proxy.http("GET", f"/key/list?{query}").status_code == status
    past = proxy.http("GET", f"/key/list?key_alias={key.alias}&page=9").json()
    assert (past["keys"], past["current_page"]) == ([], 9)


def test_lists_filter_by_alias_part_team_and_status(proxy):
    team, part = proxy.team(), proxy.name("part")
    active = proxy.key(alias=f"{part}-a", team_id=team.team_id)
    blocked = proxy.key(alias=f"{part}-b", blocked=True)
    find = proxy.client.keys.list
    assert {row.token for row in find(alias=part, substring_matching=True)} == {active.token, blocked.token}
    assert list(find(alias=part)) == []
    assert [row.token for row in find(team_id=team.team_id)] == [active.token]
    assert [row.token for row in find(search=part, status="revoked")] == [blocked.token]
    assert [row.token for row in find(search=part, status="active")] == [active.token]
    assert sorted(proxy.client.keys.aliases(search=part)) == [f"{part}-a", f"{part}-b"]


def test_a_look_at_many_drops_the_unknown_and_hides_the_hash(proxy):
    key, unknown = proxy.key(metadata={"lease": "one"}), hash_key(proxy.secret())
    body = proxy.http("POST", "/v2/key/info", {"keys": [key.token, unknown]}).json()
    assert body["key"] == [key.token, unknown]
    [row] = body["info"]
    assert row["metadata"] == {"lease": "one"}
    assert "token" not in row


def test_blocking_refuses_calls_at_once_and_unblocking_allows_them(proxy):
    key = proxy.key()
    assert proxy.client.keys.block(key.token).blocked
    refusal = proxy.chat(key.key)
    assert (refusal.status_code, refusal.json()["error"]["type"]) == (401, "auth_error")
    assert "Key is blocked" in refusal.json()["error"]["message"]
    assert proxy.client.keys.info(key.token).status == "revoked"
    assert not proxy.client.keys.unblock(key.token).blocked
    assert proxy.works(key.key)


def test_a_bulk_update_answers_for_each_key(proxy):
    key, unknown = proxy.key(), hash_key(proxy.secret())
    changes = [{"key": key.token, "max_budget": 4}, {"key": unknown, "max_budget": 4}]
    answer = proxy.client.keys.bulk_update(changes)
    assert [row.max_budget for row in answer.updated] == [4]
    assert list(answer.failed) == [unknown]


def test_a_service_account_key_needs_a_team_that_is_there(proxy):
    for body in ({}, {"team_id": proxy.name("nowhere")}):
        answer = proxy.http("POST", "/key/service-account/generate", body)
        assert answer.status_code == 400
        assert "team_id" in answer.json()["detail"]
    alias, team = proxy.name("robot"), proxy.team()
    key = proxy.client.keys.generate_service_account(team_id=team.team_id, alias=alias)
    assert (key.user_id, dict(key.metadata)) == (None, {"service_account_id": alias})


def test_what_needs_a_licence_is_refused_in_three_statuses(proxy):
    key = proxy.key()
    for act, status in (
        (lambda: proxy.key(tags=["blue"]), 403),
        (lambda: proxy.client.keys.update(key.token, tags=["blue"]), 403),
        (lambda: proxy.client.keys.regenerate(key.token), 500),
        (lambda: proxy.team(tags=["blue"]), 403),
        (lambda: proxy.client.teams.member_add(proxy.team().team_id, user_id="x-a", role="admin"), 400),
    ):
        with pytest.raises(LicenceNeeded) as refusal:
            act()
        assert refusal.value.status == status


def test_tags_written_into_the_metadata_need_no_licence(proxy):
    assert dict(proxy.key(metadata={"tags": ["blue"]}).metadata) == {"tags": ["blue"]}
