"""Settings of the REST API and of its schema, as `portal.settings` takes them over."""

from __future__ import annotations

from typing import Any

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "teams.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["portal.parsers.Json"],
    "DEFAULT_SCHEMA_CLASS": "portal.schema.Operation",
    "EXCEPTION_HANDLER": "portal.api.problem",
    "DEFAULT_PAGINATION_CLASS": "portal.api.Pages",
    "PAGE_SIZE": 50,
    "COERCE_DECIMAL_TO_STRING": True,
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}

SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "Keydesk",
    "DESCRIPTION": (
        "Leased virtual keys for LiteLLM. Money is USD as decimal text, times are RFC 3339 in UTC, lifetimes are sent"
        " as seconds or text like `24h` and answered in seconds. What you may not see answers 404, what you see and"
        " may not do 403. A field or a query parameter that does not exist is refused."
    ),
    "VERSION": "1.0.0",  # of the API
    "OAS_VERSION": "3.0.3",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "COMPONENT_SPLIT_PATCH": False,  # bodies of changes are shapes of their own
    "PREPROCESSING_HOOKS": ["portal.schema.only_ours"],
    "POSTPROCESSING_HOOKS": ["portal.schema.tidy"],
    "PATH_CONVERTER_OVERRIDES": {"name": {"type": "string", "pattern": r"^[\w.-]{1,60}$"}},
    "ENABLE_DJANGO_DEPLOY_CHECK": False,  # `manage.py spectacular` in `make check` says the same
    "SORT_OPERATION_PARAMETERS": False,
}
