"""The simulated proxy over HTTP, while a gateway uses it: what a holder's program calls."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from keys.services import gateways


@csrf_exempt
def sandbox(request: HttpRequest, path: str) -> HttpResponseBase:
    """Hand the request to the WSGI sandbox and its answer back, streams as streams."""
    app = gateways.sandbox_app()
    if app is None:
        raise Http404
    answer: dict[str, Any] = {}

    def start_response(line: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
        answer.update(status=int(line.split(" ", 1)[0]), headers=headers)

    environ = {**request.META, "SCRIPT_NAME": request.path.removesuffix(f"/{path}"), "PATH_INFO": f"/{path}"}
    environ["wsgi.input"] = request  # knows where the body ends
    body = app(environ, start_response)
    whole = any(name.lower() == "content-length" for name, _ in answer["headers"])
    response: HttpResponseBase = (
        HttpResponse(b"".join(body), status=answer["status"])
        if whole
        else StreamingHttpResponse(body, status=answer["status"])
    )
    for name, value in answer["headers"]:
        response[name] = value
    return response
