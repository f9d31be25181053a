"""300 leases issued, renewed, rotated, paused and revoked while everything but the databases is killed at random.

Whatever happens: the keys on the proxy are the live versions, every promise is kept, no key is there twice, and a
revoked key answers 401. The seed draws who is killed and what people do; how the processes meet, it does not.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from portal.litellm import Client as ProxyClient
from tests.chaos.books import PENDING, PEOPLE, WALK, differences, told_by
from tests.chaos.clients import Client, Ledger
from tests.chaos.services import Rig, Service, answers, quiet_port, speaks
from tests.chaos.supervisor import Supervisor, rage
from tests.ground.processes import ROOT, apart, eventually, new_secrets

pytestmark = pytest.mark.chaos

LEASES, KILLS = 300, 20
PART = {"leases": LEASES // 4, "kills": KILLS // 4, "rounds": 1}  # of the one process: CI has 25 minutes for all
ROUNDS = 2  # of a deck, at least
LIMIT = 900  # seconds of chaos; 100 do on two idle cores
UP, REST = 120, 200  # seconds until all is up again, and until the workers kept what is due; a claim alone lasts 60
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]


@dataclass
class Desk:
    """An installation: its processes, the environment they share, and who is killed how often in one round."""

    url: str
    env: dict[str, str]
    services: list[Service]
    deck: Counter[str]
    leases: int = LEASES
    kills: int = KILLS
    rounds: int = ROUNDS
    nodes: int = 0  # of Celery, that answer a ping


@pytest.fixture
def desk_of_processes(database, rig, redis_server, tmp_path) -> Desk:
    """Web, two workers and a beat as docker-compose.yml starts them, with PostgreSQL and Redis."""
    port, redis = quiet_port(), quiet_port()
    env = apart(
        tmp_path / "data",
        **common(port, rig),
        **new_secrets(),
        DATABASE_URL=database,
        KEYDESK_BROKER_URL=f"redis://127.0.0.1:{redis}/0",
        CACHE_URL=f"redis://127.0.0.1:{redis}/1",
        KEYDESK_ADMIN_EMAIL="ines@example.com",
        KEYDESK_ADMIN_PASSWORD="long enough for a test 42",
    )
    forgetful = [redis_server, "--bind", "127.0.0.1", "--port", str(redis), "--save", "", "--appendonly", "no"]
    worker = COMPOSE["worker"]["command"]
    services = [
        Service("redis", forgetful, env, tmp_path, looks=lambda: speaks(redis)),
        rig,
        Service("web", COMPOSE["web"]["command"], env, tmp_path, looks=lambda: well(port)),
        Service("worker-1", [*worker, "--hostname", "one@%h"], env, tmp_path, settled=5),
        Service("worker-2", [*worker, "--hostname", "two@%h"], env, tmp_path, settled=5),
        Service("beat", COMPOSE["beat"]["command"], env, tmp_path, settled=4),
    ]
    deck = {"redis": 2, "proxy": 1, "web": 3, "web child": 1, "worker-1": 1, "worker-2": 1, "worker-1 child": 1,
            "worker-2 child": 1, "beat": 1}  # fmt: skip
    return Desk(f"http://127.0.0.1:{port}", env, services, Counter(deck), nodes=3)


@pytest.fixture
def desk_of_one_process(rig, tmp_path) -> Desk:
    """What `make run` starts: one process with SQLite, and its worker inside."""
    port = quiet_port()
    env = apart(tmp_path / "data", **common(port, rig))
    command = [sys.executable, "manage.py", "start"]
    services = [rig, Service("web", command, env, tmp_path, looks=lambda: well(port))]
    deck = {"proxy": 1, "web": 2, "web child": 2}
    return Desk(f"http://127.0.0.1:{port}", env, services, Counter(deck), **PART)


def common(port: int, rig: Rig) -> dict[str, str]:
    return {
        "PORT": str(port),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "KEYDESK_SWEEP_EVERY": "1",
        "KEYDESK_ISSUES_AN_HOUR": "0",
        "KEYDESK_API_PER_MINUTE": "0",
        "LITELLM_BASE_URL": rig.url,
        "LITELLM_MASTER_KEY": rig.MASTER_KEY,
    }


def well(port: int) -> bool:
    return answers(f"http://127.0.0.1:{port}/healthz")


@pytest.mark.parametrize("kind", ["processes", "one_process"])
def test_whatever_is_killed_the_books_balance_and_revoked_keys_are_dead(kind, request, rig, seed, story, tmp_path):
    desk: Desk = request.getfixturevalue(f"desk_of_{kind}")
    own = [service for service in desk.services if service is not rig]
    dice, ledger, begin = random.Random(seed), Ledger(), time.monotonic()
    story.append(f"{kind}, CHAOS_SEED={seed}, logs in {tmp_path}:")
    with Supervisor(desk.services, dice) as supervisor:
        people = told_by(PEOPLE, desk.env)["people"]
        clients = [Client(desk.url, rig.url, who, ledger, f"{seed}/{who['name']}") for who in people]
        raging = time.monotonic()
        with at_work(clients):
            rage(
                supervisor,
                list(desk.deck.elements()),
                dice,
                done=lambda: len(ledger.held),
                rounds=desk.rounds,
                share=desk.leases / desk.rounds / desk.deck.total(),
                enough=lambda: enough(supervisor, ledger, desk),
                limit=LIMIT,
            )
        (tmp_path / "kills.txt").write_text(supervisor.story)
        story += [f"{time.monotonic() - raging:.0f} s of chaos.", *told(supervisor, ledger)]
        story.append(f"At rest after {rest(desk):.0f} s.")
        supervisor.rest()
        for service in reversed(own):
            service.end()
        books = told_by(WALK, desk.env)
        with ProxyClient(rig.url, rig.MASTER_KEY) as client:
            wrong = differences(books, ledger, client)
    states = dict(Counter(lease["state"] for lease in books["leases"].values()))
    story.append(f"{books['waiting']} intents were watched for {books['walked'] / 60:.0f} min of moved clock.")
    story.append(f"Leases: {states}. {time.monotonic() - begin:.0f} s in all.")
    said = "".join(service.said() for service in own)
    assert [client.failed for client in clients if client.failed] == []
    assert not wrong, "\n".join(wrong)
    assert not ledger.surprises, "\n".join(ledger.surprises)
    assert [held for held in ledger.held.values() if any(secret in said for secret in held.secrets)] == []
    assert len(supervisor.kills) >= desk.kills
    assert len(ledger.held) >= desk.leases


def rest(desk: Desk) -> float:
    """Wait until those that were started again have done what the dead ones left; answers the seconds that took."""
    begin = time.monotonic()
    eventually(lambda: all(each.ready for each in desk.services), "all is up again", UP)
    eventually(lambda: pongs(desk.env) == desk.nodes, "every worker and beat answers", UP)
    while left := told_by(PENDING, desk.env)["pending"]:
        assert time.monotonic() < begin + REST, left
    return time.monotonic() - begin


@contextmanager
def at_work(clients: list[Client]) -> Iterator[None]:
    for client in clients:
        client.start()
    try:
        yield
    finally:
        for client in clients:
            client.stopping.set()
        for client in clients:
            client.join()


def enough(supervisor: Supervisor, ledger: Ledger, desk: Desk) -> bool:
    kills = Counter(what for _, what, _ in supervisor.kills)
    killed = kills.total() >= max(desk.kills, desk.rounds * desk.deck.total()) and kills >= desk.deck
    return killed and len(ledger.held) >= desk.leases


def told(supervisor: Supervisor, ledger: Ledger) -> list[str]:
    kills = Counter(what for _, what, _ in supervisor.kills)
    acts: dict[str, dict[str, int]] = {}
    for (act, outcome), count in sorted(ledger.tally.items()):
        acts.setdefault(act, {})[outcome] = count
    return [
        f"{kills.total()} kills: {dict(kills)}; ended by themselves: {dict(supervisor.falls)}.",
        f"{len(ledger.held)} leases; {ledger.count('unknown')} answers lost.",
        " ".join(f"{act}: {outcomes};" for act, outcomes in acts.items()),
    ]


def pongs(env: dict[str, str]) -> int:
    """How many Celery processes answer, as the health checks of docker-compose.yml ask them."""
    if not env.get("KEYDESK_BROKER_URL"):
        return 0
    ask = ["celery", "-A", "portal.celery", "inspect", "--timeout", "5", "ping"]
    asked = subprocess.run(ask, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=UP)
    return asked.stdout.count("pong\n")
