"""How gunicorn serves the portal: `manage.py start`, or `gunicorn -c python:portal.gunicorn portal.wsgi`."""

from __future__ import annotations

import logging
import os
import signal
from pathlib import Path
from typing import Any

from gunicorn.glogging import Logger

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
from django.conf import settings

from portal.embedded import embedded


class Lines(Logger):  # type: ignore[misc]
    """gunicorn's own messages, written as every other log line is: structured, secrets blacked out."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True


def _inside_brackets(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


bind = [f"{_inside_brackets(settings.HOST)}:{settings.PORT}"]
worker_class = "gthread"
threads = settings.WEB_THREADS
# The embedded worker and its broker live in the memory of one process, so there is one.
workers = 1 if settings.EMBEDDED_WORKER else int(os.environ.get("WEB_CONCURRENCY", "2"))
timeout = 60  # seconds without a sign of life from a whole process; a slow request alone is none
graceful_timeout = 15  # seconds; a person waits 10 at most, so a stop cuts nobody off
keepalive = 5  # seconds
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108  (a heartbeat must not wait for a disk)
forwarded_allow_ips = ",".join(settings.TRUSTED_PROXIES) or "127.0.0.1,::1"
control_socket_disable = True
logger_class = Lines
loglevel = "warning"  # what Keydesk has to say at start-up it says itself
proc_name = "keydesk"


def when_ready(server: Any) -> None:
    print(f"\n  Keydesk is ready: {settings.URL}\n", flush=True)  # noqa: T201


def post_worker_init(worker: Any) -> None:
    if settings.EMBEDDED_WORKER:
        embedded.start()


def worker_exit(server: Any, worker: Any) -> None:
    """End the embedded threads, then the process. What a sweep was doing, the next one does again."""
    if not embedded.running:
        return
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # Ctrl-C comes twice, and must not cut the ending itself short
    embedded.stop()
    logging.shutdown()
    os._exit(0)  # not by way of Python's own exit, which would wait for every thread of every pool
