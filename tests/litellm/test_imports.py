from datetime import UTC, datetime

import pytest
import time_machine

from portal.litellm import Client, errors
from tests.litellm.servers import BASE, sent

OLD = "http://old.test"
NOW = "2026-11-21T12:00:00Z"
SECRET = "sk-example-imported"
KEY = {
    "token": "a" * 64, "key_alias": "ci", "expires": "2026-11-21T13:00:00Z", "models": ["gpt-4o"],
    "spend": 0.5, "max_budget": 0.0, "budget_duration": "24h", "tpm_limit": 10, "rpm_limit": None,
    "team_id": "t", "user_id": None, "metadata": {"model_rpm_limit": {"gpt-4o": 3}}, "blocked": True,
    "created_at": "2026-11-20T00:00:00Z", "budget_id": "private",
    "litellm_budget_table": {"soft_budget": 0.25}, "budget_limits": [{"budget_duration": "1d",
    "max_budget": 1.5, "reset_at": None}],
}  # fmt: skip


@pytest.fixture
def source(proxy):
    def holding(*rows):
        proxy.get(
            f"{OLD}/key/list",
            json={"keys": rows, "total_pages": 1, "current_page": 1, "total_count": len(rows)},
        )
        return Client(OLD, "sk-example-old")

    return holding


def test_an_import_keeps_budgets_limits_spend_and_the_rest_of_the_lifetime(client, proxy, source):
    proxy.post(f"{BASE}/key/generate", json={"key": SECRET, "token": "b" * 64})
    with time_machine.travel(NOW, tick=False):
        made = list(client.keys.import_from(source(KEY)))
    assert [(key.outcome, key.source_token, key.token, key.key) for key in made] == [
        ("imported", "a" * 64, "b" * 64, SECRET)
    ]
    assert sent(proxy) == {
        "key_alias": "ci",
        "duration": "3600s",
        "models": ["gpt-4o"],
        "spend": 0.5,
        "max_budget": 0,  # it blocks, and must go on to
        "soft_budget": 0.25,
        "budget_duration": "24h",
        "budget_limits": KEY["budget_limits"],
        "tpm_limit": 10,
        "team_id": "t",
        "metadata": {"model_rpm_limit": {"gpt-4o": 3}},
        "blocked": True,
    }


def test_the_new_secret_is_not_shown(client, proxy, source):
    proxy.post(f"{BASE}/key/generate", json={"key": SECRET, "token": "b" * 64})
    with time_machine.travel(NOW, tick=False):
        assert SECRET not in repr(list(client.keys.import_from(source(KEY))))


def test_a_dry_run_makes_nothing(client, proxy, source):
    with time_machine.travel(NOW, tick=False):
        planned = list(client.keys.import_from(source(KEY), dry_run=True))
    assert [(key.alias, key.outcome) for key in planned] == [("ci", "would import")]
    assert [call.request.method for call in proxy.calls] == ["GET"]


def test_only_keys_made_since_a_time_are_imported(client, source):
    rows = [
        KEY,
        {**KEY, "key_alias": "new", "created_at": "2026-11-21T11:00:00Z"},
        {**KEY, "created_at": None},
    ]
    with time_machine.travel(NOW, tick=False):
        since = datetime(2026, 11, 21, tzinfo=UTC)
        planned = list(client.keys.import_from(source(*rows), created_since=since, dry_run=True))
    assert [key.alias for key in planned] == ["new"]


def test_expired_keys_and_taken_aliases_are_skipped_and_refusals_told(client, proxy, source):
    taken = {"error": {"message": "Key with alias 'ci' already exists.", "code": "400"}}
    refused = {"error": {"message": "{'error': 'Internal: max_budget must be finite'}", "code": "400"}}
    proxy.post(f"{BASE}/key/generate", json=taken, status=400)
    proxy.post(f"{BASE}/key/generate", json=refused, status=400)
    rows = [{**KEY, "expires": NOW}, KEY, {**KEY, "key_alias": "odd"}]
    with time_machine.travel(NOW, tick=False):
        outcomes = [(key.outcome, key.reason) for key in client.keys.import_from(source(*rows))]
    assert outcomes == [
        ("skipped", "expired"),
        ("skipped", "Key with alias 'ci' already exists."),
        ("failed", "Internal: max_budget must be finite"),
    ]


def test_an_import_stops_when_the_proxy_goes_away(client, proxy, source):
    proxy.post(f"{BASE}/key/generate", status=503)
    with time_machine.travel(NOW, tick=False), pytest.raises(errors.ServerError):
        list(client.keys.import_from(source(KEY, KEY)))


@pytest.mark.parametrize(
    ("kind", "routes", "told"),
    [
        ("llm_api", ["llm_api_routes"], {"key_type": "llm_api", "allowed_routes": ["llm_api_routes"]}),
        ("llm_api", ["/v1/models"], {"allowed_routes": ["/v1/models"]}),
        ("default", [], {}),
    ],
)
def test_the_type_of_a_key_comes_along_unless_its_routes_were_changed(client, proxy, source, kind, routes, told):
    proxy.post(f"{BASE}/key/generate", json={"key": SECRET, "token": "b" * 64})
    with time_machine.travel(NOW, tick=False):
        list(client.keys.import_from(source({"token": "a" * 64, "key_type": kind, "allowed_routes": routes})))
    assert sent(proxy) == told
