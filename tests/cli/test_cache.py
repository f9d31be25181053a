"""The keys that a machine keeps: for nobody else to read, for one login alone, and got by one process at a time."""

from __future__ import annotations

import stat
import threading
import time
from typing import Any

import pytest

from keydesk import cache
from keydesk.cache import Held, Place

HERE = Place("https://keys.example.com", "ada", "search", "coding")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("KEYDESK_CONFIG_DIR", str(tmp_path / "keydesk"))
    return tmp_path / "keydesk"


def held(left: float = 3600, life: float = 3600, **changes: Any) -> Held:
    now = time.time()
    return Held(key="sk-secret", lease="1", since=now + left - life, expires_at=now + left, looked_at=now)._replace(
        **changes
    )


def test_a_key_is_kept_for_its_owner_alone(folder):
    with cache.lock(HERE):
        cache.write(HERE, held())
    assert cache.read(HERE).key == "sk-secret"
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.rglob("*"))}
    assert set(modes.values()) == {0o600, 0o700}
    assert all(mode == 0o700 for path, mode in modes.items() if path.is_dir())
    assert "sk-secret" not in repr(held())


@pytest.mark.parametrize(
    "other",
    [
        HERE._replace(server="https://other.example.com"),
        HERE._replace(login="bob"),
        HERE._replace(team="mobile"),
        HERE._replace(role="chat"),
        HERE._replace(ttl="15m"),
    ],
)
def test_a_key_is_for_the_server_login_team_and_role_that_it_was_got_for(other, folder):
    with cache.lock(HERE):
        cache.write(HERE, held())
    assert cache.read(other) is None
    [file] = (folder / "keys").glob("*.json")
    moved = file.with_name(cache._path(other).name)
    file.rename(moved)  # nor by another name
    assert cache.read(other) is None
    assert [each for each, _ in cache.of_login("https://keys.example.com", "ada")] == [HERE]


@pytest.mark.parametrize("spoil", ["readable", "link", "torn"])
def test_a_file_that_somebody_else_may_have_written_is_none(folder, spoil, tmp_path):
    with cache.lock(HERE):
        cache.write(HERE, held())
    [file] = (folder / "keys").glob("*.json")
    if spoil == "readable":
        file.chmod(0o644)
    elif spoil == "torn":
        file.write_text(file.read_text()[:40])
    else:
        file.rename(tmp_path / "elsewhere")
        file.symlink_to(tmp_path / "elsewhere")
    assert cache.read(HERE) is None


@pytest.mark.parametrize(
    ("left", "life", "fresh", "alive"),
    [(3600, 3600, True, True), (1201, 3600, True, True), (1199, 3600, False, True), (29, 60, False, False)],
)
def test_a_key_is_fresh_with_more_than_a_third_of_its_life_left(left, life, fresh, alive):
    assert (held(left, life).fresh, held(left, life).alive) == (fresh, alive)


def test_the_server_is_asked_again_after_five_minutes_and_when_the_clock_was_set_back():
    assert held().looked
    assert not held(looked_at=time.time() - cache.LOOK_EVERY - 1).looked
    assert not held(looked_at=time.time() + 60).looked


def test_the_second_of_two_waits_for_the_first():
    order: list[str] = []

    def other() -> None:
        with cache.lock(HERE):
            order.append("second")

    with cache.lock(HERE):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join(0.1)
        order.append("first")
    thread.join(5)
    assert order == ["first", "second"]
