import pytest
import requests

from portal.litellm import errors
from tests.litellm.servers import BASE, NETWORK


@pytest.mark.parametrize("status", [502, 503, 504])
def test_reads_are_repeated_when_the_proxy_is_away_for_a_moment(client, proxy, status):
    proxy.get(f"{BASE}/health/readiness", status=status)
    proxy.get(f"{BASE}/health/readiness", status=status)
    proxy.get(f"{BASE}/health/readiness", json={"status": "healthy"})
    assert client.health.readiness().status == "healthy"
    assert len(client.http.waits) == 2
    assert client.http.waits[0] < client.http.waits[1] * 1.6


def test_reads_are_repeated_twice_at_most(client, proxy):
    proxy.get(f"{BASE}/health/readiness", status=503)
    with pytest.raises(errors.ServerError):
        client.health.readiness()
    assert len(proxy.calls) == 3


def test_a_lost_connection_repeats_a_read(client, proxy):
    proxy.get(f"{BASE}/health/readiness", body=requests.ConnectionError())
    proxy.get(f"{BASE}/health/readiness", json={"status": "healthy"})
    assert client.health.readiness().status == "healthy"


@pytest.mark.parametrize(
    "failure",
    [
        {"status": 503},
        {"status": 429, "headers": {"Retry-After": "1"}},
        {"body": requests.ConnectionError()},
        {"body": requests.ReadTimeout()},
    ],
)
def test_a_write_that_may_have_been_applied_is_never_repeated(client, proxy, failure):
    proxy.post(f"{BASE}/key/generate", **failure)
    with pytest.raises(errors.LiteLLMError):
        client.keys.generate()
    assert len(proxy.calls) == 1
    assert client.http.waits == []


def test_a_post_that_only_reads_is_repeated(client, proxy):
    proxy.post(f"{BASE}/v2/key/info", status=503)
    proxy.post(f"{BASE}/v2/key/info", json={"key": [], "info": []})
    assert client.keys.info_many(["0" * 64]) == ()


def test_a_plain_server_error_is_not_repeated(client, proxy):
    proxy.get(f"{BASE}/health/readiness", status=500)
    with pytest.raises(errors.ServerError):
        client.health.readiness()
    assert len(proxy.calls) == 1


def test_a_throttled_read_waits_as_long_as_it_is_told(client, proxy):
    proxy.get(f"{BASE}/health/readiness", status=429, headers={"Retry-After": "4"})
    proxy.get(f"{BASE}/health/readiness", json={})
    client.health.readiness()
    assert client.http.waits == [4.0]


def test_nobody_waits_beyond_the_deadline(client, proxy):
    proxy.get(f"{BASE}/health/readiness", status=429, headers={"Retry-After": "40"})
    with pytest.raises(errors.RateLimited) as limited:
        client.health.readiness()
    assert limited.value.retry_after == 40
    assert client.http.waits == []


@pytest.mark.parametrize(("raised", "expected", "applied"), NETWORK.values(), ids=NETWORK.keys())
def test_each_network_failure_says_what_may_have_happened(client, proxy, raised, expected, applied):
    proxy.post(f"{BASE}/key/generate", body=raised)
    with pytest.raises(errors.LiteLLMError) as failed:
        client.keys.generate()
    assert type(failed.value) is expected
    assert failed.value.applied is applied


def test_an_untrusted_certificate_is_not_worth_another_try(client, proxy):
    proxy.get(f"{BASE}/health/readiness", body=NETWORK["certificate"][0])
    with pytest.raises(errors.Unreachable, match="not trusted") as failed:
        client.health.readiness()
    assert not failed.value.retryable
    assert "CA bundle" in failed.value.action
    assert len(proxy.calls) == 1


class Crash(Exception):
    pass


def test_a_crash_of_the_process_is_not_turned_into_an_error(client, proxy):
    proxy.post(f"{BASE}/key/generate", body=Crash())
    with pytest.raises(Crash):
        client.keys.generate()


@pytest.mark.parametrize("body", ["<html>", "{", '"text"', "[]", "NaN", "[" * 100_000, '{"spend": NaN}'])
def test_an_answer_of_another_shape_is_a_bad_answer(client, proxy, body):
    proxy.post(f"{BASE}/key/block", body=body)
    with pytest.raises(errors.BadAnswer) as bad:
        client.keys.block("0" * 64)
    assert bad.value.applied is None
