"""What every command does alike: two lines for a trouble, an exit code, clean output; its token stays at home."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from datetime import timedelta

import pytest
import requests
import time_machine
from django.utils import timezone

from keydesk import store
from keydesk.app import TABLE
from keydesk.desk import Desk
from keydesk.errors import Usage
from keydesk.settings import origin
from keydesk.store import Login
from teams.models import ApiToken
from teams.services import devices, logins
from tests.cli.inside import SERVER
from tests.cli.programs import Program

pytestmark = pytest.mark.django_db(transaction=True)
COMMANDS = [
    ("keys", "list"), ("requests", "list"), ("roles",), ("teams", "list"), ("teams", "show", "search"),
    ("teams", "members", "search"), ("spend",), ("spend", "--by", "day"), ("statements", "list"), ("audit",),
    ("gateways", "list"), ("gateways", "show", "sandbox"), ("models", "list"), ("whoami",), ("config", "list"),
]  # fmt: skip


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_list_is_a_table_or_the_apis_json(machine, plain, ruth, team, alice, sandbox, make_key, words):
    make_key()
    machine.monkeypatch.setenv("KEYDESK_TOKEN", plain(ruth))
    table = machine(*words)
    assert (table.code, "\x1b" in table.out + table.err) == (0, False), table.err
    answer = machine(*words, "--json")
    assert answer.code == 0
    assert isinstance(answer.json, dict | list)
    machine("config", "set", "output", "json")
    assert machine(*words).json


@pytest.mark.parametrize(("words", "code"), [
    (("nothing",), 2), (("keys", "nothing"), 2), (("keys", "show"), 2), (("keys", "list", "--limit", "x"), 2),
    (("keys", "show", "nothing"), 4), (("teams", "show", "nowhere"), 4), (("gateways", "list"), 5),
    (("keys", "list", "--server", "http://keys.example.com"), 2), (("config", "set", "server", "ftp://x"), 2),
    (("requests", "approve", "00000000-0000-4000-8000-000000000000"), 4),
])  # fmt: skip
def test_a_trouble_is_two_lines_and_an_exit_code(machine, plain, alice, words, code):
    done = machine(*words, token=plain(alice))
    assert (done.code, done.out) == (code, "")
    assert 1 <= len(done.err.splitlines()) <= 2
    assert done.err.startswith("keydesk: ")


def test_nobody_signed_in_is_told_how(machine):
    done = machine("keys", "list")
    assert done.code == 3
    assert done.err == f"keydesk: You are not signed in at {SERVER}.\nRun `keydesk login --server {SERVER}`."
    machine.monkeypatch.delenv("KEYDESK_SERVER")
    assert machine("keys", "list").code == 2
    refused = machine("keys", "list", "--server", SERVER, token="kd_made-up")
    assert (refused.code, len(refused.err.splitlines())) == (3, 2)


def answers(status: int, content: bytes, **headers: str):
    return lambda _: (status, {name.replace("_", "-"): value for name, value in headers.items()}, content)


@pytest.mark.parametrize(("answer", "code"), [
    (answers(200, b"<html>the company's proxy</html>"), 1), (answers(200, b'{"results"'), 1), (answers(200, b"[1"), 1),
    (answers(502, b"bad gateway"), 75), (answers(500, b"{}"), 75), (answers(404, b"<html>"), 1), (answers(418, b""), 1),
    (answers(200, b'{"results": 7}'), 1), (answers(200, b"null"), 1),
    (answers(400, b'{"error": {"message": "\\u001b[2Jgone\\u202e", "details": 7}}'), 1),
], ids=range(10))  # fmt: skip
def test_answers_of_something_else_are_no_traceback(machine, plain, alice, answer, code):
    machine.server.answer = answer
    done = machine("keys", "list", token=plain(alice))
    assert done.code == code, done.err
    assert "\x1b" not in done.err
    assert 1 <= len(done.err.splitlines()) <= 2


@pytest.mark.parametrize(("error", "code"), [
    (requests.ConnectionError("x"), 75), (requests.ConnectTimeout("x"), 75), (requests.ReadTimeout("x"), 75),
    (requests.exceptions.SSLError("x"), 1), (requests.exceptions.ChunkedEncodingError("x"), 1),
    (requests.exceptions.InvalidURL("x"), 1), (KeyboardInterrupt(), 130), (RuntimeError("a fault"), 1),
], ids=lambda each: type(each).__name__)  # fmt: skip
def test_networks_that_break_are_no_traceback(machine, plain, alice, monkeypatch, error, code):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(machine.server, "send", fail)
    done = machine("keys", "list", token=plain(alice))
    assert done.code == code
    assert "Traceback" not in done.err
    assert len(done.err.splitlines()) <= 2


def test_a_redirect_is_not_followed_and_takes_no_token_along(machine, plain, alice):
    machine.server.answer = answers(302, b"", Location="https://elsewhere.example/api/v1/keys/?a=b")
    done = machine("keys", "list", token=plain(alice))
    assert (done.code, "https://elsewhere.example" in done.err) == (1, True)
    assert len(machine.server.sent) == 1


def test_a_next_link_is_asked_at_this_server_whatever_it_says(machine, plain, alice):
    pages = iter([b'{"results": [], "next": "https://elsewhere.example/api/v1/keys/?cursor=2"}', b'{"results": []}'])
    machine.server.answer = lambda _: (200, {}, next(pages))
    assert machine("keys", "list", token=plain(alice)).code == 0
    assert machine.server.sent[1].url == f"{SERVER}/api/v1/keys/?cursor=2"


def test_a_netrc_does_not_take_the_tokens_place(machine, plain, alice, tmp_path):
    (tmp_path / "netrc").write_text("machine localhost login eve password secret")
    machine.monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert machine("keys", "list", token=plain(alice)).code == 0
    assert machine.server.sent[0].headers["Authorization"].startswith("Bearer kd_")


def test_a_token_by_http_stays_on_this_machine_whatever_proxy_is_set(machine, plain, alice):
    machine.monkeypatch.setenv("http_proxy", "http://proxy.example.com:3128")
    machine.monkeypatch.setenv("all_proxy", "http://proxy.example.com:3128")
    machine.monkeypatch.delenv("no_proxy", raising=False)
    machine.monkeypatch.delenv("NO_PROXY", raising=False)
    assert machine("keys", "list", token=plain(alice)).code == 0
    assert not any(machine.server.proxies)


def test_what_can_be_repeated_is_repeated_as_long_as_the_server_says(machine, plain, alice, monkeypatch):
    waited: list[float] = []
    monkeypatch.setattr("keydesk.desk.time.sleep", waited.append)
    body = b'{"error": {"code": "too_many", "message": "often", "action": "Wait.", "retryable": true}}'
    machine.server.answer = answers(429, body, Retry_After="7")
    assert machine("keys", "list", token=plain(alice)).code == 75
    assert waited == [7, 7, 7]
    machine.server.answer = answers(429, body, Retry_After="3600")  # nobody waits so long
    assert machine("keys", "list").code == 75
    assert waited == [7, 7, 7]
    keys: set[str] = set()

    def away(sent):
        keys.add(sent.headers["Idempotency-Key"])
        return 503, {}, b"{}"

    machine.server.answer = away
    assert machine("keys", "pause", "00000000-0000-4000-8000-000000000000").code == 75
    assert len(keys) == 1


@pytest.mark.parametrize(("typed", "meant"), [
    ("keys.example.com", "https://keys.example.com"), ("HTTPS://Keys.Example.com:443/a?x=1", "https://keys.example.com"),
    ("http://localhost:8000/", "http://localhost:8000"), ("http://[::1]:80", "http://[::1]"),
    ("https://keys.example.com:8443", "https://keys.example.com:8443"),
    ("http://keys.example.com", None), ("https://eve@keys.example.com", None), ("https://", None),
    ("https://x:y", None),
    ("http://localhost.example.com", None), ("file:///etc/passwd", None), ("", None),
])  # fmt: skip
def test_a_server_is_an_origin_by_https(typed, meant):
    if meant:
        assert origin(typed) == meant
    else:
        with pytest.raises(Usage):
            origin(typed)


def test_what_comes_from_elsewhere_moves_no_cursor(machine, plain, alice):
    name = "\x1b[31mred\x07\u202edesk"
    rows = {"results": [{"id": "1", "name": name, "state": "active"}], "next": None}
    machine.server.answer = answers(200, json.dumps(rows).encode())
    shown = machine("keys", "list", token=plain(alice)).out
    assert not {*shown} & {*"\x1b\x07\u202e"}
    assert "[31mred" in shown
    assert machine("keys", "list", "--json").json["results"][0]["name"] == name


def test_options_of_all_commands_may_stand_anywhere(machine, plain, alice):
    machine.monkeypatch.setenv("KEYDESK_TOKEN", plain(alice))
    machine.monkeypatch.delenv("KEYDESK_SERVER")
    for words in (("--json", "keys", "--server", SERVER, "list"), ("keys", "list", f"--server={SERVER}", "--json")):
        assert machine(*words).json["results"] == []


def test_parallel_commands_replace_a_due_secret_once(machine, alice, monkeypatch):
    device, plain = devices.begin("laptop")
    devices.confirm(device, by=alice)
    token, text = devices.collect(plain)
    calls: list[str] = []

    def answer(sent):
        calls.append(sent.url)
        new = {"token": f"kd_{len(calls)}", "expires_at": "2099-01-01T00:00:00Z", "refresh_at": "2099-01-01T00:00:00Z"}
        return 200, {}, json.dumps(new if sent.url.endswith("refresh/") else {"results": []}).encode()

    machine.server.answer = answer
    login = store.keep(Login(SERVER, text, refresh_at="2020-01-01T00:00:00Z"))
    desks = [Desk(SERVER, text, login) for _ in range(8)]
    threads = [threading.Thread(target=each.get, args=("keys/",)) for each in desks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(url.endswith("refresh/") for url in calls) == 1
    assert len({each.session.auth.token for each in desks}) == 1
    assert ApiToken.objects.get() == token


def test_a_call_that_waits_goes_on_with_the_secret_that_another_process_got_meanwhile(machine, alice):
    device, code = devices.begin("laptop")
    devices.confirm(device, by=alice)
    token, first = devices.collect(code)
    later = (timezone.now() + timedelta(minutes=1)).isoformat()
    store.keep(Login(SERVER, first, expires_at=later, refresh_at=later))
    answered = iter([429])

    def busy(_):
        machine.server.answer = None
        return next(answered), {"Retry-After": "60"}, b"{}"

    def meanwhile(_):
        clock.shift(timedelta(minutes=2))
        store.keep(Login(SERVER, logins.refresh(token, by=alice)[1], expires_at=later, refresh_at="2099-01-01T00:00Z"))
        clock.shift(timedelta(minutes=2))

    machine.server.answer = busy
    machine.monkeypatch.setattr("keydesk.desk.time.sleep", meanwhile)
    with time_machine.travel(timezone.now(), tick=False) as clock:
        assert machine("teams", "list").code == 0
    assert ApiToken.objects.get().ended_at is None


def test_completion_knows_every_command(machine):
    assert "_KEYDESK_COMPLETE" in machine("completion", "bash").out
    assert machine("completion", "tcsh").code == 2
    program = Program("http://localhost:1", "", machine.home)
    program.env |= {"COMP_WORDS": "keydesk re", "COMP_CWORD": "1", "_KEYDESK_COMPLETE": "complete_bash"}
    assert {"request", "requests"} <= {*program.run().stdout.split()}


def test_help_of_every_command_needs_no_server_and_no_django(machine):
    program = Program("http://localhost:1", "", machine.home)
    script = "import sys; from keydesk import app; app.run(sys.argv[1:]); print('django' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script, "--help"], env=program.env, capture_output=True, text=True)
    assert done.stdout.endswith("False\n"), done.stderr
    for name in TABLE:
        assert name in done.stdout
        assert machine(name, "--help").code == 0


def test_ctrl_c_while_it_waits_is_130_and_no_traceback(live_server, tmp_path, db):
    program = Program(live_server.url, "", tmp_path)
    with program.on_terminal("login", "--no-browser", "--name", "laptop") as terminal:
        terminal.until("/device/")
        terminal.press("\x03")
        assert terminal.wait() == 130
        assert "Traceback" not in terminal.seen


def test_a_platform_admin_makes_a_team_and_puts_people_in(machine, plain, ruth, alice):
    machine.monkeypatch.setenv("KEYDESK_TOKEN", plain(ruth))
    made = machine("teams", "create", "Ranking", "--max-budget", "50", "--budget-duration", "1mo")
    assert (made.code, "ranking" in made.out) == (0, True)
    assert "$75.00" in machine("teams", "change", "ranking", "--max-budget", "75").out
    assert machine("teams", "add", "ranking", "alice@example.com").out == "alice@example.com is member in ranking.\n"
    assert "is invited as viewer" in machine("teams", "add", "ranking", "new@example.com", "--role", "viewer").out
    assert "alice@example.com" in machine("teams", "members", "ranking").out
    acts = machine("audit", "--action", "team.", "--json").json["results"]
    assert [each["action"] for each in acts] == ["team.changed", "team.made"]


def test_somebody_is_taken_out_of_a_team_after_a_yes(machine, plain, ines, alice, team):
    machine.monkeypatch.setenv("KEYDESK_TOKEN", plain(ines))
    assert machine("teams", "remove", "search", "alice@example.com").code == 2
    assert machine("teams", "remove", "search", "alice@example.com", "--yes").code == 0
    assert not alice.memberships.exists()
