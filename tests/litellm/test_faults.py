"""Faults on purpose, seen through requests: the exception or answer is the one that was asked for."""

from __future__ import annotations

import threading

import pytest
import requests
from requests.adapters import BaseAdapter

from portal.litellm.faults import (
    Answer,
    Faults,
    broken_json,
    connect_timed_out,
    lost,
    not_the_proxy,
    refused,
    server_error,
    timed_out,
)
from portal.litellm.sandbox.adapter import respond


class Killed(BaseException):
    """The process dies here."""


class Echo(BaseAdapter):
    """Answers every request with its own body, and counts them."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def send(self, request, stream=False, timeout=None, verify=True, cert=None, proxies=None):
        self.seen.append(request.path_url)
        return respond(request, 200, {"Content-Type": "application/json"}, [request.body or b"null"], stream)

    def close(self) -> None:
        pass


@pytest.fixture
def inner() -> Echo:
    return Echo()


@pytest.fixture
def faults(inner) -> Faults:
    return Faults(inner, sleep=lambda _: None)


@pytest.fixture
def session(faults) -> requests.Session:
    made = requests.Session()
    made.mount("http://", faults)
    return made


URL = "http://proxy.example/key/generate"


def test_what_is_not_planned_passes(session, faults):
    assert session.post(URL, json={"a": 1}).json() == {"a": 1}
    assert faults.calls == [("POST", "/key/generate")]


@pytest.mark.parametrize("make", [refused, connect_timed_out, timed_out, lost])
@pytest.mark.parametrize("after_effect", [False, True])
def test_an_exception_is_raised_as_requests_raises_it(session, faults, inner, make, after_effect):
    faults.fail_next("/key/generate", make(), after_effect=after_effect)
    with pytest.raises(type(make())) as problem:
        session.post(URL, json={})
    assert problem.value.request.url == URL
    assert inner.seen == ["/key/generate"] * after_effect
    assert session.post(URL, json={}).ok  # only once


def test_any_exception_can_end_a_process(session, faults, inner):
    faults.fail_next("/key/generate", Killed, after_effect=True)
    with pytest.raises(Killed):
        session.post(URL)
    assert inner.seen


def test_an_answer_can_be_made_up(session, faults):
    faults.fail_next("/key/generate", server_error())
    answer = session.post(URL)
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "500")
    faults.fail_next("/key/generate", broken_json())
    with pytest.raises(requests.exceptions.JSONDecodeError):
        session.post(URL).json()
    faults.fail_next("/key/generate", not_the_proxy())
    assert session.post(URL, stream=True).headers["content-type"] == "text/html"
    faults.fail_next("/key/generate", Answer(429, {"detail": "wait"}))
    assert session.post(URL).json() == {"detail": "wait"}


def test_a_fault_may_repeat_and_is_then_used_up(session, faults):
    faults.fail_next("/key/generate", server_error(), times=2)
    assert [session.post(URL).status_code for _ in range(3)] == [500, 500, 200]
    assert faults.pending == 0


def test_a_fault_waits_for_its_path_and_for_its_body(session, faults):
    faults.fail_next("/key/*/reset_spend", server_error(), match=lambda body: body == {"reset_to": 0})
    assert session.post(URL).ok
    assert session.post("http://proxy.example/key/abc/reset_spend", json={"reset_to": 1}).ok
    assert faults.pending == 1
    assert not session.post("http://proxy.example/key/abc/reset_spend", json={"reset_to": 0}).ok


def test_a_held_request_lands_when_it_is_released(session, faults, inner):
    faults.hold_next("/key/generate")
    with pytest.raises(requests.ReadTimeout):
        session.post(URL, json={"late": True})
    assert inner.seen == []
    [answer] = faults.release()
    assert answer.json() == {"late": True}
    assert faults.release() == []


def test_a_slow_answer_waits_first(inner):
    slept: list[float] = []
    faults = Faults(inner, sleep=slept.append)
    session = requests.Session()
    session.mount("http://", faults)
    faults.slow_next("/key/generate", 2.5)
    assert session.post(URL, json={}).ok
    assert slept == [2.5]


def test_threads_share_the_plans(session, faults):
    faults.fail_next("/key/generate", server_error(), times=5)
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda: statuses.append(session.post(URL).status_code)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses.count(500) == 5
    assert len(faults.calls) == 20


def test_a_test_can_start_over(session, faults):
    faults.fail_next("/key/generate", server_error())
    faults.clear()
    assert session.post(URL).ok
    assert len(faults.calls) == 1
