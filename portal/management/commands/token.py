"""`manage.py token`: an API token for somebody, from a terminal. Prints the token and nothing else."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from portal.errors import PortalError
from teams.access import SYSTEM
from teams.models import ApiToken, User
from teams.roles import Scope
from teams.services import make_token


class Command(BaseCommand):
    help = "Make an API token and print it. It is shown this once; Keydesk keeps only its HMAC."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email", help="whose token: it never may more than they may")
        parser.add_argument("--name", required=True, help="what it is for, to know it again")
        parser.add_argument("--scopes", required=True, help=f"all that they can have, or some of {','.join(Scope)}")
        parser.add_argument("--days", type=int, default=ApiToken.DEFAULT_LIFE.days, help="until it expires")

    def handle(self, *args: Any, **options: Any) -> None:
        owner = User.objects.filter(email=options["email"].strip().lower(), is_active=True).first()
        if owner is None:
            raise CommandError(f"Nobody active here has the address {options['email']}.")
        scopes = [scope.strip() for scope in options["scopes"].split(",")]
        try:
            life = timedelta(days=options["days"])
            _, plain = make_token(owner, name=options["name"], scopes=scopes, life=life, by=SYSTEM)
        except PortalError as error:
            said = " ".join(f"{field}: {text}" for field, text in error.details.items())
            raise CommandError(said or error.message) from None
        self.stdout.write(plain)
