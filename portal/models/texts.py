"""Text as rows may keep it."""

from __future__ import annotations

from portal.log import scrub


def storable(text: str) -> str:
    """`text` without a secret, and without what PostgreSQL refuses: NUL and halves of characters."""
    return scrub(text).replace("\0", "").encode("utf-8", "replace").decode()


def in_short(error: BaseException) -> str:
    """What an error says, on one line of at most 300 characters, without a secret."""
    return " ".join(storable(f"{type(error).__name__}: {error}").split())[:300]
