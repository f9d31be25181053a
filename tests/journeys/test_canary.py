"""A full journey through every door; then every place that keeps something is searched for the secrets."""

from __future__ import annotations

import io
import logging
import pickle
import re

import pytest
from celery.signals import before_task_publish
from django.conf import settings
from django.core import mail
from django.core.cache import cache
from django.db import connection
from django.urls import reverse

from keys.models import Lease
from keys.services import intents, leases
from keys.tasks import expire_leases, settle_intents
from portal.celery import app
from portal.litellm import faults
from portal.log import scrub
from portal.mail import send_due

pytestmark = pytest.mark.django_db(transaction=True)


def everything_in_the_database() -> str:
    with connection.cursor() as cursor:
        tables = connection.introspection.table_names(cursor)
        rows = []
        for table in tables:
            cursor.execute(f"select * from {connection.ops.quote_name(table)}")
            rows += [repr(row) for row in cursor.fetchall()]
    return "\n".join(rows)


def everything_in_the_cache() -> str:
    backend = getattr(cache, "_cache", None)
    if isinstance(backend, dict):
        return repr([pickle.loads(value) for value in backend.values()])
    client = backend.get_client()
    return repr([client.get(key) for key in client.keys("*")])


@pytest.fixture
def logged():
    """All log output of the test, drawn as the portal draws it, from DEBUG on."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.getLogger().handlers[0].formatter)
    root, level = logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


@pytest.fixture
def published():
    """What is sent to the broker, as it is sent."""
    sent: list[object] = []

    def note(body: object = None, headers: object = None, **_: object) -> None:
        sent.append((body, headers))

    before_task_publish.connect(note)
    yield sent
    before_task_publish.disconnect(note)


def test_no_secret_is_kept_anywhere(
    proxy, client, team, alice, ines, ruth, make_role, bearer, logged, published, after_horizon, capfd
):
    make_role()
    secrets = {proxy.gateway.master_key}

    client.force_login(alice)
    form = client.get(reverse("keys:issue"), {"team": "search", "role": "coding"})
    once = re.search(r'name="once"[^>]*value="([^"]+)"|value="([^"]+)"[^>]*name="once"', form.content.decode())
    assert once
    order = {"team": "search", "role": str(team_role().pk), "once": once.group(1) or once.group(2)}
    page = client.post(reverse("keys:issue"), order).content.decode()
    secrets |= set(re.findall(r"sk-[A-Za-z0-9_-]{43}", page))
    assert len(secrets) == 2

    headers = bearer(alice)
    api = {"data": {"team": "search", "role": "coding"}, "content_type": "application/json", "headers": headers}
    secrets.add(client.post("/api/v1/keys/", **api).json()["key"])
    proxy.faults.fail_next("/key/generate", faults.timed_out(), after_effect=True)
    secrets.add(client.post("/api/v1/keys/", **api).json()["key"])
    proxy.faults.fail_next("/key/generate", faults.server_error(), times=3)
    assert client.post("/api/v1/keys/", **api).status_code == 409
    proxy.faults.fail_next("/key/generate", faults.broken_json(), times=9, after_effect=True)
    client.post("/api/v1/keys/", **api)
    proxy.faults.clear()
    assert len(secrets) == 4

    client.post("/api/v1/teams/search/members/", {"email": "new@example.com"}, headers=bearer(ines))
    client.force_login(ruth)
    client.get(reverse("keys:gateways"))
    gateway_page = client.get(reverse("keys:gateway_edit", args=[proxy.gateway.pk])).content.decode()
    for lease in Lease.objects.filter(state="active")[:2]:
        leases.revoke(lease, by=ruth)
    with app.connection_for_write(url="memory://") as broker:
        settle_intents.apply_async(connection=broker)
        expire_leases.apply_async(connection=broker)
    intents.settle_due()
    send_due()
    after_horizon()

    output = capfd.readouterr()
    places = {
        "database": everything_in_the_database(),
        "logs": logged.getvalue() + output.out + output.err,
        "task arguments": repr(published),
        "cache": everything_in_the_cache(),
        "mail": repr([letter.message().as_string() for letter in mail.outbox]),
        "gateway page": gateway_page,
        "sandbox": settings.SANDBOX_FILE.read_bytes().decode("latin-1") if settings.SANDBOX_FILE.exists() else "",
    }
    assert places["logs"]
    assert len(published) == 2
    for place, content in places.items():
        for secret in secrets:
            assert secret not in content, f"a secret is in the {place}"


def team_role():
    from keys.models import KeyRole

    return KeyRole.objects.get()


@pytest.mark.parametrize(
    "line",
    ["key sk-example1234567890", "Authorization: Bearer kd_abcdefghijk", "{'master_key': 'gAAAAABmabcdefghijklmnop'}"],
)
def test_the_last_net_of_the_logs_blacks_out_what_looks_like_a_secret(line):
    assert "1234567890" not in scrub(line)
    assert "abcdefghij" not in scrub(line)
