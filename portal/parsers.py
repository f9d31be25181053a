"""How the API reads bodies."""

from __future__ import annotations

from typing import Any

from rest_framework import exceptions
from rest_framework.parsers import JSONParser


class Json(JSONParser):
    """JSON; nesting beyond all measure is refused like any other body that cannot be read."""

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        try:
            return super().parse(stream, media_type, parser_context)
        except RecursionError:
            raise exceptions.ParseError("This JSON is nested too deeply.") from None
