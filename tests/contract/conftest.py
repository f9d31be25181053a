"""One suite for two proxies: the sandbox, always, and a real LiteLLM, when the environment names one.

    LIVE_LITELLM_BASE_URL=http://127.0.0.1:4000 LIVE_LITELLM_MASTER_KEY=... pytest tests/contract

Each test makes things under names of its own and takes them away again, so a shared proxy is left as it was.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
import requests
from requests.adapters import BaseAdapter, HTTPAdapter

from portal.litellm import Client, IssuedKey, LiteLLMError, NotFound, Team, hash_key
from portal.litellm.faults import Faults
from portal.litellm.sandbox import DEFAULT_MODELS, Model, Sandbox, SandboxAdapter

T = TypeVar("T")
FLUSH = 15  # seconds in which the real proxy writes spend to its tables; seen: 1 to 6
HELLO = [{"role": "user", "content": "hello"}]
PRICEY = Model("pricey", "openai/pricey", 0.05, 0.05)  # one call costs about a dollar, as on the rig
HOW = "set LIVE_LITELLM_BASE_URL and LIVE_LITELLM_MASTER_KEY to run it against a real LiteLLM proxy"


def eventually(look: Callable[[], T], within: float = FLUSH) -> T:
    """What `look` returns once it is true; fails after `within` seconds."""
    end = time.monotonic() + within
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < end, f"not within {within} s, last seen: {found!r}"
        time.sleep(0.2)


@dataclass
class Proxy:
    """A proxy under test, with what the tests made there."""

    base_url: str
    master_key: str = field(repr=False)
    prefix: str
    adapter: BaseAdapter
    client: Client = field(init=False)
    session: requests.Session = field(init=False)
    _keys: list[str] = field(default_factory=list)
    _teams: list[str] = field(default_factory=list)
    _users: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        # The client brings its own adapter for the network; only the sandbox has to be mounted.
        sandbox = {"http+sandbox://": self.adapter} if self.prefix == "http+sandbox://" else {}
        self.client = Client(self.base_url, self.master_key, adapters=sandbox)
        self.session = requests.Session()
        self.session.mount(self.prefix, self.adapter)

    # --- making things ----------------------------------------------------------------------

    def name(self, word: str = "thing") -> str:
        return f"x-{word}-{secrets.token_hex(4)}"

    def secret(self) -> str:
        """A key of our own choosing, as Keydesk makes them."""
        key = f"sk-{secrets.token_urlsafe(32)}"
        self._keys.append(hash_key(key))
        return key

    def key(self, **fields: Any) -> IssuedKey:
        made = self.client.keys.generate(**fields)
        self._keys.append(made.token)
        return made

    def team(self, **fields: Any) -> Team:
        return self.client.teams.new(team_id=self.team_id(), **fields)

    def team_id(self) -> str:
        self._teams.append(self.name("team"))
        return self._teams[-1]

    def user_id(self) -> str:
        self._users.append(self.name("user"))
        return self._users[-1]

    # --- asking -----------------------------------------------------------------------------

    def http(
        self, method: str, path: str, body: Any = None, *, key: str | None = None, **options: Any
    ) -> requests.Response:
        """A raw request, with the master key unless another is given; "" sends none."""
        bearer = self.master_key if key is None else key
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        headers |= {"Connection": "close"}  # the real proxy drops a kept connection after a body it cannot read
        given = {"json": body} if body is not None else {}
        url = self.base_url + path
        return self.session.request(method, url, headers=headers, **given, **options)

    def generate(self, **fields: Any) -> requests.Response:
        """`POST /key/generate`, raw; a key that comes of it is deleted afterwards."""
        answer = self.http("POST", "/key/generate", fields)
        if answer.ok:
            self._keys.append(answer.json()["token"])
        return answer

    def chat(self, key: str, model: str = "gpt-4o", **more: Any) -> requests.Response:
        return self.http("POST", "/v1/chat/completions", {"model": model, "messages": HELLO} | more, key=key)

    def works(self, key: str, model: str = "gpt-4o") -> bool:
        return self.chat(key, model).ok

    def faulty(self) -> tuple[Client, Faults]:
        """A client whose requests can be made to fail."""
        faults = Faults(self.adapter)
        return Client(self.base_url, self.master_key, adapters={self.prefix: faults}), faults

    def clean(self) -> None:
        for i in range(0, len(self._keys), 100):
            with suppress(NotFound):
                self.client.keys.delete(self._keys[i : i + 100])
        for team_id in self._teams:
            with suppress(NotFound):
                self.client.teams.delete(team_id)
        for user_id in self._users:
            with suppress(NotFound):
                self.client.users.delete(user_id)


LIVE_URL, LIVE_KEY = (os.environ.get(f"LIVE_LITELLM_{name}", "") for name in ("BASE_URL", "MASTER_KEY"))
LIVE = [pytest.mark.live] if LIVE_URL and LIVE_KEY else [pytest.mark.live, pytest.mark.skip(reason=HOW)]


@pytest.fixture(params=[pytest.param("sandbox", marks=pytest.mark.apart), pytest.param("live", marks=LIVE)])
def proxy(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Proxy]:
    if request.param == "live":
        made = Proxy(LIVE_URL.rstrip("/"), LIVE_KEY, LIVE_URL.partition("://")[0] + "://", HTTPAdapter())
    else:
        sandbox = Sandbox(tmp_path / "sandbox.db", "sk-master", models=(*DEFAULT_MODELS, PRICEY))
        made = Proxy("http+sandbox://local", "sk-master", "http+sandbox://", SandboxAdapter(sandbox))
    yield made
    try:
        made.clean()
    except LiteLLMError as problem:
        pytest.fail(f"left behind at the proxy: {problem}")
    finally:
        made.client.close()
        made.session.close()
