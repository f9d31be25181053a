"""`manage.py audit_verify`: prove that no act of the audit trail was altered, removed, moved or cut off."""

from __future__ import annotations

import sys
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from portal.audit.verifying import Proof

SHOWN = 100  # faults; after a key was changed every row is one


class Command(BaseCommand):
    help = (
        "Seal what is new, then prove the audit trail. Prints its head, to keep elsewhere; with a head that was kept"
        " (--head and --count), proves that nothing was cut off the end. Exits with 1 when something is wrong."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--head", default="", metavar="HEX", help="the head as it was published")
        parser.add_argument("--count", type=int, metavar="N", help="how many acts were sealed then")

    def handle(self, *args: Any, head: str, count: int | None, **options: Any) -> None:
        if bool(head) != (count is not None):
            self.stderr.write("--head and --count belong together: both are in the line that published them.")
            sys.exit(2)
        began, proof, found = time.monotonic(), Proof(), 0
        for fault in proof.faults(head=head, count=count):
            found += 1
            if found <= SHOWN:
                self.stdout.write(f"!! {fault}")
        self._facts(proof, time.monotonic() - began)
        if found:
            self.stdout.write(f"\nBroken: {found} to explain. Keep the database as it is, and a copy of it.")
            sys.exit(1)
        self.stdout.write("\nProved, up to the head that was given." if head else "\nProved.")

    def _facts(self, proof: Proof, seconds: float) -> None:
        self.stdout.write(f"count    {proof.count}")
        self.stdout.write(f"head     {proof.head or 'none yet'}")
        if proof.first_at and proof.last_at:
            self.stdout.write(f"acts     {proof.walked}, {proof.first_at:%Y-%m-%d %H:%M:%S} to "
                              f"{proof.last_at:%Y-%m-%d %H:%M:%S} UTC")  # fmt: skip
        cuts = [f"{cut.count} from before {cut.until:%Y-%m-%d}" for cut in proof.cuts]
        self.stdout.write(f"cuts     {'; '.join(cuts) or 'none'}")
        self.stdout.write(f"seconds  {seconds:.1f}")
