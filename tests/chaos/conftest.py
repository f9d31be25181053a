"""A proxy to kill, the seed, and what is said at the end."""

from __future__ import annotations

import os
import random
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.services import Rig
from tests.ground.conftest import database
from tests.ground.processes import eventually

__all__ = ["database"]

SCRIPTS = os.environ.get("CHAOS_RIG", "")
INSTALLED = os.environ.get("CHAOS_RIG_HOME", "")
STARTS = 300  # seconds
SAID = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def _ended_by_a_signal() -> Iterator[None]:
    """`timeout` sends SIGTERM, and even then nothing that was started may stay."""
    before = signal.signal(signal.SIGTERM, lambda *_: pytest.exit("ended by SIGTERM", 143))
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="session")
def _rig(_ended_by_a_signal, tmp_path_factory) -> Iterator[Rig]:
    if not SCRIPTS:
        pytest.skip("set CHAOS_RIG to the LiteLLM rig's scripts, and CHAOS_RIG_HOME to where it installed")
    rig = Rig(Path(SCRIPTS), Path(INSTALLED), tmp_path_factory.mktemp("proxy"))
    try:
        rig.start()
        eventually(lambda: rig.ready or not rig.running, "the proxy is ready", STARTS)
        assert rig.ready, rig.said()
        yield rig
    finally:
        rig.wipe()


@pytest.fixture
def rig(_rig) -> Rig:
    """A LiteLLM proxy that nobody else uses, up."""
    if not _rig.running:
        _rig.start()
    eventually(lambda: _rig.ready, "the proxy is ready", STARTS)
    return _rig


@pytest.fixture
def redis_server() -> str:
    found = shutil.which("redis-server")
    if not found:
        pytest.skip("install redis-server")
    return found


@pytest.fixture
def seed() -> str:
    return os.environ.get("CHAOS_SEED") or str(random.randrange(10**6))


@pytest.fixture
def story(request) -> Iterator[list[str]]:
    """Sentences that are shown at the end, whatever the outcome."""
    told: list[str] = []
    yield told
    request.config.stash.setdefault(SAID, []).append(" ".join(told))


def pytest_terminal_summary(terminalreporter, config) -> None:
    if said := config.stash.get(SAID, []):
        terminalreporter.section("chaos")
        for paragraph in said:
            terminalreporter.write_line(paragraph)
