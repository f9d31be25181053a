"""What every REST view shares: errors as `{"error": {...}}`, and pages as `{results, next, previous}`."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import DataError
from django.http import Http404
from rest_framework import exceptions
from rest_framework.pagination import CursorPagination
from rest_framework.response import Response
from rest_framework.views import set_rollback

from portal.errors import Invalid, PortalError
from portal.models import storable

ACTIONS = {
    400: "Correct the request and send it again.",
    401: "Send `Authorization: Bearer kd_…` with a token that is alive.",
    403: "Ask somebody who may.",
    404: "Check the address; you may not be allowed to see it.",
    405: "Look up which methods this address takes.",
    415: "Send JSON, with `Content-Type: application/json`.",
    429: "Wait as long as Retry-After says.",
}


class Pages(CursorPagination):
    """Cursor paging, newest first; links are absolute."""

    ordering: str | tuple[str, ...] = "-pk"
    page_size_query_param = "page_size"
    max_page_size = 200

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """As drf-spectacular asks for it: all three are always there."""
        link = {"type": "string", "format": "uri", "nullable": True}
        return {
            "type": "object",
            "required": ["results", "next", "previous"],
            "properties": {"results": schema, "next": link, "previous": dict(link)},
        }

    def get_ordering(self, request: Any, queryset: Any, view: Any) -> Any:
        """As the caller says, where the view lets them; rows that are alike by their keys."""
        said = request.query_params.get("ordering") if getattr(view, "orders", ()) else None
        return (said, "-pk") if said else super().get_ordering(request, queryset, view)

    def paginate_queryset(self, queryset: Any, request: Any, view: Any = None) -> Any:
        """Raises NotFound for a cursor that is none of ours."""
        try:
            return super().paginate_queryset(queryset, request, view)
        except (ValueError, ValidationError, DataError):
            raise exceptions.NotFound("This cursor is not valid. Begin at the first page.") from None


def body(code: str, message: str, action: str, *, retryable: bool = False, details: Any = None) -> dict[str, Any]:
    """The one shape of an error."""
    return {
        "error": {
            "code": code,
            "message": storable(message),
            "action": action,
            "retryable": retryable,
            "details": _told(details or {}),
        }
    }


def _told(details: Any) -> Any:
    """Details as an answer can hold them: names and words in them may be what was sent, halves of characters too."""
    if isinstance(details, dict):
        return {_told(name): _told(said) for name, said in details.items()}
    if isinstance(details, list | tuple):
        return [_told(said) for said in details]
    return storable(details) if isinstance(details, str) else details


def explained(code: str) -> dict[str, str]:
    """The header that leads from an error to its page. Source: RFC 8288, and `help` of its registry."""
    return {"Link": f'</api/v1/errors/{code}/>; rel="help"'}


def problem(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler: every trouble in one shape."""
    if isinstance(error, PortalError):
        set_rollback()
        if request := context.get("request"):
            request._request.refused = error  # for portal/refusals.py
        wait = error.details.get("retry_after")
        return Response(
            body(error.code, error.message, error.action, retryable=error.retryable, details=error.details),
            status=error.status,
            headers=explained(error.code) | ({"Retry-After": str(wait)} if wait else {}),
        )
    if isinstance(error, Http404):
        error = exceptions.NotFound()
    elif isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied()
    if isinstance(error, exceptions.ValidationError):
        said = error.get_full_details()
        fields = said if isinstance(said, dict) else {"non_field_errors": said}
        details = {str(name): _words(words) for name, words in fields.items()}
        return problem(Invalid(details=details), context)
    if isinstance(error, exceptions.APIException):
        set_rollback()
        code = str(error.get_codes()) if isinstance(error.detail, str) else error.default_code
        headers = explained(code)
        if header := getattr(error, "auth_header", None):
            headers["WWW-Authenticate"] = header
        if wait := getattr(error, "wait", None):
            headers["Retry-After"] = str(wait)
        status = error.status_code
        found = body(code, str(error.detail), ACTIONS.get(status, "Try again."), retryable=status in {429, 503})
        return Response(found, status=status, headers=headers)
    return None


def _words(said: Any) -> str:
    if isinstance(said, dict):
        return str(said["message"]) if "message" in said else " ".join(_words(item) for item in said.values())
    return " ".join(_words(item) for item in said) if isinstance(said, list | tuple) else str(said)
