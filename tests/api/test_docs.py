"""What docs/api.md and docs/api/ say is so: every address, every code, and the two scripts."""

from __future__ import annotations

import importlib
import os
import pkgutil
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import call_command
from rest_framework import exceptions

from keys.api import urls
from keys.models import KeyRole
from portal.error_codes import CODES
from portal.errors import PortalError
from portal.litellm import faults
from portal.views import TROUBLES
from teams.models import Membership, Team, User

ROOT = Path(__file__).resolve().parents[2]
DOCS = "\n".join(page.read_text() for page in (ROOT / "docs" / "api.md", *sorted((ROOT / "docs" / "api").glob("*.md"))))
BLOCKS = re.findall(r"```sh\n(.*?)```", DOCS, re.S)
JQ = """import json, sys
found = json.load(sys.stdin)
print(found.get("key") or next(v["number"] for v in found["versions"] if v["state"] == "current"), end="")
"""
SHOWN = {"pk": "id", "who": "email or id"}
NOT_OURS = {"portal.celery", "portal.gunicorn", "portal.wsgi"}  # these start processes


def block(start: str) -> str:
    """The script of the page that begins like that."""
    return next(each for each in BLOCKS if each.replace("'", "").startswith(start))


DESK = block("# keydesk.headers")


def every(kind: type[Exception]) -> Iterator[type[Exception]]:
    for each in kind.__subclasses__():
        yield each
        yield from every(each)


def test_every_stable_code_is_in_the_registry_with_its_status():
    for name in ("portal", "teams", "keys"):
        package = importlib.import_module(name)
        for module in pkgutil.walk_packages(package.__path__, f"{name}."):
            if module.name not in NOT_OURS and ".management" not in module.name and ".migrations" not in module.name:
                importlib.import_module(module.name)
    ours = {each for each in every(PortalError) if each.__module__.split(".")[0] in {"portal", "teams", "keys"}}
    codes = {each.code: int(each.status) for each in {PortalError, *ours}}
    codes |= {each.code: int(each.status) for each in TROUBLES}
    theirs = {each.default_code for each in every(exceptions.APIException) if each.__module__ == exceptions.__name__}
    assert set(codes) - set(CODES) == set()
    assert set(CODES) - set(codes) - theirs == set()
    assert {code: status for code, status in codes.items() if status not in CODES[code].statuses} == {}


def test_the_page_of_errors_is_what_the_registry_says():
    call_command("errorcodes")  # raises CommandError; `manage.py errorcodes --write` mends it


def test_every_address_has_its_row_and_its_example():
    examples = "\n".join(BLOCKS)
    missing = []
    for pattern in urls.urlpatterns:
        route = str(pattern.pattern)
        row = re.sub(r"<\w+:(\w+)>", lambda found: f"{{{SHOWN.get(found[1], found[1])}}}", route)
        if f" {row}" not in DOCS:
            missing.append(row)
        example = re.sub(r"<.*?>", r"[^/\\s]+", route)
        if not re.search(rf"desk ['\"]?{example}(\s|\?|\"|$)", examples, re.M):
            missing.append(f"desk {row}")
    assert missing == []


def test_every_scope_and_state_is_named():
    from keys.models import State
    from teams.roles import Scope

    assert [word for word in (*Scope, *State) if not re.search(rf"\b{word}\b", DOCS)] == []


@pytest.fixture
def shell(live_server, tmp_path, bearer, sandbox):
    """Run a script of the page as somebody, against this portal; answers what it printed."""

    def run(script: str, by, **env: str) -> subprocess.CompletedProcess[str]:
        headers = tmp_path / "keydesk.headers"
        token = bearer(by)["Authorization"]
        headers.write_text(f"Authorization: {token}\nContent-Type: application/json\n")
        script = script.replace("https://keys.example.com", live_server.url).replace("/etc/", f"{tmp_path}/")
        path = f"{tmp_path}:{os.environ['PATH']}"
        return subprocess.run(
            ["sh", "-c", script], cwd=tmp_path, env={"PATH": path} | env, capture_output=True, text=True, timeout=60
        )

    return run


def test_the_examples_of_keys_teams_and_roles_work_as_they_stand(shell, call, team, ruth, alice, person, make_key):
    Membership.objects.create(team=team, user=person("ada"))
    lease = make_key(ttl=timedelta(hours=1)).lease
    done = shell(f"{DESK}\nset -e\n{block('desk keys/?holder=me')}", alice, ID=str(lease.pk))
    assert done.returncode == 0, done.stdout[-500:]
    assert '"reach"' in done.stdout
    lease.refresh_from_db()
    assert (lease.state, lease.end_reason, lease.versions.count()) == ("revoked", "laptop lost", 2)

    robot = User.objects.create_service_account("nightly", team)
    handed = make_key(ttl=timedelta(hours=1)).lease
    done = shell(f"{DESK}\n{block('desk keys/$ID/transfer')}", ruth, ID=str(handed.pk))
    assert done.returncode == 0, done.stdout[-500:]
    handed.refresh_from_db()
    assert handed.holder == robot

    Team.objects.update(slug="before")
    KeyRole.objects.update(name="before")
    done = shell(f"{DESK}\nset -e\n{block('desk teams/ -d')}\n{block('desk roles/ -d')}", ruth)
    assert done.returncode == 0, done.stdout[-500:]
    assert Membership.objects.get(team__slug="search").max_budget == 25


def test_the_cron_job_renews_and_says_when_nothing_is_left(shell, sandbox, alice, make_key, make_role):
    role = make_role(ttl=timedelta(hours=2), max_ttl=timedelta(hours=2))
    lease = make_key(role=role, ttl=timedelta(hours=1)).lease
    script = block("#!/bin/sh")
    assert shell(script, alice, LEASE=str(lease.pk)).returncode == 0
    lease.refresh_from_db()
    assert lease.expires_at == lease.max_expires_at
    spent = shell(script, alice, LEASE=str(lease.pk))
    assert (spent.returncode, "max TTL" in spent.stderr) == (1, True)

    away = make_key(role=make_role(name="other"), ttl=timedelta(hours=1)).lease
    sandbox.faults.fail_next("*", faults.refused(), times=50)
    assert shell(script, alice, LEASE=str(away.pk)).returncode == 75


def test_the_ci_job_hands_on_the_new_secret_and_the_old_one_works_on(shell, sandbox, alice, make_key, tmp_path):
    """`kubectl` keeps what it is given; `jq` is really needed."""
    issued = make_key()
    kubectl = tmp_path / "kubectl"
    kubectl.write_text('#!/bin/sh\ncase "$*" in *--from-file*) cat > given ;; *) cat > /dev/null ;; esac\n')
    kubectl.chmod(0o755)
    if shutil.which("jq") is None:
        stand_in = tmp_path / "jq"
        stand_in.write_text(f"#!{sys.executable}\n{JQ}")
        stand_in.chmod(0o755)
    script = f"{DESK}\n{block('set -eu')}"
    done = shell(script, alice, LEASE=str(issued.lease.pk))
    assert done.returncode == 0, done.stderr
    new = (tmp_path / "given").read_text()
    assert sandbox.status_of(new) == sandbox.status_of(issued.secret) == 200
    assert new not in done.stdout + done.stderr
    again = shell(script, alice, LEASE=str(issued.lease.pk))
    assert (again.returncode, (tmp_path / "given").read_text()) == (22, new)  # rotation_in_overlap: nothing handed on
