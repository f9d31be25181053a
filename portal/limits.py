"""How much of the API one caller may use in a minute."""

from __future__ import annotations

from typing import Any

import structlog
from django.conf import settings
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from portal.counts import Limit, use

log = structlog.get_logger(__name__)


class PerMinute(BaseThrottle):
    """KEYDESK_API_PER_MINUTE requests for each token, and for each person in a browser. Nobody is held up uncounted."""

    limit: Limit | None = None

    def allow_request(self, request: Request, view: APIView) -> bool:
        most = settings.API_PER_MINUTE
        if not most or not request.user.is_authenticated:
            return True
        token = getattr(request.auth, "pk", None)
        try:
            self.limit = use(f"token:{token}" if token else f"person:{request.user.pk}", most)
        except Exception:  # no cache, no count
            log.warning("requests_not_counted", exc_info=True)
            return True
        request._request.limit = self.limit  # type: ignore[attr-defined]  # for the headers of the answer
        return self.limit.used <= most

    def wait(self) -> float | None:
        return self.limit.reset if self.limit else None


class Limited(APIView):
    """A view that counts, and tells each caller how they stand."""

    throttle_classes = [PerMinute]

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Response:
        found = super().finalize_response(request, response, *args, **kwargs)
        if limit := getattr(request, "limit", None):
            for name, value in limit.headers.items():
                found[name] = value
        return found
