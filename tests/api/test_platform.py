"""The platform over HTTP: who may, and gateways."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from keys.models import Gateway, KeyVersion, Lease
from keys.models.intent import HORIZON
from keys.services import reconcile
from keys.services.minting import new_secret
from portal.litellm import faults
from teams.access import SYSTEM
from tests.api.answers import code, names

pytestmark = pytest.mark.django_db(transaction=True)
WATCHED = ["gateways", "intents", "findings", "unmanaged-keys", "departures", "sweeps"]


@pytest.mark.parametrize("path", WATCHED)
def test_the_platform_needs_the_scope_to_read_it(sandbox, call, ruth, ines, path):
    refused = call("get", f"{path}/", by=ruth, scopes=["read", "keys:manage", "platform:manage"])
    assert code(refused) == (403, "not_allowed")
    assert refused.json()["error"]["details"] == {"right": "see_platform", "scope": "platform:read"}
    assert call("get", f"{path}/", by=ruth, scopes=["platform:read"]).status_code == 200
    assert call("get", f"{path}/", by=ines).json()["error"]["details"] == {"right": "see_platform", "who": ["Ruth"]}


@pytest.mark.parametrize(
    "path",
    ["intents/1/retry", "intents/1/force", "intents/1/forget", "findings/1/restore", "findings/1/adopt",
     "findings/1/ignore", "findings/1/revoke", "gateways/sandbox/reconcile", "gateways/sandbox/release",
     "unmanaged-keys/1/adopt", "departures/1/decide"],
)  # fmt: skip
def test_an_act_on_the_platform_needs_its_scope_before_anything_is_looked_up(sandbox, call, ruth, audra, ines, path):
    refused = call("post", f"{path}/", by=ruth, scopes=["read", "keys:manage", "platform:read"])
    assert refused.json()["error"]["details"] == {"right": "manage_platform", "scope": "platform:manage"}
    for who in (audra, ines):
        assert call("post", f"{path}/", by=who).json()["error"]["details"] == {
            "right": "manage_platform",
            "who": ["Ruth"],
        }


@pytest.mark.parametrize("pk", ["0", "999999", "9" * 30, "9" * 5000])
@pytest.mark.parametrize("path", ["intents/{}/retry", "findings/{}/restore", "departures/{}/decide"])
def test_a_row_that_is_not_there_is_404(sandbox, call, client, ruth, path, pk):
    client.raise_request_exception = False
    assert code(call("post", f"{path.format(pk)}/", by=ruth)) == (404, "not_found")


@pytest.mark.parametrize("name", ["nowhere", "%00", "a%00b", "x" * 61, "-", "..", "%F0%9F%94%91"])
def test_a_gateway_or_role_that_is_not_there_is_404(sandbox, call, client, ruth, name):
    client.raise_request_exception = False
    for path in (f"gateways/{name}/", f"gateways/{name}/release/", f"roles/{name}/"):
        assert call("get", path, by=ruth).status_code == 404
    assert call("delete", f"roles/{name}/", by=ruth).status_code == 404


@pytest.mark.parametrize("path", WATCHED)
@pytest.mark.parametrize("query", ["nonsense=1", "cursor=cD14", "cursor=%00", "page_size=x"])
def test_a_list_answers_to_odd_queries_in_words(sandbox, call, client, ruth, drifted, path, query):
    client.raise_request_exception = False
    assert call("get", f"{path}/?{query}", by=ruth).status_code in {200, 404, 422}


@pytest.mark.parametrize("path", [*WATCHED, "keys", "teams", "roles"])
def test_a_query_that_a_list_does_not_know_is_refused_by_name(sandbox, call, ruth, path):
    answer = call("get", f"{path}/?stat=open", by=ruth)
    assert (answer.status_code, names(answer)) == (422, ["stat"])


def test_a_gateway_tells_how_it_is_and_never_its_master_key(sandbox, call, audra):
    (row,) = call("get", "gateways/", by=audra).json()["results"]
    one = call("get", "gateways/sandbox/", by=audra)
    assert one.json() == row
    assert set(row) == {
        "id", "name", "base_url", "is_default", "timeout", "ttl", "max_ttl", "litellm_version", "licence",
        "chosen_keys", "models", "health", "held", "reconciled_at", "foreign_keys", "effective_within", "spend",
        "max_budget", "spend_synced_at", "version",
    }  # fmt: skip
    assert row["health"] == {
        "state": "never_asked", "checked_at": None, "away_since": None, "away_reason": "", "next_try_at": None,
    }  # fmt: skip
    assert (row["held"], row["ttl"]) == (None, 30 * 24 * 3600)
    assert sandbox.gateway.master_key not in one.content.decode()


def test_a_gateway_that_is_away_says_since_when(sandbox, call, ruth):
    sandbox.gateway.went_away("Connection refused", timezone.now())
    health = call("get", "gateways/sandbox/", by=ruth).json()["health"]
    assert (health["state"], health["away_reason"]) == ("away", "Connection refused")
    assert health["away_since"] < health["next_try_at"]


def test_the_list_of_gateways_does_not_need_the_key_that_opens_a_master_key(sandbox, call, ruth):
    with connection.cursor() as cursor:
        cursor.execute("UPDATE keys_gateway SET master_key = 'not to be opened'")
    assert call("get", "gateways/", by=ruth).status_code == 200
    assert call("get", "gateways/sandbox/", by=ruth).status_code == 200
    assert call("get", "keys/", by=ruth).status_code == 200


def test_a_reconcile_is_asked_for_and_the_next_sweep_runs_it(sandbox, call, ruth, make_key):
    issued = make_key()
    sandbox.client.keys.generate(key=new_secret())
    reconcile.run(sandbox.gateway, by=SYSTEM)
    answer = call("post", "gateways/sandbox/reconcile/", by=ruth)
    assert (answer.status_code, answer.json()) == (202, {"outcome": None})
    assert call("get", "gateways/sandbox/", by=ruth).json()["reconciled_at"] is None
    assert reconcile.run_due()["gateways"] == 1
    gateway = call("get", "gateways/sandbox/", by=ruth).json()
    assert (gateway["foreign_keys"], gateway["reconciled_at"] is None) == (1, False)
    assert sandbox.status_of(issued.secret) == 200


def test_an_approved_list_is_ended(sandbox, call, ruth, make_key, make_role):
    role = make_role()
    made = [make_key(role=role) for _ in range(11)]
    sandbox.client.keys.delete([issued.secret for issued in made])
    KeyVersion.objects.update(issued_at=timezone.now() - 2 * HORIZON)
    assert call("post", "gateways/sandbox/reconcile/", {"approved": False}, by=ruth).status_code == 202
    assert reconcile.run_due()["ended"] == 0
    assert len(call("get", "findings/?kind=missing&state=open", by=ruth).json()["results"]) == 11
    done = call("post", "gateways/sandbox/reconcile/", {"approved": True}, by=ruth).json()["outcome"]
    assert set(done) == {
        "gateway", "live", "foreign", "revoked", "closed", "listed", "unknown", "drifted", "held", "stopped",
    }  # fmt: skip
    assert (done["gateway"], done["listed"], len(done["closed"])) == ("sandbox", [], 11)


@pytest.mark.parametrize("body", [{"approved": "perhaps"}, {"approved": None}, {"approved": [True]}, {"aproved": True}])
def test_an_approval_is_plain(sandbox, call, ruth, body):
    answer = call("post", "gateways/sandbox/reconcile/", body, by=ruth)
    assert (answer.status_code, names(answer)) == (422, list(body))


def test_a_gateway_that_is_held_shows_what_a_release_would_do_and_is_released(sandbox, call, ruth, audra, make_key):
    late, kept = make_key().lease, make_key()
    Lease.objects.filter(pk=late.pk).update(expires_at=timezone.now() - timedelta(hours=1))
    Gateway.objects.update(held_since=timezone.now(), held_reason="A backup was put back.")
    assert call("get", "gateways/sandbox/", by=ruth).json()["held"]["reason"] == "A backup was put back."
    assert code(call("post", "gateways/sandbox/reconcile/", {"approved": True}, by=ruth)) == (409, "gateway_held")

    shown = call("get", "gateways/sandbox/release/", by=audra).json()
    assert set(shown) == {"expiring", "ending", "orphans", "missing", "later", "unknown"}
    assert shown["expiring"] == [{"lease": str(late.pk), "alias": late.alias, "holder": "alice@example.com"}]
    assert Gateway.objects.get().held_since is not None

    assert call("post", "gateways/sandbox/release/", by=ruth).json()["held"] is None
    assert sandbox.status_of(kept.secret) == 200


def test_what_asks_the_gateway_says_that_it_is_away(sandbox, call, ruth):
    sandbox.faults.fail_next("*", faults.refused(), times=50)
    assert code(call("get", "gateways/sandbox/release/", by=ruth)) == (503, "gateway_away")
    Gateway.objects.update(next_try_at=None)
    assert code(call("post", "gateways/sandbox/reconcile/", {"approved": True}, by=ruth)) == (503, "gateway_away")
