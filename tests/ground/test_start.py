"""The first start fills an empty installation; the later ones leave people's changes alone."""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path

import pytest
from django.core.management import CommandError

from keys.models import Gateway, KeyRole, RoleVersion
from keys.models.gateway import SANDBOX_URL
from portal.management import first_start
from teams.models import Membership, Team, User
from teams.roles import MemberRole, PlatformRole
from tests.ground.processes import (
    Process,
    apart,
    ask,
    eventually,
    manage,
    new_secrets,
    overdue_lease,
    portal,
    state_of,
)


@pytest.fixture
def said(settings, tmp_path) -> list[str]:
    settings.DATA_DIR = tmp_path
    return []


def test_an_empty_installation_gets_all_that_a_first_key_needs(db, said):
    first_start.fill(said.append)
    admin = User.objects.get()
    assert admin.platform_role == PlatformRole.ADMIN
    assert Membership.objects.get(user=admin).role == MemberRole.ADMIN
    assert Gateway.objects.get().is_default
    assert list(KeyRole.objects.open_to(Team.objects.get())) == [KeyRole.objects.get()]


def test_the_first_password_of_a_shared_server_goes_into_a_private_file(db, said, tmp_path, settings):
    settings.SHARED = True
    first_start.fill(said.append)
    file = tmp_path / first_start.PASSWORD_FILE
    password = file.read_text().strip()
    assert User.objects.get().check_password(password)
    assert file.stat().st_mode & 0o077 == 0
    assert password not in "".join(said)
    assert str(file) in "".join(said)


def test_on_one_machine_the_first_password_is_shown_and_kept_nowhere(db, said, tmp_path, settings):
    settings.SHARED = False
    first_start.fill(said.append)
    shown = next(line for line in said if "with the password" in line).split()[3]
    assert User.objects.get().check_password(shown)
    assert not (tmp_path / first_start.PASSWORD_FILE).exists()


def test_a_second_start_changes_nothing_and_says_nothing(db, said):
    first_start.fill(said.append)
    RoleVersion.objects.all().delete()
    KeyRole.objects.all().delete()
    Membership.objects.all().delete()
    Team.objects.all().delete()
    before = User.objects.get().password
    said.clear()
    first_start.fill(said.append)
    assert User.objects.get().password == before
    assert not Team.objects.exists()
    assert not KeyRole.objects.exists()
    assert said == []


def test_the_admin_of_the_environment_is_made_once_and_keeps_the_password_they_chose(db, said, settings):
    settings.ADMIN_EMAIL, settings.ADMIN_PASSWORD = "Ruth@Example.com", "long enough for a test 42"
    first_start.fill(said.append)
    ruth = User.objects.get(email="ruth@example.com")
    assert ruth.platform_role == PlatformRole.ADMIN
    assert ruth.check_password("long enough for a test 42")
    ruth.set_password("another one, chosen by her")
    ruth.save()
    first_start.fill(said.append)
    ruth.refresh_from_db()
    assert ruth.check_password("another one, chosen by her")
    assert said == []


def test_an_admin_named_later_is_added_and_no_second_first_team_with_them(db, said, settings):
    first_start.fill(said.append)
    settings.ADMIN_EMAIL, settings.ADMIN_PASSWORD = "ruth@example.com", "long enough for a test 42"
    first_start.fill(said.append)
    assert User.objects.filter(platform_role=PlatformRole.ADMIN).count() == 2
    assert Team.objects.count() == 1


def test_an_address_without_a_password_stops_the_start(db, said, settings):
    settings.ADMIN_EMAIL = "ruth@example.com"
    with pytest.raises(CommandError, match="KEYDESK_ADMIN_PASSWORD"):
        first_start.fill(said.append)


def test_a_gateway_of_the_environment_gets_no_role_for_all(db, said, settings):
    settings.LITELLM_BASE_URL, settings.LITELLM_MASTER_KEY = "http://127.0.0.1:9", "sk-example-master"
    first_start.fill(said.append)
    assert Gateway.objects.get().base_url == "http://127.0.0.1:9"
    assert not KeyRole.objects.exists()


def start_at_once(*each: dict[str, str], logs: Path) -> list[str]:
    """What first starts say that begin at the same moment; all must succeed."""
    command = [sys.executable, "manage.py", "start", "--prepare"]
    starts = [Process(command, env, logs / f"{n}.log") for n, env in enumerate(each)]
    assert {start.wait() for start in starts} == {0}, [start.said for start in starts]
    return [start.said for start in starts]


COUNT = "from teams.models import *; print(User.objects.count(), Team.objects.count())"


def test_two_first_starts_on_one_machine_agree(tmp_path):
    env = apart(tmp_path / "data")
    said = start_at_once(env, env, logs=tmp_path)
    assert sum("Sign in as" in each for each in said) == 1, said
    assert manage("shell", "--no-imports", "-c", COUNT, env=env).stdout.strip() == "1 1"


@pytest.mark.postgres
def test_two_first_starts_on_two_hosts_agree(tmp_path, database):
    both = {"DATABASE_URL": database} | new_secrets()
    one, two = (apart(tmp_path / host, **both) for host in ("one", "two"))
    said = start_at_once(one, two, one, logs=tmp_path)
    assert sum("Sign in as" in each for each in said) == 1, said
    assert manage("shell", "--no-imports", "-c", COUNT, env=two).stdout.strip() == "1 1"


@pytest.mark.postgres
def test_a_shared_database_without_its_secrets_stops_the_start(tmp_path, database):
    done = manage("start", "--prepare", env=apart(tmp_path, DATABASE_URL=database), code=1)
    assert "KEYDESK_SECRET_KEY must be set too" in done.stderr


def test_the_one_web_process_runs_the_sweeps_and_ends_cleanly(tmp_path):
    with portal(tmp_path, KEYDESK_SWEEP_EVERY="0.5") as (process, port, env):
        assert "with the password" in process.said
        assert f"Keydesk is ready: http://localhost:{port}" in process.said
        lease = overdue_lease(env)
        eventually(lambda: state_of(lease, env) == "expired", "the embedded worker expires the lease")
        assert (ask(port) or {})["worker"] == "ok"
        assert process.end(signal.SIGTERM, limit=10) == 0
    assert "Traceback" not in process.said
    assert not list(tmp_path.glob("*schedule*"))


def test_an_interrupt_at_the_keyboard_ends_it_as_cleanly(tmp_path):
    with portal(tmp_path) as (process, _, _):
        os.killpg(process.pid, signal.SIGINT)
        assert process.end(signal.SIGINT, limit=10) == 0
    assert "Traceback" not in process.said


def test_a_port_that_is_taken_is_said_at_once_and_before_anything_is_made(tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = manage("start", env=apart(tmp_path, PORT=str(port)), code=1)
    assert f"port {port}" in done.stderr
    assert "PORT=" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / first_start.PASSWORD_FILE).exists()


def test_a_database_that_is_away_is_said_in_a_few_lines(tmp_path):
    env = apart(tmp_path, DATABASE_URL="postgres://keydesk@127.0.0.1:9/keydesk", **new_secrets())
    assert "DATABASE_URL" in manage("start", "--prepare", env=env, code=1).stderr.splitlines()[-1]
    done = manage("doctor", env=env, code=1)
    assert "DATABASE_URL" in done.stdout
    assert done.stderr == ""


def test_a_configuration_that_cannot_work_is_said_in_one_line(tmp_path):
    env = apart(tmp_path, LITELLM_BASE_URL="http://127.0.0.1:9")
    done = manage("start", "--prepare", env=env, code=1)
    assert "LITELLM_MASTER_KEY" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_sandbox_is_where_it_was(db, said):
    first_start.fill(said.append)
    assert Gateway.objects.get().base_url == SANDBOX_URL
