"""docker-compose.yml: what it may not contain, and its commands, run on PostgreSQL, Redis and LiteLLM."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
import yaml

from tests.ground.processes import (
    PATIENCE,
    ROOT,
    Process,
    apart,
    eventually,
    free_port,
    new_secrets,
    overdue_lease,
    running,
    state_of,
)

FILE = ROOT / "docker-compose.yml"
COMPOSE: dict[str, Any] = yaml.safe_load(FILE.read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ("web", "worker", "beat")
ASKED = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")
SECRETS = re.compile(r"_KEYS?$|PASSWORD")


def filled_in(text: str, values: Mapping[str, str]) -> str:
    """`text` as Compose would read it with `values` in its environment."""

    def one(found: re.Match[str]) -> str:
        name, kind, rest = found.groups()
        if value := values.get(name):
            return value
        assert kind == "-", f"{name} must be set: {rest}"
        return rest or ""

    return ASKED.sub(one, text)


def examples() -> dict[str, str]:
    """The variables of .env.example, those that are commented out too."""
    rows = (ROOT / ".env.example").read_text().splitlines()
    pairs = (row.lstrip("# ").split("=", 1) for row in rows if re.match(r"^(# )?[A-Z_]+=", row))
    return dict(pairs)


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_says_when_it_is_healthy_and_comes_back_after_a_crash(name):
    assert SERVICES[name]["healthcheck"]["test"]
    assert SERVICES[name]["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", SERVICES)
def test_each_image_is_pinned(name):
    image = SERVICES[name]["image"]
    assert re.search(r":v?\d+\.\d+", image), image


@pytest.mark.parametrize("name", SERVICES)
def test_no_secret_stands_in_the_file(name):
    for variable, value in SERVICES[name].get("environment", {}).items():
        if SECRETS.search(variable):
            assert re.fullmatch(r"\$\{\w+:\?[^}]+\}", value), variable
        elif "://" in value and "@" in value:
            assert re.search(r":\$\{\w+:\?[^}]+\}@", value), variable


def test_each_service_waits_for_what_it_needs():
    for name in OURS:
        needed = SERVICES[name]["depends_on"]
        assert {"redis"} < set(needed)
        assert all(each["condition"] == "service_healthy" for each in needed.values())
    assert "litellm" not in SERVICES["web"]["depends_on"], "a proxy that is away must not stop the portal"


def test_the_example_environment_names_every_variable_that_compose_asks_for():
    asked = {name for name, kind, _ in ASKED.findall(FILE.read_text()) if kind == "?"}
    assert asked <= set(examples())


def test_the_example_environment_holds_no_secret():
    assert {name: value for name, value in examples().items() if SECRETS.search(name) and value} == {}


def test_the_litellm_configuration_of_compose_holds_no_secret():
    config = yaml.safe_load((ROOT / "deploy" / "litellm.yaml").read_text())
    assert config["general_settings"]["master_key"] == "os.environ/LITELLM_MASTER_KEY"
    assert config["general_settings"]["database_url"] == "os.environ/DATABASE_URL"


def compose_is_here() -> bool:
    return bool(
        shutil.which("docker") and subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0
    )


if compose_is_here():

    def test_docker_understands_the_file(tmp_path):
        values = {name: value or "sk-example-value" for name, value in examples().items()}
        subprocess.run(
            ["docker", "compose", "--env-file", "/dev/null", "config", "--quiet"],
            cwd=ROOT, check=True, env=os.environ | values,
        )  # fmt: skip


# From here on for real. Compose itself needs Docker; its commands and health checks do not.

DATABASE = os.environ.get("DATABASE_URL", "")
BROKER = os.environ.get("KEYDESK_BROKER_URL", "")
LIVE_URL = os.environ.get("LIVE_LITELLM_BASE_URL", "")
LIVE_KEY = os.environ.get("LIVE_LITELLM_MASTER_KEY", "")
HERE = "set DATABASE_URL, KEYDESK_BROKER_URL, LIVE_LITELLM_BASE_URL and LIVE_LITELLM_MASTER_KEY"


def compose_environments(database: str, data: Path) -> dict[str, dict[str, str]]:
    """Each service's environment as Compose would give it, with the other services where they are here."""
    port = free_port()
    values = new_secrets() | {
        "KEYDESK_URL": f"http://localhost:{port}",
        "KEYDESK_ADMIN_EMAIL": "ruth@example.com",
        "KEYDESK_ADMIN_PASSWORD": "long enough for a test 42",
        "POSTGRES_PASSWORD": "unused",
        "LITELLM_MASTER_KEY": LIVE_KEY,
        "LITELLM_PUBLIC_URL": "https://llm.example.com",
    }
    broker = urlsplit(BROKER)
    here = {
        "DATABASE_URL": database,
        "KEYDESK_BROKER_URL": urlunsplit(broker._replace(path="/8")),
        "CACHE_URL": urlunsplit(broker._replace(path="/9")),
        "LITELLM_BASE_URL": LIVE_URL,
    }
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    machine = {"HOST": "127.0.0.1", "PORT": str(port), "PATH": path, "HOSTNAME": socket.gethostname()}
    return {
        name: apart(data / name, KEYDESK_SWEEP_EVERY="1", **machine)
        | {
            variable: here.get(variable) or filled_in(value, values)
            for variable, value in SERVICES[name]["environment"].items()
        }
        for name in OURS
    }


def healthy(name: str, env: Mapping[str, str]) -> bool:
    kind, *command = SERVICES[name]["healthcheck"]["test"]
    if kind == "CMD-SHELL":
        command = ["sh", "-c", command[0].replace("$$", "$")]
    return subprocess.run(command, cwd=ROOT, env=dict(env), capture_output=True, timeout=60).returncode == 0


def healthy_or_over(name: str, env: Mapping[str, str], process: Process) -> bool:
    """So that a process that ended says why at once."""
    return healthy(name, env) or not process.running()


@pytest.mark.live
@pytest.mark.postgres
@pytest.mark.skipif(not (DATABASE.startswith("postgres") and BROKER and LIVE_URL and LIVE_KEY), reason=HERE)
def test_the_services_of_compose_end_an_overdue_key_on_the_real_proxy(database, tmp_path):
    envs = compose_environments(database, tmp_path)
    processes: dict[str, Process] = {}
    with ExitStack() as stack:
        for name in OURS:  # in the order of depends_on: each waits until the one before is healthy
            env, output = envs[name], tmp_path / f"{name}.log"
            process = stack.enter_context(running(SERVICES[name]["command"], env=env, output=output))
            eventually(partial(healthy_or_over, name, env, process), f"{name} is healthy", limit=2 * PATIENCE)
            assert process.running(), process.said
            processes[name] = process
        lease = overdue_lease(envs["web"])
        eventually(lambda: state_of(lease, envs["web"]) == "expired", "worker and beat expire the lease")
        ends = {name: processes[name].end() for name in reversed(OURS)}
    said = "\n".join(f"--- {name}\n{process.said}" for name, process in processes.items())
    assert ends == dict.fromkeys(OURS, 0), said
    assert "Traceback" not in said, said
    secret = {value for name, value in envs["web"].items() if SECRETS.search(name) and len(value) > 8}
    assert [name for name, value in envs["web"].items() if value in secret and value in said] == []
