"""Health and licence: always well, never licensed."""

from __future__ import annotations

from typing import Any

from .refusals import LICENCE, Refusal, detail
from .store import Row
from .web import Request, route

VERSION = "1.106.2"  # the proxy that this simulates


@route("GET", "/health/liveliness", "/health/liveness", who="anyone")
def alive(request: Request) -> str:
    return "I'm alive!"


@route("GET", "/health/readiness", who="anyone")
def ready(request: Request) -> Row:
    return {"status": "healthy", "db": "connected"}


@route("GET", "/health/readiness/details")
def details(request: Request) -> Row:
    return {
        "status": "healthy",
        "db": "connected",
        "cache": None,
        "litellm_version": VERSION,
        "sandbox": True,
    }


@route("GET", "/health/license")
def licence(request: Request) -> Row:
    limits = {"max_users": None, "max_teams": None}
    community: Row = {"has_license": False, "license_type": "community", "expiration_date": None}
    return community | {"allowed_features": [], "limits": limits}


@route("GET", "/organization/list", "/organization/info")
def organizations(request: Request) -> Row:
    raise detail(403, {"error": f"Organizations are only available for LiteLLM Enterprise users. {LICENCE}"})


@route("POST", "/organization/new")
def new_organization(request: Request) -> Any:
    return organizations(request)


@route("GET", "/global/spend/report")
def report(request: Request) -> Row:
    raise Refusal(400, {"detail": {"error": f"/spend/report endpoint {LICENCE}"}})
