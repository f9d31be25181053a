import hashlib
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import time_machine
from responses import matchers

from portal.litellm import UNSET, BudgetWindow, InvalidDuration, errors, hash_key
from tests.litellm.servers import BASE, sent

SECRET = "sk-example-one"
HASH = hashlib.sha256(SECRET.encode()).hexdigest()

# As LiteLLM 1.106.2 answers, shortened
ISSUED = {
    "key_alias": "full-81d69e", "duration": None, "models": ["gpt-4o", "gpt-4o-mini"], "spend": 0.0,
    "max_budget": 10.1, "user_id": "rig-user", "team_id": None, "max_parallel_requests": 5,
    "metadata": {"owner": "rig", "n": 1.5}, "tpm_limit": 10000, "rpm_limit": 100, "budget_duration": "30d",
    "blocked": None, "key": SECRET, "tags": None, "allowed_routes": [], "key_name": "sk-...hMfw",
    "expires": "2026-11-21T09:24:34.074391Z", "key_type": "default", "token": HASH, "token_id": HASH,
    "created_at": "2026-11-21T08:24:34.076000Z", "tpd_limit": None, "later": "field",
}  # fmt: skip
ROW = {
    "key_name": "sk-...hMfw", "key_alias": "full-81d69e", "spend": 0.00034, "total_spend": 1.4,
    "expires": "2099-11-21T09:24:34.074000+00:00", "models": ["gpt-4o"], "aliases": {}, "config": {},
    "user_id": "rig-user", "team_id": "team-1", "permissions": {}, "max_parallel_requests": 5,
    "metadata": {"n": 1}, "blocked": None, "tpm_limit": 10000, "rpm_limit": 100, "tpd_limit": None,
    "max_budget": 10.0, "budget_duration": "30d", "budget_reset_at": "2026-12-01T00:00:00+00:00",
    "allowed_routes": ["llm_api_routes"], "key_type": "llm_api", "budget_id": None, "organization_id": None,
    "created_at": "2026-11-21T08:24:34.076000Z", "last_active": "2026-11-21T08:24:39.410000+00:00",
    "litellm_budget_table": None,
}  # fmt: skip


def page(rows, number=1, pages=1):
    return {"keys": rows, "total_count": len(rows), "current_page": number, "total_pages": pages}


def test_a_hash_is_the_sha256_of_the_whole_plaintext():
    assert hash_key(SECRET) == HASH


# generate


def test_an_issued_key_is_read_with_its_amounts_and_times(client, proxy):
    proxy.post(f"{BASE}/key/generate", json=ISSUED)
    issued = client.keys.generate(alias="full-81d69e")
    assert (issued.key, issued.token, issued.name, issued.alias) == (
        SECRET,
        HASH,
        "sk-...hMfw",
        "full-81d69e",
    )
    assert issued.expires == datetime(2026, 11, 21, 9, 24, 34, 74391, UTC)
    assert issued.max_budget == Decimal("10.1")
    assert issued.models == ("gpt-4o", "gpt-4o-mini")
    assert issued.metadata == {"owner": "rig", "n": 1.5}
    assert issued.extra["later"] == "field"


def test_the_secret_is_in_the_field_and_not_in_the_repr(client, proxy):
    proxy.post(f"{BASE}/key/generate", json=ISSUED)
    assert SECRET not in repr(client.keys.generate())


@pytest.mark.parametrize("missing", [{}, {"key": None}, {"key": ""}])
def test_an_answer_without_a_key_is_no_success(client, proxy, missing):
    proxy.post(f"{BASE}/key/generate", json={"token": HASH, **missing})
    with pytest.raises(errors.BadAnswer) as bad:
        client.keys.generate()
    assert bad.value.applied is None


def test_generate_sends_what_was_given_and_leaves_out_the_rest(client, proxy):
    proxy.post(f"{BASE}/key/generate", json=ISSUED)
    client.keys.generate(
        key=SECRET,
        alias="ci",
        duration="30m",
        models=("gpt-4o",),
        max_budget=Decimal("0.25"),
        budget_duration=BudgetWindow.MONTH,
        soft_budget=0.2,
        rpm_limit=0,
        blocked=False,
        metadata={"a": 1},
        key_type="llm_api",
        auto_rotate=True,
    )
    assert sent(proxy) == {
        "key": SECRET,
        "key_alias": "ci",
        "duration": "1800s",
        "models": ["gpt-4o"],
        "max_budget": 0.25,
        "budget_duration": "1mo",
        "soft_budget": 0.2,
        "rpm_limit": 0,
        "blocked": False,
        "metadata": {"a": 1},
        "key_type": "llm_api",
        "auto_rotate": True,
    }


def test_generate_with_nothing_sends_an_empty_object(client, proxy):
    proxy.post(f"{BASE}/key/generate", json=ISSUED)
    client.keys.generate()
    assert sent(proxy) == {}


@pytest.mark.parametrize("duration", ["3600s", "1h", 3600, timedelta(hours=1)])
def test_lifetimes_go_out_as_whole_seconds(client, duration):
    assert client.prepare.keys.generate(duration=duration).json == {"duration": "3600s"}


@pytest.mark.parametrize("fields", [{"duration": "1h30m"}, {"budget_duration": "3600s"}, {"duration": "-1"}])
def test_what_litellm_would_misread_is_never_sent(client, proxy, fields):
    with pytest.raises(InvalidDuration):
        client.keys.generate(**fields)
    assert len(proxy.calls) == 0


def test_a_service_account_key_is_asked_for_with_its_team(client, proxy):
    proxy.post(f"{BASE}/key/service-account/generate", json=ISSUED)
    client.keys.generate_service_account(team_id="t", alias="sa", duration="1h", max_budget=None)
    assert sent(proxy) == {"team_id": "t", "key_alias": "sa", "duration": "3600s"}


def test_regenerating_names_the_key_by_its_hash(client, proxy):
    proxy.post(f"{BASE}/key/{HASH}/regenerate", json=ISSUED)
    assert client.keys.regenerate(SECRET, grace_period="1h").key == SECRET
    assert sent(proxy) == {"grace_period": "1h"}


# update


def test_update_keeps_what_is_left_out_and_clears_what_is_none(client, proxy):
    proxy.post(f"{BASE}/key/update", json={"key": HASH, "token": HASH, **ROW})
    client.keys.update(SECRET, max_budget=None, duration=None, rpm_limit=5, tpm_limit=UNSET)
    assert sent(proxy) == {"key": HASH, "max_budget": None, "duration": None, "rpm_limit": 5}


def test_update_reads_the_whole_row(client, proxy):
    proxy.post(f"{BASE}/key/update", json={"key": HASH, "token": HASH, **ROW})
    row = client.keys.update(HASH, alias="full-81d69e")
    assert (row.token, row.alias, row.status) == (HASH, "full-81d69e", "active")
    assert sent(proxy) == {"key": HASH, "key_alias": "full-81d69e"}


def test_update_by_alias_sends_the_alias_and_cannot_rename(client, proxy):
    proxy.post(f"{BASE}/key/update", json={"token": HASH, **ROW})
    client.keys.update(by_alias="ci", spend=0)
    assert sent(proxy) == {"key_alias": "ci", "spend": 0}
    with pytest.raises(TypeError, match="renaming"):
        client.keys.update(by_alias="ci", alias="new")


@pytest.mark.parametrize("which", [{}, {"key": SECRET, "by_alias": "ci"}])
def test_update_wants_a_key_or_an_alias(client, which):
    with pytest.raises(TypeError):
        client.keys.update(**which, max_budget=1)


def test_update_tells_a_missing_team_from_a_missing_key(client, proxy):
    told = {
        "message": "{'error': \"Team doesn't exist in db. Team=t. Create team via `/team/new` call.\"}",
        "code": "404",
    }
    proxy.post(f"{BASE}/key/update", json={"error": told}, status=404)
    with pytest.raises(errors.TeamNotFound) as missing:
        client.keys.update(HASH, max_budget=1)
    assert not isinstance(missing.value, errors.KeyNotFound)


def test_a_bulk_update_tells_what_worked_and_what_did_not(client, proxy):
    failed = {"key": "0" * 64, "key_info": None, "failed_reason": f"Key not found. {SECRET}"}
    answer = {
        "total_requested": 2,
        "successful_updates": [{"key": HASH, "key_info": ROW}],
        "failed_updates": [failed],
    }
    proxy.post(f"{BASE}/key/bulk_update", json=answer)
    done = client.keys.bulk_update([{"key": SECRET, "max_budget": 3}, {"key": "0" * 64, "max_budget": 3}])
    assert sent(proxy)["keys"][0] == {"key": HASH, "max_budget": 3}
    assert [row.token for row in done.updated] == [HASH]
    assert done.failed == {"0" * 64: "Key not found. sk-…"}


# delete


def test_delete_sends_hashes_and_answers_them(client, proxy):
    proxy.post(f"{BASE}/key/delete", json={"deleted_keys": [HASH]})
    assert client.keys.delete(SECRET) == (HASH,)
    assert sent(proxy) == {"keys": [HASH]}
    client.keys.delete(aliases=["ci", "cd"])
    assert sent(proxy) == {"key_aliases": ["ci", "cd"]}


@pytest.mark.parametrize("which", [{}, {"keys": []}, {"keys": [SECRET], "aliases": ["ci"]}])
def test_delete_refuses_nothing_and_refuses_both(client, which):
    with pytest.raises(TypeError):
        client.keys.delete(**which)


def test_delete_of_what_is_not_there_says_so(client, proxy):
    proxy.post(
        f"{BASE}/key/delete",
        json={"error": {"message": "{'error': 'No keys found'}", "code": "404"}},
        status=404,
    )
    with pytest.raises(errors.KeyNotFound, match="No keys found"):
        client.keys.delete(SECRET)


def test_delete_at_a_wrong_base_url_does_not_look_like_a_key_that_is_gone(client, proxy):
    proxy.post(f"{BASE}/key/delete", json={"detail": "Not Found"}, status=404)
    with pytest.raises(errors.NoSuchRoute):
        client.keys.delete(SECRET)


# info and list


def test_a_plaintext_never_goes_into_a_url(client):
    for prepared in (
        client.prepare.keys.info(SECRET),
        client.prepare.keys.regenerate(SECRET),
        client.prepare.keys.reset_spend(SECRET),
        client.prepare.keys.info("any other text"),
    ):
        assert SECRET not in prepared.url
        assert "other" not in prepared.url


def test_info_reads_the_row_and_knows_its_hash(client, proxy):
    proxy.get(f"{BASE}/key/info", json={"key": HASH, "info": {**ROW, "status": "expired"}})
    row = client.keys.info(SECRET)
    assert proxy.calls[0].request.url == f"{BASE}/key/info?key={HASH}"
    assert (row.token, row.status, row.spend, row.total_spend) == (
        HASH,
        "expired",
        Decimal("0.00034"),
        Decimal("1.4"),
    )
    assert row.budget_reset_at == datetime(2026, 12, 1, tzinfo=UTC)
    assert row.last_active == datetime(2026, 11, 21, 8, 24, 39, 410000, UTC)
    assert (row.blocked, row.key_type, row.allowed_routes) == (False, "llm_api", ("llm_api_routes",))


def test_info_without_a_key_asks_for_the_clients_own(client, proxy):
    proxy.get(f"{BASE}/key/info", json={"key": None, "info": ROW})
    assert client.with_key(SECRET).keys.info().token == HASH
    assert proxy.calls[0].request.url == f"{BASE}/key/info"


@pytest.mark.parametrize(
    ("row", "status"),
    [
        ({}, "active"),
        ({"expires": None}, "active"),
        ({"expires": "2026-11-21T12:00:01Z"}, "active"),
        ({"expires": "2026-11-21T11:59:59Z"}, "expired"),
        ({"expires": "2026-11-21T11:59:59Z", "blocked": True}, "revoked"),
        ({"blocked": True, "deleted_at": "2026-11-21T11:00:00Z"}, "deleted"),
        ({"status": "deleted"}, "deleted"),
        ({"status": "newer word", "blocked": True}, "revoked"),
    ],
)
def test_a_row_without_a_status_gets_the_one_that_litellm_would_derive(client, proxy, row, status):
    proxy.get(f"{BASE}/key/list", json=page([{"token": HASH, **ROW, **row}]))
    with time_machine.travel("2026-11-21T12:00:00Z", tick=False):
        assert client.keys.list_page().items[0].status == status


def test_many_keys_are_asked_for_by_the_hundred(client, proxy):
    proxy.post(f"{BASE}/v2/key/info", json={"key": [], "info": [ROW]})
    rows = client.keys.info_many(str(number) for number in range(250))
    assert [len(sent(proxy, call)["keys"]) for call in range(3)] == [100, 100, 50]
    assert [row.token for row in rows] == ["", "", ""]


def test_the_list_walks_every_page_in_an_order_that_writes_do_not_disturb(client, proxy):
    for number in (1, 2, 3):
        params = {
            "page": number,
            "size": 100,
            "return_full_object": "true",
            "team_id": "t",
            "key_alias": "ci",
        }
        params |= {"sort_by": "token", "sort_order": "asc"}
        proxy.get(
            f"{BASE}/key/list",
            json=page([{"token": str(number)}], number, 3),
            match=[matchers.query_param_matcher(params)],
        )
    assert [row.token for row in client.keys.list(team_id="t", alias="ci")] == ["1", "2", "3"]


def test_the_list_asks_for_a_page_only_when_it_is_needed(client, proxy):
    proxy.get(f"{BASE}/key/list", json=page([{"token": "1"}], 1, 3))
    walk = client.keys.list()
    assert len(proxy.calls) == 0
    next(walk)
    assert len(proxy.calls) == 1


def test_an_empty_list_and_a_list_that_shrinks_come_to_an_end(client, proxy):
    proxy.get(f"{BASE}/key/list", json=page([{"token": "1"}], 1, 3))
    proxy.get(f"{BASE}/key/list", json=page([], 2, 3))
    assert len(list(client.keys.list())) == 1


def test_a_page_of_hashes_alone(client, proxy):
    proxy.get(f"{BASE}/key/list", json=page([HASH, "0" * 64]))
    answer = client.keys.hashes_page(2, 10, status="expired")
    assert answer.items == (HASH, "0" * 64)
    assert (answer.total, answer.page, answer.pages) == (2, 1, 1)
    assert proxy.calls[0].request.url == f"{BASE}/key/list?page=2&size=10&status=expired"


def test_aliases_are_walked_too(client, proxy):
    for number in (1, 2):
        proxy.get(f"{BASE}/key/aliases", json={"aliases": [f"a{number}"], "current_page": number, "total_pages": 2})
    assert list(client.keys.aliases(search="a")) == ["a1", "a2"]


@pytest.mark.parametrize("verb", ["block", "unblock"])
def test_blocking_names_the_key_by_its_hash(client, proxy, verb):
    proxy.post(f"{BASE}/key/{verb}", json={"token": HASH, **ROW, "blocked": verb == "block"})
    assert getattr(client.keys, verb)(SECRET).blocked is (verb == "block")
    assert sent(proxy) == {"key": HASH}


def test_health_and_reset(client, proxy):
    proxy.post(f"{BASE}/key/health", json={"key": "healthy", "logging_callbacks": None})
    proxy.post(f"{BASE}/key/{HASH}/reset_spend", json={"key_hash": HASH, "spend": 0.0, "previous_spend": 1.5})
    assert client.keys.health().key == "healthy"
    reset = client.keys.reset_spend(SECRET, Decimal("0.5"))
    assert (reset.token, reset.previous_spend) == (HASH, Decimal("1.5"))
    assert sent(proxy) == {"reset_to": 0.5}
