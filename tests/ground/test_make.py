"""What surrounds the tests themselves: make keeps a person's own settings out, and no_skips lets nothing be skipped."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from portal import embedded
from tests.ground.processes import ROOT, eventually

OWN = [
    "LITELLM_BASE_URL",
    "LITELLM_MASTER_KEY",
    "DATABASE_URL",
    "KEYDESK_BROKER_URL",
    "KEYDESK_URL",
    "KEYDESK_WHATEVER",
]


@pytest.mark.parametrize("target", ["test", "check"])
def test_make_keeps_your_own_settings_from_tests_and_checks(target):
    env = os.environ | dict.fromkeys(OWN, "http://mine.example.com")
    said = subprocess.check_output(["make", "-n", target], cwd=ROOT, env=env, text=True)
    assert [name for name in OWN if f"-u {name}" not in said] == []
    assert "KEYDESK_ENV_FILE= " in said


def test_make_leaves_what_tests_are_told_by_on_purpose():
    told = ["LIVE_LITELLM_BASE_URL", "LIVE_LITELLM_MASTER_KEY", "KEYDESK_CHROMIUM", "KEYDESK_NO_SKIPS"]
    said = subprocess.check_output(
        ["make", "-n", "test"], cwd=ROOT, env=os.environ | dict.fromkeys(told, "x"), text=True
    )
    assert [name for name in told if f"-u {name} " in said] == []


SKIPPING = """
import pytest

@pytest.mark.skip(reason="not here")
def test_marked(): ...

def test_midway():
    pytest.skip("not now")

@pytest.mark.xfail(strict=True)
def test_known():
    assert False
"""


@pytest.mark.parametrize(("strict", "said"), [("1", "1 failed, 1 xfailed, 1 error"), ("", "2 skipped, 1 xfailed")])
def test_where_nothing_may_be_skipped_a_skip_is_a_failure(tmp_path, strict, said):
    (tmp_path / "test_some.py").write_text(SKIPPING)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:django", "-c", os.devnull]
    done = subprocess.run(
        [*command, "-p", "tests.ground.no_skips", str(tmp_path)],
        cwd=ROOT,
        env=os.environ | {"KEYDESK_NO_SKIPS": strict},
        capture_output=True,
        text=True,
    )
    assert said in done.stdout, done.stdout
    assert done.returncode == (1 if strict else 0)


def test_no_worker_runs_in_a_process_that_serves_nothing():
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("keydesk-")]


def test_an_embedded_part_that_crashes_is_started_again(monkeypatch):
    monkeypatch.setattr(embedded, "RESTART_PAUSE", 0.01)
    host = embedded.Embedded()
    runs: list[int] = []
    second = threading.Event()

    def part():
        runs.append(1)
        if len(runs) == 1:
            raise RuntimeError("on purpose")
        second.set()
        host._ending.wait(10)

    monkeypatch.setattr(host, "_work", part)
    monkeypatch.setattr(host, "_beat", lambda: host._ending.wait(10))
    host.start()
    assert eventually(second.is_set, "the part runs again", limit=10)
    assert host.running
    host.stop()
    assert not host.running
    assert len(runs) == 2
