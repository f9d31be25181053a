import json
import socket
import time
from decimal import Decimal

import pytest
import requests

from portal.litellm import Client, errors
from portal.litellm.http import MIB
from tests.litellm.servers import BASE, MASTER, bare_server, read_request, sent

CANARY = "sk-example-canary"


def test_a_raw_request_carries_json_query_and_headers(client, proxy):
    proxy.post(f"{BASE}/any/path", json={"answer": [1, None]})
    answer = client.http.request(
        "post",
        "/any/path",
        json={"a": Decimal("0.1")},
        params={"b": True, "c": None},
        headers={"X-Mine": "d"},
    )
    request = proxy.calls[0].request
    assert answer == {"answer": [1, None]}
    assert sent(proxy) == {"a": 0.1}
    assert request.url == f"{BASE}/any/path?b=true"
    assert request.headers["X-Mine"] == "d"
    assert request.headers["Authorization"] == f"Bearer {MASTER}"


@pytest.mark.parametrize("path", ["//elsewhere.test/x", "http://elsewhere.test/x", "relative", "@elsewhere.test"])
def test_a_path_cannot_take_the_key_to_another_server(client, path):
    with pytest.raises(errors.ConfigurationError):
        client.http.request("GET", path)


def test_an_empty_answer_is_none(client, proxy):
    proxy.delete(f"{BASE}/x", status=204)
    assert client.http.request("DELETE", "/x") is None


def test_amounts_arrive_without_binary_noise(client, proxy):
    proxy.get(f"{BASE}/x", body='{"spend": 0.1, "limit": 1e-7}')
    assert client.http.request("GET", "/x") == {"spend": Decimal("0.1"), "limit": Decimal("1E-7")}


def test_the_acting_person_is_named_in_a_header_of_the_copy_only(client, proxy):
    proxy.get(f"{BASE}/health/readiness", json={})
    client.changed_by("kd-alice").health.readiness()
    client.health.readiness()
    assert proxy.calls[0].request.headers["LiteLLM-Changed-By"] == "kd-alice"
    assert "LiteLLM-Changed-By" not in proxy.calls[1].request.headers


def test_copies_have_their_own_key_and_time_and_share_the_connections(client):
    copy = client.with_key("sk-example-other").with_timeout(5)
    assert copy.http.session is client.http.session
    assert (copy.http.timeout, client.http.timeout) == (5, 30)
    assert copy.prepare.keys.list().headers["Authorization"] == "Bearer sk-example-other"
    assert client.prepare.keys.list().headers["Authorization"] == f"Bearer {MASTER}"


def test_a_netrc_never_replaces_the_key(client, proxy, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("default login mallory password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    proxy.get(f"{BASE}/health/readiness", json={})
    client.health.readiness()
    assert proxy.calls[0].request.headers["Authorization"] == f"Bearer {MASTER}"


def test_cookies_of_the_proxy_are_not_kept(client, proxy):
    proxy.get(f"{BASE}/health/readiness", json={}, headers={"Set-Cookie": "a=b"})
    client.health.readiness()
    client.health.readiness()
    assert "Cookie" not in proxy.calls[1].request.headers


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_errors_and_never_followed(client, proxy, status):
    proxy.post(f"{BASE}/key/block", status=status, headers={"Location": f"https://elsewhere.test/?key={CANARY}"})
    with pytest.raises(errors.Redirected, match=r"https://elsewhere\.test/\.") as redirected:
        client.keys.block("0" * 64)
    assert len(proxy.calls) == 1
    assert redirected.value.applied is (False if status in (307, 308) else None)
    assert CANARY not in str(redirected.value)


def test_an_answer_over_one_mebibyte_is_refused(client, proxy):
    proxy.get(f"{BASE}/health/readiness", body=json.dumps({"status": "x" * MIB}))
    with pytest.raises(errors.BadAnswer, match="larger than"):
        client.health.readiness()


def test_an_answer_of_nearly_one_mebibyte_is_read(client, proxy):
    proxy.get(f"{BASE}/health/readiness", body=json.dumps({"status": "x" * (MIB - 100)}))
    assert len(client.health.readiness().status) == MIB - 100


def test_a_write_with_an_answer_too_large_may_have_been_applied(client, proxy):
    proxy.post(f"{BASE}/key/generate", body="x" * (MIB + 1))
    with pytest.raises(errors.BadAnswer) as refused:
        client.keys.generate()
    assert refused.value.applied is None


def test_chat_answers_and_lists_may_be_larger(client, proxy):
    big = "x" * (2 * MIB)
    proxy.post(f"{BASE}/v1/chat/completions", json={"choices": [{"message": {"content": big}}]})
    proxy.get(f"{BASE}/team/list", json=[{"team_id": big}])
    assert client.chat.completions("m", []).text == big
    assert client.teams.list()[0].team_id == big


def test_the_connection_gets_three_seconds_and_the_answer_the_rest(client, monkeypatch):
    seen = []

    def send(self, request, **more):
        seen.append(more["timeout"])
        raise requests.ReadTimeout

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)
    with pytest.raises(errors.TimedOut):
        client.with_timeout(20).keys.block("0" * 64)
    with pytest.raises(errors.TimedOut):
        client.with_timeout(2).keys.block("0" * 64)
    with pytest.raises(errors.TimedOut):
        client.chat.completions("m", [])
    assert [(round(connect), round(rest)) for connect, rest in seen] == [(3, 20), (2, 2), (3, 600)]


def drip(connection, piece):
    with connection:
        while True:
            connection.sendall(piece)
            time.sleep(0.02)  # in the server's thread; the test itself waits for the deadline only


def dripping_body(connection):
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    drip(connection, b" ")


def dripping_chunk(connection):
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n")
    drip(connection, b" ")


def dripping_head(connection):
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    drip(connection, b"x")


def silent(connection):
    read_request(connection)
    connection.recv(1)


@pytest.mark.parametrize("behave", [dripping_body, dripping_chunk, dripping_head, silent])
def test_no_server_can_hold_a_call_beyond_its_time(behave):
    with bare_server(behave) as url, Client(url, MASTER, timeout=0.3) as client:
        started = time.monotonic()
        with pytest.raises(errors.TimedOut) as late:
            client.keys.block("0" * 64)
        assert time.monotonic() - started < 1.5
        assert late.value.applied is None


def test_a_read_that_timed_out_applied_nothing():
    with (
        bare_server(silent) as url,
        Client(url, MASTER, timeout=0.2) as client,
        pytest.raises(errors.TimedOut) as late,
    ):
        client.health.readiness()
    assert late.value.applied is False


def test_a_closed_port_is_unreachable_and_nothing_was_applied(client):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    waits: list[float] = []
    closed = Client(f"http://127.0.0.1:{port}", MASTER)._copy(sleep=waits.append)
    with pytest.raises(errors.Unreachable) as refused:
        closed.keys.generate()
    assert refused.value.applied is False
    assert refused.value.retryable
    assert len(waits) == 2  # surely not applied, so even a write was repeated


def test_a_connection_that_breaks_leaves_a_write_unknown():
    def hang_up(connection):
        read_request(connection)

    with bare_server(hang_up) as url, Client(url, MASTER) as client:
        with pytest.raises(errors.ConnectionLost) as lost:
            client.keys.block("0" * 64)
        assert lost.value.applied is None


def test_an_answer_cut_short_is_a_lost_connection():
    def cut(connection):
        read_request(connection)
        connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"token":')

    with bare_server(cut) as url, Client(url, MASTER) as client, pytest.raises(errors.ConnectionLost):
        client.keys.block("0" * 64)


def test_connections_are_kept_and_shared_by_copies():
    connections = []

    def keep(connection):
        connections.append(connection)
        while True:
            read_request(connection)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    with bare_server(keep) as url, Client(url, MASTER) as client:
        for _ in range(3):
            client.health.readiness()
            client.with_key("sk-example-other").changed_by("alice").health.readiness()
        assert len(connections) == 1
