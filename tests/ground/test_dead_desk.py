"""A key's time does not hang on Keydesk's life."""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.request
from datetime import datetime

import pytest

from portal.litellm import Client, LiteLLMError
from tests.conftest import LIVE_KEY, LIVE_URL, NO_LIVE, PASSWORD
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


def order(port: int, token: str) -> tuple[str, float]:
    """Issue a key for TTL seconds; answers it, and when it was issued by Keydesk's clock (Unix time)."""
    body = json.dumps({"team": "first-team", "role": "brief", "ttl": TTL}).encode()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/api/v1/keys/", body, headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        told = json.load(answer)
    return told["key"], datetime.fromisoformat(told["lease"]["issued_at"]).timestamp()


@pytest.mark.live
@pytest.mark.skipif(not LIVE_URL, reason=NO_LIVE)
def test_a_key_for_60_s_answers_401_at_61_s_although_keydesk_was_killed_at_10_s(tmp_path):
    more = {"LITELLM_BASE_URL": LIVE_URL, "LITELLM_MASTER_KEY": LIVE_KEY}
    more |= {"KEYDESK_ADMIN_EMAIL": "a@example.com", "KEYDESK_ADMIN_PASSWORD": PASSWORD}
    with portal(tmp_path / "data", **more) as (process, port, env):
        token = manage("token", "a@example.com", "--name", "t", "--scopes", "all", env=env).stdout.strip()
        manage("shell", "--no-imports", "-c", ROLE, env=env)
        secret, issued = order(port, token)
        eventually(lambda: time.time() >= issued + KILLED_AFTER, "ten seconds")
        assert status_of(secret) == 200
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

        eventually(lambda: time.time() >= issued + TTL - 5, "the last seconds", limit=TTL)
        assert status_of(secret) == 200
        eventually(lambda: time.time() >= issued + TTL + 1, "its time is over")
        assert status_of(secret) == 401
