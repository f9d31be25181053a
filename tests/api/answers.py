"""What an answer of the API says."""

from __future__ import annotations

BUNDLE = {
    "key", "lease", "base_url", "models", "features", "budget", "rate_limit", "tags", "metadata", "expires_at",
    "catalog",
}  # fmt: skip


def code(answer) -> tuple[int, str]:
    """Its status, and the stable code of its error."""
    return answer.status_code, answer.json()["error"]["code"]


def names(answer) -> list[str]:
    """The fields that its error names."""
    return list(answer.json()["error"]["details"])
