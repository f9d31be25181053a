"""`make bench`: how fast Keydesk starts, issues and revokes, on this machine with SQLite and the sandbox.

Figures are of one process on a quiet machine; they tell a slow change, not what a production host does.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PORT = int(os.environ.get("BENCH_PORT", "8799"))
STARTS = 3
KEYS = 200


def environment(data: Path) -> dict[str, str]:
    here = {
        "KEYDESK_ISSUES_AN_HOUR": "0",
        "KEYDESK_API_PER_MINUTE": "0",
        "KEYDESK_ENV_FILE": "",
        "KEYDESK_DATA_DIR": str(data),
        "PORT": str(PORT),
        "KEYDESK_LOG_LEVEL": "ERROR",
    }
    return os.environ | here


def answers() -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/healthz", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def start_and_stop(data: Path) -> tuple[float, float]:
    """Seconds until `manage.py start` answers, and seconds until it has ended after a SIGTERM."""
    begin = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "manage.py", "start"], cwd=ROOT, env=environment(data), stdout=subprocess.DEVNULL
    )
    try:
        while not answers():
            if process.poll() is not None or time.perf_counter() - begin > 90:
                sys.exit("The portal did not start.")
            time.sleep(0.02)
        up = time.perf_counter() - begin
    finally:
        begin = time.perf_counter()
        process.terminate()
        process.wait(30)
    return up, time.perf_counter() - begin


def show(what: str, seconds: list[float]) -> None:
    ordered = sorted(seconds)
    rate, middle, slow = len(ordered) / sum(ordered), statistics.median(ordered), ordered[int(len(ordered) * 0.95)]
    print(f"  {what:<8}{rate:6.1f} a second   median {middle * 1000:5.1f} ms   p95 {slow * 1000:5.1f} ms")


def issue_and_revoke() -> None:
    """In a process of its own: Django is set up there, with the environment of the benchmark."""
    import django

    django.setup()
    from keys.models import KeyRole
    from keys.services import leases
    from keys.services.terms import Ask
    from teams.models import Team

    team = Team.objects.get()
    holder, role = team.members.get(), KeyRole.objects.get()
    issuing, revoking = [], []
    for _ in range(KEYS):
        begin = time.perf_counter()
        lease = leases.issue(Ask(team=team, role=role), holder=holder, by=holder).lease
        issuing.append(time.perf_counter() - begin)
        begin = time.perf_counter()
        leases.revoke(lease, by=holder)
        revoking.append(time.perf_counter() - begin)
    show("issue", issuing)
    show("revoke", revoking)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        first, _ = start_and_stop(data)
        print(f"first start: {first:.2f} s until it answers (tables, static files, first rows)")
        later = [start_and_stop(data) for _ in range(STARTS)]
        print(f"later start: {statistics.median(up for up, _ in later):.2f} s, median of {STARTS}")
        print(f"stop:        {statistics.median(down for _, down in later):.2f} s after SIGTERM, median of {STARTS}")
        print(f"{KEYS} keys, one after the other, SQLite and sandbox:")
        more = {"DJANGO_SETTINGS_MODULE": "portal.settings", "PYTHONPATH": str(ROOT)}
        subprocess.run(
            [sys.executable, __file__, "issue_and_revoke"], env=environment(data) | more, cwd=ROOT, check=True
        )


if __name__ == "__main__":
    issue_and_revoke() if sys.argv[1:] == ["issue_and_revoke"] else main()
