from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import responses

from portal.litellm import Client
from tests.litellm.servers import BASE, MASTER

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the client's tests: it knows no database, so `.ci/run` needs no second run of them."""
    for item in items:
        if item.path.parent == HERE:
            item.add_marker(pytest.mark.apart)


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LITELLM_BASE_URL", "LITELLM_PROXY_URL", "LITELLM_API_KEY", "LITELLM_PROXY_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def proxy() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        yield mock


@pytest.fixture
def client() -> Client:
    """Its waits between repeats take no time; `client.http.waits` holds them."""
    made = Client(BASE, MASTER)
    waits: list[float] = []
    return made._copy(sleep=waits.append, waits=waits)
