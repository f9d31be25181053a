"""A desk to be photographed: the demo's company, a clock that stands still, chance by a seed. Two of them look alike.

A process of its own, started by `take`: `python -m tests.pictures.desk PORT`.
"""

from __future__ import annotations

import os
import random
import sys
from datetime import UTC, datetime
from threading import Thread

NOW = datetime(2026, 11, 18, 14, 5, tzinfo=UTC)  # a Wednesday in the middle of a month, with a month closed before it
SEED = 5


def main(port: int) -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "portal.settings"
    drawn = random.Random(SEED)  # no secret of this desk is worth anything
    os.urandom = drawn.randbytes  # ids, secrets, and the last characters of secrets that pages show
    random._urandom = drawn.randbytes  # what `secrets` draws from
    import django

    django.setup()
    import time_machine  # it knows pytest, which would make the settings those of a test

    with time_machine.travel(NOW, tick=False):
        serve(port)


def serve(port: int) -> None:
    from django.core.management import call_command
    from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler

    class Quiet(WSGIRequestHandler):
        def log_message(self, *args: object) -> None:
            """Say nothing."""

    call_command("start", prepare=True)
    call_command("demo")
    from portal.wsgi import application  # after its static files lie where it looks for them

    server = ThreadedWSGIServer(("127.0.0.1", port), Quiet)
    server.set_app(application)
    thread = Thread(target=server.serve_forever)
    thread.start()
    print("ready", flush=True)  # noqa: T201
    thread.join()


if __name__ == "__main__":
    main(int(sys.argv[1]))
