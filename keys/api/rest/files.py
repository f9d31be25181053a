"""Answers that are files: the client need not say which kind it takes, and errors are JSON as everywhere."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse
from rest_framework.negotiation import DefaultContentNegotiation

from keys.api.rest.common import Door

CSV, JSON_LINES = "text/csv", "application/jsonl"


class WhatWeHave(DefaultContentNegotiation):
    """Whatever the client says that it takes: the body of the call has said it."""

    def select_renderer(self, request: Any, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


class FileDoor(Door):
    """A view that answers a file. An export is itself an act on record, so it is a POST; each one is done anew."""

    content_negotiation_class = WhatWeHave


def a_file(*kinds: str) -> dict[tuple[int, str], Any]:
    """For the schema: what a FileDoor answers, by its content types."""
    return {(200, kind): OpenApiResponse(OpenApiTypes.STR, description="The file.") for kind in kinds}
