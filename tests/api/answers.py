"""What an answer of the API says."""

from __future__ import annotations


def code(answer) -> tuple[int, str]:
    """Its status, and the stable code of its error."""
    return answer.status_code, answer.json()["error"]["code"]


def names(answer) -> list[str]:
    """The fields that its error names."""
    return list(answer.json()["error"]["details"])
