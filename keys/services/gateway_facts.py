"""What a proxy says about itself, asked with the client of whoever has one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from portal.litellm import Client, Invalid, Refused


@dataclass(frozen=True, slots=True)
class Facts:
    """What a proxy says about itself."""

    chosen_keys: bool
    litellm_version: str
    licence: dict[str, Any]
    models_seen: list[str]


def look(client: Client) -> Facts:
    """Ask a proxy for its health, models, licence, and whether it lets callers choose keys. Changes nothing there.

    Raises LiteLLMError; Unauthorized means that the master key is wrong.
    """
    client.health.readiness()
    names = sorted({model.id for model in client.models.list()})
    return Facts(_chosen_keys(client), *_about(client), names)


def _chosen_keys(client: Client) -> bool:
    """Ask for a key that is too short to exist: 400 says that a longer one would do, 403 that none would.

    Source: LiteLLM 1.106.2 checks `disable_custom_api_keys` before the length of the key.
    """
    try:
        client.keys.generate(key="sk-probe")
    except Invalid:
        return True
    except Refused:
        return False
    return True


def _about(client: Client) -> tuple[str, dict[str, Any]]:
    """Version and licence; older and locked-down proxies tell neither, and that is no trouble."""
    version, licence = "", {}
    try:
        version = client.health.server_version()
        told = client.health.licence()
        licence = {
            "type": told.license_type,
            "has_license": told.has_license,
            "features": list(told.allowed_features),
        }
    except Refused:
        pass
    return version, licence
