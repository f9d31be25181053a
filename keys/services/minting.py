"""Choose secrets, here and nowhere else."""

from __future__ import annotations

import secrets


def new_secret() -> str:
    """A virtual key of our choosing: `sk-` and 32 random bytes, URL-safe."""
    return f"sk-{secrets.token_urlsafe(32)}"


def new_alias(prefix: str) -> str:
    """A permanent alias: the prefix and 40 random bits. LiteLLM does not keep aliases unique, we do."""
    return f"{prefix}-{secrets.token_hex(5)}"
