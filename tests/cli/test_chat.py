"""`keydesk chat`: answers as they come, straight from the proxy; troubles in two lines."""

from __future__ import annotations

import json
import sys

import pytest

from keydesk import chat
from keydesk.app import run
from keydesk.calls import BrokeOff, clean, frames, refusal
from keys.models import Lease
from keys.services import leases
from tests.cli.programs import inside


@pytest.fixture
def desk(monkeypatch, client, tmp_path, bearer, alice, sandbox, make_role):
    """alice's machine, in this process."""
    make_role()
    return inside(monkeypatch, client, tmp_path, bearer(alice)["Authorization"].removeprefix("Bearer "))


@pytest.fixture
def lines(monkeypatch):
    """What a person types, line by line, then Ctrl-D. An exception is pressed."""

    def types(*said: str | BaseException) -> None:
        waiting = iter(said)

        def read(_: str) -> str:
            line = next(waiting, EOFError())
            if isinstance(line, BaseException):
                raise line
            return line

        monkeypatch.setattr("builtins.input", read)
        monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)

    return types


def test_an_answer_comes_from_the_proxy_with_the_leased_key(desk, capsys):
    assert run(["chat", "gpt-4o", "How are you?"]) == 0
    said = capsys.readouterr().out
    assert len(said) > 10
    assert said.endswith("\n")
    assert desk.calls[-1] == "POST /sandbox/v1/chat/completions"
    assert run(["--json", "chat", "gpt-4o", "How are you?"]) == 0
    assert json.loads(capsys.readouterr().out)["choices"][0]["message"]["content"] == said.strip()
    assert Lease.objects.count() == 1  # that of `keydesk token`


def test_a_conversation_goes_along_until_it_is_cleared_and_ctrl_c_ends_nothing(desk, lines, monkeypatch, capsys):
    asked: list[list[str]] = []

    def answer(base_url, key, body):
        asked.append([each["content"] for each in body["messages"]])
        if body["messages"][-1]["content"] == "fail":
            raise BrokeOff("The answer broke off: overloaded", "Ask again.")
        yield from ("wel", "come")

    monkeypatch.setattr(chat, "pieces", answer)
    lines("one", "fail", KeyboardInterrupt(), "two", "/clear", "three")
    assert run(["chat", "gpt-4o", "--system", "be short"]) == 0
    assert asked == [
        ["be short", "one"],
        ["be short", "one", "welcome", "fail"],
        ["be short", "one", "welcome", "two"],
        ["be short", "three"],
    ]
    assert "keydesk: The answer broke off: overloaded\nAsk again.\n" in capsys.readouterr().err


def test_a_key_that_was_revoked_meanwhile_is_replaced_by_itself(desk, alice, capsys):
    assert run(["chat", "gpt-4o", "Hello"]) == 0
    leases.revoke(Lease.objects.get(), by=alice, reason="lost")
    assert run(["chat", "gpt-4o", "Hello"]) == 0
    assert Lease.objects.count() == 2


def test_a_refusal_of_the_proxy_is_told_in_two_lines_without_secrets(desk, capsys):
    assert run(["chat", "gpt-5", "Hello"]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert len(told.err.splitlines()) == 2
    assert "gpt-5" in told.err
    assert clean("key sk-" + "a1" * 12 + " is\nover") == "key sk-… is over"


@pytest.mark.parametrize(
    ("status", "body", "code", "words"),
    [
        (429, b'{"error": {"message": "Budget has been exceeded"}}', 75, "Budget has been exceeded"),
        (503, b"<html>", 75, "The proxy answered 503."),
        (400, b'{"detail": {"error": "no such model"}}', 1, "no such model"),
        (404, b'{"detail": "Not Found"}', 1, "Not Found"),
    ],
)
def test_each_shape_of_a_refusal_is_read(status, body, code, words):
    error = refusal(status, body)
    assert (error.exit_code, words in error.message) == (code, True)
    assert error.action


def test_a_stream_is_read_to_its_mark_and_a_fault_in_it_is_told():
    good = [
        b'data: {"a": 1}',
        b"",
        b": ping",
        b"event: x",
        b'data: {"b":',
        b"data: 2}",
        b"",
        b"data: [DONE]",
        b"",
        b"x",
    ]
    assert list(frames(good)) == [{"a": 1}, {"b": 2}]
    with pytest.raises(BrokeOff, match="before its end"):
        list(frames(good[:2]))
    for bad, words in (
        (b'data: {"error": {"message": "overloaded", "code": 529}}', "overloaded"),
        (b"data: x", "JSON"),
    ):
        coming = frames([*good[:2], bad, b""])
        assert next(coming) == {"a": 1}
        with pytest.raises(BrokeOff, match=words):
            next(coming)
