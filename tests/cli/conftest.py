"""A machine with `keydesk` on it."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.cli.inside import Inside

HEARD = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """Signals as in a terminal: what starts tests in the background ignores some, and so would each program here."""
    before = {each: signal.signal(each, signal.SIG_DFL) for each in HEARD if signal.getsignal(each) == signal.SIG_IGN}
    yield
    for each, was in before.items():
        signal.signal(each, was)


@pytest.fixture
def machine(monkeypatch, capsys, tmp_path, db) -> Inside:
    """`keydesk` of a machine where nobody is signed in yet."""
    return Inside(monkeypatch, capsys, tmp_path)


@pytest.fixture
def plain(bearer):
    """The text of somebody's API token."""
    return lambda user, scopes=None: bearer(user, scopes)["Authorization"].removeprefix("Bearer ")
