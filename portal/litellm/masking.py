"""What may be shown of a deployment's parameters and of a credential's values.

The proxy leaves out or masks what has the name of a secret, and tells the rest: a password in `api_base`, a header that
it shows half of, a credential's field of any other name (1.109.1, measured). Here only what is known to be harmless
comes out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

MASK = "****"
REFERENCE = "os.environ/"  # LiteLLM reads the rest from its own environment
HARMLESS = frozenset({  # texts of `litellm_params` and of credentials that say where and how, not by which right
    "model", "custom_llm_provider", "litellm_credential_name", "api_base", "base_url", "api_version", "api_type",
    "organization", "region_name", "aws_region_name", "aws_role_name", "aws_session_name", "aws_profile_name",
    "vertex_project", "vertex_location", "watsonx_region_name", "tenant_id", "azure_ad_tenant_id", "project",
    "mock_response", "tags", "guardrails", "routing_strategy", "budget_duration", "drop_params", "base_model", "mode",
    "reasoning_effort", "service_tier", "auto_router_default_model",
})  # fmt: skip
_SECRET_FIELD = re.compile(
    r"^keys?$|(api|new|master|access|secret|private)[_-]?key|secret|password|token$|credential_values|authorization"
    r"|_credentials$",
    re.I,
)
_ADDRESS = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]*://")


def is_secret_field(name: str) -> bool:
    """Whether a field of this name holds a secret; prices "per token" do not."""
    return bool(_SECRET_FIELD.search(name)) and "cost_per" not in name


def shown(values: Mapping[str, Any], *, public: bool = False) -> dict[str, Any]:
    """The same table with `****` in the place of whatever may be a secret.

    `public`: of texts, only those with the name of a secret; the proxy tells `model_info` to whoever may call a model.
    """
    return {name: _shown(name, value, public) for name, value in values.items()}


def hidden(values: Mapping[str, Any]) -> Iterator[str]:
    """The texts in the table that `shown` blanks, in whole or in part: no message may repeat them."""
    for name, value in values.items():
        yield from _hidden(name, value)


def _shown(name: str, value: Any, public: bool) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if is_secret_field(name):
        return value if _is_reference(value) else MASK
    if isinstance(value, Mapping):
        return {str(inner): _shown(str(inner), item, public) for inner, item in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(name, item, public) for item in value]
    if isinstance(value, str) and not _is_reference(value):
        return _without_rights(value) if public or name in HARMLESS else MASK
    return value


def _hidden(name: str, value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for inner, item in value.items():
            yield from _hidden(name if is_secret_field(name) else str(inner), item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _hidden(name, item)
    elif isinstance(value, str) and _shown(name, value, False) != value:
        yield value
        if _ADDRESS.match(value) and name in HARMLESS:
            yield from (part for part in _rights(value) if part)
    elif is_secret_field(name) and isinstance(value, int | float) and not isinstance(value, bool):
        yield str(value)


def _is_reference(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(REFERENCE)


def _without_rights(text: str) -> str:
    """An address without its user, password, query and fragment; other text as it is."""
    if not _ADDRESS.match(text):
        return text
    try:
        parts = urlsplit(text)
    except ValueError:
        return MASK
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, place, parts.path, "", ""))


def _rights(address: str) -> list[str]:
    try:
        parts = urlsplit(address)
    except ValueError:
        return []
    return [*parts.netloc.rpartition("@")[0].split(":", 1), parts.query, *parts.query.replace("&", "=").split("=")]
