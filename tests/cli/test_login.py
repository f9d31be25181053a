"""`keydesk login`, `whoami` and `logout`: who one is, kept for one server and nobody else to read."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import keyring
import pytest
import requests
import time_machine
from keyring.backend import KeyringBackend

from keydesk import store
from keydesk.store import Login
from teams.models import ApiToken, DeviceLogin
from teams.services import devices
from tests.cli.inside import SERVER

pytestmark = pytest.mark.django_db(transaction=True)


class Chain(KeyringBackend):
    """A keychain."""

    priority = 5

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service, username):
        return self.kept.get((service, username))

    def set_password(self, service, username, password):
        self.kept[service, username] = password

    def delete_password(self, service, username):
        del self.kept[service, username]


@pytest.fixture
def confirming(monkeypatch, alice):
    """While the command line waits, `act` decides what it begun: alice confirms, unless said otherwise."""

    def choose(act=lambda device: devices.confirm(device, by=alice)):
        monkeypatch.setattr("keydesk.account.time.sleep", lambda _: [
            act(device) for device in DeviceLogin.objects.filter(state="open")
        ])  # fmt: skip

    choose()
    return choose


def test_one_signs_in_by_a_code_that_stands_in_the_terminal(machine, alice, team, confirming, tmp_path):
    done = machine("login", "--name", "laptop")
    assert (done.code, done.out) == (0, f"Signed in at {SERVER} as alice@example.com.\n")
    device = DeviceLogin.objects.get()
    assert f"Your code:  {device.shown_code}" in done.err
    assert "Open  http://localhost:8000/device/" in done.err
    token = ApiToken.objects.get()
    assert (token.kind, token.name, token.owner) == ("login", "keydesk on laptop", alice)

    kept = tmp_path / "config" / "logins.json"
    assert (stat.S_IMODE(kept.stat().st_mode), stat.S_IMODE(kept.parent.stat().st_mode)) == (0o600, 0o700)
    plain = json.loads(kept.read_text())["logins"][SERVER]["token"]
    assert ApiToken.objects.usable(plain) == token
    assert plain not in done.out + done.err

    who = machine("whoami").out
    for words in ("alice@example.com", str(alice.pk), SERVER, "search (member)", "in 6 days", "ago", "Default team"):
        assert words in who
    assert machine("whoami", "--json").json["email"] == "alice@example.com"


def test_signing_out_ends_the_login_at_the_server_and_here(machine, alice, confirming, tmp_path):
    machine("login")
    done = machine("logout")
    assert (done.code, done.out) == (0, f"Signed out at {SERVER}.\n")
    assert ApiToken.objects.get().ended_at
    assert json.loads((tmp_path / "config" / "logins.json").read_text()) == {"logins": {}}
    who = machine("whoami")
    assert (who.code, len(who.err.splitlines())) == (3, 2)
    assert machine("logout").code == 0  # again


def test_signing_out_works_when_the_server_is_away_and_says_so(machine, alice, confirming):
    machine("login")
    machine.server.away = True
    done = machine("logout")
    assert (done.code, done.out) == (0, f"Forgotten here; {SERVER} could not be told.\n")
    assert f"{SERVER}/tokens/" in done.err
    assert store.find(SERVER) is None
    assert ApiToken.objects.get().is_living


def test_signing_in_again_ends_the_login_before(machine, alice, confirming):
    machine("login")
    machine("login")
    assert [token.ended_at is None for token in ApiToken.objects.order_by("created_at")] == [False, True]


@pytest.mark.parametrize(("act", "code"), [("refuse", 5), ("expire", 1)])
def test_a_login_that_nobody_confirms_is_none(machine, alice, confirming, act, code):
    ends = {
        "refuse": lambda device: devices.refuse(device, by=alice),
        "expire": lambda device: DeviceLogin.objects.update(expires_at=datetime.now(UTC)),
    }
    confirming(ends[act])
    done = machine("login")
    assert (done.code, done.out) == (code, "")
    assert store.find(SERVER) is None


def test_a_token_is_kept_from_stdin_and_not_ended_with_its_login(machine, plain, alice):
    text = plain(alice)
    assert machine("login", "--token", stdin=f"{text}\n").code == 0
    assert machine("whoami").code == 0
    done = machine("logout")
    assert "The token itself works on" in done.err
    assert ApiToken.objects.usable(text)
    machine("login", "--token", stdin=text)
    assert machine("logout", "--end").code == 0
    assert not ApiToken.objects.usable(text)
    for wrong in ("", "sk-nothing", "kd_two words"):
        assert machine("login", "--token", stdin=wrong).code == 2
    assert machine("login", "--token", stdin="kd_unknown").code == 3


def test_a_login_is_of_one_server_alone(machine, plain, alice):
    machine("login", "--token", stdin=plain(alice))
    asked = len(machine.server.sent)
    for other in ("http://localhost:8001", "https://localhost", "http://127.0.0.1"):
        done = machine("whoami", "--server", other)
        assert (done.code, other in done.err) == (3, True)
    assert len(machine.server.sent) == asked  # and nobody else saw its token
    assert machine("logins", "--json").json == [{"server": SERVER, "default": True}]


def test_the_flag_is_stronger_than_the_environment_and_that_than_what_is_kept(machine, plain, alice, bob, ines):
    machine("login", "--token", stdin=plain(alice))
    assert machine("whoami", "--json").json["email"] == "alice@example.com"
    assert machine("whoami", "--json", token=plain(bob)).json["email"] == "bob@example.com"
    assert machine("--token", plain(ines), "whoami", "--json").json["email"] == "ines@example.com"
    machine.monkeypatch.delenv("KEYDESK_SERVER")
    machine.monkeypatch.delenv("KEYDESK_TOKEN")
    assert machine("whoami").code == 0  # the server of the last login
    machine.monkeypatch.setenv("KEYDESK_SERVER", "http://localhost:9")
    assert machine("whoami").code == 3
    assert machine("whoami", f"--server={SERVER}").code == 0


def test_the_secret_is_in_the_keychain_where_there_is_one(machine, plain, alice, monkeypatch, tmp_path):
    chain, text = Chain(), plain(alice)
    monkeypatch.delenv("KEYDESK_NO_KEYRING")
    monkeypatch.setattr(keyring, "get_keyring", lambda: chain)
    machine("login", "--token", stdin=text)
    assert chain.kept == {("keydesk", SERVER): text}
    assert text not in (tmp_path / "config" / "logins.json").read_text()
    assert "keychain" in machine("whoami").out
    monkeypatch.setattr(chain, "get_password", lambda *_: None)  # locked
    locked = machine("whoami")
    assert (locked.code, "keychain" in locked.err) == (1, True)
    machine("logout")
    assert chain.kept == {}


def test_a_keychain_that_breaks_is_none(machine, plain, alice, monkeypatch):
    class Broken(Chain):
        def set_password(self, *_):
            raise RuntimeError("no")

    monkeypatch.delenv("KEYDESK_NO_KEYRING")
    monkeypatch.setattr(keyring, "get_keyring", Broken)
    assert machine("login", "--token", stdin=plain(alice)).code == 0
    assert store.find(SERVER).kept_in == "file"


def test_a_login_that_is_used_gets_a_new_secret_once_a_day(machine, alice, confirming):
    machine("login")
    before = store.find(SERVER)
    machine("whoami")
    assert store.find(SERVER) == before
    due = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
    assert before
    store.keep(replace(before, refresh_at=due))
    assert machine("whoami").code == 0
    after = store.find(SERVER)
    assert after.token != before.token
    assert not after.is_due()
    assert (after.email, after.made_at) == (before.email, before.made_at)
    assert ApiToken.objects.usable(after.token)
    assert ApiToken.objects.count() == 1


def test_a_refresh_that_fails_leaves_the_login_as_it_is(machine, alice, confirming):
    machine("login")
    before = store.find(SERVER)
    assert before
    kept = store.keep(replace(before, refresh_at="2020-01-01T00:00:00+00:00"))
    machine.server.answer = lambda request: (
        (503, {"Content-Type": "application/json"}, b'{"error": {"code": "unavailable", "message": "no"}}')
        if request.url.endswith("refresh/")
        else (200, {}, b'{"email": "alice@example.com"}')
    )
    assert machine("whoami").code == 0
    assert store.find(SERVER) == kept


def test_a_refresh_whose_answers_are_lost_is_had_again_while_the_old_secret_is_good(
    machine, alice, confirming, monkeypatch
):
    machine("login")
    before, really, lost = store.find(SERVER), machine.server.send, list[object]()
    assert before
    store.keep(replace(before, refresh_at="2020-01-01T00:00:00+00:00"))
    with time_machine.travel(datetime.now(UTC), tick=False) as clock:

        def send(request, *, timeout, **more):
            answer = really(request, timeout=timeout, **more)
            if request.url.endswith("refresh/") and len(lost) < 3:
                lost.append(request)
                clock.shift(sum(timeout) + 1)
                raise requests.ReadTimeout
            return answer

        monkeypatch.setattr(machine.server, "send", send)
        assert machine("whoami").code == 0
        assert len(lost) == 3
        assert ApiToken.objects.usable(store.find(SERVER).token)


def test_what_the_store_holds_is_not_shown_by_a_repr():
    assert "kd_secret" not in repr(Login(SERVER, "kd_secret"))


def test_a_broken_store_is_said_and_mended_by_signing_in(machine, plain, alice, tmp_path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "logins.json").write_text("{nonsense")
    done = machine("whoami")
    assert (done.code, "logins.json cannot be read" in done.err) == (1, True)
    assert "Traceback" not in done.err


def test_several_teams_are_asked_about_and_the_answer_is_kept(machine, plain, alice, team, other_team, monkeypatch):
    from teams.models import Membership

    Membership.objects.create(team=other_team, user=alice, role="member")
    assert machine("login", "--token", "--team", "mobile", stdin=plain(alice)).code == 0
    assert machine("config", "get", "team").out == "mobile\n"
    wrong = machine("login", "--token", "--team", "nowhere", stdin=plain(alice))
    assert (wrong.code, "mobile" in wrong.err) == (2, True)
