"""Logging: structured lines on stderr, with anything that looks like a secret blacked out as the last net."""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from typing import Any

import structlog

SECRET = re.compile(
    r"(?<![A-Za-z])sk-[A-Za-z0-9_\-]{8,}|sk-[A-Za-z0-9_\-]{30,}|kd_[A-Za-z0-9_\-]{10,}"
    r"|whsec_[A-Za-z0-9+/=]{16,}"
    r"|(?<=[?&]code=)[^\s&'\"]+"
    r"|(?<=/reset/key/)[^\s/'\"]+|(?<=/invitations/)[A-Za-z0-9_\-]{20,}|gAAAA[A-Za-z0-9_\-=]{16,}"
    r"|(?i:(?<=bearer )\S+|(?<=basic )\S+)"
)


def scrub(text: str) -> str:
    """`text` without anything that looks like a virtual key, an API token or a bearer header."""
    return SECRET.sub("[hidden]", text)


def _scrub_all(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in event.items():
        if name not in {"_record", "_from_structlog", "level", "timestamp"}:
            event[name] = scrubbed(value)
    return event


def scrubbed(value: Any) -> Any:
    """The same for each text in `value`; what is no part of JSON becomes text."""
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, dict):
        return {key: scrubbed(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [scrubbed(item) for item in value]
    return value if isinstance(value, int | float | bool | type(None)) else scrub(str(value))


def configure(*, level: int, as_json: bool) -> dict[str, Any]:
    """Set structlog up and answer Django's LOGGING dictionary."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.PositionalArgumentsFormatter(),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    draw = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=False)
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "lines": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": shared,
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    structlog.processors.format_exc_info,
                    _scrub_all,
                    draw,
                ],
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "lines"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            "django.server": {"handlers": ["stderr"], "level": level, "propagate": False},
            "celery": {"level": "WARNING"},
            "kombu": {"level": "WARNING"},
        },
    }
