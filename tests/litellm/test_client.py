import io
from decimal import Decimal

import pytest
import requests
from requests.adapters import BaseAdapter

from portal.litellm import Client, errors
from tests.litellm.servers import BASE, MASTER

CANARY = "sk-example-canary"
ODD_CANARY = "canary 'odd' \"secret\""  # a provider's secret may look like anything


def test_without_a_base_url_the_error_says_what_to_set():
    with pytest.raises(errors.ConfigurationError) as missing:
        Client()
    assert "LITELLM_BASE_URL" in missing.value.action


@pytest.mark.parametrize("name", ["LITELLM_BASE_URL", "LITELLM_PROXY_URL"])
def test_the_base_url_comes_from_the_environment(monkeypatch, name):
    monkeypatch.setenv(name, f"{BASE}/")
    assert Client().base_url == BASE


@pytest.mark.parametrize("name", ["LITELLM_API_KEY", "LITELLM_PROXY_API_KEY"])
def test_the_key_comes_from_the_environment(monkeypatch, name):
    monkeypatch.setenv(name, CANARY)
    assert Client(BASE).prepare.health.readiness().headers["Authorization"] == f"Bearer {CANARY}"


def test_the_master_key_of_the_environment_is_not_taken(monkeypatch):
    monkeypatch.setenv("LITELLM_MASTER_KEY", CANARY)
    assert "Authorization" not in Client(BASE).prepare.health.readiness().headers


@pytest.mark.parametrize(
    "base_url",
    [
        "litellm.test:4000",
        "ftp://litellm.test",
        "http://",
        "http://[broken",
        "http://host:port",
        f"http://user:{CANARY}@litellm.test",
        "http://litellm.test/?a=b",
        "http://litellm.test/#top",
        "http+sandbox://local",
    ],
)
def test_base_urls_that_cannot_work_are_refused_at_once(base_url):
    with pytest.raises(errors.ConfigurationError) as refused:
        Client(base_url)
    assert CANARY not in str(refused.value)


def test_a_root_path_is_kept_and_the_last_slash_cut():
    assert Client(f"{BASE}/gateway/litellm/").prepare.keys.list().url.startswith(f"{BASE}/gateway/litellm/key/list?")


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "ünicode", ""])
def test_keys_that_no_header_can_carry_are_refused_unseen(key):
    with pytest.raises(errors.ConfigurationError) as refused:
        Client(BASE, key)
    assert not key or key not in str(refused.value)


def test_a_missing_ca_bundle_is_named_at_once():
    with pytest.raises(errors.ConfigurationError, match="no-such"):
        Client(BASE, ca_bundle="/no-such.pem")


class Simulator(BaseAdapter):
    seen: requests.PreparedRequest

    def send(self, request, *args, **more):
        self.seen = request
        answer = requests.Response()
        answer.status_code, answer.url, answer.raw = 200, request.url, io.BytesIO(b'{"status": "healthy"}')
        return answer

    def close(self):
        pass


def test_a_simulator_is_reached_through_its_own_scheme():
    simulator = Simulator()
    client = Client("http+sandbox://local", MASTER, adapters={"http+sandbox://": simulator})
    assert client.health.readiness().status == "healthy"
    assert simulator.seen.headers["Authorization"] == f"Bearer {MASTER}"
    client.http.request("GET", "/key/list", params={"page": 2})
    assert simulator.seen.url == "http+sandbox://local/key/list?page=2"


def test_preparing_sends_nothing_and_shows_the_request(client, proxy):
    prepared = client.prepare.keys.generate(key=CANARY, alias="ci", duration="24h", max_budget=Decimal("2.50"))
    assert (prepared.method, prepared.url) == ("POST", f"{BASE}/key/generate")
    assert prepared.json == {
        "key": CANARY,
        "key_alias": "ci",
        "duration": "86400s",
        "max_budget": Decimal("2.50"),
    }
    assert prepared.headers["Authorization"] == f"Bearer {MASTER}"
    assert len(proxy.calls) == 0


def test_the_repr_of_a_prepared_request_hides_the_keys(client):
    shown = repr(client.prepare.credentials.create("openai", {"api_key": ODD_CANARY}))
    assert "openai" in shown
    assert "canary" not in shown
    assert MASTER not in shown
    assert CANARY not in repr(client.prepare.keys.generate(key=CANARY))


PREPARED = [
    (lambda p: p.keys.list(team_id="t"), "GET", "/key/list"),
    (lambda p: p.keys.info("sk-example-1"), "GET", "/key/info"),
    (lambda p: p.keys.import_from(Client(BASE)), None, None),
    (lambda p: p.keys.info_many(["a", "b"]), "POST", "/v2/key/info"),
    (lambda p: p.teams.list_v2(), "GET", "/v2/team/list"),
    (lambda p: p.models.get(name="gpt-4o"), "GET", "/model/info"),
    (lambda p: p.credentials.get("a/b"), "GET", "/credentials/by_name/a%2Fb"),
    (lambda p: p.users.create(user_id="u"), "POST", "/user/new"),
    (lambda p: p.spend.daily_activity("2026-11-20", "2026-11-21"), "GET", "/user/daily/activity"),
    (lambda p: p.chat.completions("m", []), "POST", "/v1/chat/completions"),
    (lambda p: p.chat.stream("m", []), "POST", "/v1/chat/completions"),
    (lambda p: p.health.liveliness(), "GET", "/health/liveliness"),
]


@pytest.mark.parametrize(("ask", "method", "path"), [row for row in PREPARED if row[1]])
def test_methods_of_every_resource_can_be_prepared(client, ask, method, path):
    prepared = ask(client.prepare)
    assert prepared.method == method
    assert prepared.url.removeprefix(BASE).split("?")[0] == path
