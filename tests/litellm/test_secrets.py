import json
import logging
import threading
import traceback

import pytest
import requests
import responses

from portal.litellm import Client, errors
from tests.litellm.servers import BASE, MASTER, NETWORK

CANARY = "sk-example-canary"
ODD_CANARY = "canary 'odd' \"secret\""  # a provider's secret may look like anything


def hostile(request):
    """A proxy that echoes all that it was sent."""
    return 500, {}, json.dumps({"detail": f"{request.headers} {request.body} {request.url}"})


def echoing(status):
    def answer(request):
        told = {"error": {"message": f"{dict(request.headers)} {request.body}", "type": CANARY, "param": CANARY}}
        return status, {"Location": f"http://x/{CANARY}"}, json.dumps(told)

    return answer


FAILURES = {
    **{f"status {status}": {"callback": echoing(status)} for status in (307, 400, 401, 403, 404, 409, 422, 429, 500)},
    "echo": {"callback": hostile},
    "not json": {"body": f"<p>{CANARY} {ODD_CANARY}"},
    "no key in it": {"json": {"key": None, "token": CANARY}},
    "broken field": {"json": {"key": CANARY, "expires": CANARY}},
    "a list": {"json": [CANARY, ODD_CANARY]},
    "too large": {"body": CANARY * 100_000},
    **{name: {"body": raised} for name, (raised, _, _) in NETWORK.items()},
}


def whole_chain(error):
    seen = []
    while error is not None and error not in seen:
        seen.append(error)
        error = error.__cause__ or error.__context__
    return seen


def call_that_fails(client, proxy, failure):
    if "callback" in failure:
        proxy.add_callback(responses.POST, f"{BASE}/key/generate", callback=failure["callback"])
    else:
        raised = failure.get("body")
        if isinstance(raised, requests.RequestException):
            raised.request = client.prepare.keys.generate(key=CANARY)  # as requests does it: body, headers and all
        proxy.post(f"{BASE}/key/generate", **failure)
    with pytest.raises(errors.LiteLLMError) as failed:
        client.keys.generate(key=CANARY, metadata={"password": ODD_CANARY})
    return failed.value


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES.keys())
def test_no_failure_shows_a_secret_anywhere(client, proxy, caplog, failure):
    caplog.set_level(logging.DEBUG)
    error = call_that_fails(client, proxy, failure)
    shown = [*traceback.format_exception(error), caplog.text]
    for link in whole_chain(error):
        shown += [str(link), repr(link), repr(vars(link)), repr(link.args)]
    for text in shown:
        for secret in ("canary", MASTER):
            assert secret not in text


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES.keys())
def test_no_failure_carries_another_exception_along(client, proxy, failure):
    assert whole_chain(call_that_fails(client, proxy, failure))[1:] == []


def test_repeated_failures_do_not_chain(client, proxy):
    proxy.get(f"{BASE}/health/readiness", body=requests.ConnectionError(CANARY))
    with pytest.raises(errors.ConnectionLost) as lost:
        client.health.readiness()
    assert whole_chain(lost.value)[1:] == []


def test_the_client_shows_no_key(client):
    assert MASTER not in repr(client) + repr(client.http) + str(vars(client))


def test_a_header_that_cannot_be_sent_is_not_quoted(client):
    with pytest.raises(errors.ConfigurationError) as refused:
        client.http.request("GET", "/x", headers={"X-Secret": f"{CANARY}\n"})
    assert "canary" not in "".join(traceback.format_exception(refused.value))


def test_threads_may_share_a_client(client, proxy):
    proxy.get(f"{BASE}/health/readiness", json={"status": "healthy"})
    failed = []

    def ask(number):
        try:
            assert client.changed_by(f"u{number}").health.readiness().status == "healthy"
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert {call.request.headers["LiteLLM-Changed-By"] for call in proxy.calls} == {f"u{n}" for n in range(16)}


def test_a_client_can_be_closed_and_used_in_a_with_block(proxy):
    with Client(BASE, MASTER) as client:
        proxy.get(f"{BASE}/health/readiness", json={})
        assert client.health.readiness().status == ""
