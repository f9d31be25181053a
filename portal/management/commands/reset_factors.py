"""`manage.py reset_factors EMAIL`: for who has lost every device, when no platform admin can do it in the portal."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from teams.access import SYSTEM
from teams.models import User
from teams.services.people import reset_factors


class Command(BaseCommand):
    help = "Take away a person's second factors and recovery codes. They are told by letter."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")

    def handle(self, *args: Any, **options: Any) -> None:
        person = User.objects.filter(email__iexact=options["email"], kind=User.Kind.PERSON).first()
        if person is None:
            raise CommandError(f"There is nobody with the address {options['email']}.")
        print(f"{reset_factors(person, by=SYSTEM)} removed. {person} signs in without a second factor now.")
