"""Tries are counted together by all web processes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from django.conf import settings as found
from django.core.cache import caches
from django.core.cache.backends.db import DatabaseCache
from django.utils import timezone

from keys.services.prune import prune
from portal.models import CacheRow
from teams.models import User
from tests.conftest import PASSWORD
from tests.pages.accounts import LOGIN
from tests.pages.conftest import text

pytestmark = pytest.mark.django_db(transaction=True)
TABLE = {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "portal_cache"}
LIMITS = """
import django; django.setup()
from django.conf import settings
print(settings.CACHES["default"]["BACKEND"].rpartition(".")[2], settings.CACHES["default"]["LOCATION"])
"""


@pytest.fixture
def table(settings):
    settings.CACHES = {**found.CACHES, "default": TABLE}
    caches.settings = caches.configure_settings(None)
    if hasattr(caches._connections, "default"):
        del caches["default"]
    yield
    if hasattr(caches._connections, "default"):
        del caches["default"]


def test_another_process_goes_on_counting_where_this_one_stopped(table, client, person):
    person("alice")
    for _ in range(5):
        client.post(LOGIN, {"login": "alice@example.com", "password": "wrong"})
    assert CacheRow.objects.exists()
    del caches["default"]  # another process has made nothing of it yet
    page = client.post(LOGIN, {"login": "alice@example.com", "password": PASSWORD})
    assert "Too many tries." in text(page)
    assert User.objects.get().last_login is None


def test_what_one_process_adds_the_other_sees():
    one, other = (DatabaseCache("portal_cache", {}) for _ in range(2))
    assert one.add("tries", 1)
    assert not other.add("tries", 1)
    assert other.get("tries") == 1


def test_counts_that_are_over_are_swept_away():
    DatabaseCache("portal_cache", {}).set("old", 1, timeout=-5)
    CacheRow.objects.create(cache_key="older", value="", expires=timezone.now().replace(year=2020))
    DatabaseCache("portal_cache", {}).set("new", 1, timeout=60)
    assert prune()["cached"] >= 1
    assert [row.cache_key for row in CacheRow.objects.all()] == [":1:new"]


@pytest.mark.parametrize(("more", "backend"), [
    ({}, "LocMemCache"),
    ({"DATABASE_URL": "postgres://keydesk@127.0.0.1/keydesk"}, "DatabaseCache portal_cache"),
    ({"DATABASE_URL": "postgres://keydesk@127.0.0.1/keydesk", "CACHE_URL": "redis://127.0.0.1/1"}, "RedisCache redis"),
])  # fmt: skip
def test_the_cache_is_one_for_all_processes_as_soon_as_there_may_be_several(tmp_path, more, backend):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("KEYDESK", "CACHE", "DATABASE"))}
    secrets = {"KEYDESK_SECRET_KEY": "x" * 60, "KEYDESK_ENCRYPTION_KEYS": "0" * 43 + "="}
    said = subprocess.run(
        [sys.executable, "-c", LIMITS], capture_output=True, text=True, check=True,
        env=kept | secrets | {"KEYDESK_ENV_FILE": "", "KEYDESK_DATA_DIR": str(tmp_path),
                              "DJANGO_SETTINGS_MODULE": "portal.settings", **more},
    )  # fmt: skip
    assert said.stdout.strip().startswith(backend)
