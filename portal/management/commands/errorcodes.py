"""Compare docs/api/errors.md with the registry of errors, or write it anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from portal.error_codes import table

MARK = "<!-- From here on by `manage.py errorcodes --write`, of portal/error_codes.py. -->\n"


class Command(BaseCommand):
    help = "Compare docs/api/errors.md with the registry of errors; --write: make it agree."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--write", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        page = Path(settings.BASE_DIR) / "docs" / "api" / "errors.md"
        head, _, now = page.read_text().partition(MARK)
        if now == table():
            return
        if not options["write"]:
            raise CommandError("docs/api/errors.md is not as portal/error_codes.py says: manage.py errorcodes --write")
        page.write_text(head + MARK + table())
