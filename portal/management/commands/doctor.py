"""`manage.py doctor`: look at what Keydesk stands on, say what is wrong and what to do. Prints no secret."""

from __future__ import annotations

import logging
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from django.apps import apps
from django.conf import settings
from django.core.cache import cache
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand
from django.db import Error as DatabaseError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from keys.frozen import STATEMENTS
from keys.models import Gateway
from keys.services import gateways
from portal import append_only, sweeps
from portal.errors import PortalError
from portal.health import ask_broker, ask_database
from portal.models import Letter
from portal.secrets import EncryptedTextField
from teams import mfa
from teams.access import SYSTEM
from teams.models import User
from teams.roles import PlatformRole
from teams.sso import checkup

PRIVATE = ("secret.key", "encryption.keys", "keydesk.sqlite3", "sandbox.sqlite3", "first-password")
WORKER_LIMIT = 2.0  # seconds for workers to answer
LISTED = 20  # letters; the rest wait for their turn
CHECK = "Check {}, and that the server is up."


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at; `do` is what to do about it, empty when it is well."""

    part: str
    said: str
    do: str = ""


class Command(BaseCommand):
    help = "Look at configuration, files, database, cache, broker and gateways; exit 1 if one is not well."
    requires_system_checks: list[str] = []  # this is the command for when things are broken

    def handle(self, *args: Any, **options: Any) -> None:
        logging.disable(logging.ERROR)  # what the parts have to say is said here, in other words
        try:
            sick = sum(self._show(found) for found in _everything())
        finally:
            logging.disable(logging.NOTSET)
        self.stdout.write(f"\n{sick} to do." if sick else "\nAll well.")
        if sick:
            sys.exit(1)

    def _show(self, found: Finding) -> bool:
        self.stdout.write(f"{'!!' if found.do else 'ok'}  {found.part:<14} {found.said}")
        if found.do:
            self.stdout.write(f"    {'':<14} -> {found.do}")
        return bool(found.do)


def _everything() -> Iterator[Finding]:
    """All that can be looked at: without its tables, the database has nothing more to tell."""
    for look in (configuration, files, shared_cache, tasks):
        yield from look()
    usable = True
    for found in database():
        usable = usable and not found.do
        yield found
    for look in (stored_secrets, sweep_rows, letters, gateway_rows, people, sign_in) if usable else ():
        yield from look()


def configuration() -> Iterator[Finding]:
    where = f"{settings.URL}, bound to {settings.HOST}:{settings.PORT}"
    open_to_others = settings.HOST not in {"127.0.0.1", "::1", "localhost"}
    if open_to_others and not settings.HTTPS:
        yield Finding(
            "address", where, "Others reach this without TLS. Put a TLS proxy in front; KEYDESK_URL=https://…"
        )
    else:
        yield Finding("address", where)
    if settings.HTTPS and not settings.TRUSTED_PROXIES:
        yield Finding(
            "proxy", "https, and no TRUSTED_PROXIES",
            "Set TRUSTED_PROXIES to your TLS proxy's address, else every page redirects to itself.",
        )  # fmt: skip
    if settings.DEBUG:
        yield Finding("debug", "KEYDESK_DEBUG is on", "Turn it off wherever others can reach this.")


def files() -> Iterator[Finding]:
    folder = Path(settings.DATA_DIR)
    for name in PRIVATE:
        path = folder / name
        if not path.exists():
            continue
        mode = stat.S_IMODE(path.stat().st_mode)
        # The folder is 0700, so a database in it may be readable; a key file moved elsewhere may not.
        alone = name.endswith((".key", ".keys", "password"))
        loose = mode & 0o077 and (alone or folder.stat().st_mode & 0o077)
        yield Finding("file", f"{path} ({mode:04o})", f"chmod 600 {path}" if loose else "")
    if settings.SHARED and not folder.is_dir():
        yield Finding("data folder", f"{folder} is not there; only the sandbox needs it")


def database() -> Iterator[Finding]:
    name = settings.DATABASES["default"]["NAME"]
    try:
        ask_database()
    except DatabaseError as trouble:
        yield Finding("database", f"{name}: {type(trouble).__name__}", CHECK.format("DATABASE_URL"))
        return
    executor = MigrationExecutor(connection)
    waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
    said = f"{connection.vendor}, {name}"
    if waiting:
        yield Finding("database", f"{said}, {len(waiting)} migrations to run", "manage.py start --prepare")
    else:
        yield Finding("database", said)
        if names := append_only.missing(connection, STATEMENTS):
            do = "Find out who took it down; then migrate keys to 0007 and back, which puts it up."
            yield Finding("database", f"nothing keeps closed statements: {', '.join(names)} is not there", do)


def stored_secrets() -> Iterator[Finding]:
    keys = f"{len(settings.ENCRYPTION_KEYS)} encryption key(s)"
    for model in apps.get_models():
        for field in model._meta.local_fields:
            if not isinstance(field, EncryptedTextField):
                continue
            rows = f"{model._meta.label}.{field.name}"
            try:
                count = len(list(model._default_manager.values_list(field.name, flat=True)))
            except ImproperlyConfigured as trouble:
                yield Finding("encryption", f"{rows}, {keys}", str(trouble))
            else:
                yield Finding("encryption", f"{rows}: {count} open with {keys}")
    try:
        if count := mfa.opened():
            yield Finding("encryption", f"second factors: {count} open with {keys}")
    except ImproperlyConfigured as trouble:
        yield Finding("encryption", f"second factors, {keys}", str(trouble))


def shared_cache() -> Iterator[Finding]:
    backend = settings.CACHES["default"]["BACKEND"].rsplit(".", 1)[-1]
    probe = uuid4().hex
    try:
        cache.set("doctor", probe, 10)
        well = cache.get("doctor") == probe
    except Exception as trouble:  # each backend has errors of its own
        yield Finding("cache", f"{backend}: {type(trouble).__name__}", CHECK.format("CACHE_URL"))
        return
    if not well:
        yield Finding("cache", f"{backend} forgets at once", "Check CACHE_URL.")
    elif settings.SHARED and backend == "LocMemCache":
        yield Finding("cache", backend, "Each process counts rate limits alone: set CACHE_URL to a Redis.")
    else:
        yield Finding("cache", backend)


def tasks() -> Iterator[Finding]:
    if not settings.BROKER_URL:
        if settings.EMBEDDED_WORKER:
            yield Finding("tasks", "worker and beat inside the web process")
        else:
            yield Finding(
                "tasks",
                "no broker, no embedded worker",
                "Set KEYDESK_BROKER_URL.",
            )
        return
    from portal.celery import app  # noqa: PLC0415

    try:
        ask_broker()
    except Exception as trouble:  # each transport has errors of its own
        yield Finding("broker", type(trouble).__name__, CHECK.format("KEYDESK_BROKER_URL"))
        return
    yield Finding("broker", "answers")
    names = [name for answer in app.control.ping(timeout=WORKER_LIMIT) or [] for name in answer]
    workers = [name for name in names if not name.startswith("celerybeat@")]
    if workers:
        yield Finding("workers", ", ".join(workers))
    else:
        yield Finding("workers", "none answers", "celery -A portal.celery worker")
    if len(names) > len(workers):
        yield Finding("beat", "answers")
    else:
        yield Finding("beat", "none answers", "celery -A portal.celery beat, on one host")


def sweep_rows() -> Iterator[Finding]:
    well = 0
    for each in sweeps.status():
        last = f"{each.succeeded_at:%Y-%m-%d %H:%M} UTC" if each.succeeded_at else "never"
        if each.error:
            said = f"{each.name}: failed {each.failures}x, last well {last}: {each.error}"
            yield Finding("sweep", said, f"Its traceback is in the log of the worker: {each.name}.")
        elif each.late:
            yield Finding("sweep", f"{each.name}: last well {last}", "Is Keydesk running, with a worker and a beat?")
        else:
            well += 1
    yield Finding("sweeps", f"{well} on time")


def letters() -> Iterator[Finding]:
    host = settings.EMAIL_HOST if settings.EMAIL_BACKEND.endswith("smtp.EmailBackend") else "the console"
    waiting = Letter.objects.waiting()
    yield Finding("letters", f"by way of {host}, {waiting.count()} waiting")
    if failing := waiting.filter(attempts__gte=Letter.STUCK).order_by("-attempts").first():
        said = f"{failing}: {failing.attempts} tries, {failing.last_error}"
        yield Finding("letter", said, "Check EMAIL_URL, and that the mail server is up.")
    for letter in Letter.objects.given_up()[:LISTED]:
        said = f"given up: {letter}, to {', '.join(letter.to)}: {letter.last_error}"
        yield Finding("letter", said, f"Send it again, or delete it: {settings.URL}/admin/portal/letter/")


def gateway_rows() -> Iterator[Finding]:
    rows = list(Gateway.objects.all())
    if not rows:
        yield Finding("gateway", "none", "Set LITELLM_BASE_URL and LITELLM_MASTER_KEY, or enter one.")
    for row in rows:
        try:
            row = gateways.check(row, by=SYSTEM)
        except PortalError as trouble:
            yield Finding("gateway", f"{row.name}: {trouble.message}", trouble.action)
        else:
            yield Finding("gateway", f"{row.name}, LiteLLM {row.litellm_version or 'of unknown version'}")


def people() -> Iterator[Finding]:
    admins = User.objects.filter(platform_role=PlatformRole.ADMIN, is_active=True).count()
    if admins:
        yield Finding("admins", f"{admins} platform admin(s)")
        if settings.SECOND_ADMIN and admins < 2:
            yield Finding(
                "second admin",
                "KEYDESK_SECOND_ADMIN is set, and there is one platform admin: nobody can confirm what they propose",
                "Make somebody else a platform admin, or unset it.",
            )
    else:
        yield Finding("admins", "none", "Set KEYDESK_ADMIN_EMAIL and KEYDESK_ADMIN_PASSWORD, start again.")


def sign_in() -> Iterator[Finding]:
    for part, said, do in checkup.findings():
        yield Finding(part, said, do)
