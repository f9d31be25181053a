"""What a start needs: tables, static files, an admin, a gateway. Safe to repeat, and on two hosts at once.

What a person has changed or deleted since is left so: only an empty installation is filled.
"""

from __future__ import annotations

import fcntl
import hashlib
import secrets
import string
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import CommandError, call_command
from django.db import connection, connections, transaction

from keys.models import Gateway, KeyRole
from keys.services import gateways, roles
from portal import audit
from teams import services as teams
from teams.access import SYSTEM
from teams.models import User
from teams.roles import MemberRole, PlatformRole

Say = Callable[[str], None]

LOCK = 0x6B657964  # "keyd": which advisory lock of the database is ours
ADMIN = "admin@keydesk.local"  # .local is nobody's domain, so no letter to it reaches a stranger
TEAM = "First team"
PASSWORD_FILE = "first-password"  # noqa: S105
STAMP = ".collected"  # in STATIC_ROOT: digest of what was collected
READABLE = "".join(sorted(set(string.ascii_lowercase + string.digits) - set("0o1li")))


def prepare(say: Say) -> None:
    """Bring database, static files and first rows to where this version needs them."""
    with _one_on_this_machine(), _one_of_all_hosts():
        collect_static()
        call_command("migrate", verbosity=0, interactive=False)
        fill(say)
    gateways.forget_connections()  # gunicorn forks next: no process may inherit an open file or socket
    for each in connections.all(initialized_only=True):
        each.close()
        if hasattr(each, "close_pool"):
            each.close_pool()


def fill(say: Say) -> None:
    """A gateway, the admin that the environment names or one of our own making, and a team to begin with."""
    _gateway()
    empty = not User.objects.exists()
    email, password = settings.ADMIN_EMAIL.strip().lower(), settings.ADMIN_PASSWORD
    if bool(email) != bool(password):
        raise CommandError("Set both KEYDESK_ADMIN_EMAIL and KEYDESK_ADMIN_PASSWORD, or neither.")
    if User.objects.filter(email=email).exists() if email else not empty:
        return  # an account that exists is never touched, its password least of all
    ours = not email
    if ours:
        email, password = ADMIN, choose_password()
    with transaction.atomic():
        role = PlatformRole.ADMIN
        admin = User.objects.create_user(email, password, platform_role=role, given_platform_role=role)
        audit.record("person.made", admin, by=SYSTEM, platform_role=PlatformRole.ADMIN)
        if empty:
            team = teams.create_team(name=TEAM, by=SYSTEM)
            teams.put_member(team, email=email, role=MemberRole.ADMIN, by=SYSTEM)
    if ours:
        _hand_over(password, say)


def _gateway() -> None:
    """The gateway of the environment; without any, the sandbox and a role for all."""
    first = not Gateway.objects.exists()
    gateway = gateways.from_environment(by=SYSTEM)
    if first and gateway and gateway.is_sandbox and not KeyRole.objects.exists():
        roles.make(
            by=SYSTEM,
            name="starter",
            description="Every model of the sandbox, for trying things out. Calls cost nothing.",
            gateway=gateway,
            all_models=True,
            all_teams=True,
            max_budget=Decimal(10),
            budget_duration="1mo",
        )


def choose_password() -> str:
    """16 characters that are hard to misread, in groups: 79 bits."""
    return "-".join("".join(secrets.choice(READABLE) for _ in range(4)) for _ in range(4))


def _hand_over(password: str, say: Say) -> None:
    """Show the first password once; a server of several hosts, whose output becomes a log, gets a private file."""
    say(f"\n  Sign in as {ADMIN}")
    if sys.stdout.isatty() or not settings.SHARED:
        say(f"  with the password {password} (shown once; change it after signing in)")
        return
    path = settings.DATA_DIR / PASSWORD_FILE
    path.touch(mode=0o600)
    path.write_text(f"{password}\n")
    say(f"  with the password in {path} (delete the file, and change the password after signing in)")


def collect_static() -> None:
    """Copy, hash and compress static files, if they are not those that were collected last."""
    if settings.STORAGES["staticfiles"]["BACKEND"].startswith("django."):
        return
    stamp = Path(settings.STATIC_ROOT) / STAMP
    digest = _static_digest()
    if stamp.exists() and stamp.read_text() == digest:
        return
    call_command("collectstatic", verbosity=0, interactive=False)
    stamp.write_text(digest)


def _static_digest() -> str:
    digest = hashlib.sha256()
    for finder in get_finders():
        for name, storage in finder.list([]):
            content = hashlib.sha256(Path(storage.path(name)).read_bytes()).hexdigest()
            digest.update(f"{name}:{content}\n".encode())
    return digest.hexdigest()


@contextmanager
def _one_on_this_machine() -> Iterator[None]:
    """Let one start prepare the files here, and SQLite; others wait for it."""
    settings.DATA_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (settings.DATA_DIR / "start.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _one_of_all_hosts() -> Iterator[None]:
    """Let one start of all that share a PostgreSQL prepare it; others wait for it."""
    if connection.vendor != "postgresql":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [LOCK])
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [LOCK])
