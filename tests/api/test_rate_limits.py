"""Rate limits of the API: how many calls a token has in a minute, and what each answer says of it."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.core.cache import caches
from django.core.cache.backends.db import DatabaseCache
from django.core.cache.backends.locmem import LocMemCache
from django.utils import timezone

from portal import counts
from portal.models import CacheRow
from tests.api.answers import code

pytestmark = pytest.mark.django_db
TEAMS = "/api/v1/teams/"


@pytest.fixture
def noon():
    """The middle of a minute, so that no count begins anew under a test."""
    with time_machine.travel(timezone.now().replace(second=20, microsecond=0), tick=False) as moment:
        yield moment


@pytest.fixture
def ask(client):
    def get(headers: dict[str, str] | None = None, path: str = TEAMS):
        return client.get(path, headers=headers or {})

    return get


def limits(answer) -> tuple[str, str, str]:
    return tuple(answer[f"RateLimit-{name}"] for name in ("Limit", "Remaining", "Reset"))


def test_every_answer_says_what_is_left_and_when_it_begins_anew(ask, bearer, team, alice, noon):
    headers = bearer(alice)
    assert limits(ask(headers)) == ("1200", "1199", "40")
    assert limits(ask(headers, "/api/v1/teams/nowhere/")) == ("1200", "1198", "40")  # troubles too
    noon.shift(timedelta(seconds=41))
    assert limits(ask(headers)) == ("1200", "1199", "59")


def test_more_than_the_limit_is_429_until_the_next_minute(ask, bearer, team, alice, settings, noon):
    settings.API_PER_MINUTE = 2
    headers = bearer(alice)
    assert [ask(headers).status_code for _ in range(3)] == [200, 200, 429]
    refused = ask(headers)
    assert code(refused) == (429, "throttled")
    assert (refused["Retry-After"], limits(refused)) == ("40", ("2", "0", "40"))
    noon.shift(timedelta(seconds=41))
    assert ask(headers).status_code == 200


def test_each_token_is_counted_by_itself_and_so_is_each_browser(ask, client, bearer, team, alice, settings, noon):
    settings.API_PER_MINUTE = 1
    assert [ask(bearer(alice)).status_code for _ in range(3)] == [200, 200, 200]
    client.force_login(alice)
    assert [ask().status_code for _ in range(2)] == [200, 429]


def test_0_is_no_limit_and_says_nothing(ask, bearer, team, alice, settings):
    settings.API_PER_MINUTE = 0
    assert "RateLimit-Limit" not in ask(bearer(alice))


def test_a_stranger_is_told_nothing(ask):
    answer = ask()
    assert (answer.status_code, "RateLimit-Limit" in answer) == (401, False)


def test_without_the_cache_everybody_is_served_uncounted(ask, bearer, team, alice, monkeypatch):
    def away(*_: object, **__: object) -> None:
        raise ConnectionError("no cache")

    monkeypatch.setattr(caches["default"], "incr", away)
    answer = ask(bearer(alice))
    assert (answer.status_code, "RateLimit-Limit" in answer) == (200, False)


def test_a_call_refused_by_the_limit_does_not_use_up_its_idempotency_key(client, bearer, ruth, settings, noon):
    settings.API_PER_MINUTE = 1
    headers = bearer(ruth) | {"Idempotency-Key": "one"}
    bodies = ({"name": "One"}, {"name": "Two"})
    answers = [client.post(TEAMS, body, "application/json", headers=headers) for body in bodies]
    assert [each.status_code for each in answers] == [201, 429]  # not 422: it never came that far


# --- a cache that is a table ----------------------------------------------------------------------


@pytest.fixture
def hosts(monkeypatch):
    """Two processes that share nothing but a table; answers how one of them counts a call."""
    kept = {"default": DatabaseCache("portal_cache", {"OPTIONS": {"MAX_ENTRIES": 1000}})}
    near = {name: LocMemCache(f"near-{name}", {}) for name in ("one", "two")}
    for each in near.values():
        each.clear()

    def call(host: str) -> int:
        monkeypatch.setattr(counts, "caches", kept | {"near": near[host]})
        return counts.use("token:x", 100).used

    return call


def test_where_the_cache_is_a_table_it_is_asked_once_in_twenty_calls(hosts, noon, django_assert_max_num_queries):
    assert hosts("one") == 1
    with django_assert_max_num_queries(0):
        assert [hosts("one") for _ in range(19)] == list(range(2, 21))
    assert hosts("one") == 21


def test_processes_that_share_a_table_count_together_within_twenty_calls(hosts, noon):
    used = [hosts(host) for _ in range(50) for host in ("one", "two")]
    assert max(abs(seen - done) for done, seen in enumerate(used, 1)) <= counts.STEP
    assert used[-1] > 50  # not its own alone
    assert CacheRow.objects.count() == 1
