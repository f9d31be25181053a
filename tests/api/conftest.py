"""One way to call the API, as a script would; and what a platform admin may find to do."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from keys.models import Finding, Intent, UnmanagedKey
from keys.models.intent import HORIZON
from keys.services import reconcile
from keys.services.minting import new_secret
from portal.litellm import faults
from teams.access import SYSTEM
from teams.models import User
from tests.permissions.scene import scene

__all__ = ["scene"]


@pytest.fixture
def call(client, bearer):
    """Send JSON as somebody; answers the response."""

    def send(method: str, path: str, body: object = None, *, by: User | None, scopes: list[str] | None = None):
        sent = {"content_type": "application/json", "headers": bearer(by, scopes) if by else {}}
        if body is not None:
            sent["data"] = body
        return getattr(client, method)(f"/api/v1/{path}", **sent)

    return send


@pytest.fixture
def stuck(sandbox, make_key, call, alice):
    """The promise to end a key that its gateway does not delete."""
    lease = make_key().lease
    sandbox.faults.fail_next("/key/delete", faults.refused(), times=1000)
    call("post", f"keys/{lease.pk}/revoke/", by=alice)
    return Intent.objects.get()


@pytest.fixture
def drifted(sandbox, make_key):
    """A key of alice's whose limit was changed on the gateway, as the reconcile found it."""
    issued = make_key()
    sandbox.client.keys.update(issued.secret, rpm_limit=5)
    reconcile.run(sandbox.gateway, by=SYSTEM, now=timezone.now() + HORIZON + timedelta(minutes=1))
    return Finding.objects.get()


@pytest.fixture
def byhand(sandbox):
    """A key that somebody made on the gateway itself, as the reconcile listed it; and its secret."""
    secret = sandbox.client.keys.generate(key=new_secret(), alias="byhand", models=["gpt-4o"], max_budget=7).key
    reconcile.run(sandbox.gateway, by=SYSTEM)
    return UnmanagedKey.objects.get(), secret
