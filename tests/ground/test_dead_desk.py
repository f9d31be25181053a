"""A key's time does not hang on Keydesk's life."""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.request

import pytest

from portal.litellm import Client, LiteLLMError
from tests.conftest import LIVE_KEY, LIVE_URL, NO_LIVE
from tests.ground.processes import eventually, manage, portal

TTL, KILLED_AFTER = 60, 10  # seconds

ROLE = """
from keys.services import gateways, roles
from teams.access import SYSTEM
roles.make(by=SYSTEM, name="brief", gateway=gateways.default(), models=["gpt-4o-mini"], all_teams=True)
"""


def status_of(secret: str) -> int:
    with Client(LIVE_URL, secret) as client:
        try:
            client.models.list()
        except LiteLLMError as error:
            return error.status or 0
    return 200


@pytest.mark.live
@pytest.mark.skipif(not LIVE_URL, reason=NO_LIVE)
def test_a_key_for_60_s_answers_401_at_61_s_although_keydesk_was_killed_at_10_s(tmp_path):
    proxy = {"LITELLM_BASE_URL": LIVE_URL, "LITELLM_MASTER_KEY": LIVE_KEY}
    with portal(tmp_path / "data", KEYDESK_ADMIN_EMAIL="a@example.com", **proxy) as (process, port, env):
        token = manage("token", "a@example.com", "--name", "t", "--scopes", "all", env=env).stdout.strip()
        manage("shell", "--no-imports", "-c", ROLE, env=env)
        body = json.dumps({"team": "first-team", "role": "brief", "ttl": TTL}).encode()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        order = urllib.request.Request(f"http://127.0.0.1:{port}/api/v1/keys/", body, headers)
        issued = time.monotonic()
        with urllib.request.urlopen(order, timeout=30) as answer:
            secret = json.load(answer)["key"]
        eventually(lambda: time.monotonic() - issued >= KILLED_AFTER, "ten seconds")
        assert status_of(secret) == 200
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

        eventually(lambda: time.monotonic() - issued >= TTL - 5, "the last seconds", limit=TTL)
        assert status_of(secret) == 200
        eventually(lambda: time.monotonic() - issued >= TTL + 1, "its time is over")
        assert status_of(secret) == 401
