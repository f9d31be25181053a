"""What Django's error pages and letters may show."""

from __future__ import annotations

from collections.abc import ItemsView
from typing import Any

from django.http import HttpRequest
from django.views.debug import SafeExceptionReporterFilter

from portal.log import SECRET


class Reporter(SafeExceptionReporterFilter):
    """No variable that holds a secret is shown, with DEBUG as little as without."""

    def is_active(self, request: HttpRequest | None) -> bool:
        return True

    def get_traceback_frame_variables(self, request: Any, tb_frame: Any) -> ItemsView[str, Any]:
        found = dict(super().get_traceback_frame_variables(request, tb_frame))
        return {n: self.cleansed_substitute if SECRET.search(_drawn(v)) else v for n, v in found.items()}.items()


def _drawn(value: Any) -> str:
    try:
        return repr(value)
    except Exception:
        return ""
