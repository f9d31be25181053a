"""What holds back a token at the API: its networks, its owner, and an address that sends too many wrong ones."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.core.cache import cache
from django.utils import timezone

from portal.models import AuditEvent
from teams import authentication
from teams.models import ApiToken
from teams.services import end_token, make_token

pytestmark = pytest.mark.django_db(transaction=True)
TEAMS = "/api/v1/teams/"


@pytest.fixture
def ask(client):
    """Ask for the teams with a token, from an address; answers the response."""

    def send(plain: str, ip: str = "192.0.2.1", forwarded: str = ""):
        headers = {"Authorization": f"Bearer {plain}"} | ({"X-Forwarded-For": forwarded} if forwarded else {})
        return client.get(TEAMS, headers=headers, REMOTE_ADDR=ip)

    return send


def token_of(user, **fields) -> str:
    return make_token(user, **{"name": "ci", "scopes": ["read"], "by": user} | fields)[1]


@pytest.fixture
def office(alice) -> str:
    """A token of alice's for one network."""
    return token_of(alice, networks=["10.0.0.0/8"])


# --- networks -------------------------------------------------------------------------------------


def test_a_token_works_from_its_networks_alone(ask, office):
    assert ask(office, ip="10.20.30.40").status_code == 200
    assert ask(office, ip="192.0.2.1").status_code == 401


def test_from_elsewhere_the_answer_is_that_to_a_token_which_is_not_known(ask, office):
    outside, unknown = ask(office), ask("kd_nobody-knows-it")
    assert (outside.status_code, outside.json()) == (unknown.status_code, unknown.json())
    assert outside["WWW-Authenticate"] == "Bearer"


def test_the_address_is_what_our_proxies_say_and_nobody_elses(ask, office, settings):
    assert ask(office, forwarded="10.20.30.40").status_code == 401  # no proxy of ours said so
    settings.TRUSTED_PROXIES = ["192.0.2.1"]
    assert ask(office, forwarded="10.20.30.40").status_code == 200
    assert ask(office, forwarded="10.20.30.40, 198.51.100.9").status_code == 401
    assert ask(office, ip="203.0.113.5", forwarded="10.20.30.40").status_code == 401


def test_a_use_from_elsewhere_is_on_record_at_most_once_a_minute(ask, office):
    for _ in range(3):
        ask(office, ip="198.51.100.9")
    event = AuditEvent.objects.get(action="token.refused")
    assert (event.target, event.ip, event.facts["reason"]) == ("ci", "198.51.100.9", "network")
    assert event.facts["owner"] == "alice@example.com"
    assert office not in str(AuditEvent.objects.values())
    assert ApiToken.objects.get().last_used_at is None
    cache.clear()  # a minute later
    ask(office, ip="198.51.100.9")
    assert AuditEvent.objects.filter(action="token.refused").count() == 2


# --- too many wrong ones --------------------------------------------------------------------------


@pytest.fixture
def noon():
    """The middle of a minute, so that no count begins anew under a test."""
    with time_machine.travel(timezone.now().replace(second=20, microsecond=0), tick=False) as moment:
        yield moment


def test_an_address_that_sends_too_many_wrong_tokens_has_to_wait(ask, alice, settings, noon):
    settings.WRONG_TOKENS = 3
    found = [ask(f"kd_guess-{n}") for n in range(5)]
    assert [answer.status_code for answer in found] == [401, 401, 401, 429, 429]
    assert found[-1]["Retry-After"] == "40"
    error = found[-1].json()["error"]
    assert (error["code"], error["retryable"]) == ("throttled", True)
    assert ask("kd_guess", ip="198.51.100.9").status_code == 401  # another address
    assert ask(token_of(alice)).status_code == 200  # a right token is never held up by its neighbours
    noon.shift(timedelta(seconds=41))
    assert ask("kd_guess").status_code == 401


def test_a_token_of_another_network_counts_as_wrong(ask, office, settings, noon):
    settings.WRONG_TOKENS = 1
    assert [ask(office).status_code for _ in range(2)] == [401, 429]


def test_behind_a_proxy_each_client_is_counted_by_itself(ask, settings, noon):
    settings.WRONG_TOKENS, settings.TRUSTED_PROXIES = 1, ["192.0.2.1"]
    assert [ask("kd_x", forwarded=f"198.51.100.{n}").status_code for n in (1, 2, 1)] == [401, 401, 429]


def test_without_the_shared_cache_a_wrong_token_is_refused_and_a_right_one_works(ask, alice, office, monkeypatch):
    def away(*_: object, **__: object) -> None:
        raise ConnectionError("no cache")

    plain = token_of(alice)
    for verb in ("add", "incr"):
        monkeypatch.setattr(authentication.cache, verb, away, raising=False)
    assert ask("kd_guess").status_code == 401
    assert ask(office).status_code == 401
    assert ask(plain).status_code == 200


# --- its owner, its end ---------------------------------------------------------------------------


def test_a_token_ends_with_its_owners_account_and_by_hand(ask, alice):
    plain = token_of(alice)
    alice.is_active = False
    alice.save()
    assert ask(plain).status_code == 401
    alice.is_active = True
    alice.save()
    assert ask(plain).status_code == 200
    end_token(ApiToken.objects.get(), by=alice)
    assert ask(plain).status_code == 401


def test_a_token_is_one_select_and_its_use_is_written_once_a_minute(alice, office, django_assert_num_queries):
    with django_assert_num_queries(1):
        token = ApiToken.objects.usable(office)
        assert token.may_come_from("10.1.1.1")
        assert token.owner.is_active


def test_what_is_done_with_a_token_names_it_on_record(client, team, ines):
    plain = token_of(ines, scopes=["read", "team:manage"])
    client.patch("/api/v1/teams/search/", {"max_budget": "10.00"}, "application/json",
                 headers={"Authorization": f"Bearer {plain}"})  # fmt: skip
    event = AuditEvent.objects.filter(action="team.changed").get()
    assert (event.actor, event.token_id) == (ines.email, str(ApiToken.objects.get().pk))
