"""The commands of a terminal: token, rotate_encryption_keys, doctor; and /healthz."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from typing import Any

import pytest
from cryptography.fernet import Fernet, MultiFernet
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection
from django.test import RequestFactory

from keys.models import Gateway
from keys.models.gateway import SANDBOX_URL
from portal import health, secrets
from portal.management.commands import doctor
from teams.models import ApiToken
from tests.ground.processes import ROOT, apart, manage


def call(*arguments: str, **options: Any) -> str:
    said = io.StringIO()
    call_command(*arguments, stdout=said, **options)
    return said.getvalue()


def test_the_token_command_prints_the_token_and_nothing_else(alice):
    plain = call("token", alice.email, name="laptop", scopes="read,keys:issue", days=5)
    token = ApiToken.objects.usable(plain.strip())
    assert plain == plain.strip() + "\n"
    assert token is not None
    assert (token.owner, token.name, token.scopes) == (alice, "laptop", ["keys:issue", "read"])
    assert (token.expires_at - token.created_at).days in {4, 5}


@pytest.mark.parametrize(
    ("email", "scopes", "days", "said"),
    [
        ("nobody@example.com", "all", 5, "nobody@example.com"),
        ("alice@example.com", "read,everything", 5, "Choose of"),
        ("alice@example.com", "all", 4000, "365"),
    ],
)
def test_the_token_command_says_what_is_wrong(alice, email, scopes, days, said):
    with pytest.raises(CommandError, match=said):
        call("token", email, name="laptop", scopes=scopes, days=days)
    assert not ApiToken.objects.exists()


def test_a_refusal_of_the_token_command_leaves_stdout_empty(tmp_path):
    env = apart(tmp_path)
    manage("migrate", "-v0", env=env)
    done = manage("token", "nobody@example.com", "--name", "x", "--scopes", "all", env=env, code=1)
    assert done.stdout == ""
    assert "nobody@example.com" in done.stderr


def stored_key() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT master_key FROM keys_gateway")
        return str(cursor.fetchone()[0])


def test_rotating_the_encryption_keys_makes_the_old_one_superfluous(sandbox, settings):
    old, new = settings.ENCRYPTION_KEYS[0], Fernet.generate_key().decode()
    plain, before = sandbox.gateway.master_key, stored_key()
    settings.ENCRYPTION_KEYS = [new, old]
    assert "keys.Gateway.master_key: 1 of 1 written anew" in call("rotate_encryption_keys")
    assert stored_key() != before
    assert "keys.Gateway.master_key: 0 of 1 written anew" in call("rotate_encryption_keys")
    settings.ENCRYPTION_KEYS = [new]
    assert Gateway.objects.get().master_key == plain


def test_rotation_stops_at_a_row_that_no_key_opens(sandbox, settings):
    before = stored_key()
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    with pytest.raises(ImproperlyConfigured, match="KEYDESK_ENCRYPTION_KEYS"):
        call("rotate_encryption_keys")
    assert stored_key() == before


def test_the_new_secrets_are_ones_that_settings_accept():
    printed = subprocess.run(
        [sys.executable, "-m", "portal.newsecrets"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    made = dict(line.split("=", 1) for line in printed.stdout.splitlines())
    assert len(made["KEYDESK_SECRET_KEY"]) >= 50
    assert isinstance(secrets._ring((made["KEYDESK_ENCRYPTION_KEYS"],)), MultiFernet)


@pytest.fixture
def well(sandbox, ruth, settings, tmp_path):
    settings.DATA_DIR, settings.SHARED = tmp_path, False
    settings.BROKER_URL, settings.EMBEDDED_WORKER = "", True
    tmp_path.chmod(0o700)


def test_the_doctor_finds_a_healthy_installation_well(well):
    assert call("doctor").endswith("All well.\n")


def test_the_doctor_says_what_to_do_and_exits_with_1(well, settings, tmp_path):
    (tmp_path / "encryption.keys").write_text("not for other eyes")
    (tmp_path / "encryption.keys").chmod(0o644)
    settings.HOST, settings.DEBUG = "0.0.0.0", True
    said = io.StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("doctor", stdout=said)
    assert ended.value.code == 1
    assert "chmod 600" in said.getvalue()
    assert "TLS" in said.getvalue()
    assert "3 to do" in said.getvalue()


def test_the_doctor_says_so_when_no_key_opens_a_row(well, settings):
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    found = list(doctor.stored_secrets())
    assert any(each.do for each in found)


def test_the_doctor_reports_a_gateway_that_is_away(well):
    Gateway.objects.filter(base_url=SANDBOX_URL).update(base_url="http://127.0.0.1:9")
    assert any(each.do and "sandbox" in each.said for each in doctor.gateway_rows())


def test_the_doctor_works_before_there_is_a_database(tmp_path):
    done = manage("doctor", env=apart(tmp_path), code=1)
    assert "migrations to run" in done.stdout
    assert "Traceback" not in done.stderr


def test_the_doctor_never_prints_a_secret(well, settings):
    said = call("doctor")
    hidden = [settings.SECRET_KEY, *settings.ENCRYPTION_KEYS, Gateway.objects.get().master_key]
    assert not [secret for secret in hidden if secret in said]
    assert not re.search(r"sk-\w{8}", said)


@pytest.mark.parametrize(("token", "there"), [("", False), ("t0k3n" * 8, True)])
def test_scims_door_is_there_where_a_token_is_set_and_only_there(tmp_path, token, there):
    look = "from django.urls import resolve; print(resolve('/scim/v2/Users').url_name)"
    done = manage(
        "shell", "--no-imports", "-c", look, env=apart(tmp_path, KEYDESK_SCIM_TOKEN=token), code=0 if there else 1
    )
    assert ("users" in done.stdout, "Resolver404" in done.stderr) == (there, not there)


def health_of(client) -> tuple[int, dict[str, str]]:
    answer = health.healthz(RequestFactory().get("/healthz"))
    return answer.status_code, json.loads(answer.content)


def test_health_is_ok_while_the_database_answers_whatever_the_gateway_does(db, settings):
    settings.BROKER_URL = ""
    assert health_of(None) == (200, {"status": "ok", "database": "ok", "sweeps": "ok"})


def test_health_is_503_while_the_database_is_away_and_tells_no_more_than_that(db, settings, monkeypatch):
    settings.BROKER_URL = ""

    def away():
        raise DatabaseError("password authentication failed for user keydesk")

    monkeypatch.setattr(health, "ask_database", away)
    assert health_of(None) == (503, {"status": "away", "database": "away"})


def test_health_is_503_while_the_broker_is_away(db, settings, monkeypatch):
    from portal.celery import app

    settings.BROKER_URL = "redis://127.0.0.1:9/0"
    monkeypatch.setattr(app, "connection_for_write", lambda **_: app.connection(settings.BROKER_URL))
    assert health_of(None) == (503, {"status": "away", "database": "ok", "broker": "away", "sweeps": "ok"})


def test_health_is_503_when_the_embedded_worker_has_died(db, settings):
    settings.BROKER_URL, settings.EMBEDDED_WORKER, settings.TESTING = "", True, False
    assert health_of(None)[1]["worker"] == "away"
