"""`manage.py start`: prepare database and first rows, then serve. One process does both, to start fast."""

from __future__ import annotations

import os
import socket
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError
from django.utils import timezone
from gunicorn.app.base import BaseApplication

from keys.services import intents
from portal import gunicorn as config
from portal.errors import PortalError
from portal.management.first_start import prepare


class Desk(BaseApplication):  # type: ignore[misc]
    """The portal under gunicorn, with portal/gunicorn.py as its configuration."""

    def load_config(self) -> None:
        for name, value in vars(config).items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> Any:
        from portal.wsgi import application  # noqa: PLC0415  (in the worker, after the fork)

        return application


def _see_that_the_port_is_free() -> None:
    """Raises CommandError before anything is done, where gunicorn would try for 5 s and say it in its own words."""
    if "GUNICORN_FD" in os.environ:
        return  # gunicorn replaces itself, and keeps its socket
    host, port = settings.HOST.strip("[]"), settings.PORT
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CommandError(
                f"Cannot listen on {host}, port {port}: {error.strerror}.\n"
                f"Stop what listens there, or choose another port: PORT={port + 1} make run"
            ) from None


class Command(BaseCommand):
    help = "Bring the database up to date, make the first rows where there are none, and serve the portal."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--prepare", action="store_true", help="prepare only, do not serve")

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["prepare"]:
            _see_that_the_port_is_free()
        try:
            prepare(lambda line: print(line, flush=True))
        except OperationalError as error:
            raise CommandError(f"The database cannot be used: {error}\nCheck DATABASE_URL, then start again.") from None
        except PortalError as error:
            named = "".join(f"\n  {field}: {said}" for field, said in error.details.items())
            raise CommandError(f"{error.message} {error.action}{named}") from None
        if not options["prepare"]:
            if settings.EMBEDDED_WORKER:  # the only process: what was being issued when the last one ended is abandoned
                intents.abandon_all(timezone.now())
            Desk().run()
