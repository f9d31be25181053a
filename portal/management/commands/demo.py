"""`manage.py demo`: a believable company on the sandbox, made by the services that people use. Safe to repeat."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from keys.models import Gateway
from keys.models.gateway import SANDBOX_URL
from keys.services import requests
from portal.errors import PortalError
from portal.management.demo import asked, cast, company, past, today
from portal.management.demo.plan import plan
from portal.management.first_start import choose_password

PASSWORD_FILE = "demo-password"  # noqa: S105
SHOWN = ("ines", "bob", "alice", "noor", "tomas")


class Command(BaseCommand):
    help = "Fill the sandbox with a company: teams, people, key roles, keys and their past. For trying things out only."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--keys", type=int, default=400, help="how many keys (400)")
        parser.add_argument("--days", type=int, default=90, help="how many days of spend (90)")

    def handle(self, *args: Any, keys: int, days: int, **options: Any) -> None:
        gateway = Gateway.objects.filter(base_url=SANDBOX_URL).first()
        if gateway is None:
            raise CommandError("There is no sandbox here: a demo never writes to a real proxy.")
        if real := Gateway.objects.exclude(pk=gateway.pk).first():
            raise CommandError(f"{real} is a gateway of this desk: a demo would put its people and teams among yours.")
        if gateway.held_since:
            raise CommandError(f"The sandbox is held: {gateway.held_reason} Release it on its page first.")
        if keys < 1 or days < 7:
            raise CommandError("At least one key and 7 days.")
        started, now = time.monotonic(), timezone.now()

        def say(what: str) -> None:
            self.stdout.write(f"{time.monotonic() - started:5.1f} s  {what}")

        password = choose_password()
        try:
            planned = plan(keys, days, now)
            past.balance(planned, now)
            made = company.found(gateway, password, say)
            if made.newcomers:
                _keep(password)
            company.fill(made, planned, say)
            if made.made:
                past.give(made, now, days, say)
            if made.made or made.left:
                say(f"{asked.ask(made, now)} requests")
                today.go_on(made, now, say)
                requests.look_after()
        except PortalError as error:
            raise CommandError(f"{error.message} {error.action}") from None
        except KeyboardInterrupt:
            raise CommandError("Stopped. What is made stays; run it again for the rest.", returncode=130) from None
        finally:
            today.keep_letters(now)
        say(f"{len(made.made)} new keys")
        if made.made:
            names = ", ".join(f"{login}@{cast.DOMAIN}" for login in SHOWN)
            self.stdout.write(f"Sign in as {names}, or anybody else of the company;")
            self.stdout.write(f"the password of them all is in {settings.DATA_DIR / PASSWORD_FILE}")


def _keep(password: str) -> None:
    """Before anything that takes long: a run that is interrupted has said it all the same."""
    path = settings.DATA_DIR / PASSWORD_FILE
    path.touch(mode=0o600)
    path.write_text(f"{password}\n")
