"""Answers that are files to keep."""

from __future__ import annotations

from collections.abc import Iterable

from django.http import StreamingHttpResponse
from django.utils.cache import add_never_cache_headers

from portal import sheets


def download(name: str, lines: Iterable[str], kind: str = sheets.TYPE) -> StreamingHttpResponse:
    """A file of that name, sent line by line, which no cache keeps. `kind`: its content type."""
    response = StreamingHttpResponse(lines, content_type=kind)
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    add_never_cache_headers(response)
    return response


def sheet(name: str, heads: Iterable[str], rows: Iterable[Iterable[object]]) -> StreamingHttpResponse:
    """A table as CSV."""
    return download(f"{name}.csv", sheets.lines(heads, rows))
