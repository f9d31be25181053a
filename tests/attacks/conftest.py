from __future__ import annotations

from tests.permissions.scene import scene

__all__ = ["scene"]
