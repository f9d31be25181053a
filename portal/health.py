"""`/healthz`: whether this process can do its work. A gateway may be away meanwhile, and nothing is lost."""

from __future__ import annotations

import http.client
import os
import sys
from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import urlsplit

import structlog
from django.conf import settings
from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from portal.embedded import embedded

log = structlog.get_logger(__name__)

BROKER_LIMIT = 3  # seconds


def ask_database() -> None:
    """Raises django.db.Error while the database does not answer."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def ask_broker() -> None:
    """Raises kombu's OperationalError while the broker does not answer."""
    from portal.celery import app  # noqa: PLC0415  (Celery is slow to import, and needed only with a broker)

    with app.connection_for_write(connect_timeout=BROKER_LIMIT) as broker:
        broker.ensure_connection(max_retries=1, interval_start=0, timeout=BROKER_LIMIT)


def ask_embedded_worker() -> None:
    """Raises RuntimeError when this process should host a worker and does not."""
    if not embedded.running:
        raise RuntimeError("the embedded worker is not running")


@never_cache
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """200 when all that this process needs answers, else 503. Open to all, so it says no more than that.

    A late sweep is named, and is no 503: it would take every web host out of service, and make nothing better.
    """
    parts: dict[str, Callable[[], None]] = {"database": ask_database}
    if settings.BROKER_URL:
        parts["broker"] = ask_broker
    elif settings.EMBEDDED_WORKER and not settings.TESTING:
        parts["worker"] = ask_embedded_worker
    found = {name: _answer(name, ask) for name, ask in parts.items()}
    well = all(answer == "ok" for answer in found.values())
    status = HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE
    if found["database"] == "ok":
        found["sweeps"] = _sweeps()
    return JsonResponse({"status": "ok" if well else "away", **found}, status=status)


def _answer(name: str, ask: Callable[[], None]) -> str:
    try:
        ask()
    except Exception as trouble:
        log.warning("health_check_failed", part=name, trouble=type(trouble).__name__)
        return "away"
    return "ok"


def _sweeps() -> str:
    from portal import sweeps  # noqa: PLC0415  (models: `python -m portal.health` asks without Django)

    try:
        late = sweeps.late()
    except Exception as trouble:  # its table is not there yet
        log.warning("health_check_failed", part="sweeps", trouble=type(trouble).__name__)
        return "unknown"
    return f"late: {', '.join(late)}" if late else "ok"


def probe() -> int:
    """Ask the portal on this machine, as a container's health check does: `python -m portal.health`."""
    outside = urlsplit(os.environ.get("KEYDESK_URL") or "http://localhost")
    here = http.client.HTTPConnection("127.0.0.1", int(os.environ.get("PORT") or 8000), timeout=5)
    try:
        here.request("GET", "/healthz", headers={"Host": outside.netloc})
        answer = here.getresponse()
        print(answer.read().decode())  # noqa: T201
    except OSError as trouble:
        print(f"no answer: {trouble}")  # noqa: T201
        return 1
    return 0 if answer.status == HTTPStatus.OK else 1


if __name__ == "__main__":
    sys.exit(probe())
