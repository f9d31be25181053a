"""What the sandbox has and a real proxy has not: a clock to turn, a file to look into, settings to choose."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from wsgiref.validate import validator

import pytest
import requests
import time_machine

from portal.litellm import BudgetExceeded, ChosenKeysRefused, Client, ServerError, Unauthorized, hash_key
from portal.litellm.sandbox import DEFAULT_MODELS, Model, Sandbox, SandboxAdapter

BASE, MASTER, PREFIX = "http+sandbox://local", "sk-master", "http+sandbox://"
HELLO = [{"role": "user", "content": "hello"}]
NOON = datetime(2026, 3, 14, 12, 0, tzinfo=UTC)


def client_of(sandbox: Sandbox, key: str = MASTER) -> Client:
    return Client(BASE, key, adapters={PREFIX: SandboxAdapter(sandbox)})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "sandbox.db"


@pytest.fixture
def client(path) -> Client:
    return client_of(Sandbox(path, MASTER))


def test_it_says_plainly_that_it_is_the_sandbox(client):
    key = client.keys.generate()
    assert "sandbox" in client.with_key(key.key).chat.completions("gpt-4o", HELLO).text
    streamed = client.with_key(key.key).chat.stream("gpt-4o", HELLO)
    assert "sandbox" in "".join(piece.data["choices"][0]["delta"].get("content", "") for piece in streamed)


def test_no_secret_is_in_its_file(client, path):
    chosen = "sk-example-chosen-" + "a" * 20
    made = [client.keys.generate(key=chosen).key, client.keys.generate().key]
    client.credentials.create("provider", {"api_key": "example-provider-key"})
    client.models.new("own", {"model": "openai/gpt-4o", "api_key": "example-model-key"})
    client.keys.delete(hash_key(chosen))
    held = b"".join(file.read_bytes() for file in path.parent.iterdir())
    for secret in (*made, MASTER, "example-provider-key", "example-model-key"):
        assert secret.encode() not in held
    assert hash_key(chosen).encode() in held


def test_time_can_be_turned(client):
    with time_machine.travel(NOON, tick=False) as time:
        key = client.keys.generate(duration="1h")
        assert key.expires == NOON + timedelta(hours=1)
        time.shift(timedelta(minutes=59))
        asked = client.with_key(key.key)
        assert asked.chat.completions("gpt-4o", HELLO).text
        time.shift(timedelta(minutes=2))
        assert client.keys.info(key.token).status == "expired"
        with pytest.raises(Unauthorized, match="Expired Key"):
            asked.chat.completions("gpt-4o", HELLO)


def test_a_clock_can_be_given(path):
    client = client_of(Sandbox(path, MASTER, clock=lambda: NOON))
    assert client.keys.generate(duration="1d").expires == NOON + timedelta(days=1)


def test_budgets_reset_when_their_window_ends(path):
    pricey = Model("pricey", "openai/pricey", 0.05, 0.05)
    client = client_of(Sandbox(path, MASTER, models=[pricey]))
    with time_machine.travel(NOON, tick=False) as time:
        team = client.teams.new(team_id="team", max_budget=0.5, budget_duration="1d")
        key = client.keys.generate(team_id="team", max_budget=0.5, budget_duration="1h")
        asked = client.with_key(key.key)
        asked.chat.completions("pricey", HELLO)
        with pytest.raises(BudgetExceeded, match="Key="):
            asked.chat.completions("pricey", HELLO)
        time.shift(timedelta(hours=1))
        seen = client.keys.info(key.token)
        assert seen.spend == 0
        assert seen.budget_reset_at == NOON + timedelta(hours=2)
        assert seen.total_spend > 1
        with pytest.raises(BudgetExceeded, match="Team=team"):
            asked.chat.completions("pricey", HELLO)
        assert team.budget_reset_at is not None
        time.move_to(team.budget_reset_at)
        assert client.teams.info("team").team.spend == 0
        assert asked.chat.completions("pricey", HELLO).text


def test_a_minutes_limit_is_over_after_a_minute(client):
    with time_machine.travel(NOON, tick=False) as time:
        key = client.keys.generate(rpm_limit=1)
        session = requests.Session()
        session.mount(PREFIX, client.http.session.get_adapter(PREFIX + "local"))

        def call() -> int:
            body = {"model": "gpt-4o", "messages": HELLO}
            headers = {"Authorization": f"Bearer {key.key}"}
            return session.post(f"{BASE}/v1/chat/completions", json=body, headers=headers).status_code

        assert [call(), call()] == [200, 429]
        time.shift(timedelta(seconds=61))
        assert call() == 200


def test_it_can_refuse_chosen_keys_as_a_proxy_may(path):
    client = client_of(Sandbox(path, MASTER, allow_chosen_keys=False))
    with pytest.raises(ChosenKeysRefused) as refusal:
        client.keys.generate(key="sk-example-chosen-key")
    assert refusal.value.status == 403
    assert client.keys.generate().key


def test_what_it_knows_survives_a_restart(path):
    key = client_of(Sandbox(path, MASTER)).keys.generate(alias="kept")
    assert client_of(Sandbox(path, MASTER)).keys.info(key.token).alias == "kept"


def test_a_broken_file_is_a_503_and_no_traceback(client, path):
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE keys")
    connection.close()
    with pytest.raises(ServerError) as trouble:
        client.keys.generate()
    assert (trouble.value.status, trouble.value.kind) == (503, "no_db_connection")


def test_models_can_be_chosen(path):
    own = Model("house", "openai/house", 0.001, 0.002, supports=frozenset({"vision"}))
    client = client_of(Sandbox(path, MASTER, models=[own, *DEFAULT_MODELS]))
    [group] = client.model_groups.info("house")
    assert (group.supports_vision, group.supports_function_calling) == (True, False)


def test_many_threads_charge_one_key_without_losing_a_call(client):
    key = client.keys.generate()
    asked = client.with_key(key.key)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: asked.chat.completions("gpt-4o", HELLO), range(40)))
    seen = client.keys.info(key.token)
    one = seen.spend / 40
    usage = answers[0].usage
    price = client.models.get(name="gpt-4o")
    cost = usage["prompt_tokens"] * price.input_cost_per_token
    cost += usage["completion_tokens"] * price.output_cost_per_token
    assert abs(one - cost) < cost / 1000


def test_processes_share_one_file(client, path):
    program = (
        "import sys; from portal.litellm import Client; from portal.litellm.sandbox import *\n"
        "client = Client('http+sandbox://local', sys.argv[2],"
        " adapters={'http+sandbox://': SandboxAdapter(Sandbox(sys.argv[1], sys.argv[2]))})\n"
        "for i in range(20): client.keys.generate(team_id='crowd')"
    )
    command = [sys.executable, "-c", program, str(path), MASTER]
    workers = [subprocess.Popen(command) for _ in range(3)]
    assert [worker.wait(60) for worker in workers] == [0, 0, 0]
    assert client.keys.list_page(team_id="crowd").total == 60


def test_it_is_a_proper_wsgi_application(path):
    session = requests.Session()
    session.mount(PREFIX, SandboxAdapter(validator(Sandbox(path, MASTER))))
    headers = {"Authorization": f"Bearer {MASTER}"}
    assert session.post(f"{BASE}/key/generate", json={}, headers=headers).ok
    assert session.get(f"{BASE}/no/such", headers=headers).status_code == 404
    body = {"model": "gpt-4o", "messages": HELLO, "stream": True}
    answer = session.post(f"{BASE}/v1/chat/completions", json=body, headers=headers, stream=True)
    assert re.match(r"data: \{", next(answer.iter_lines(decode_unicode=True)))
    answer.close()
