"""What the REST API says about itself: its schema, the page that draws it, and what each error means."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import translation
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe
from django.views.decorators.vary import vary_on_headers
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiYamlRenderer

from portal.error_codes import BY_CALLS, CODES

JSON, HTML = "application/json", "text/html"
YAML = "application/yaml"


def made() -> dict[str, Any]:
    """The schema, in English."""
    with translation.override("en"):
        generator = SchemaGenerator()  # type: ignore[no-untyped-call]
        return dict(generator.get_schema(public=True))  # type: ignore[no-untyped-call]


@cache
def written(kind: str) -> bytes:
    """It as JSON or YAML. It is the same for everybody, so a process writes each once."""
    if kind == YAML:
        drawn = OpenApiYamlRenderer().render(made(), renderer_context={})  # type: ignore[no-untyped-call]
        return bytes(drawn)
    return json.dumps(made(), ensure_ascii=False, separators=(",", ":")).encode()


@require_safe
@vary_on_headers("Accept")
@cache_control(max_age=300)
def schema(request: HttpRequest) -> HttpResponse:
    """For anyone: it holds no secret, and programs that write clients have no token."""
    kind = {"json": JSON, "yaml": YAML}.get(request.GET.get("format", "")) or _wanted(request, JSON, YAML)
    return HttpResponse(written(kind), content_type=kind)


@require_safe
@login_required
def docs(request: HttpRequest) -> HttpResponse:
    return render(request, "reference/docs.html")


@require_safe
@vary_on_headers("Accept")
def errors(request: HttpRequest) -> HttpResponse:
    if _wanted(request, JSON, HTML) == JSON:
        return JsonResponse({"results": [each.as_json for each in CODES.values()], "next": None, "previous": None})
    return render(request, "reference/errors.html", {"layout": _layout(request), "by_calls": BY_CALLS})


@require_safe
@vary_on_headers("Accept")
def error(request: HttpRequest, code: str) -> HttpResponse:
    """Where the `Link` header of an error leads. Raises Http404 for a code that does not exist."""
    found = CODES.get(code)
    if found is None:
        raise Http404
    if _wanted(request, JSON, HTML) == JSON:
        return JsonResponse(found.as_json)
    return render(request, "reference/error.html", {"layout": _layout(request), "error": found})


def _wanted(request: HttpRequest, *kinds: str) -> str:
    """What the caller likes best; the first for who takes anything, as programs do."""
    return request.get_preferred_type(list(kinds)) or kinds[0]


def _layout(request: HttpRequest) -> str:
    return "base.html" if request.user.is_authenticated else "door.html"
