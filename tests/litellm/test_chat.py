import json

import pytest

from portal.litellm import Client, errors
from tests.litellm.servers import BASE, MASTER, bare_server, read_request, sent

URL = f"{BASE}/v1/chat/completions"
HELLO = [{"role": "user", "content": "hello"}]


def frame(text="", **more):
    return "data: " + json.dumps({"choices": [{"index": 0, "delta": {"content": text}, **more}]}) + "\n\n"


def test_a_completion_reads_like_a_dict_and_knows_its_text(client, proxy):
    answer = {
        "id": "c1",
        "choices": [{"finish_reason": "stop", "message": {"content": "Hi", "role": "assistant"}}],
        "usage": {"total_tokens": 30, "cost": 0.1},
    }
    proxy.post(URL, json=answer)
    told = client.chat.completions("gpt-4o", HELLO, temperature=0.5)
    assert sent(proxy) == {"model": "gpt-4o", "messages": HELLO, "temperature": 0.5}
    assert (told.text, told.finish_reason, told["id"]) == ("Hi", "stop", "c1")
    assert told.usage == {"total_tokens": 30, "cost": 0.1}
    assert "id" in told
    assert told.get("nothing") is None
    assert set(told) == {"id", "choices", "usage"}


@pytest.mark.parametrize("answer", [{}, {"choices": []}, {"choices": [{"message": {"content": None}}]}])
def test_an_answer_without_text_has_an_empty_text(client, proxy, answer):
    proxy.post(URL, json=answer)
    assert client.chat.completions("gpt-4o", HELLO).text == ""


@pytest.mark.parametrize(
    ("status", "kind", "expected"),
    [
        (422, "budget_exceeded", errors.BudgetExceeded),
        (429, "throttling_error", errors.RateLimited),
        (403, "key_model_access_denied", errors.Forbidden),
        (401, "expired_key", errors.Unauthorized),
    ],
)
def test_refusals_are_the_same_for_whole_and_streamed_answers(client, proxy, status, kind, expected):
    proxy.post(URL, json={"error": {"message": "no", "type": kind, "code": str(status)}}, status=status)
    with pytest.raises(expected):
        client.chat.completions("gpt-4o", HELLO)
    with pytest.raises(expected):
        next(client.chat.stream("gpt-4o", HELLO))


def test_a_stream_yields_its_chunks_until_the_end_mark(client, proxy):
    body = (
        ": keep alive\n\n" + frame("Hel") + "event: x\r\n" + frame("lo", finish_reason="stop") + "data: [DONE]\n\nrest"
    )
    proxy.post(URL, body=body)
    chunks = list(client.chat.stream("gpt-4o", HELLO, user="u"))
    assert "".join(chunk.text for chunk in chunks) == "Hello"
    assert chunks[-1].finish_reason == "stop"
    assert sent(proxy) == {"model": "gpt-4o", "messages": HELLO, "user": "u", "stream": True}


def test_text_is_whole_even_where_packets_split_its_characters(client):
    def split(connection):
        read_request(connection)
        body = (frame("naïve") + "data: [DONE]\n\n").replace("\\u00ef", "ï").encode()
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for number in range(len(body)):
            connection.sendall(b"1\r\n" + body[number : number + 1] + b"\r\n")
        connection.sendall(b"0\r\n\r\n")

    with bare_server(split) as url, Client(url, MASTER) as near:
        assert [chunk.text for chunk in near.chat.stream("gpt-4o", HELLO)] == ["naïve"]


def test_chunks_arrive_while_the_answer_is_still_being_written():
    answered = []

    def slow(connection):
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        data = frame("first").encode()
        connection.sendall(b"%x\r\n%s\r\n" % (len(data), data))
        answered.append(connection.recv(1))  # b"" once the client hangs up

    with bare_server(slow) as url, Client(url, MASTER) as near:
        chunks = near.chat.stream("gpt-4o", HELLO)
        assert next(chunks).text == "first"
        assert answered == []
        chunks.close()


def test_an_error_frame_ends_the_stream(client, proxy):
    broken = {"error": {"message": "Provider fell over with sk-example-secret", "type": "None", "code": "500"}}
    proxy.post(URL, body=frame("Hel") + f"data: {json.dumps(broken)}\n\n")
    chunks = client.chat.stream("gpt-4o", HELLO)
    assert next(chunks).text == "Hel"
    with pytest.raises(errors.StreamError, match="Provider fell over with sk-…") as failed:
        next(chunks)
    assert failed.value.status == 500
    assert failed.value.__context__ is None


@pytest.mark.parametrize("body", ["", frame("Hel"), "data: {broken\n\n", "data: []\n\n"])
def test_a_stream_that_ends_early_or_breaks_is_an_error(client, proxy, body):
    proxy.post(URL, body=body)
    with pytest.raises(errors.StreamError) as failed:
        list(client.chat.stream("gpt-4o", HELLO))
    assert failed.value.__context__ is None


def test_a_connection_that_breaks_in_a_stream_is_told():
    def cut(connection):
        read_request(connection)
        data = frame("first").encode()
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(data), data))

    with bare_server(cut) as url, Client(url, MASTER) as near:
        chunks = near.chat.stream("gpt-4o", HELLO)
        next(chunks)
        with pytest.raises(errors.ConnectionLost):
            next(chunks)


def test_nothing_is_sent_before_the_first_chunk_is_asked_for(client, proxy):
    client.chat.stream("gpt-4o", HELLO)
    assert len(proxy.calls) == 0


def test_chat_waits_ten_minutes_unless_told_otherwise():
    assert Client(BASE).chat._http.timeout == 600
    assert Client(BASE, chat_timeout=60).chat._http.timeout == 60
    assert Client(BASE).with_timeout(5).chat._http.timeout == 5
